package submission

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/citel-pa/citel/server/attachment"
	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/service"
	"github.com/citel-pa/citel/server/store"
)

// FileState is what the scanner said.
type FileState string

// The states of a file.
const (
	FileWaiting  FileState = "waiting"
	FileClean    FileState = "clean"
	FileInfected FileState = "infected"
)

// Slots besides those that the service wants.
const (
	SlotPaper    = "paper"    // the scan of the document signed by hand
	SlotIdentity = "identity" // a copy of the document of identity
	SlotMore     = "more"     // what an office asked for, or goes with observations
)

// maxFiles of an application.
const maxFiles = 30

// File is an attachment.
type File struct {
	ID      string
	Slot    string
	Name    string
	Kind    attachment.Kind
	Size    int64
	SHA256  []byte
	State   FileState
	Threat  string
	Sent    bool // with the application, or as an answer to a request
	Created time.Time
}

func (f *File) name() string { return "attachments/" + f.ID[:2] + "/" + f.ID }

// Attach takes a file: what it is is told by its content, and what could act, hide or harm
// is refused with the reason (*attachment.Refused).
func (d *Desk) Attach(ctx context.Context, v Visitor, id, slot, name string, r io.ReaderAt, size int64) (*File, error) {
	a, err := d.Get(ctx, v, id)
	if err != nil {
		return nil, err
	}
	known := slot == SlotIdentity || slot == SlotPaper || slot == SlotMore && a.takesMore() ||
		slices.ContainsFunc(a.Service.Attachments, func(x service.Attachment) bool { return x.ID == slot })
	if !known {
		return nil, ErrFiles
	}
	kind, err := attachment.Check(ctx, r, size, d.Limits)
	var refused *attachment.Refused
	if errors.As(err, &refused) {
		return nil, errors.Join(err, d.logRefused(ctx, a, audit.Event{Ente: a.Ente, Kind: audit.ApplicationFile, PersonID: a.Actor(), Credential: v.Credential, Address: v.Address,
			Detail: map[string]string{"application": id, "refused": refused.Code}}))
	}
	if err != nil {
		return nil, err
	}
	f := &File{ID: store.NewID(), Slot: slot, Name: attachment.TidyName(name, kind), Kind: kind, Size: size, State: FileWaiting, Created: d.now().UTC()}
	if d.Scanner == nil {
		f.State = FileClean
	}
	h := sha256.New()
	if err := d.Store.WriteFile(ctx, f.name(), io.TeeReader(io.NewSectionReader(r, 0, size), h)); err != nil {
		return nil, err
	}
	f.SHA256 = h.Sum(nil)
	states := []State{StateDraft}
	switch slot {
	case SlotPaper:
		states = []State{StateToSign}
	case SlotIdentity:
		states = []State{StateDraft, StateToSign}
	case SlotMore:
		states = append([]State{StateMore}, hearing...)
	}
	err = d.change(ctx, v, id, states, func(tx *sql.Tx, now *Application) error {
		if slot == SlotMore && !now.takesMore() {
			return ErrState
		}
		if err := space(ctx, tx, now, size); err != nil {
			return err
		}
		var n int
		if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM application_file WHERE application = ?", id).Scan(&n); err != nil {
			return err
		}
		if n >= maxFiles {
			return ErrFiles
		}
		_, err := tx.ExecContext(ctx, "INSERT INTO application_file (id, application, slot, name, kind, size, sha256, state, created) VALUES (?,?,?,?,?,?,?,?,?)",
			f.ID, id, f.Slot, f.Name, string(f.Kind), f.Size, f.SHA256, string(f.State), store.Time(f.Created))
		return err
	})
	if err != nil {
		return nil, errors.Join(err, d.Store.RemoveFile(ctx, f.name()))
	}
	if d.Scanner != nil {
		if err := d.scanFile(ctx, f); err != nil {
			d.Log.Warn("an attachment waits for the scanner", "ente", a.Ente, "error", err)
		}
	}
	return f, nil
}

// takesMore tells whether files go with a word to the office.
func (a *Application) takesMore() bool { return a.State == StateMore || a.Hears() }

// Detach takes a file of a draft away.
func (d *Desk) Detach(ctx context.Context, v Visitor, id, file string) error {
	err := d.change(ctx, v, id, append([]State{StateDraft, StateToSign, StateMore}, hearing...), func(tx *sql.Tx, a *Application) error {
		if slices.Contains(hearing, a.State) && !a.Hears() {
			return ErrState
		}
		r, err := tx.ExecContext(ctx, "DELETE FROM application_file WHERE id = ? AND application = ? AND sent = 0 AND (slot IN ('paper', 'identity', 'more') OR ? = 'draft')", file, id, string(a.State))
		if err != nil {
			return err
		}
		if n, err := r.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, ErrNotFound)
		}
		return nil
	})
	if err == nil {
		d.remove(ctx, (&File{ID: file}).name())
	}
	return err
}

// Files lists an application's attachments.
func (d *Desk) Files(ctx context.Context, a *Application) (out []*File, err error) {
	return d.files(ctx, "application = ? ORDER BY created, id", a.ID)
}

func (d *Desk) files(ctx context.Context, where string, args ...any) (out []*File, err error) {
	rows, err := d.Store.QueryContext(ctx, "SELECT id, slot, name, kind, size, sha256, state, threat, sent, created FROM application_file WHERE "+where, args...) //nolint:gosec // our own words
	if err != nil {
		return nil, fmt.Errorf("submission: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var f File
		var created string
		if err := rows.Scan(&f.ID, &f.Slot, &f.Name, &f.Kind, &f.Size, &f.SHA256, &f.State, &f.Threat, &f.Sent, &created); err != nil {
			return nil, fmt.Errorf("submission: %w", err)
		}
		f.Created = store.ParseTime(created)
		out = append(out, &f)
	}
	return out, rows.Err()
}

// OpenFile opens an attachment that the scanner called clean. It is sent as a download,
// with File.Kind's media type and a CSP sandbox.
func (d *Desk) OpenFile(ctx context.Context, a *Application, id string) (*File, io.ReadCloser, error) {
	all, err := d.Files(ctx, a)
	if err != nil {
		return nil, nil, err
	}
	for _, f := range all {
		if f.ID != id {
			continue
		}
		if f.State != FileClean {
			return f, nil, ErrScan
		}
		r, err := d.Store.OpenFile(ctx, f.name())
		return f, r, err
	}
	return nil, nil, ErrNotFound
}

func (d *Desk) scanFile(ctx context.Context, f *File) error {
	r, err := d.Store.OpenFile(ctx, f.name())
	if err != nil {
		return err
	}
	verdict, err := d.Scanner.Scan(ctx, r, f.Size)
	if err := errors.Join(err, r.Close()); err != nil {
		return err
	}
	f.State, f.Threat = FileClean, ""
	if !verdict.Clean {
		f.State, f.Threat = FileInfected, verdict.Threat
	}
	_, err = d.Store.ExecContext(ctx, "UPDATE application_file SET state = ?, threat = ? WHERE id = ?", string(f.State), f.Threat, f.ID)
	return err
}

// scanFailures in a row mean that the scanner is down.
const scanFailures = 5

// ScanWaiting asks about files again that the scanner gave no verdict on, in no order: those
// that it never gets through with keep no others waiting.
func (d *Desk) ScanWaiting(ctx context.Context) error {
	if d.Scanner == nil {
		return nil
	}
	all, err := d.files(ctx, "state = 'waiting' ORDER BY random() LIMIT 100")
	failures := 0
	for _, f := range all {
		one := d.scanFile(ctx, f)
		if one == nil {
			failures = 0
			continue
		}
		if err, failures = one, failures+1; failures == scanFailures {
			break // the next round asks again
		}
	}
	return err
}
