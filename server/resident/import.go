package resident

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/store"
)

// Summary of a dry run, in numbers.
type Summary struct {
	Rows, New, Changed, Same, Back, Gone int
	BadLines, Notices                    int
	Conflicts                            int
	File                                 *Problem `json:",omitempty"` // the file cannot be read
	Ignored                              []string `json:",omitempty"`
}

// Import is a file of the registry office's.
type Import struct {
	ID, Ente, Name   string
	Complete         bool   // whoever is not in it is gone
	State            string // checked, done, dropped
	SHA256           string
	Size             int64
	Summary          Summary
	Operator         int64
	Created, Decided time.Time
	DecidedBy        int64
	plan             string
}

func (i *Import) file() string { return "registry/" + i.ID[:2] + "/" + i.ID + ".csv" }

// maxWaiting bounds the files of an ente that nobody has decided on yet.
const maxWaiting = 10

// life is how long a file waits to be confirmed.
const life = 24 * time.Hour

type counted struct {
	r io.Reader
	n int64
	h interface{ Write([]byte) (int, error) }
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	_, _ = c.h.Write(b[:n]) // a hash never fails
	return n, err
}

// Upload takes a file and runs it dry: what is wrong with it and what it would change.
// Nothing is changed before Confirm.
func (d *Desk) Upload(ctx context.Context, a role.Actor, name string, complete bool, r io.Reader) (*Import, error) {
	if err := role.Check(a, a.Ente, role.RegistryWrite); err != nil {
		return nil, err
	}
	var waiting int
	if err := d.Store.QueryRowContext(ctx, "SELECT count(*) FROM resident_import WHERE ente = ? AND state = 'checked'", a.Ente).Scan(&waiting); err != nil {
		return nil, fmt.Errorf("resident: %w", err)
	}
	if waiting >= maxWaiting {
		return nil, ErrWaiting
	}
	imp := &Import{ID: store.NewID(), Ente: a.Ente, Name: short(name), Complete: complete, State: "checked", Operator: a.Operator, Created: d.now().UTC()}
	h := sha256.New()
	c := &counted{r: io.LimitReader(r, MaxBytes+1), h: h}
	if err := d.Store.WriteFile(ctx, imp.file(), c); err != nil {
		return nil, err
	}
	if c.n > MaxBytes {
		return nil, errors.Join(ErrTooLarge, d.Store.RemoveFile(ctx, imp.file()))
	}
	imp.Size, imp.SHA256 = c.n, hex.EncodeToString(h.Sum(nil))
	var err error
	if imp.Summary, imp.plan, err = d.walk(ctx, d.Store, imp, nil); err != nil {
		return nil, errors.Join(err, d.Store.RemoveFile(ctx, imp.file()))
	}
	summary, err := json.Marshal(imp.Summary)
	if err != nil {
		return nil, err
	}
	err = d.Store.Tx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO resident_import (id, ente, name, complete, state, sha256, size, summary, plan, operator, created) VALUES (?,?,?,?,?,?,?,?,?,?,?)`,
			imp.ID, imp.Ente, imp.Name, imp.Complete, imp.State, imp.SHA256, imp.Size, string(summary), imp.plan, imp.Operator, store.Time(imp.Created))
		if err != nil {
			return err
		}
		return d.logImport(ctx, tx, a, imp, "checked")
	})
	if err != nil {
		return nil, fmt.Errorf("resident: %w", errors.Join(err, d.Store.RemoveFile(ctx, imp.file())))
	}
	return imp, nil
}

func (d *Desk) logImport(ctx context.Context, tx *sql.Tx, a role.Actor, i *Import, what string) error {
	return d.Audit.WriteTx(ctx, tx, audit.Event{Ente: i.Ente, Kind: audit.RegistryImported, Detail: map[string]string{"import": i.ID, "what": what, "sha256": i.SHA256,
		"new": fmt.Sprint(i.Summary.New), "changed": fmt.Sprint(i.Summary.Changed), "gone": fmt.Sprint(i.Summary.Gone), "bad": fmt.Sprint(i.Summary.BadLines)}}.By(a))
}

const importColumns = "id, ente, name, complete, state, sha256, size, summary, plan, operator, created, decided_by, decided"

func scanImport(row store.Row) (*Import, error) {
	i := &Import{}
	var summary, created, decided string
	err := row.Scan(&i.ID, &i.Ente, &i.Name, &i.Complete, &i.State, &i.SHA256, &i.Size, &summary, &i.plan, &i.Operator, &created, &i.DecidedBy, &decided)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("resident: %w", err)
	}
	i.Created, i.Decided = store.ParseTime(created), store.ParseTime(decided)
	return i, json.Unmarshal([]byte(summary), &i.Summary)
}

// Imports lists an ente's, newest first.
func (d *Desk) Imports(ctx context.Context, a role.Actor) ([]*Import, error) {
	if err := role.Check(a, a.Ente, role.RegistryRead); err != nil {
		return nil, err
	}
	rows, err := d.Store.QueryContext(ctx, "SELECT "+importColumns+" FROM resident_import WHERE ente = ? ORDER BY created DESC, id LIMIT 200", a.Ente)
	return store.All(rows, err, scanImport)
}

// Import reads one of the operator's ente.
func (d *Desk) Import(ctx context.Context, a role.Actor, id string) (*Import, error) {
	if err := role.Check(a, a.Ente, role.RegistryWrite); err != nil {
		return nil, err
	}
	return scanImport(d.Store.QueryRowContext(ctx, "SELECT "+importColumns+" FROM resident_import WHERE id = ? AND ente = ?", id, a.Ente))
}

// Report walks a file that waits, and gives each thing that it finds: every bad line,
// every change.
func (d *Desk) Report(ctx context.Context, a role.Actor, id string, each func(Finding) error) (*Import, error) {
	i, err := d.Import(ctx, a, id)
	if err != nil {
		return nil, err
	}
	if i.State != "checked" {
		return nil, ErrState
	}
	summary, plan, err := d.walk(ctx, d.Store, i, each)
	if err != nil {
		return nil, err
	}
	i.Summary, i.plan = summary, plan // as it would be now
	// A file of codes alone would show everybody's record: that it was read is logged.
	err = d.Store.Tx(ctx, func(tx *sql.Tx) error { return d.logImport(ctx, tx, a, i, "read") })
	return i, err
}

// Plan is a hash of all that an import would change as it was reported: Confirm wants it.
func (i *Import) Plan() string { return i.plan }

// Decision is what an operator has said to a dry run.
type Decision struct {
	SHA256, Plan string // of what was shown
	Gone         bool   // those who are not in it are marked as gone
	LeaveBad     bool   // bad lines are left out
	// Take has the conflicts in which the file is right, by Finding.Key; Keep those in
	// which the correction is.
	Take, Keep map[string]bool
}

// Confirm does what a dry run has shown, with that very file and nothing else, in one
// transaction.
func (d *Desk) Confirm(ctx context.Context, a role.Actor, id string, x Decision) error {
	i, err := d.Import(ctx, a, id)
	if err != nil {
		return err
	}
	if i.State != "checked" {
		return ErrState
	}
	if x.SHA256 != i.SHA256 {
		return ErrStale
	}
	err = d.Store.Tx(ctx, func(tx *sql.Tx) error {
		if err := d.Audit.Hold(ctx, tx, a.Ente); err != nil {
			return err
		}
		now, err := scanImport(tx.QueryRowContext(ctx, "SELECT "+importColumns+" FROM resident_import WHERE id = ? AND ente = ?", id, a.Ente))
		if err != nil {
			return err
		}
		if now.State != "checked" {
			return ErrState
		}
		w := &writer{d: d, tx: tx, i: now, a: a, x: x, now: d.now().UTC()}
		summary, plan, err := d.walk(ctx, tx, now, func(f Finding) error { return w.apply(ctx, f) })
		if err == nil {
			err = w.flush(ctx)
		}
		switch {
		case err != nil:
			return err
		case plan != x.Plan:
			return ErrStale
		case summary.File != nil:
			return ErrState
		case summary.BadLines > 0 && !x.LeaveBad, summary.Gone > 0 && !x.Gone, w.undecided > 0:
			return ErrUndecided
		}
		now.Summary = summary
		text, err := json.Marshal(summary)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "UPDATE resident_import SET state = 'done', summary = ?, decided_by = ?, decided = ? WHERE id = ?", string(text), a.Operator, store.Time(w.now), id); err != nil {
			return err
		}
		return d.logImport(ctx, tx, a, now, "done")
	})
	if err != nil {
		return fmt.Errorf("resident: %w", err)
	}
	return d.Store.RemoveFile(ctx, i.file())
}

// Drop throws a file away that was not confirmed.
func (d *Desk) Drop(ctx context.Context, a role.Actor, id string) error {
	i, err := d.Import(ctx, a, id)
	if err != nil {
		return err
	}
	err = d.Store.Tx(ctx, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, "UPDATE resident_import SET state = 'dropped', decided_by = ?, decided = ? WHERE id = ? AND state = 'checked'", a.Operator, store.Time(d.now()), id)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return errors.Join(ErrState, err)
		}
		return d.logImport(ctx, tx, a, i, "dropped")
	})
	if err != nil {
		return fmt.Errorf("resident: %w", err)
	}
	return d.Store.RemoveFile(ctx, i.file())
}

// Sweep throws files away that nobody confirmed within a day, and reasons of searches
// whose hour is over (the log has them).
func (d *Desk) Sweep(ctx context.Context) error {
	rows, err := d.Store.QueryContext(ctx, "SELECT id FROM resident_import WHERE state = 'checked' AND created < ?", store.Time(d.now().Add(-life)))
	if err != nil {
		return fmt.Errorf("resident: %w", err)
	}
	ids, err := store.Strings(rows)
	if err != nil {
		return fmt.Errorf("resident: %w", err)
	}
	for _, id := range ids {
		if _, err := d.Store.ExecContext(ctx, "UPDATE resident_import SET state = 'dropped', decided = ? WHERE id = ? AND state = 'checked'", store.Time(d.now()), id); err != nil {
			return fmt.Errorf("resident: %w", err)
		}
		if err := d.Store.RemoveFile(ctx, (&Import{ID: id}).file()); err != nil {
			return err
		}
	}
	_, err = d.Store.ExecContext(ctx, "DELETE FROM resident_search WHERE time < ?", store.Time(d.now().Add(-searchLife)))
	return err
}
