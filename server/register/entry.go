package register

import (
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/ente"
	"github.com/citel-pa/citel/server/foureyes"
	"github.com/citel-pa/citel/server/keys"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/seal"
	"github.com/citel-pa/citel/server/store"
)

// Code of the register; an AOO has one protocol register.
const Code = "PROT"

// Direction of a document.
type Direction string

// The directions.
const (
	In  Direction = "in"
	Out Direction = "out"
)

// Entry is a registration (DPR 445/2000, art. 53 c. 1): number and time are given by the
// register, what is in it is never changed.
type Entry struct {
	Ente      string
	Number    Number
	IPA, AOO  string
	Registry  string
	Time      time.Time
	Direction Direction
	Party     string // sender, or recipients
	Subject   string
	SHA256    []byte
	Document  string // what it belongs to: an application's id
	Origin    string // date and number of the document that came in, if known
	Emergency string // number in the emergency register
	Seal      string
	Cancelled *Cancellation
	// Hidden: the party is not for whoever asked, and was left out.
	Hidden bool
}

// Cancellation of an entry, which stays readable (art. 54).
type Cancellation struct {
	Time     time.Time
	Operator int64
	Author   string
	Reason   string
}

// Hash is the document's, as people compare it.
func (e *Entry) Hash() string { return hex.EncodeToString(e.SHA256) }

// Desk is the register of every ente.
type Desk struct {
	Store *store.Store
	Audit *audit.Log
	Keys  *keys.Ring
	Enti  *ente.Directory
	Seals *seal.Desk
	Four  *foureyes.Desk
	Now   func() time.Time
}

func (d *Desk) now() time.Time {
	if d.Now != nil {
		return d.Now()
	}
	return time.Now()
}

// Errors of this room.
var (
	ErrNotFound = errors.New("register: no such number")
	// ErrCancelled: it was cancelled before.
	ErrCancelled = errors.New("register: the number is cancelled already")
	ErrReason    = errors.New("register: a reason of 3 to 500 characters is needed")
	// ErrInvalid: sender or recipients, subject or hash are missing.
	ErrInvalid = errors.New("register: sender, subject and hash are needed")
	// ErrEmergency: no such emergency register is open.
	ErrEmergency = errors.New("register: no open emergency register of that number")
	// ErrRefused: an outside protocol system will not have this document; others may go on.
	ErrRefused = errors.New("register: the outside system refuses the document")
)

// sealed is what an entry's seal is over.
func (e *Entry) sealed() []byte {
	b, err := json.Marshal([]any{"citel-register-1", e.Ente, e.Number.String(), e.IPA, e.AOO, e.Registry, store.Time(e.Time), e.Direction, e.Party, e.Subject, e.Hash(), e.Document, e.Origin, e.Emergency})
	if err != nil {
		panic(err) // strings always have JSON
	}
	return b
}

// Enter registers a document in one step, with no hand in between (art. 53 c. 3): number,
// time, sender, subject and hash, in the transaction of what it is about.
func Enter(ctx context.Context, tx *sql.Tx, ring *keys.Ring, e *Entry) (err error) {
	if e.Party == "" || e.Subject == "" || len(e.SHA256) == 0 && e.Emergency == "" || e.Time.IsZero() {
		return ErrInvalid
	}
	if e.SHA256 == nil {
		e.SHA256 = []byte{} // paper has no hash (art. 53 c. 1 f: of a document that came by wire)
	}
	err = tx.QueryRowContext(ctx, "SELECT ipa, aoo FROM ente WHERE code = ?", e.Ente).Scan(&e.IPA, &e.AOO)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("register: %w", err)
	}
	e.Registry, e.Time = Code, e.Time.UTC().Truncate(time.Millisecond)
	if e.Number, err = Next(ctx, tx, e.Ente, e.Time); err != nil {
		return err
	}
	// The number's turn came after that of the one before, whatever the caller's clock said
	// while it waited for its turn, or sealed.
	var before string
	if err = tx.QueryRowContext(ctx, "SELECT coalesce(max(time), '') FROM register_entry WHERE ente = ? AND year = ? AND number = ?", e.Ente, e.Number.Year, e.Number.Number-1).Scan(&before); err != nil {
		return fmt.Errorf("register: %w", err)
	}
	if last := store.ParseTime(before); e.Time.Before(last) {
		e.Time = last
	}
	if e.Seal, err = ring.Seal(e.sealed()); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO register_entry (ente, year, number, ipa, aoo, registry, time, direction, party, subject, sha256, document, origin, emergency, seal)
		VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)`, e.Ente, e.Number.Year, e.Number.Number, e.IPA, e.AOO, e.Registry, store.Time(e.Time), string(e.Direction),
		e.Party, e.Subject, e.SHA256, e.Document, e.Origin, e.Emergency, e.Seal)
	if err != nil {
		return fmt.Errorf("register: %w", err)
	}
	return nil
}

const columns = `r.ente, r.year, r.number, r.ipa, r.aoo, r.registry, r.time, r.direction, r.party, r.subject, r.sha256, r.document, r.origin, r.emergency, r.seal,
	coalesce(c.time, ''), coalesce(c.operator, 0), coalesce(c.author, ''), coalesce(c.reason, '')
	FROM register_entry r LEFT JOIN register_cancelled c ON c.ente = r.ente AND c.year = r.year AND c.number = r.number `

func scan(row store.Row) (*Entry, error) {
	var e Entry
	var c Cancellation
	var at, cancelled string
	err := row.Scan(&e.Ente, &e.Number.Year, &e.Number.Number, &e.IPA, &e.AOO, &e.Registry, &at, &e.Direction, &e.Party, &e.Subject, &e.SHA256, &e.Document, &e.Origin, &e.Emergency, &e.Seal,
		&cancelled, &c.Operator, &c.Author, &c.Reason)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("register: %w", err)
	}
	e.Time = store.ParseTime(at)
	if cancelled != "" {
		c.Time = store.ParseTime(cancelled)
		e.Cancelled = &c
	}
	return &e, nil
}

// Get reads an entry and checks its seal.
func (d *Desk) Get(ctx context.Context, ente string, n Number) (*Entry, error) {
	e, err := scan(d.Store.QueryRowContext(ctx, "SELECT "+columns+"WHERE r.ente = ? AND r.year = ? AND r.number = ?", ente, n.Year, n.Number))
	if err != nil {
		return nil, err
	}
	return e, d.check(ctx, e)
}

// ErrUnsealed is an entry without a seal after one that has it.
var ErrUnsealed = errors.New("register: no seal")

// check looks at an entry's seal. Those of before the register have none, and come before
// all that have one: any other has lost it, or was put in by hand.
func (d *Desk) check(ctx context.Context, e *Entry) error {
	if e.Seal == "" {
		var before int
		err := d.Store.QueryRowContext(ctx, "SELECT count(*) FROM register_entry WHERE ente = ? AND seal <> '' AND (year, number) < (?, ?)", e.Ente, e.Number.Year, e.Number.Number).Scan(&before)
		if err != nil {
			return fmt.Errorf("register: %w", err)
		}
		if before > 0 {
			return fmt.Errorf("%s: %w", e.Number, ErrUnsealed)
		}
		return nil
	}
	if err := d.Keys.CheckSeal(e.sealed(), e.Seal); err != nil {
		return fmt.Errorf("register: %s: %w", e.Number, err)
	}
	return nil
}

// List gives a year's entries from a number on, at most limit.
func (d *Desk) List(ctx context.Context, a role.Actor, year, from, limit int) ([]*Entry, error) {
	if err := role.Check(a, a.Ente, role.RoutingRead); err != nil {
		return nil, err
	}
	return d.entries(ctx, "WHERE r.ente = ? AND r.year = ? AND r.number >= ? ORDER BY r.number LIMIT ?", a.Ente, year, from, min(max(limit, 1), 500))
}

func (d *Desk) entries(ctx context.Context, where string, args ...any) ([]*Entry, error) {
	rows, err := d.Store.QueryContext(ctx, "SELECT "+columns+where, args...) //nolint:gosec // our own words
	return store.All(rows, err, scan)
}

// Cancel cancels an entry: author, time and reason, which names the act that authorises it,
// stay beside what was registered, and all of it stays readable (art. 54 c. 2). That is for
// whoever is in charge of the ente's register, not for every desk that gets numbers: the
// right to its infrastructure, as for its emergency series. Where the ente has four eyes on
// it waits for a second one of them (foureyes.ErrPending).
func (d *Desk) Cancel(ctx context.Context, a role.Actor, n Number, reason string) error {
	if err := role.Check(a, a.Ente, role.InfrastructureWrite); err != nil {
		return err
	}
	if r := []rune(reason); len(r) < 3 || len(r) > 500 {
		return ErrReason
	}
	if _, err := d.Get(ctx, a.Ente, n); err != nil {
		return err
	}
	e, err := d.Enti.Get(ctx, a.Ente)
	if err != nil {
		return err
	}
	x := cancelling{Year: n.Year, Number: n.Number, Reason: reason}
	err = d.Four.Second(ctx, a, e.FourEyes, foureyes.RegisterCancelled, x, func(tx *sql.Tx) (string, error) {
		return n.String() + "; " + reason, d.cancel(ctx, tx, x, a, a)
	})
	if err != nil {
		return fmt.Errorf("register: %w", err)
	}
	return nil
}

// cancelling is what four-eyes keeps of a number to be cancelled.
type cancelling struct {
	Year   int    `json:"year"`
	Number int    `json:"number"`
	Reason string `json:"reason"`
}

// cancel writes down that first has cancelled a number; second, who may be the same, has
// confirmed it.
func (d *Desk) cancel(ctx context.Context, tx *sql.Tx, x cancelling, first, second role.Actor) error {
	n := Number{Year: x.Year, Number: x.Number}
	var before int
	if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM register_cancelled WHERE ente = ? AND year = ? AND number = ?", first.Ente, n.Year, n.Number).Scan(&before); err != nil {
		return err
	}
	if before > 0 {
		return ErrCancelled
	}
	author, e := first.Name, audit.Event{Ente: first.Ente, Kind: audit.RegisterCancelled, Detail: map[string]string{"protocol": n.String()}, Personal: map[string]string{"reason": x.Reason}}
	if first.Operator != second.Operator {
		author += ", " + second.Name
		e.Personal["asked-by"] = first.Code
	}
	_, err := tx.ExecContext(ctx, "INSERT INTO register_cancelled (ente, year, number, time, operator, author, reason) VALUES (?,?,?,?,?,?,?)",
		first.Ente, n.Year, n.Number, store.Time(d.now()), first.Operator, author, x.Reason)
	if store.IsUnique(err) {
		return fmt.Errorf("%w: %w", ErrCancelled, err)
	}
	if err != nil {
		return err
	}
	return d.Audit.WriteTx(ctx, tx, e.By(second))
}

// Cancels tells whether what four-eyes keeps (foureyes.Pending.Payload, of
// RegisterCancelled) is about a number.
func Cancels(payload []byte, n Number) bool {
	var x cancelling
	return json.Unmarshal(payload, &x) == nil && x.Year == n.Year && x.Number == n.Number
}

// CancelAction is what four-eyes runs for a number to be cancelled.
func (d *Desk) CancelAction() foureyes.Action {
	return foureyes.Action{Permission: role.InfrastructureWrite, Run: func(ctx context.Context, tx *sql.Tx, payload []byte, first, second role.Actor) error {
		var x cancelling
		if err := json.Unmarshal(payload, &x); err != nil {
			return fmt.Errorf("register: %w", err)
		}
		return d.cancel(ctx, tx, x, first, second)
	}}
}

// Gap is what Verify found.
type Gap struct {
	Number Number
	Why    string
}

// cancelled are the numbers whose cancellation the log tells of.
func (d *Desk) cancelled(ctx context.Context, ente string) (map[string]bool, error) {
	rows, err := d.Store.QueryContext(ctx, "SELECT detail FROM journal WHERE ente = ? AND kind = ?", ente, audit.RegisterCancelled)
	if err != nil {
		return nil, fmt.Errorf("register: %w", err)
	}
	all, err := store.Strings(rows)
	if err != nil {
		return nil, fmt.Errorf("register: %w", err)
	}
	out := map[string]bool{}
	for _, text := range all {
		var detail map[string]string
		if err := json.Unmarshal([]byte(text), &detail); err != nil {
			return nil, fmt.Errorf("register: %w", err)
		}
		out[detail["protocol"]] = true
	}
	return out, nil
}

// Verify reads a year's register: every number from one to the last is there once, in the
// order of time, with a seal that holds, and those are cancelled of which the log tells it.
func (d *Desk) Verify(ctx context.Context, ente string, year int) (n int, found []Gap, err error) {
	var last int
	err = d.Store.QueryRowContext(ctx, "SELECT coalesce(max(last), 0) FROM register WHERE ente = ? AND year = ?", ente, year).Scan(&last)
	if err != nil {
		return 0, nil, fmt.Errorf("register: %w", err)
	}
	cancelled, err := d.cancelled(ctx, ente)
	if err != nil {
		return 0, nil, err
	}
	var before time.Time
	for n < last {
		page, err := d.entries(ctx, "WHERE r.ente = ? AND r.year = ? AND r.number > ? ORDER BY r.number LIMIT 500", ente, year, n)
		if err != nil {
			return n, found, err
		}
		if len(page) == 0 {
			break
		}
		for _, e := range page {
			for n+1 < e.Number.Number {
				n++
				found = append(found, Gap{Number{year, n}, "missing"})
			}
			n = e.Number.Number
			if err := d.check(ctx, e); err != nil {
				found = append(found, Gap{e.Number, err.Error()})
			}
			if e.Time.Before(before) {
				found = append(found, Gap{e.Number, "earlier than the number before"})
			}
			if told := cancelled[e.Number.String()]; told != (e.Cancelled != nil) {
				found = append(found, Gap{e.Number, map[bool]string{true: "its cancellation is gone", false: "cancelled, and the log does not say so"}[told]})
			}
			before = e.Time
		}
	}
	for ; n < last; n++ {
		found = append(found, Gap{Number{year, n + 1}, "missing"})
	}
	return last, found, nil
}
