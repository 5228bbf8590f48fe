package mandate

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	"github.com/citel-pa/citel/pkcs/profile"
	"github.com/citel-pa/citel/server/attachment"
	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/credential"
	"github.com/citel-pa/citel/server/mail"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/register"
	"github.com/citel-pa/citel/server/session"
	"github.com/citel-pa/citel/server/store"
)

// Levels of the acts. Power to present applications is given in the way of DPR 445/2000,
// art. 38 (c. 3-bis): identified by a card (CAD, art. 65 c. 1 b). To ask for it, refuse it,
// give it back or take it back is less.
const (
	LevelAct  = session.Media
	LevelGive = session.Forte
)

// maxAsked bounds what one person has asked for and nobody has decided: who is asked gets
// a mail each time.
const maxAsked = 10

// maxDaily bounds what one person asks for in a day, whatever became of it: who takes a
// wish back may ask again, and mails somebody else with both.
const maxDaily = 30

// By is who does something online.
type By struct {
	Person  int64
	Level   session.Level
	Address string
}

func (b By) event() audit.Event { return audit.Event{Address: b.Address} }

// Wish is what somebody asks for online.
type Wish struct {
	Kind Kind
	// Giving: the other one is to act for who asks; else who asks wants to act.
	Giving bool
	// Code of the other one; Name is used for one that has no account yet, Given too unless
	// it is a company.
	Code, Given, Name string
	Title             string
	Scope             []string
	Since, Until      string // days
	// Proof is for children, wards and companies, which answer nothing online: the desk
	// does in their place.
	Proof io.ReaderAt
	Size  int64
	File  string // the proof's name
}

// Ask asks for a mandate. A delegation is the other person's to accept; what a proof stands
// for is the desk's. Whether the other one has an account is not told.
func (d *Desk) Ask(ctx context.Context, ente string, by By, w Wish) (*Mandate, error) {
	if by.Level < LevelAct || w.Giving && by.Level < LevelGive {
		return nil, ErrLevel
	}
	m := Mandate{ID: store.NewID(), Ente: ente, Kind: w.Kind, Title: strings.TrimSpace(w.Title), Scope: w.Scope, Since: w.Since, Until: w.Until, Proof: "online", State: Asked, AskedBy: by.Person}
	kind := person.Natural
	code, err := profile.ParseCodiceFiscale(w.Code)
	switch {
	case err != nil:
		return nil, invalid("code", "the codice fiscale")
	case w.Kind != Delegate && w.Giving:
		return nil, invalid("kind", "who acts asks")
	case w.Kind == Company:
		kind = person.Corporate
	}
	if m.Since < d.now().In(register.Rome()).Format(time.DateOnly) {
		return nil, invalid("past", "the first day is over")
	}
	var proof *Proof
	if w.Kind != Delegate {
		if proof, err = d.keep(ctx, m.ID, w); err != nil {
			return nil, err
		}
		m.Proof = proof.Name
	}
	err = d.Store.Tx(ctx, func(tx *sql.Tx) error {
		other, err := d.account(ctx, tx, kind, string(code), w)
		if err != nil {
			return err
		}
		m.Principal, m.Agent = other.ID, by.Person
		if w.Giving {
			m.Principal, m.Agent = by.Person, other.ID
		}
		if err := d.room(ctx, tx, &m); err != nil {
			return err
		}
		if err := d.insertTx(ctx, tx, &m, by.event()); err != nil {
			return err
		}
		if proof == nil {
			return d.tell(ctx, tx, &m, mail.MandateAsked, other.ID)
		}
		_, err = tx.ExecContext(ctx, "INSERT INTO mandate_proof (id, mandate, name, kind, size, sha256, state, operator, created) VALUES (?,?,?,?,?,?,'clean',0,?)",
			proof.ID, m.ID, proof.Name, string(proof.Kind), proof.Size, proof.SHA256, store.Time(m.Created))
		return err
	})
	if err != nil {
		if proof != nil {
			err = errors.Join(err, d.Store.RemoveFile(ctx, proof.file()))
		}
		return nil, fmt.Errorf("mandate: %w", err)
	}
	return &m, nil
}

// account finds the other one, or makes an account that has the name that was written. A
// name that is there is never replaced: who asks has proved nothing of it.
func (d *Desk) account(ctx context.Context, tx *sql.Tx, kind person.Kind, code string, w Wish) (*person.Person, error) {
	given, name := written(w.Given), written(w.Name)
	// Asked for in any case: what is missing would tell whether there is an account.
	if w.Kind != Delegate && name == "" || w.Kind == Minor && given == "" {
		return nil, invalid("name", "the name")
	}
	p, err := person.ByCode(ctx, tx, kind, code)
	if !errors.Is(err, person.ErrNotFound) {
		return p, err
	}
	if w.Kind == Company {
		given = ""
	}
	if w.Kind == Delegate { // the person's own card brings it
		given, name = "", ""
	}
	return person.EnsureAccount(ctx, tx, kind, code, given, name, d.now())
}

// written is a name without what does not print, at most 100 characters.
func written(s string) string {
	s = strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || !unicode.IsPrint(r) && r != ' ' {
			return -1
		}
		return r
	}, s)), " ")
	if r := []rune(s); len(r) > 100 {
		s = string(r[:100])
	}
	return s
}

// room refuses a second one of the kind between two, and too many that wait.
func (d *Desk) room(ctx context.Context, tx *sql.Tx, m *Mandate) error {
	var there, waiting, lately int
	today := d.now().In(register.Rome()).Format(time.DateOnly)
	err := tx.QueryRowContext(ctx, "SELECT count(*) FROM mandate WHERE ente = ? AND kind = ? AND principal = ? AND agent = ? AND (state = 'asked' OR state = 'active' AND scope = ? AND (until = '' OR until >= ?))",
		m.Ente, string(m.Kind), m.Principal, m.Agent, strings.Join(m.Scope, " "), today).Scan(&there)
	if err == nil {
		err = tx.QueryRowContext(ctx, "SELECT count(*) FROM mandate WHERE asked_by = ? AND state = 'asked'", m.AskedBy).Scan(&waiting)
	}
	if err == nil {
		err = tx.QueryRowContext(ctx, "SELECT count(*) FROM mandate WHERE asked_by = ? AND created > ?", m.AskedBy, store.Time(d.now().Add(-24*time.Hour))).Scan(&lately)
	}
	switch {
	case err != nil:
		return err
	case there > 0:
		return ErrThere
	case waiting >= maxAsked, lately >= maxDaily:
		return ErrTooMany
	}
	return nil
}

// Decide accepts or refuses what the other one asked.
func (d *Desk) Decide(ctx context.Context, ente, id string, by By, accept bool) error {
	kind := mail.MandateRefused
	return d.move(ctx, ente, id, by.event(), func(m *Mandate) error {
		switch {
		case by.Person != m.Principal && by.Person != m.Agent:
			return ErrNotFound
		case m.State != Asked || by.Person == m.AskedBy || m.Kind != Delegate:
			return ErrState
		case by.Level < LevelAct || accept && by.Person == m.Principal && by.Level < LevelGive:
			return ErrLevel
		}
		m.State = Refused
		if accept {
			m.State, kind = Active, mail.MandateAccepted
		}
		return nil
	}, func(tx *sql.Tx, m *Mandate) error { return d.tell(ctx, tx, m, kind, m.AskedBy) })
}

// Revoke ends a mandate at once. Either of the two may.
func (d *Desk) Revoke(ctx context.Context, ente, id string, by By, reason string) error {
	return d.move(ctx, ente, id, by.event(), func(m *Mandate) error {
		switch {
		case by.Person != m.Principal && by.Person != m.Agent:
			return ErrNotFound
		case by.Level < LevelAct:
			return ErrLevel
		}
		return m.revoke(reason)
	}, func(tx *sql.Tx, m *Mandate) error {
		other := m.Principal
		if by.Person == m.Principal {
			other = m.Agent
		}
		return d.tell(ctx, tx, m, mail.MandateRevoked, other)
	})
}

// Acting gives the mandate by which somebody acts now, whatever its scope: what the banner
// names. It is asked at each request; ErrState is one that holds no more.
func (d *Desk) Acting(ctx context.Context, ente, id string, agent int64) (*Mandate, error) {
	m, err := scan(d.Store.QueryRowContext(ctx, "SELECT "+columns+" FROM mandate WHERE id = ? AND ente = ? AND agent = ?", id, ente, agent))
	if err != nil {
		return nil, err
	}
	if !m.Holds(d.now()) {
		return nil, ErrState
	}
	return m, nil
}

// NamesOther tells whether somebody may read the other one's name: not who asked and got no
// yes, of the other one or of the desk, or a codice fiscale would be enough to learn whose
// it is.
func (m *Mandate) NamesOther(who int64) bool {
	return m.State == Active || m.AskedBy != who || m.Operator != 0 && m.State != Refused
}

// tell mails people who have an address. It is of no act's outcome.
func (d *Desk) tell(ctx context.Context, tx *sql.Tx, m *Mandate, kind mail.Kind, to ...int64) error {
	for _, p := range to {
		if p == 0 {
			continue
		}
		record, err := person.RecordOf(ctx, tx, p, m.Ente)
		if err != nil {
			return err
		}
		address := record.Email()
		if address == "" {
			if address, err = credential.EmailOf(ctx, tx, p); err != nil {
				return err
			}
		}
		if err := mail.Queue(ctx, tx, mail.Message{Ente: m.Ente, To: address, Kind: kind, Link: "/deleghe"}, d.now()); err != nil {
			return err
		}
	}
	return nil
}

// keep judges a proof by its content and keeps it (*attachment.Refused for what is not
// taken). Without the scanner's verdict nothing is asked: who asks tries again.
func (d *Desk) keep(ctx context.Context, id string, w Wish) (*Proof, error) {
	if w.Proof == nil || w.Size == 0 {
		return nil, ErrProof
	}
	kind, err := attachment.Check(ctx, w.Proof, w.Size, d.Limits)
	if err != nil {
		return nil, err
	}
	if d.Scanner != nil {
		v, err := d.Scanner.Scan(ctx, io.NewSectionReader(w.Proof, 0, w.Size), w.Size)
		if err != nil {
			return nil, err
		}
		if !v.Clean {
			return nil, &attachment.Refused{Code: "infected", Detail: v.Threat}
		}
	}
	name := written(w.File)
	if i := strings.LastIndexAny(name, `/\`); i >= 0 {
		name = name[i+1:]
	}
	if name == "" {
		name = "prova" + kind.Ext()
	}
	p := &Proof{ID: id, Name: name, Kind: kind, Size: w.Size, State: "clean"}
	h := sha256.New()
	if err := d.Store.WriteFile(ctx, p.file(), io.TeeReader(io.NewSectionReader(w.Proof, 0, w.Size), h)); err != nil {
		return nil, err
	}
	p.SHA256 = h.Sum(nil)
	return p, nil
}

// OwnProof opens the proof that somebody has sent.
func (d *Desk) OwnProof(ctx context.Context, ente, id string, who int64) (*Proof, io.ReadCloser, error) {
	return d.proof(ctx, "m.ente = ? AND m.id = ? AND m.asked_by = ?", ente, id, who)
}

func (d *Desk) proof(ctx context.Context, where string, args ...any) (*Proof, io.ReadCloser, error) {
	var p Proof
	err := d.Store.QueryRowContext(ctx, "SELECT p.id, p.name, p.kind, p.size, p.sha256 FROM mandate_proof p JOIN mandate m ON m.id = p.mandate WHERE p.id = m.id AND "+where, args...). //nolint:gosec // our own words
																								Scan(&p.ID, &p.Name, &p.Kind, &p.Size, &p.SHA256)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil, ErrNotFound
	}
	if err != nil {
		return nil, nil, fmt.Errorf("mandate: %w", err)
	}
	r, err := d.Store.OpenFile(ctx, p.file())
	return &p, r, err
}
