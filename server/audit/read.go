package audit

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/store"
)

// Entry is a row of the log as it is read.
type Entry struct {
	Ente       string
	Seq        int64
	Time       time.Time
	Kind       string
	Operator   int64
	PersonID   int64
	Credential string
	Address    string // shortened
	Detail     map[string]string
	Personal   map[string]string // empty once it was erased
}

// Filter says which rows; zero values ask nothing. Ente is asked always.
type Filter struct {
	Ente       string
	PersonID   int64
	Operator   int64
	Credential string
	Kinds      []string
	// By leaves rows of operators alone, or of citizens.
	By       By
	From, To time.Time
	Limit    int // 0 is 200
}

// By is whose doing a row tells.
type By string

// Whose; the zero value is everybody's.
const (
	ByOperators By = "operators"
	ByCitizens  By = "citizens"
)

// Denials reads who was refused what in an operator's own ente, newest first: operators with
// operators.log, citizens with users.log. That it was read is a row itself.
func (l *Log) Denials(ctx context.Context, a role.Actor, f Filter) ([]Entry, error) {
	f.Ente, f.Kinds = a.Ente, []string{AccessDenied}
	operators, citizens := role.Can(a, a.Ente, role.OperatorsLog), role.Can(a, a.Ente, role.UsersLog)
	switch {
	case !operators && !citizens, f.By == ByCitizens && !citizens:
		return nil, &role.DeniedError{Permission: role.UsersLog, Ente: a.Ente}
	case f.By == ByOperators && !operators:
		return nil, &role.DeniedError{Permission: role.OperatorsLog, Ente: a.Ente}
	case !operators:
		f.By = ByCitizens
	case !citizens:
		f.By = ByOperators
	}
	out, err := l.Read(ctx, f)
	if err != nil {
		return nil, err
	}
	return out, l.Write(ctx, Event{Ente: a.Ente, Kind: LogRead, Detail: map[string]string{"of": AccessDenied, "by": string(f.By)}}.By(a))
}

// ForOperator reads rows of an operator's own ente: those of a person (users.log) or of
// operators (operators.log). That it was read is a row itself.
func (l *Log) ForOperator(ctx context.Context, a role.Actor, f Filter) ([]Entry, error) {
	f.Ente = a.Ente
	needed := role.OperatorsLog
	if f.PersonID != 0 || f.Credential != "" {
		needed = role.UsersLog
	} else if f.Operator == 0 {
		return nil, errors.New("audit: whose rows?")
	}
	if err := role.Check(a, a.Ente, needed); err != nil {
		return nil, err
	}
	out, err := l.Read(ctx, f)
	if err != nil {
		return nil, err
	}
	return out, l.Write(ctx, Event{Ente: a.Ente, Kind: LogRead, PersonID: f.PersonID, Credential: f.Credential,
		Detail: map[string]string{"of-operator": strconv.FormatInt(f.Operator, 10)}}.By(a))
}

// accesses are the kinds that citizens see of themselves.
var accesses = []string{LoginGranted, Logout, EnvelopeHandedOut, EnvelopeSent, EnvelopeActivated, CredentialState, CredentialReset, PasswordChanged,
	Joined, CodeChanged, Submitted, DraftExpired, AccessDenied, Downloaded, PersonRead, RegistryChanged}

// Accesses are a citizen's own rows in all enti, newest first: time, ente, credential,
// shortened address, and what it was. Which operator it was is not in them.
func (l *Log) Accesses(ctx context.Context, person int64, limit int) ([]Entry, error) {
	if person == 0 {
		return nil, nil
	}
	out, err := l.query(ctx, "person = ?", []any{person}, Filter{Kinds: accesses, Limit: limit})
	for i := range out {
		out[i].Operator, out[i].Personal = 0, nil
	}
	return out, err
}

// Read reads rows of an ente, newest first. It asks for no right: the caller has.
func (l *Log) Read(ctx context.Context, f Filter) ([]Entry, error) {
	return l.query(ctx, "j.ente = ?", []any{f.Ente}, f)
}

func (l *Log) query(ctx context.Context, where string, args []any, f Filter) ([]Entry, error) {
	add := func(condition string, a ...any) { where += " AND " + condition; args = append(args, a...) }
	if f.PersonID != 0 {
		add("person = ?", f.PersonID)
	}
	if f.Operator != 0 {
		add("operator = ?", f.Operator)
	}
	if f.Credential != "" {
		add("credential = ?", f.Credential)
	}
	switch f.By {
	case ByOperators:
		add("operator <> 0")
	case ByCitizens:
		add("operator = 0")
	}
	if len(f.Kinds) > 0 {
		var k []any
		for _, x := range f.Kinds {
			k = append(k, x)
		}
		add("kind IN (?"+strings.Repeat(",?", len(k)-1)+")", k...)
	}
	if !f.From.IsZero() {
		add("time >= ?", store.Time(f.From))
	}
	if !f.To.IsZero() {
		add("time < ?", store.Time(f.To))
	}
	if f.Limit <= 0 || f.Limit > 10000 {
		f.Limit = 200
	}
	args = append(args, f.Limit)
	rows, err := l.Store.QueryContext(ctx, `SELECT j.ente, j.seq, time, kind, operator, person, credential, address, detail, p.data
		FROM journal j LEFT JOIN journal_personal p ON p.ente = j.ente AND p.seq = j.seq WHERE `+where+" ORDER BY time DESC, j.seq DESC LIMIT ?", args...) //nolint:gosec // our own words; values are arguments
	return store.All(rows, err, func(row store.Row) (Entry, error) {
		var e Entry
		var at, detail string
		var data sql.NullString
		if err := row.Scan(&e.Ente, &e.Seq, &at, &e.Kind, &e.Operator, &e.PersonID, &e.Credential, &e.Address, &detail, &data); err != nil {
			return e, fmt.Errorf("audit: %w", err)
		}
		e.Time = store.ParseTime(at)
		if err := json.Unmarshal([]byte(detail), &e.Detail); err != nil {
			return e, fmt.Errorf("audit: row %d: %w", e.Seq, err)
		}
		if data.Valid {
			if err := json.Unmarshal([]byte(data.String), &e.Personal); err != nil {
				return e, fmt.Errorf("audit: row %d: %w", e.Seq, err)
			}
			delete(e.Personal, "salt")
		}
		return e, nil
	})
}

// Erase deletes the personal data of all rows about a person in an ente that are older
// than a time; the rows stay, and a new one says which were stripped. The caller has
// decided that the law asks for it.
func (l *Log) Erase(ctx context.Context, ente string, person int64, before time.Time, reason string) (rows int, err error) {
	err = l.Store.Tx(ctx, func(tx *sql.Tx) error {
		got, err := tx.QueryContext(ctx, `SELECT CAST(p.seq AS TEXT) FROM journal_personal p JOIN journal j ON j.ente = p.ente AND j.seq = p.seq
			WHERE j.ente = ? AND j.person = ? AND j.time < ? ORDER BY p.seq`, ente, person, store.Time(before))
		if err != nil {
			return fmt.Errorf("audit: %w", err)
		}
		seqs, err := store.Strings(got)
		if err != nil {
			return fmt.Errorf("audit: %w", err)
		}
		rows = len(seqs)
		for part := range slices.Chunk(seqs, 500) {
			for _, s := range part {
				seq, err := strconv.ParseInt(s, 10, 64)
				if err != nil {
					return fmt.Errorf("audit: %w", err)
				}
				if _, err := tx.ExecContext(ctx, "DELETE FROM journal_personal WHERE ente = ? AND seq = ?", ente, seq); err != nil {
					return fmt.Errorf("audit: %w", err)
				}
			}
			if err := l.WriteTx(ctx, tx, Event{Ente: ente, Kind: Erased, PersonID: person, Detail: map[string]string{"rows": strings.Join(part, " "), "reason": reason}}); err != nil {
				return err
			}
		}
		return nil
	})
	return rows, err
}

// daySigned is the row of the server's own chain that says how far a chain had come.
const daySigned = "day-signed"

// SignDay signs the end of every chain for the day before now, once, whichever server
// process comes first. The server calls it at every round of its housekeeping.
func (l *Log) SignDay(ctx context.Context) error {
	day := l.now().UTC().AddDate(0, 0, -1).Format(time.DateOnly)
	rows, err := l.Store.QueryContext(ctx, `SELECT h.ente FROM journal_head h
		WHERE h.ente <> '' AND NOT EXISTS (SELECT 1 FROM journal_day d WHERE d.ente = h.ente AND (d.day = ? OR d.seq = h.seq))`, day)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	enti, err := store.Strings(rows)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	for _, e := range append(enti, "") {
		if err := l.signDay(ctx, e, day); err != nil {
			return err
		}
	}
	return nil
}

func (l *Log) signDay(ctx context.Context, ente, day string) error {
	return l.Store.Tx(ctx, func(tx *sql.Tx) error {
		var seq int64
		var mac []byte
		err := tx.QueryRowContext(ctx, `SELECT seq, mac FROM journal_head h WHERE ente = ?
			AND NOT EXISTS (SELECT 1 FROM journal_day d WHERE d.ente = h.ente AND (d.day = ? OR d.seq = h.seq))`, ente, day).Scan(&seq, &mac)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("audit: %w", err)
		}
		seal, err := l.Keys.Seal(dayBytes(ente, day, seq, mac))
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "INSERT INTO journal_day (ente, day, seq, mac, seal) VALUES (?,?,?,?,?)", ente, day, seq, mac, seal); err != nil {
			return fmt.Errorf("audit: %w", err)
		}
		if ente == "" {
			return nil
		}
		return l.WriteTx(ctx, tx, Event{Kind: daySigned, Detail: map[string]string{"ente": ente, "day": day, "rows": strconv.FormatInt(seq, 10), "mac": fmt.Sprintf("%x", mac)}})
	})
}
