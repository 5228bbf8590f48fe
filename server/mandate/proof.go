package mandate

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/citel-pa/citel/server/attachment"
	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/store"
)

// Proof is a document behind a mandate: sent with what was asked online, or a scan of what
// the desk saw.
type Proof struct {
	ID      string
	Name    string
	Kind    attachment.Kind
	Size    int64
	SHA256  []byte
	State   string // waiting, clean, infected
	Created time.Time
}

func (p *Proof) file() string { return "mandates/" + p.ID[:2] + "/" + p.ID }

// maxProofs of a mandate.
const maxProofs = 10

// Errors of scans.
var (
	// ErrProofs: a mandate has enough of them.
	ErrProofs = errors.New("mandate: too many scans")
	// ErrScan: the scanner has not called it clean.
	ErrScan = errors.New("mandate: the scan was not found clean")
)

// AddProof keeps a scan with a mandate. What it is is told by its content; what could act,
// hide or harm is refused with the reason (*attachment.Refused).
func (d *Desk) AddProof(ctx context.Context, a role.Actor, id, name string, r io.ReaderAt, size int64) (*Proof, error) {
	v, err := d.Open(ctx, a, id)
	if err != nil {
		return nil, err
	}
	kind, err := attachment.Check(ctx, r, size, d.Limits)
	if err != nil {
		return nil, err
	}
	p := &Proof{ID: store.NewID(), Name: attachment.TidyName(name, kind), Kind: kind, Size: size, State: "clean", Created: d.now().UTC()}
	if d.Scanner != nil {
		p.State = "waiting"
	}
	h := sha256.New()
	if err := d.Store.WriteFile(ctx, p.file(), io.TeeReader(io.NewSectionReader(r, 0, size), h)); err != nil {
		return nil, err
	}
	p.SHA256 = h.Sum(nil)
	err = d.move(ctx, a.Ente, id, audit.Event{}.By(a), func(m *Mandate) error {
		if m.State != Active && m.State != Asked {
			return ErrState
		}
		return nil
	}, func(tx *sql.Tx, _ *Mandate) error {
		if err := d.notOwn(ctx, tx, a, v.Mandate); err != nil {
			return err
		}
		var n int
		if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM mandate_proof WHERE mandate = ?", id).Scan(&n); err != nil {
			return err
		}
		if n >= maxProofs {
			return ErrProofs
		}
		_, err := tx.ExecContext(ctx, "INSERT INTO mandate_proof (id, mandate, name, kind, size, sha256, state, operator, created) VALUES (?,?,?,?,?,?,?,?,?)",
			p.ID, id, p.Name, string(p.Kind), p.Size, p.SHA256, p.State, a.Operator, store.Time(p.Created))
		return err
	})
	if err != nil {
		return nil, errors.Join(err, d.Store.RemoveFile(ctx, p.file()))
	}
	return p, nil
}

// Proofs lists a mandate's scans. Whoever calls has opened the mandate.
func (d *Desk) Proofs(ctx context.Context, m *Mandate) ([]*Proof, error) {
	rows, err := d.Store.QueryContext(ctx, "SELECT id, name, kind, size, sha256, state, created FROM mandate_proof WHERE mandate = ? ORDER BY created, id", m.ID)
	return store.All(rows, err, func(row store.Row) (*Proof, error) {
		var p Proof
		var created string
		if err := row.Scan(&p.ID, &p.Name, &p.Kind, &p.Size, &p.SHA256, &p.State, &created); err != nil {
			return nil, fmt.Errorf("mandate: %w", err)
		}
		p.Created = store.ParseTime(created)
		return &p, nil
	})
}

// OpenProof opens a scan that the scanner called clean; one that it gave no verdict on is
// asked about now (ErrScan, attachment.ErrScanner). It is sent as a download, with its
// kind's media type and a CSP sandbox.
func (d *Desk) OpenProof(ctx context.Context, a role.Actor, mandate, id string) (*Proof, io.ReadCloser, error) {
	v, err := d.Open(ctx, a, mandate)
	if err != nil {
		return nil, nil, err
	}
	all, err := d.Proofs(ctx, v.Mandate)
	if err != nil {
		return nil, nil, err
	}
	for _, p := range all {
		if p.ID != id {
			continue
		}
		if p.State == "waiting" {
			if err := d.scanProof(ctx, p); err != nil {
				return nil, nil, err
			}
		}
		if p.State != "clean" {
			return nil, nil, ErrScan
		}
		f, err := d.Store.OpenFile(ctx, p.file())
		return p, f, err
	}
	return nil, nil, ErrNotFound
}

func (d *Desk) scanProof(ctx context.Context, p *Proof) error {
	if d.Scanner == nil {
		p.State = "clean" // it was taken away from the server: what passed the checks is opened
		return nil
	}
	f, err := d.Store.OpenFile(ctx, p.file())
	if err != nil {
		return err
	}
	verdict, err := d.Scanner.Scan(ctx, f, p.Size)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if p.State = "clean"; !verdict.Clean {
		p.State = "infected"
	}
	_, err = d.Store.ExecContext(ctx, "UPDATE mandate_proof SET state = ? WHERE id = ?", p.State, p.ID)
	return wrapped(err)
}
