package register

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/server/ente"
	"github.com/citel-pa/citel/server/pdf"
	"github.com/citel-pa/citel/server/store"
)

// Day is a daily register (DPR 445/2000, art. 53 c. 2).
type Day struct {
	Ente     string
	Day      string // of Rome
	Entries  int
	Data     string // name of the file with the data
	SHA256   string
	Document string // and of the sealed PDF
	Made     time.Time
}

// record is an entry in the data of a day.
type record struct {
	Number    string `json:"number"`
	IPA       string `json:"codiceIPA"`
	AOO       string `json:"codiceAOO"`
	Registry  string `json:"registro"`
	Time      string `json:"time"`
	Direction string `json:"direction"`
	Party     string `json:"party"`
	Subject   string `json:"subject"`
	SHA256    string `json:"sha256"`
	Document  string `json:"document"`
	Origin    string `json:"origin,omitempty"`
	Emergency string `json:"emergency,omitempty"`
	Seal      string `json:"seal"`
	Cancelled string `json:"cancelled,omitempty"`
	Reason    string `json:"reason,omitempty"`
	Author    string `json:"author,omitempty"`
}

func recordOf(r *Entry) record {
	y := record{Number: r.Number.String(), IPA: r.IPA, AOO: r.AOO, Registry: r.Registry, Time: store.Time(r.Time), Direction: string(r.Direction), Party: r.Party,
		Subject: r.Subject, SHA256: r.Hash(), Document: r.Document, Origin: r.Origin, Emergency: r.Emergency, Seal: r.Seal}
	if c := r.Cancelled; c != nil {
		y.Cancelled, y.Reason, y.Author = store.Time(c.Time), c.Reason, c.Author
	}
	return y
}

// settled is how long after its end a day is closed: a registration that began in it is
// committed by then.
const settled = 10 * time.Minute

// CloseDays makes the daily registers that are missing, of every ente, up to yesterday.
// A day without an entry has one too, from the first entry on.
func (d *Desk) CloseDays(ctx context.Context) error {
	all, err := d.Enti.List(ctx, false)
	if err != nil {
		return err
	}
	var failed error
	for _, e := range all { // what is wrong in one ente's register keeps no other from its days
		if err := d.closeDays(ctx, e); err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", e.Code, err))
		}
	}
	return failed
}

func (d *Desk) closeDays(ctx context.Context, e *ente.Ente) error {
	var last, first string
	err := d.Store.QueryRowContext(ctx, "SELECT coalesce(max(day), '') FROM register_day WHERE ente = ?", e.Code).Scan(&last)
	if err == nil {
		err = d.Store.QueryRowContext(ctx, "SELECT coalesce(min(time), '') FROM register_entry WHERE ente = ?", e.Code).Scan(&first)
	}
	if err != nil {
		return fmt.Errorf("register: %w", err)
	}
	if first == "" {
		return nil
	}
	day := midnight(store.ParseTime(first))
	if t, err := time.ParseInLocation(time.DateOnly, last, rome); err == nil {
		day = t.AddDate(0, 0, 1)
	}
	for ; !d.now().Before(day.AddDate(0, 0, 1).Add(settled)); day = day.AddDate(0, 0, 1) {
		if err := d.closeDay(ctx, e, day); err != nil {
			return err
		}
	}
	return nil
}

func midnight(t time.Time) time.Time {
	y, m, day := t.In(rome).Date()
	return time.Date(y, m, day, 0, 0, 0, 0, rome)
}

func (d *Desk) closeDay(ctx context.Context, e *ente.Ente, day time.Time) error {
	entries, err := d.entries(ctx, "WHERE r.ente = ? AND r.time >= ? AND r.time < ? ORDER BY r.year, r.number", e.Code, store.Time(day), store.Time(day.AddDate(0, 0, 1)))
	if err != nil {
		return err
	}
	x := &Day{Ente: e.Code, Day: day.Format(time.DateOnly), Entries: len(entries), Made: d.now().UTC()}
	records := make([]record, 0, len(entries))
	for _, r := range entries {
		if err := d.check(ctx, r); err != nil {
			return err
		}
		records = append(records, recordOf(r))
	}
	data, err := json.MarshalIndent(map[string]any{"ente": e.Code, "name": e.Name, "day": x.Day, "entries": records}, "", " ")
	if err != nil {
		return err
	}
	sum := sha256.Sum256(data)
	x.SHA256 = hex.EncodeToString(sum[:])
	plain, err := d.page(e, x, entries, sum)
	if err != nil {
		return err
	}
	sealed, _, err := d.Seals.Seal(ctx, e.Code, e.Name, text("register.reason", "day", x.Day), plain)
	if err != nil {
		return err
	}
	// A name of its own: another process may make the same day, one of the two is kept.
	name := "register/" + e.Code + "/" + x.Day + "-" + store.NewID()[:8]
	x.Data, x.Document = name+".json", name+".pdf"
	if err := errors.Join(d.Store.WriteFile(ctx, x.Data, bytes.NewReader(data)), d.Store.WriteFile(ctx, x.Document, bytes.NewReader(sealed))); err != nil {
		return err
	}
	err = d.Store.Tx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO register_day (ente, day, entries, data, sha256, document, made) VALUES (?,?,?,?,?,?,?)",
			x.Ente, x.Day, x.Entries, x.Data, x.SHA256, x.Document, store.Time(x.Made))
		return err
	})
	if store.IsUnique(err) {
		return errors.Join(d.Store.RemoveFile(ctx, x.Data), d.Store.RemoveFile(ctx, x.Document))
	}
	if err != nil {
		return fmt.Errorf("register: %w", err)
	}
	return nil
}

func text(key string, args ...any) string { return message.Text(message.Italian, key, args...) }

func (d *Desk) page(e *ente.Ente, x *Day, entries []*Entry, sum [32]byte) ([]byte, error) {
	title := text("register.day-title", "day", x.Day)
	var id [16]byte
	copy(id[:], sum[:])
	doc := pdf.New(pdf.Info{Title: title, Lang: "it-IT", Author: e.Name, Subject: title, Created: x.Made.In(rome), ID: id})
	doc.Heading(1, title)
	doc.Fields([]pdf.Field{
		{Label: text("register.ente"), Value: e.Name}, {Label: text("register.aoo"), Value: strings.Trim(e.IPA+" / "+e.AOO+" / "+Code, " /")},
		{Label: text("register.entries"), Value: fmt.Sprint(x.Entries)}, {Label: text("register.data"), Value: x.SHA256},
	})
	if len(entries) == 0 {
		doc.Paragraph(text("register.none"))
	} else {
		var rows [][]string
		for _, r := range entries {
			subject := r.Subject
			if r.Emergency != "" {
				subject += "\n" + text("register.emergency", "number", r.Emergency)
			}
			if r.Cancelled != nil {
				subject += "\n" + text("register.cancelled", "time", r.Cancelled.Time.In(rome).Format("02/01/2006 15:04"), "author", r.Cancelled.Author, "reason", r.Cancelled.Reason)
			}
			rows = append(rows, []string{r.Number.String() + "\n" + r.Time.In(rome).Format("15:04:05"), text("register.direction-"+string(r.Direction)) + " " + r.Party, subject, r.Hash()})
		}
		doc.Table([]string{text("register.number"), text("register.party"), text("register.subject"), text("register.hash")}, rows)
	}
	doc.Footer(e.Name + ", " + title)
	var b bytes.Buffer
	_, err := doc.WriteTo(&b)
	return b.Bytes(), err
}

// Days lists an ente's daily registers, newest first.
func (d *Desk) Days(ctx context.Context, ente string, limit int) ([]*Day, error) {
	return d.days(ctx, "ente = ? ORDER BY day DESC LIMIT ?", ente, limit)
}

func (d *Desk) days(ctx context.Context, where string, args ...any) ([]*Day, error) {
	rows, err := d.Store.QueryContext(ctx, "SELECT ente, day, entries, data, sha256, document, made FROM register_day WHERE "+where, args...) //nolint:gosec // our own words
	return store.All(rows, err, func(row store.Row) (*Day, error) {
		var x Day
		var made string
		if err := row.Scan(&x.Ente, &x.Day, &x.Entries, &x.Data, &x.SHA256, &x.Document, &made); err != nil {
			return nil, fmt.Errorf("register: %w", err)
		}
		x.Made = store.ParseTime(made)
		return &x, nil
	})
}
