package care_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/agent/card"
	"github.com/citel-pa/citel/agent/care"
	"github.com/citel-pa/citel/agent/consent"
	"github.com/citel-pa/citel/agent/signing"
	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/testdata/pki"
)

// person answers, and keeps what was said and the secrets' memory.
type person struct {
	answer consent.PINAnswer
	err    error
	asked  int
	told   string
}

func (p *person) AskPIN(context.Context, *consent.PINRequest) (consent.PINAnswer, error) {
	p.asked++
	return p.answer, p.err
}

func (p *person) PINOutcome(_ context.Context, _ *consent.PINRequest, _ bool, text string) {
	p.told = text
}

type cards struct {
	ids  []signing.Identity
	err  error
	sent int
	puk  int
}

func (c *cards) Identities(context.Context) ([]signing.Identity, error) { return c.ids, nil }
func (c *cards) PUKTries(signing.Identity) int                          { return c.puk }
func (c *cards) Change(context.Context, signing.Identity, []byte, []byte) error {
	c.sent++
	return c.err
}
func (c *cards) Unblock(context.Context, signing.Identity, []byte, []byte) error {
	c.sent++
	return c.err
}

func TestRun(t *testing.T) {
	id := signing.Identity{Kind: card.KindCNS, Number: "6090000000000017", Ref: "r\x00cns\x006090000000000017\x00authentication", PIN: signing.PINState{TriesLeft: -1}}
	locked := id
	locked.PIN = signing.PINState{TriesLeft: 0, Locked: true}
	puk := func(err error) error { return fmt.Errorf("%w: %w", card.ErrPUK, err) }
	for name, c := range map[string]struct {
		what   consent.Care
		id     signing.Identity
		err    error
		tries  int
		fresh  string
		sent   int
		says   string
		failed bool
	}{
		"done":            {consent.CareChange, id, nil, -1, "27182", 1, "Il PIN è cambiato", false},
		"unblocked":       {consent.CareUnblock, locked, nil, -1, "27182", 1, "La carta è sbloccata", false},
		"wrong":           {consent.CareChange, id, &signing.ErrPINWrong{TriesLeft: 2}, -1, "27182", 1, "Tentativi rimasti: 2", true},
		"the last":        {consent.CareChange, id, &signing.ErrPINWrong{}, -1, "27182", 1, "con il PUK", true},
		"wrong PUK":       {consent.CareUnblock, id, puk(&signing.ErrPINWrong{TriesLeft: 9}), -1, "27182", 1, "Il PUK è sbagliato", true},
		"the last PUK":    {consent.CareUnblock, id, puk(signing.ErrPINLocked), -1, "27182", 1, "non si sblocca più", true},
		"cut off":         {consent.CareChange, id, signing.ErrPINUncertain, -1, "27182", 1, "potrebbe essere stato usato", true},
		"cut off, PUK":    {consent.CareUnblock, id, puk(signing.ErrPINUncertain), -1, "27182", 1, "tentativo del PUK potrebbe", true},
		"refused by it":   {consent.CareChange, id, card.ErrNewPIN, -1, "27182", 1, "non ha accettato", true},
		"blocked before":  {consent.CareChange, locked, nil, -1, "27182", 0, "La carta è bloccata", true},
		"PUK used up":     {consent.CareUnblock, locked, nil, 0, "27182", 0, "non si sblocca più", true},
		"a careless face": {consent.CareChange, id, nil, -1, "111", 0, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			secret, fresh := []byte("24680"), []byte(c.fresh)
			p := &person{answer: consent.PINAnswer{Secret: secret, Fresh: fresh}}
			k := &cards{ids: []signing.Identity{c.id}, err: c.err, puk: c.tries}
			var used []error
			x := &care.Care{Cards: k, Asker: p, Lang: func() message.Lang { return message.Italian }, Used: func(_ consent.Care, _ signing.Identity, err error) { used = append(used, err) }}
			err := x.Run(t.Context(), c.what, c.id)
			if (err != nil) != c.failed || k.sent != c.sent || !strings.Contains(p.told, c.says) {
				t.Errorf("%v, sent %d times, told %q", err, k.sent, p.told)
			}
			if p.asked > 0 && (string(secret) == "24680" || string(fresh) == "27182" || len(used) != 1) {
				t.Errorf("not wiped, or not in the history: %q %q %d", secret, fresh, len(used))
			}
		})
	}
}

func TestFind(t *testing.T) {
	a := signing.Identity{Ref: "a\x00cns\x001\x00authentication"}
	second := signing.Identity{Ref: "a\x00cns\x001\x00signature"}
	b := signing.Identity{Ref: "b\x00cie\x002\x00authentication"}
	x := &care.Care{Cards: &cards{ids: []signing.Identity{a, second}}}
	if got, err := x.Find(t.Context(), ""); err != nil || got.Ref != a.Ref {
		t.Errorf("%v %v", got.Ref, err)
	}
	if got, err := x.Find(t.Context(), care.ID(second)); err != nil || got.Ref != second.Ref {
		t.Errorf("%v %v", got.Ref, err)
	}
	if _, err := x.Find(t.Context(), care.ID(b)); !errors.Is(err, signing.ErrNoCard) {
		t.Errorf("%v", err)
	}
	x.Cards = &cards{ids: []signing.Identity{a, b}}
	if _, err := x.Find(t.Context(), ""); !errors.Is(err, care.ErrChoose) {
		t.Errorf("%v", err)
	}
}

// Each distance is told once, and a card need not be in the reader.
func TestReminders(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	r := &care.Reminders{Dir: dir}
	if list, err := r.Due(time.Now()); err != nil || len(list) != 0 {
		t.Fatalf("%v %v", list, err)
	}
	cert := *pki.Shared(t).MustIssue(t, pki.CNS, pki.RSA2048, pki.Citizens[0]).Cert
	see := func(c *x509.Certificate) {
		t.Helper()
		if err := r.See(c, "CNS …0017"); err != nil {
			t.Fatal(err)
		}
	}
	see(&cert)
	see(&cert)
	told := 0
	end := cert.NotAfter
	for days := 100; days >= -3; days-- {
		list, err := (&care.Reminders{Dir: dir}).Due(end.AddDate(0, 0, -days).Add(-time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range list {
			told++
			if want := map[int]bool{60: true, 30: true, 7: true}; !want[days] || x.Left != days || x.Card != "CNS …0017" {
				t.Errorf("at %d days: %+v", days, x)
			}
		}
		if days == 40 {
			if soon, err := r.Soon(end.AddDate(0, 0, -days)); err != nil || len(soon) != 1 {
				t.Errorf("soon: %v %v", soon, err)
			}
		}
	}
	if told != 3 {
		t.Errorf("told %d times", told)
	}
	// A computer that was off for months is told once, of the nearest.
	see(&cert)
	for n, want := range []int{1, 0} {
		if list, err := r.Due(end.AddDate(0, 0, -5)); err != nil || len(list) != want {
			t.Errorf("look %d: %v %v", n, list, err)
		}
	}
	for _, text := range []string{"null", "{", "[]"} {
		if err := os.WriteFile(filepath.Join(dir, "reminders.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		see(&cert)
	}
}
