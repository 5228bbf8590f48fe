package envelope

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/credential"
	"github.com/citel-pa/citel/server/keys"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/store"
)

// MaxBatch bounds a batch.
const MaxBatch = 200

// confirmWithin is how long a batch waits for the word that it was printed.
const confirmWithin = 24 * time.Hour

// Batch is what was printed in one go.
type Batch struct {
	ID        string
	Ente      string
	Size      int
	PrintedBy int64
	Printed   time.Time
	Confirmed time.Time // zero: not yet
	Voided    time.Time // zero: not
	Left      int       // envelopes that can be handed out
}

// Sheet is what is printed of one envelope. It exists once, in the answer that streams the
// PDF.
type Sheet struct {
	Code     string // outside
	Username string // inside
	PIN      string // inside
}

// Print makes a batch of n envelopes. The sheets are for the PDF and nowhere kept; the
// envelopes can be handed out once the batch is confirmed, by somebody else.
func (d *Desk) Print(ctx context.Context, a role.Actor, n int) (*Batch, []Sheet, error) {
	if err := role.Check(a, a.Ente, role.EnvelopesPrint); err != nil {
		return nil, nil, err
	}
	if n < 1 || n > MaxBatch {
		return nil, nil, ErrSize
	}
	sheets, hashes := make([]Sheet, n), make([]string, n)
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(4) // keys bounds it too
	for i := range sheets {
		sheets[i] = Sheet{Code: newCode(), Username: credential.Random(8), PIN: credential.Random(10)}
		g.Go(func() (err error) {
			hashes[i], err = d.Keys.HashSecret(gctx, keys.PurposeEnvelope, []byte(sheets[i].PIN))
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, nil, err
	}
	b := &Batch{ID: store.NewID(), Ente: a.Ente, Size: n, PrintedBy: a.Operator, Printed: d.now()}
	err := d.Store.Tx(ctx, func(tx *sql.Tx) error {
		now := store.Time(b.Printed)
		if _, err := tx.ExecContext(ctx, "INSERT INTO batch (id, ente, size, printed_by, printed) VALUES (?,?,?,?,?)", b.ID, b.Ente, n, b.PrintedBy, now); err != nil {
			return fmt.Errorf("envelope: %w", err)
		}
		for i, s := range sheets {
			_, err := tx.ExecContext(ctx, "INSERT INTO envelope (code, ente, batch, state, username, secret, changed) VALUES (?,?,?,'printed',?,?,?)",
				s.Code, a.Ente, b.ID, s.Username, hashes[i], now)
			if err != nil {
				return fmt.Errorf("envelope: %w", err)
			}
		}
		return d.Audit.WriteTx(ctx, tx, audit.Event{Ente: a.Ente, Kind: audit.BatchPrinted, Detail: map[string]string{"batch": b.ID, "size": fmt.Sprint(n)}}.By(a))
	})
	if err != nil {
		return nil, nil, err
	}
	return b, sheets, nil
}

const batchColumns = `id, ente, size, printed_by, printed, confirmed, voided,
	(SELECT count(*) FROM envelope WHERE envelope.batch = batch.id AND envelope.state = 'printed') FROM batch`

func scanBatch(row store.Row) (*Batch, error) {
	var b Batch
	var printed, confirmed, voided string
	err := row.Scan(&b.ID, &b.Ente, &b.Size, &b.PrintedBy, &printed, &confirmed, &voided, &b.Left)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("envelope: %w", err)
	}
	b.Printed, b.Confirmed, b.Voided = store.ParseTime(printed), store.ParseTime(confirmed), store.ParseTime(voided)
	return &b, nil
}

// Batches lists those of the operator's ente, newest first.
func (d *Desk) Batches(ctx context.Context, a role.Actor) ([]*Batch, error) {
	if err := role.Check(a, a.Ente, role.EnvelopesRead); err != nil {
		return nil, err
	}
	rows, err := d.Store.QueryContext(ctx, "SELECT "+batchColumns+" WHERE ente = ? ORDER BY printed DESC LIMIT 100", a.Ente)
	return store.All(rows, err, scanBatch)
}

// Confirm says that a batch was printed well. Who printed it says so, or another printer.
func (d *Desk) Confirm(ctx context.Context, a role.Actor, id string) error {
	return d.settle(ctx, a, id, "")
}

// VoidBatch voids all envelopes of a batch that are not handed out.
func (d *Desk) VoidBatch(ctx context.Context, a role.Actor, id, reason string) error {
	if reason = strings.TrimSpace(reason); reason == "" || len(reason) > 500 {
		return ErrReason
	}
	return d.settle(ctx, a, id, reason)
}

func (d *Desk) settle(ctx context.Context, a role.Actor, id, voidReason string) error {
	if err := role.Check(a, a.Ente, role.EnvelopesPrint); err != nil {
		return err
	}
	return d.Store.Tx(ctx, func(tx *sql.Tx) error {
		b, err := scanBatch(tx.QueryRowContext(ctx, "SELECT "+batchColumns+" WHERE id = ? AND ente = ?", id, a.Ente))
		if err != nil {
			return err
		}
		now := d.now()
		if voidReason == "" {
			if !b.Confirmed.IsZero() || !b.Voided.IsZero() || now.Sub(b.Printed) > confirmWithin {
				return ErrState
			}
			if _, err := tx.ExecContext(ctx, "UPDATE batch SET confirmed = ? WHERE id = ?", store.Time(now), id); err != nil {
				return fmt.Errorf("envelope: %w", err)
			}
			return d.Audit.WriteTx(ctx, tx, audit.Event{Ente: a.Ente, Kind: audit.BatchConfirmed, Detail: map[string]string{"batch": id}}.By(a))
		}
		if !b.Voided.IsZero() {
			return ErrState
		}
		return d.voidBatch(ctx, tx, b, voidReason, a)
	})
}

func (d *Desk) voidBatch(ctx context.Context, tx *sql.Tx, b *Batch, reason string, a role.Actor) error {
	now := store.Time(d.now())
	if _, err := tx.ExecContext(ctx, "UPDATE batch SET voided = ? WHERE id = ?", now, b.ID); err != nil {
		return fmt.Errorf("envelope: %w", err)
	}
	if _, err := tx.ExecContext(ctx, "UPDATE envelope SET state = 'void', reason = ?, changed = ? WHERE batch = ? AND state = 'printed'", reason, now, b.ID); err != nil {
		return fmt.Errorf("envelope: %w", err)
	}
	return d.Audit.WriteTx(ctx, tx, audit.Event{Ente: b.Ente, Kind: audit.BatchVoided, Detail: map[string]string{"batch": b.ID, "reason": reason}}.By(a))
}

// Sweep voids batches that were not confirmed within a day, and expires envelopes that were
// handed out and not activated in their time. The server calls it now and then.
func (d *Desk) Sweep(ctx context.Context) error {
	now := d.now()
	rows, err := d.Store.QueryContext(ctx, "SELECT id FROM batch WHERE confirmed = '' AND voided = '' AND printed < ?", store.Time(now.Add(-confirmWithin)))
	if err != nil {
		return fmt.Errorf("envelope: %w", err)
	}
	ids, err := store.Strings(rows)
	if err != nil {
		return fmt.Errorf("envelope: %w", err)
	}
	for _, id := range ids {
		err := d.Store.Tx(ctx, func(tx *sql.Tx) error {
			b, err := scanBatch(tx.QueryRowContext(ctx, "SELECT "+batchColumns+" WHERE id = ? AND confirmed = '' AND voided = ''", id))
			if errors.Is(err, ErrNotFound) {
				return nil
			}
			if err != nil {
				return err
			}
			return d.voidBatch(ctx, tx, b, "not-confirmed", role.Actor{})
		})
		if err != nil {
			return err
		}
	}
	_, err = d.Store.ExecContext(ctx, "UPDATE envelope SET state = 'expired', changed = ? WHERE state IN ('handed-out', 'sent') AND expires <> '' AND expires < ?", store.Time(now), store.Time(now))
	if err != nil {
		return fmt.Errorf("envelope: %w", err)
	}
	return nil
}
