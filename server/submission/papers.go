package submission

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/citel-pa/citel/server/register"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/service"
	"github.com/citel-pa/citel/server/store"
)

// Paper is a document of an application's file.
type Paper struct {
	Name, MediaType, Title string
	Open                   func(ctx context.Context) (io.ReadCloser, error)
}

// called is what the document of an application is called as a file, without its ending.
func (a *Application) called() string {
	switch a.Service.Act {
	case service.SelfCertification:
		return "autocertificazione"
	case service.Message:
		return "comunicazione"
	}
	return "istanza"
}

// FileReference names an application in the names of its files: the protocol number or,
// while there is none, the beginning of the id.
func (a *Application) FileReference() string {
	if n := a.Number; n.Number > 0 {
		return fmt.Sprintf("%d-%07d", n.Year, n.Number)
	}
	return a.ID[:12]
}

// DocumentName is what the document is called where a person sees it as a file: in the
// agent's window before the signature, in the browser, among the downloads.
func (a *Application) DocumentName() string { return a.Service.ID + "-" + a.FileReference() + ".pdf" }

// Papers lists everything that an application's file holds: document, signed files with
// their reports, attachments, receipt, steps, the form that it was made with.
func (d *Desk) Papers(ctx context.Context, a *Application) ([]Paper, error) {
	stored := func(name string) func(context.Context) (io.ReadCloser, error) {
		return func(ctx context.Context) (io.ReadCloser, error) { return d.Store.OpenFile(ctx, name) }
	}
	ready := func(data []byte) func(context.Context) (io.ReadCloser, error) {
		return func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }
	}
	out := []Paper{{a.called() + ".pdf", "application/pdf", a.Service.Title.It, stored(a.documentFile())}}
	signed, err := d.Signatures(ctx, a)
	if err != nil {
		return nil, err
	}
	var seen []string
	for i, s := range signed {
		report, err := json.MarshalIndent(s.Report, "", " ")
		if err != nil {
			return nil, err
		}
		if !slices.Contains(seen, s.File) {
			seen = append(seen, s.File)
			out = append(out, Paper{fmt.Sprintf("%s-%d.pdf.p7m", a.called(), i+1), "application/pkcs7-mime", a.Service.Title.It, stored(s.File)})
		}
		out = append(out, Paper{fmt.Sprintf("rapporto-%d.json", i+1), "application/json", "Rapporto di verifica", ready(report)})
	}
	files, err := d.Files(ctx, a)
	if err != nil {
		return nil, err
	}
	for i, f := range files {
		if f.Sent && f.State == FileClean {
			out = append(out, Paper{fmt.Sprintf("allegato-%02d%s", i+1, f.Kind.Ext()), f.Kind.MediaType(), f.Name, stored(f.name())})
		}
	}
	if a.Service.Act != service.SelfCertification {
		out = append(out, Paper{"ricevuta.pdf", "application/pdf", "Ricevuta", func(ctx context.Context) (io.ReadCloser, error) { return d.Receipt(ctx, a) }})
	}
	switch segnatura, err := d.segnaturaOf(ctx, a); {
	case err == nil:
		out = append(out, Paper{"segnatura.xml", "application/xml", "Segnatura di protocollo", ready(segnatura)})
	case !errors.Is(err, ErrState) && !errors.Is(err, register.ErrCodes):
		return nil, err
	}
	if notice, err := d.NoticeOf(ctx, a); err == nil {
		out = append(out, Paper{noticeName, "application/pdf", "Comunicazione dei motivi ostativi", stored(notice.file)})
	} else if !errors.Is(err, ErrNotFound) {
		return nil, err
	}
	heard, err := d.Observations(ctx, a)
	if err != nil {
		return nil, err
	}
	for _, o := range heard {
		out = append(out, Paper{o.name(), "application/pdf", "Osservazioni", stored(o.file)})
	}
	if answer, err := d.AnswerOf(ctx, a); err == nil {
		out = append(out, Paper{"risposta.pdf", "application/pdf", "Risposta", stored(answer.file)})
	} else if !errors.Is(err, ErrNotFound) {
		return nil, err
	}
	steps, err := d.Steps(ctx, a)
	if err != nil {
		return nil, err
	}
	history, err := json.MarshalIndent(steps, "", " ")
	if err != nil {
		return nil, err
	}
	return append(out, Paper{"passi.json", "application/json", "Passi della pratica", ready(history)}, Paper{"servizio.yaml", "application/yaml", "Scheda del servizio", ready(a.Service.Text)}), nil
}

// SentOn lists an ente's applications of a day of Rome, ClosedOn those that ended in it.
func (d *Desk) SentOn(ctx context.Context, ente string, day time.Time) ([]*Application, error) {
	return d.query(ctx, "WHERE ente = ? AND sent >= ? AND sent < ? ORDER BY sent, id", ente, store.Time(day), store.Time(day.AddDate(0, 0, 1)))
}

// ClosedOn lists the applications that were closed or withdrawn on a day.
func (d *Desk) ClosedOn(ctx context.Context, ente string, day time.Time) ([]*Application, error) {
	return d.query(ctx, "WHERE ente = ? AND sent <> '' AND closed >= ? AND closed < ? ORDER BY closed, id", ente, store.Time(day), store.Time(day.AddDate(0, 0, 1)))
}

// KeepUntil is the day until which an application is kept: its end and the service's
// years. Empty: it has not ended, or is kept for good.
func (a *Application) KeepUntil() string {
	if a.Closed.IsZero() || a.Service.Retention == 0 {
		return ""
	}
	return a.Closed.In(register.Rome()).AddDate(a.Service.Retention, 0, 0).Format(time.DateOnly)
}

// expiredMost is how many Expired gives at most, those that ended first.
const expiredMost = 5000

// Expired lists applications whose retention is over. They are shown and not deleted: an
// archive's documents are discarded only with a permission (D.Lgs. 42/2004, art. 21).
func (d *Desk) Expired(ctx context.Context, a role.Actor) (out []*Application, err error) {
	if err := role.Check(a, a.Ente, role.PortalUse); err != nil {
		return nil, err
	}
	years, err := d.retentions(ctx, a.Ente)
	if err != nil {
		return nil, err
	}
	today := d.now().In(register.Rome()).Format(time.DateOnly)
	// Each version of a service by itself: what is kept for long, or for good, must not fill
	// the list's place before it is left out.
	for version, n := range years {
		all, err := d.query(ctx, "WHERE ente = ? AND service = ? AND version = ? AND closed <> '' AND closed < ? ORDER BY closed LIMIT ?",
			a.Ente, version.service, version.number, store.Time(d.now().AddDate(-n, 0, 1)), expiredMost)
		if err != nil {
			return nil, err
		}
		for _, x := range all {
			if k := x.KeepUntil(); k != "" && k < today {
				out = append(out, x)
			}
		}
	}
	slices.SortFunc(out, func(x, y *Application) int { return cmp.Or(x.Closed.Compare(y.Closed), strings.Compare(x.ID, y.ID)) })
	return out[:min(len(out), expiredMost)], nil
}

// version is one of a service's definitions.
type version struct {
	service string
	number  int
}

// retentions gives the years that an ente's applications which have ended are kept, by the
// version that they were made with; what is kept for good is left out.
func (d *Desk) retentions(ctx context.Context, ente string) (years map[version]int, err error) {
	rows, err := d.Store.QueryContext(ctx, "SELECT DISTINCT service, version FROM application WHERE ente = ? AND closed <> ''", ente)
	if err != nil {
		return nil, fmt.Errorf("submission: %w", err)
	}
	var all []version
	for rows.Next() {
		var v version
		if err := rows.Scan(&v.service, &v.number); err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		all = append(all, v)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, fmt.Errorf("submission: %w", err)
	}
	years = map[version]int{}
	for _, v := range all {
		s, err := d.Services.At(ctx, ente, v.service, v.number)
		if err != nil {
			return nil, err
		}
		if s.Retention > 0 {
			years[v] = s.Retention
		}
	}
	return years, nil
}
