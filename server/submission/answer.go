package submission

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/citel-pa/citel/server/mail"
	"github.com/citel-pa/citel/server/register"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/store"
)

// Outcome is what comes of an istanza.
type Outcome string

// The outcomes. A refusal in part is one.
const (
	Granted Outcome = "granted"
	Refused Outcome = "refused"
)

// Decision is an answer. Outcome is asked for where a refusal has to be announced
// (Definition.GivesNotice); About says why observations that came are not followed.
type Decision struct {
	Words   string
	Outcome Outcome
	About   string
}

// told is what the person reads: the answer, and what it says of the observations.
func (y Decision) told() string {
	if y.About == "" {
		return y.Words
	}
	return y.Words + "\n\n" + text("notice.about") + ": " + y.About
}

// mayDecide asks what the law asks of a refusal before anything is sealed, and once more
// when it is written down: observations may have come meanwhile.
func (d *Desk) mayDecide(ctx context.Context, q rowsQuerier, x *Application, y Decision) error {
	switch {
	case !x.Service.GivesNotice():
		return nil
	case y.Outcome == Granted:
		return nil
	case y.Outcome != Refused:
		return ErrOutcome
	}
	if err := d.mayRefuse(ctx, q, x); err != nil {
		return err
	}
	heard, err := observations(ctx, q, x)
	if err == nil && ToBeAnswered(heard) && y.About == "" {
		return ErrObservations
	}
	return err
}

// Answer answers what has no outcome to tell.
func (d *Desk) Answer(ctx context.Context, a role.Actor, id, words string) error {
	return d.Decide(ctx, a, id, Decision{Words: words})
}

// Decide answers. The answer is a document of its own, sealed by the ente, and where the
// register is here it goes out with a number: the register has the hash of the very file
// that the person gets. A sealed file cannot hold a number that is given to it afterwards,
// so the two are bound by the register (DPR 445/2000, art. 55: apposition or association).
func (d *Desk) Decide(ctx context.Context, a role.Actor, id string, y Decision) error {
	y.About = strings.TrimSpace(y.About)
	if strings.TrimSpace(y.Words) == "" || len([]rune(y.told())) > maxWords {
		return ErrWords
	}
	in := []State{StateSent, StateInCharge, StateMore, StateNoticed}
	seen, err := d.atDesk(ctx, a, id, true)
	if err != nil {
		return err
	}
	if !seen.Service.GivesNotice() {
		y.Outcome, y.About = "", ""
	}
	at := d.now().UTC()
	var doc *stored
	var knew []*Observation
	if seen.mayMove(a, deed{in: in}) == nil { // else move says why not, and nothing is sealed
		if err := d.mayDecide(ctx, d.Store, seen, y); err != nil {
			return err
		}
		if knew, err = d.Observations(ctx, seen); err != nil {
			return err
		}
		if doc, err = d.put(ctx, seen, "answer", at, func(s *sheet) error { return d.answerSheet(ctx, a, seen, y, at, s) }); err != nil {
			return err
		}
	}
	return d.settle(ctx, seen, doc, func() (bool, error) {
		taken := false
		err := d.move(ctx, a, id, deed{kind: "answer", words: y.told(), in: in, letter: mail.ApplicationAnswered, do: func(tx *sql.Tx, x *Application) error {
			if doc == nil || x.Office != seen.Office {
				return ErrState // it came back, or went to another office, a moment ago
			}
			if err := d.mayDecide(ctx, tx, x, y); err != nil {
				return err
			}
			if heard, err := observations(ctx, tx, x); err != nil || len(heard) != len(knew) {
				return errors.Join(err, ErrState) // the document does not name what came a moment ago
			}
			x.resume(d.now())
			x.State, x.Holder, x.Answered = StateAnswered, a.Operator, at
			number, err := d.enter(ctx, tx, x, register.Out, "application.answer-to", doc)
			if err != nil {
				return err
			}
			_, err = tx.ExecContext(ctx, "INSERT INTO application_answer (application, file, sha256, year, number, made, stamped, outcome) VALUES (?,?,?,?,?,?,?,?)",
				x.ID, doc.file, doc.sum[:], number.Year, number.Number, store.Time(at), doc.stamped, string(y.Outcome))
			taken = err == nil
			return err
		}})
		return taken && err == nil, err
	})
}

// Answered is the document that answers an application.
type Answered struct {
	Number register.Number // as it went out; 0: the ente's own system numbers
	SHA256 []byte
	Made   time.Time
	// Outcome is what it says of an istanza; empty where that was not asked.
	Outcome Outcome
	file    string
}

// AnswerOf finds an application's answer; ErrNotFound while there is none, and where it
// was given before answers were documents.
func (d *Desk) AnswerOf(ctx context.Context, a *Application) (*Answered, error) {
	var x Answered
	var made string
	err := d.Store.QueryRowContext(ctx, "SELECT file, sha256, year, number, made, outcome FROM application_answer WHERE application = ?", a.ID).
		Scan(&x.file, &x.SHA256, &x.Number.Year, &x.Number.Number, &made, &x.Outcome)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("submission: %w", err)
	}
	x.Made = store.ParseTime(made)
	return &x, nil
}

// AnswerPDF opens the sealed answer, byte for byte as it is registered. Whoever calls has
// read the application as somebody who may.
func (d *Desk) AnswerPDF(ctx context.Context, a *Application) (io.ReadCloser, error) {
	x, err := d.AnswerOf(ctx, a)
	if err != nil {
		return nil, err
	}
	return d.Store.OpenFile(ctx, x.file)
}
