package submission

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/citel-pa/citel/server/mandate"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/register"
	"github.com/citel-pa/citel/server/resident"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/service"
	"github.com/citel-pa/citel/server/session"
	"github.com/citel-pa/citel/server/store"
)

// may tells who the application would be for, and whether the visitor may make it. The
// level is looked at when it is sent: a draft can be begun below.
func (d *Desk) may(ctx context.Context, q mandate.Querier, v Visitor, s *service.Definition) (owner *person.Person, err error) {
	today := d.now().In(register.Rome())
	if !s.Open(today) {
		return nil, ErrClosed
	}
	if v.Operator != nil {
		if err := d.present(v); err != nil {
			return nil, err
		}
	}
	if v.Person == nil {
		if v.Level < session.Debole || v.Credential == "" || s.Needs() > session.Debole || v.Mandate != "" {
			return nil, ErrLevel
		}
		return nil, nil
	}
	owner = v.Person
	if v.Mandate != "" {
		m, err := d.Mandates.For(ctx, q, v.Ente, v.Mandate, v.Person.ID, s.ID)
		if errors.Is(err, mandate.ErrNotFound) || err == nil && !slices.Contains(s.Mandates, string(m.Kind)) {
			return nil, ErrMandate
		}
		if err != nil {
			return nil, err
		}
		if owner, err = person.Get(ctx, q, m.Principal); err != nil {
			return nil, err
		}
		if v.Operator != nil && owner.CodiceFiscale == v.Operator.Code {
			return nil, ErrSelf
		}
	} else if !slices.Contains(s.Actors, string(owner.Category())) {
		return nil, ErrActor
	}
	if born, ok := mandate.Born(v.Person.CodiceFiscale, today); ok && born.AddDate(s.Age(), 0, 0).After(today) {
		return nil, ErrAge
	}
	return owner, nil
}

// May tells whether the visitor may begin an application now, and why not. The level is
// looked at when it is sent.
func (d *Desk) May(ctx context.Context, v Visitor, s *service.Definition) error {
	_, err := d.may(ctx, d.Store, v, s)
	return err
}

// Start begins a draft, with what the ente knows already filled in.
func (d *Desk) Start(ctx context.Context, v Visitor, serviceID string) (*Application, error) {
	return d.Begin(ctx, v, serviceID, store.NewID(), nil)
}

var idForm = regexp.MustCompile(`^[0-9a-f]{32}$`)

// Begin is Start with answers that are there already; a field that the answers have, empty
// too, is not prefilled. id is the page's (store.NewID): a form that is sent twice begins
// one draft (ErrBegun), which has the id that DraftID gives. An id that is no such id is
// not found.
func (d *Desk) Begin(ctx context.Context, v Visitor, serviceID, id string, answers map[string]string) (*Application, error) {
	if !idForm.MatchString(id) {
		return nil, ErrNotFound
	}
	id = d.DraftID(id)
	a := &Application{ID: id, Ente: v.Ente, Credential: v.Credential, Level: v.Level, Profile: v.Profile, State: StateDraft, Email: v.Email, Mandate: v.Mandate, Created: d.now().UTC()}
	err := d.Store.Tx(ctx, func(tx *sql.Tx) (err error) {
		var before int
		if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM application WHERE id = ?", id).Scan(&before); err != nil {
			return err
		}
		if before > 0 {
			return ErrBegun
		}
		if a.Service, err = d.Services.Fix(ctx, tx, v.Ente, serviceID); err != nil {
			return err
		}
		if a.Service.Off {
			return ErrClosed
		}
		owner, err := d.may(ctx, tx, v, a.Service.Definition)
		if err != nil {
			return err
		}
		var open int
		if owner != nil {
			a.Person = owner.ID
			if owner.ID != v.Person.ID {
				a.Agent = v.Person.ID
			}
			err = tx.QueryRowContext(ctx, "SELECT count(*) FROM application WHERE person = ? AND ente = ? AND state IN ('draft', 'to-sign')", owner.ID, v.Ente).Scan(&open)
		} else {
			err = tx.QueryRowContext(ctx, "SELECT count(*) FROM application WHERE person = 0 AND credential = ? AND state IN ('draft', 'to-sign')", v.Credential).Scan(&open)
		}
		if err != nil {
			return err
		}
		if open >= maxDrafts {
			return ErrTooMany
		}
		if v.Operator != nil {
			a.Operator = v.Operator.Operator
		}
		known, err := d.known(ctx, tx, v)
		if err != nil {
			return err
		}
		var errs service.Errors
		a.Fields, errs = a.Service.Validate(func(id string) string {
			if x, ok := answers[id]; ok {
				return x
			}
			q, _ := a.Service.Field(id)
			return known[q.Prefill]
		}, d.now(), false)
		for id := range errs {
			if _, ok := answers[id]; !ok {
				delete(a.Fields, id) // what was known does not fit this form
			}
		}
		fields, err := json.Marshal(a.Fields)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO application (id, ente, service, version, person, agent, mandate, credential, operator, level, session, state, fields, email, created, changed)
			VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)`, a.ID, a.Ente, a.Service.ID, a.Service.Number, a.Person, a.Agent, a.Mandate, a.Credential, a.Operator, int(a.Level), a.Profile,
			string(a.State), string(fields), a.Email, store.Time(a.Created), store.Time(a.Created))
		if err != nil {
			return err
		}
		if v.Operator != nil {
			if err := d.identified(ctx, tx, v, a); err != nil {
				return err
			}
		}
		return d.step(ctx, tx, a.ID, Step{Kind: "started", State: a.State, Operator: a.Operator, Person: a.Actor(), Text: v.Shown})
	})
	if err != nil {
		return nil, fmt.Errorf("submission: %w", err)
	}
	return a, nil
}

// Prefill gives what a form begins with, before there is a draft.
func (d *Desk) Prefill(ctx context.Context, v Visitor, s *service.Definition) (map[string]string, error) {
	return d.prefill(ctx, d.Store, v, s)
}

// known is what the ente knows of whoever acts: of the account, of what a desk wrote down,
// and first of all of the population's records (once only, C.SE.1.5). Nobody who has not
// proved a code gets any of it.
func (d *Desk) known(ctx context.Context, tx resident.Querier, v Visitor) (map[string]string, error) {
	out := map[string]string{}
	if v.Person == nil {
		return out, nil
	}
	out["person.code"], out["person.given"], out["person.family"] = v.Person.CodiceFiscale, v.Person.Given, v.Person.Family
	// An operator who may not look people up does not read them by filling a form in: who is
	// said to be there need not be.
	if v.Operator != nil && !v.Operator.Has(role.UsersRead, role.RegistryRead) {
		return out, nil
	}
	r, err := person.RecordOf(ctx, tx, v.Person.ID, v.Ente)
	if err != nil {
		return nil, err
	}
	if r != nil && r.Form != nil {
		f := r.Form
		for k, x := range map[string]string{"email": f.Email, "phone": f.Phone, "residence": f.Residence, "cap": f.CAP, "town": f.Town, "birth-place": f.BirthPlace} {
			out["record."+k] = x
		}
		if f.BirthPlace == "" {
			out["record.birth-place"] = f.BirthState
		}
		if born, err := time.Parse(person.BornLayout, f.Born); err == nil {
			out["record.born"] = born.Format(time.DateOnly)
		}
	}
	if v.Operator == nil && v.Level < session.Media || v.Operator != nil && !role.Can(*v.Operator, v.Ente, role.RegistryRead) {
		return out, nil
	}
	own, err := d.Residents.Of(ctx, tx, v.Ente, v.Person.CodiceFiscale)
	if errors.Is(err, resident.ErrNotFound) {
		return out, nil
	}
	if err != nil {
		return nil, err
	}
	out["record.born"], out["record.birth-place"] = own.Born, own.BirthPlace
	out["resident.citizenship"], out["resident.civil"] = own.Citizenship, own.Civil
	if !own.Here {
		return out, nil // whoever has left is a resident of another town
	}
	e, err := d.Enti.Get(ctx, v.Ente)
	if err != nil {
		return nil, err
	}
	out["record.residence"], out["record.cap"], out["record.town"] = own.Address, own.CAP, e.Town()
	out["resident.since"], out["resident.family"] = own.Since, familyLines(own.Family)
	return out, nil
}

// familyLines writes a family for a field of several lines.
func familyLines(all []resident.Member) string {
	var out []string
	for _, m := range all {
		born, _ := time.Parse(time.DateOnly, m.Born)
		line := m.Name + ", " + text("application.born", "day", born.Format("02/01/2006"), "place", m.BirthPlace)
		if m.Relation != "" {
			line += " (" + m.Relation + ")"
		}
		out = append(out, line)
	}
	return strings.Join(out, "\n")
}

// prefill gives a draft its first answers: those of questions that are asked from the
// beginning. The others get theirs when they are asked (Save).
func (d *Desk) prefill(ctx context.Context, tx resident.Querier, v Visitor, s *service.Definition) (map[string]string, error) {
	known, err := d.known(ctx, tx, v)
	if err != nil {
		return nil, err
	}
	get := func(id string) string {
		q, _ := s.Field(id)
		return known[q.Prefill]
	}
	out := map[string]string{}
	values, errs := s.Validate(get, d.now(), false)
	for id, x := range values {
		if q, _ := s.Field(id); q.Prefill != "" && errs[id] == "" {
			out[id] = x
		}
	}
	return out, nil
}

// change runs f on a draft of the visitor's, in a transaction.
func (d *Desk) change(ctx context.Context, v Visitor, id string, in []State, f func(tx *sql.Tx, a *Application) error) error {
	a, err := d.Get(ctx, v, id)
	if err != nil {
		return err
	}
	return d.Store.Tx(ctx, func(tx *sql.Tx) error {
		now, err := d.read(ctx, tx, v.Ente, id)
		if err != nil {
			return err
		}
		if !slices.Contains(in, now.State) {
			return ErrState
		}
		now.Service = a.Service
		if err := f(tx, now); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "UPDATE application SET changed = ? WHERE id = ?", store.Time(d.now()), id)
		return err
	})
}

// Save keeps the answers of a draft. What is wrong is told and kept all the same: nobody
// types anything twice. Requests with complete ask for everything that is required.
func (d *Desk) Save(ctx context.Context, v Visitor, id string, get func(string) string, complete bool) (errs service.Errors, err error) {
	return d.SaveOver(ctx, v, id, func(map[string]string) func(string) string { return get }, complete)
}

// SaveOver is Save of a part of the form: get has what was answered before at hand, as it
// is when it is written, so that two steps that are sent at once both stay.
func (d *Desk) SaveOver(ctx context.Context, v Visitor, id string, get func(before map[string]string) func(string) string, complete bool) (errs service.Errors, err error) {
	err = d.change(ctx, v, id, []State{StateDraft}, func(tx *sql.Tx, a *Application) error {
		known, err := d.known(ctx, tx, v)
		if err != nil {
			return err
		}
		var values map[string]string
		answer := get(a.Fields)
		values, errs = a.Service.Validate(func(id string) string {
			x := answer(id)
			q, _ := a.Service.Field(id)
			if x == "" && q.When != nil && !a.Service.Asked(q, a.Fields) {
				return known[q.Prefill] // it is asked from now on
			}
			return x
		}, d.now(), complete)
		fields, err := json.Marshal(values)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "UPDATE application SET fields = ? WHERE id = ?", string(fields), id)
		return err
	})
	return errs, err
}

// Make checks that everything is there and writes the document that is signed or sent.
// warned: the warnings of DPR 445/2000, art. 75 and 76 (penalties, and the loss of what
// was got by a false declaration) were accepted; privacy is the version of the notice
// that was shown.
func (d *Desk) Make(ctx context.Context, v Visitor, id string, warned bool, privacy string) (*Application, error) {
	a, err := d.Get(ctx, v, id)
	if err != nil {
		return nil, err
	}
	if a.State != StateDraft {
		return nil, ErrState
	}
	if _, errs := a.Service.Validate(func(id string) string { return a.Fields[id] }, d.now(), true); len(errs) > 0 {
		return nil, ErrFields
	}
	if privacy != a.Service.Privacy.Version || a.Service.Declaration && !warned {
		return nil, ErrNotices
	}
	if err := errors.Join(d.otherSigners(ctx, a), d.Over(ctx, v, a.Service)); err != nil {
		return nil, err
	}
	files, err := d.Files(ctx, a)
	if err != nil {
		return nil, err
	}
	for _, w := range a.Service.Wanted(a.Fields) {
		if w.Required && !slices.ContainsFunc(files, func(f *File) bool { return f.Slot == w.ID && f.State != FileInfected }) {
			return nil, ErrFiles
		}
	}
	a.Made = d.now().UTC()
	var b bytes.Buffer
	if err := d.document(ctx, a, files, &b); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(b.Bytes())
	a.SHA256 = sum[:]
	if err := d.Store.WriteFile(ctx, a.documentFile(), &b); err != nil {
		return nil, err
	}
	err = d.change(ctx, v, id, []State{StateDraft}, func(tx *sql.Tx, now *Application) error {
		if !sameFields(now.Fields, a.Fields) {
			return ErrState // it was changed in another tab meanwhile
		}
		if same, err := sameFiles(ctx, tx, id, files); err != nil || !same {
			return errors.Join(err, ErrState)
		}
		warnedAt := ""
		if warned {
			warnedAt = store.Time(a.Made)
		}
		_, err := tx.ExecContext(ctx, "UPDATE application SET state = ?, sha256 = ?, sealed = ?, warned = ?, privacy = ? WHERE id = ?",
			string(StateToSign), a.SHA256, store.Time(a.Made), warnedAt, privacy, id)
		if err != nil {
			return err
		}
		return d.step(ctx, tx, id, Step{Kind: "made", State: StateToSign, Operator: a.Operator, Person: a.Actor()})
	})
	if err != nil {
		d.unmade(ctx, a)
		return nil, err
	}
	return d.Get(ctx, v, id)
}

func sameFields(a, b map[string]string) bool {
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return bytes.Equal(x, y)
}

// Reopen makes a draft of it again: document and signatures go.
func (d *Desk) Reopen(ctx context.Context, v Visitor, id string) error {
	var gone []string
	err := d.change(ctx, v, id, []State{StateToSign}, func(tx *sql.Tx, a *Application) (err error) {
		if v.Person != nil && v.Operator == nil && v.Person.ID != a.Actor() {
			return ErrState // who only signs too changes nothing
		}
		if gone, err = papersOf(ctx, tx, a); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM application_signature WHERE application = ?", id); err != nil {
			return err
		}
		// The scan is of the document that goes, not of the one to come.
		scans, err := attachedTo(ctx, tx, "application = ? AND slot = 'paper'", id)
		if err != nil {
			return err
		}
		gone = append(gone, scans...)
		if _, err := tx.ExecContext(ctx, "DELETE FROM application_file WHERE application = ? AND slot = 'paper'", id); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "UPDATE application SET state = 'draft', sha256 = NULL, sealed = '', warned = '', privacy = '', assisted = '' WHERE id = ?", id)
		return err
	})
	if err == nil {
		d.remove(ctx, gone...)
	}
	return err
}

// papersOf names the files of a document that is made, and of its signatures.
func papersOf(ctx context.Context, tx *sql.Tx, a *Application) (out []string, err error) {
	if len(a.SHA256) > 0 {
		out = append(out, a.documentFile())
	}
	all, err := signatures(ctx, tx, a.ID)
	for _, s := range all {
		out = append(out, s.File)
	}
	return out, err
}

// attachedTo names the files of attachments.
func attachedTo(ctx context.Context, tx *sql.Tx, where, id string) ([]string, error) {
	rows, err := tx.QueryContext(ctx, "SELECT id FROM application_file WHERE "+where, id) //nolint:gosec // our own words
	if err != nil {
		return nil, err
	}
	out, err := store.Strings(rows)
	for i, f := range out {
		out[i] = (&File{ID: f}).name()
	}
	return out, err
}

// remove takes files away that no row names any more.
func (d *Desk) remove(ctx context.Context, names ...string) {
	for _, n := range names {
		if err := d.Store.RemoveFile(ctx, n); err != nil {
			d.Log.Warn("a file that nothing names is still there", "file", n, "error", err)
		}
	}
}

// Discard throws a draft away, with everything that was attached.
func (d *Desk) Discard(ctx context.Context, v Visitor, id string) error {
	var gone []string
	err := d.change(ctx, v, id, []State{StateDraft, StateToSign}, func(tx *sql.Tx, a *Application) (err error) {
		if v.Person != nil && v.Operator == nil && v.Person.ID != a.Actor() {
			return ErrState
		}
		gone, err = d.drop(ctx, tx, a)
		return err
	})
	if err == nil {
		d.remove(ctx, gone...)
	}
	return err
}
