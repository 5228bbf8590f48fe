package envelope_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/credential"
	"github.com/citel-pa/citel/server/delay"
	"github.com/citel-pa/citel/server/envelope"
	"github.com/citel-pa/citel/server/keys"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/session"
	"github.com/citel-pa/citel/server/store/storetest"
	"github.com/citel-pa/citel/testdata/town"
)

const password = "una frase nuova di prova"

// desk is a town with the three operators that a release needs and one printed envelope.
type desk struct {
	*town.Town
	printer, urp role.Actor
	sheets       []envelope.Sheet
}

func newDesk(tn *town.Town, n int) *desk {
	d := &desk{Town: tn, printer: tn.Operator("prova", 10, "R8"), urp: tn.Operator("prova", 11, "R16")}
	d.sheets = tn.Print(d.printer, n)
	return d
}

func (d *desk) release(sheet, who int) envelope.Release {
	f := town.FormOf(who)
	return envelope.Release{Code: d.sheets[sheet].Code, Form: &f, Document: d.Document()}
}

func (d *desk) handOut(t *testing.T, sheet, who int) *envelope.Handed {
	t.Helper()
	h, err := d.Envelopes.HandOut(t.Context(), d.urp, d.release(sheet, who))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func (d *desk) activation(sheet int, holder string) envelope.Activation {
	s := d.sheets[sheet]
	return envelope.Activation{Ente: "prova", Username: s.Username, PIN: []byte(s.PIN), Holder: []byte(holder), Password: []byte(password), Address: "198.51.100.7:1000"}
}

// The whole way: printed, handed out against a document, activated, logged in with; and
// the log names operator, document and time.
func TestTheWholeWay(t *testing.T) {
	town.Each(t, func(t *testing.T, tn *town.Town) {
		d := newDesk(tn, 2)
		h := d.handOut(t, 0, 0)
		if h.Envelope.State != envelope.HandedOut || len(h.Holder) != 8 || h.Person.CodiceFiscale != town.FormOf(0).Code {
			t.Fatalf("%+v", h)
		}
		if m := d.Mails(town.FormOf(0).Email); len(m) != 1 || m[0][0] != "released" {
			t.Errorf("mails: %v", m)
		}
		b := d.Browser(d.Citizens)
		anonymous, err := d.Citizens.StartAt(t.Context(), b.Writer(), "prova")
		if err != nil {
			t.Fatal(err)
		}
		risen, err := d.Envelopes.Activate(t.Context(), b.Writer(), anonymous, d.activation(0, strings.ToUpper(h.Holder[:4])+" "+h.Holder[4:]))
		if err != nil {
			t.Fatal(err)
		}
		if s := b.Session(t); s == nil || s.Level != session.Media || s.Person != h.Person.ID || s.Releaser != "prova" || risen.Binding == anonymous.Binding {
			t.Fatalf("%+v", s)
		}
		// The old id is worthless, the PIN too; the new password opens.
		if _, err := d.Envelopes.Activate(t.Context(), b.Writer(), nil, d.activation(0, h.Holder)); !errors.Is(err, envelope.ErrRefused) {
			t.Errorf("activated twice: %v", err)
		}
		login := credential.Login{Ente: "prova", Username: strings.ToUpper(d.sheets[0].Username), Password: []byte(password), Address: "198.51.100.7:1000"}
		if s, change, err := d.Credentials.Login(t.Context(), b.Writer(), nil, login); err != nil || change || s.Level != session.Media {
			t.Errorf("%+v, %v, %v", s, change, err)
		}
		login.Password = []byte(d.sheets[0].PIN)
		if _, _, err := d.Credentials.Login(t.Context(), b.Writer(), nil, login); !errors.Is(err, credential.ErrRefused) {
			t.Errorf("the PIN logs in: %v", err)
		}
		got, err := d.Audit.Read(t.Context(), audit.Filter{Ente: "prova", Kinds: []string{audit.EnvelopeHandedOut}})
		if err != nil || len(got) != 1 {
			t.Fatalf("%+v, %v", got, err)
		}
		e := got[0]
		if e.Operator != d.urp.Operator || e.Personal["operator"] != d.urp.Code || !strings.Contains(e.Personal["document"], "CA00000AA") ||
			e.Personal["person"] != town.FormOf(0).Code || e.Detail["envelope"] != d.sheets[0].Code || !e.Time.Equal(d.Today()) {
			t.Errorf("%+v", e)
		}
		if r, err := d.Audit.Verify(t.Context()); err != nil || r.Err() != nil {
			t.Errorf("%v, %v", r, err)
		}
		// Nothing secret is in the database, nor a code of the holder.
		for _, secret := range []string{d.sheets[0].PIN, d.sheets[1].PIN, h.Holder, password} {
			for _, q := range []string{"SELECT count(*) FROM envelope WHERE secret LIKE ? OR holder LIKE ?", "SELECT count(*) FROM credential WHERE secret LIKE ? OR handle LIKE ?"} {
				if storetest.Count(t, d.Store, q, "%"+secret+"%", "%"+secret+"%") != 0 {
					t.Errorf("a secret is in the database: %s", q)
				}
			}
		}
	})
}

// Each of the desk's dead ends has an error of its own.
func TestRefusals(t *testing.T) {
	town.Each(t, func(t *testing.T, tn *town.Town) {
		d := newDesk(tn, 6)
		other := tn.Operator("altro", 12, "R16")
		d.handOut(t, 0, 0)
		unconfirmed, sheets, err := d.Envelopes.Print(t.Context(), d.printer, 1)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Envelopes.Change(t.Context(), d.printer, d.sheets[1].Code, envelope.Void, "strappata"); err != nil {
			t.Fatal(err)
		}
		h := d.handOut(t, 2, 1)
		if _, err := d.Envelopes.Activate(t.Context(), tn.Browser(d.Citizens).Writer(), nil, d.activation(2, h.Holder)); err != nil {
			t.Fatal(err)
		}
		dead := d.handOut(t, 4, 3)
		all := tn.Operator("prova", 13, "R-Ente")
		if err := d.People.SetDead(t.Context(), all, dead.Person.ID, true, "atto di morte 1/2026"); err != nil {
			t.Fatal(err)
		}
		mistyped := []byte(d.sheets[3].Code)
		mistyped[5] = '0' + (mistyped[5]-'0'+1)%10
		with := func(change func(*envelope.Release)) envelope.Release {
			r := d.release(3, 2)
			r.Form.BirthState, r.Form.BirthPlace = "Stato", ""
			change(&r)
			return r
		}
		for name, c := range map[string]struct {
			actor role.Actor
			r     envelope.Release
			want  error
		}{
			"mistyped":      {d.urp, with(func(r *envelope.Release) { r.Code = string(mistyped) }), envelope.ErrMistyped},
			"not there":     {d.urp, with(func(r *envelope.Release) { r.Code = "1234 5678 9012-" + check("123456789012") }), envelope.ErrNotFound},
			"used":          {d.urp, with(func(r *envelope.Release) { r.Code = d.sheets[0].Code }), envelope.ErrUsed},
			"torn":          {d.urp, with(func(r *envelope.Release) { r.Code = d.sheets[1].Code }), envelope.ErrVoid},
			"active":        {d.urp, with(func(r *envelope.Release) { r.Code = d.sheets[2].Code }), envelope.ErrUsed},
			"not confirmed": {d.urp, with(func(r *envelope.Release) { r.Code = sheets[0].Code }), envelope.ErrNotConfirmed},
			"printer":       {d.printer, with(func(*envelope.Release) {}), envelope.ErrPrinter},
			"other town":    {other, with(func(*envelope.Release) {}), envelope.ErrOtherEnte},
			"oneself":       {d.urp, with(func(r *envelope.Release) { f := town.FormOf(11); r.Form = &f }), envelope.ErrSelf},
			"own company": {d.urp, with(func(r *envelope.Release) {
				r.Form, r.Company = nil, company(town.FormOf(11))
			}), envelope.ErrSelf},
			"dead":     {d.urp, with(func(r *envelope.Release) { f := town.FormOf(3); f.Reason = "visto"; r.Form = &f }), envelope.ErrDead},
			"has one":  {d.urp, with(func(r *envelope.Release) { f := town.FormOf(1); r.Form = &f }), envelope.ErrHasMedia},
			"no right": {tn.Operator("prova", 14, "R12"), with(func(*envelope.Release) {}), role.ErrDenied},
		} {
			if _, err := d.Envelopes.HandOut(t.Context(), c.actor, c.r); !errors.Is(err, c.want) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := d.Envelopes.Confirm(t.Context(), d.printer, unconfirmed.ID); err != nil {
			t.Error(err)
		}
		if _, err := d.Envelopes.HandOut(t.Context(), d.urp, with(func(*envelope.Release) {})); err != nil {
			t.Errorf("what is right: %v", err)
		}
	})
}

func check(body string) string {
	for c := range 10 {
		if _, err := envelope.ParseCode(body + fmt.Sprint(c)); err == nil {
			return fmt.Sprint(c)
		}
	}
	return ""
}

func company(f person.Form) *person.Company {
	return &person.Company{Code: "00000000000", Name: "Ditta di Prova", Seat: "Pisa", VAT: "00000000000", PEC: "ditta@pec.example.org", Title: "titolare", Representative: f}
}

// A company's envelope is its own account's, with the representative in the record.
func TestCompany(t *testing.T) {
	town.Each(t, func(t *testing.T, tn *town.Town) {
		d := newDesk(tn, 1)
		r := d.release(0, 0)
		r.Form, r.Company = nil, company(town.FormOf(0))
		h, err := d.Envelopes.HandOut(t.Context(), d.urp, r)
		if err != nil {
			t.Fatal(err)
		}
		if h.Person.Kind != person.Corporate || h.Person.Name() != "Ditta di Prova" || h.Envelope.Title != "titolare" {
			t.Errorf("%+v %+v", h.Person, h.Envelope)
		}
		if rec, err := person.RecordOf(t.Context(), d.Store, h.Person.ID, "prova"); err != nil || rec.Company.Representative.Code != town.FormOf(0).Code {
			t.Errorf("%+v, %v", rec, err)
		}
	})
}

// Ten wrong activations void an envelope, whoever makes them and however many at once;
// what is wrong is not told.
func TestTenWrongActivations(t *testing.T) {
	town.Each(t, func(t *testing.T, tn *town.Town) {
		d := newDesk(tn, 2)
		h := d.handOut(t, 0, 0)
		right := d.activation(0, h.Holder)
		wrong := []func(*envelope.Activation){
			func(x *envelope.Activation) { x.PIN = []byte("x") },
			func(x *envelope.Activation) { x.Holder = []byte("x") },
			func(x *envelope.Activation) { x.Holder = nil },
			func(x *envelope.Activation) { x.PIN, x.Holder = x.Holder, x.PIN },
		}
		var g errgroup.Group
		var refused, soon atomic.Int32
		for i := range 14 {
			x := right
			x.Address = fmt.Sprintf("203.0.113.%d:1", i)
			wrong[i%len(wrong)](&x)
			g.Go(func() error {
				_, err := d.Envelopes.Activate(context.WithoutCancel(t.Context()), d.Browser(d.Citizens).Writer(), nil, x)
				var wait *delay.TooSoonError
				switch {
				case errors.Is(err, envelope.ErrRefused):
					refused.Add(1)
				case errors.As(err, &wait):
					soon.Add(1)
				default:
					return fmt.Errorf("%d: %w", i, err)
				}
				return nil
			})
		}
		if err := g.Wait(); err != nil {
			t.Fatal(err)
		}
		e, err := d.Envelopes.Open(t.Context(), d.urp, d.sheets[0].Code)
		if err != nil || e.State != envelope.Void || e.Failures != 10 {
			t.Errorf("%+v, %v (%d refused, %d too soon)", e, err, refused.Load(), soon.Load())
		}
		tn.Move(time.Hour)
		if _, err := d.Envelopes.Activate(t.Context(), d.Browser(d.Citizens).Writer(), nil, right); !errors.Is(err, envelope.ErrRefused) {
			t.Errorf("void and activated: %v", err)
		}
		// Not handed out, unknown: the same word.
		for _, name := range []string{d.sheets[1].Username, "nessuno"} {
			x := d.activation(1, "")
			x.Username = name
			if _, err := d.Envelopes.Activate(t.Context(), d.Browser(d.Citizens).Writer(), nil, x); !errors.Is(err, envelope.ErrRefused) {
				t.Errorf("%s: %v", name, err)
			}
		}
		weak := d.activation(1, "")
		weak.Password = []byte("corta")
		if _, err := d.Envelopes.Activate(t.Context(), d.Browser(d.Citizens).Writer(), nil, weak); !errors.Is(err, keys.ErrWeak) {
			t.Errorf("weak: %v", err)
		}
	})
}

// A batch that nobody confirms is void after a day; one that is handed out and not
// activated expires.
func TestTime(t *testing.T) {
	town.Each(t, func(t *testing.T, tn *town.Town) {
		d := newDesk(tn, 1)
		h := d.handOut(t, 0, 0)
		b, sheets, err := d.Envelopes.Print(t.Context(), d.printer, 2)
		if err != nil {
			t.Fatal(err)
		}
		tn.Move(25 * time.Hour)
		if err := d.Envelopes.Confirm(t.Context(), d.printer, b.ID); !errors.Is(err, envelope.ErrState) {
			t.Errorf("confirmed after a day: %v", err)
		}
		if err := d.Housekeeping(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, s := range sheets {
			if e, err := d.Envelopes.Open(t.Context(), d.urp, envelope.FormatCode(s.Code)); err != nil || e.State != envelope.Void {
				t.Errorf("%+v, %v", e, err)
			}
		}
		tn.Move(91 * 24 * time.Hour)
		if _, err := d.Envelopes.Activate(t.Context(), d.Browser(d.Citizens).Writer(), nil, d.activation(0, h.Holder)); !errors.Is(err, envelope.ErrRefused) {
			t.Errorf("after three months: %v", err)
		}
		if err := d.Housekeeping(t.Context()); err != nil {
			t.Fatal(err)
		}
		if e, err := d.Envelopes.Open(t.Context(), d.urp, d.sheets[0].Code); err != nil || e.State != envelope.Expired {
			t.Errorf("%+v, %v", e, err)
		}
	})
}

// The machine, written a second time: what may follow what.
func TestMachine(t *testing.T) {
	want := []string{
		"active>expired", "active>revoked", "active>suspended", "handed-out>active", "handed-out>expired", "handed-out>revoked", "handed-out>void",
		"printed>handed-out", "printed>sent", "printed>void", "sent>active", "sent>expired", "sent>revoked", "sent>void", "suspended>active", "suspended>expired", "suspended>revoked",
	}
	var got []string
	for _, a := range envelope.States {
		for _, b := range envelope.States {
			if envelope.Can(a, b) {
				got = append(got, string(a)+">"+string(b))
			}
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
}

// A hand-out is undone by revoking and by nothing else; suspending ends the sessions.
func TestStatesByHand(t *testing.T) {
	town.Each(t, func(t *testing.T, tn *town.Town) {
		d := newDesk(tn, 2)
		h := d.handOut(t, 0, 0)
		change := func(sheet int, to envelope.State) error {
			return d.Envelopes.Change(t.Context(), d.printer, d.sheets[sheet].Code, to, "prova")
		}
		for _, to := range []envelope.State{envelope.Void, envelope.Printed, envelope.Suspended, envelope.Active, envelope.Sent, envelope.Expired} {
			if err := change(0, to); !errors.Is(err, envelope.ErrState) {
				t.Errorf("handed out, then %s: %v", to, err)
			}
		}
		b := d.Browser(d.Citizens)
		if _, err := d.Envelopes.Activate(t.Context(), b.Writer(), nil, d.activation(0, h.Holder)); err != nil {
			t.Fatal(err)
		}
		if err := change(0, envelope.Suspended); err != nil {
			t.Fatal(err)
		}
		if s := b.Session(t); s != nil {
			t.Errorf("a suspended credential's session holds: %+v", s)
		}
		login := credential.Login{Ente: "prova", Username: d.sheets[0].Username, Password: []byte(password), Address: "198.51.100.7:1000"}
		if _, _, err := d.Credentials.Login(t.Context(), b.Writer(), nil, login); !errors.Is(err, credential.ErrRefused) {
			t.Errorf("suspended: %v", err)
		}
		if err := errors.Join(change(0, envelope.Active), func() error { _, _, err := d.Credentials.Login(t.Context(), b.Writer(), nil, login); return err }()); err != nil {
			t.Errorf("resumed: %v", err)
		}
		if err := change(0, envelope.Revoked); err != nil {
			t.Error(err)
		}
		if err := change(0, envelope.Active); !errors.Is(err, envelope.ErrState) {
			t.Errorf("revoked is for good: %v", err)
		}
		if err := change(1, envelope.Revoked); !errors.Is(err, envelope.ErrState) {
			t.Errorf("printed, then revoked: %v", err)
		}
		if err := change(1, envelope.Void); err != nil {
			t.Error(err)
		}
		if err := d.Envelopes.Change(t.Context(), d.printer, d.sheets[1].Code, envelope.Void, " "); !errors.Is(err, envelope.ErrReason) {
			t.Errorf("without a reason: %v", err)
		}
	})
}

// Every single wrong digit shows, whatever the code.
func TestCheckDigit(t *testing.T) {
	if _, err := envelope.ParseCode("0794" + "00000000" + check("079400000000")); err != nil {
		t.Error(err)
	}
	for i := range 200 {
		body := fmt.Sprintf("%012d", i*7919*104729%1000000000000)
		code := body + check(body)
		for at := range code {
			for c := byte('0'); c <= '9'; c++ {
				if bad := code[:at] + string(c) + code[at+1:]; bad != code {
					if _, err := envelope.ParseCode(bad); !errors.Is(err, envelope.ErrMistyped) {
						t.Fatalf("%s for %s: %v", bad, code, err)
					}
				}
			}
		}
		if got, err := envelope.ParseCode(" " + envelope.FormatCode(code)); err != nil || got != code {
			t.Errorf("%s: %s, %v", code, got, err)
		}
	}
}
