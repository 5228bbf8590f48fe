package hand_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/citel-pa/citel/agent/card"
	"github.com/citel-pa/citel/agent/care"
	"github.com/citel-pa/citel/agent/config"
	"github.com/citel-pa/citel/agent/consent"
	"github.com/citel-pa/citel/agent/doctor"
	"github.com/citel-pa/citel/agent/hand"
	"github.com/citel-pa/citel/agent/hand/pages"
	"github.com/citel-pa/citel/agent/history"
	"github.com/citel-pa/citel/agent/nativehost"
	"github.com/citel-pa/citel/agent/signing"
	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/testdata/pki"
)

type cards struct {
	found []card.Found
	ids   []signing.Identity
	err   error
}

func (c *cards) Cards(context.Context) ([]card.Found, error)            { return c.found, c.err }
func (c *cards) Identities(context.Context) ([]signing.Identity, error) { return c.ids, c.err }
func (c *cards) PUKTries(signing.Identity) int                          { return -1 }
func (c *cards) Personal(context.Context, signing.Identity) (card.Personal, error) {
	return card.Personal{Born: "10/01/1980", BirthTown: "G702"}, nil
}
func (c *cards) Change(context.Context, signing.Identity, []byte, []byte) error  { return nil }
func (c *cards) Unblock(context.Context, signing.Identity, []byte, []byte) error { return nil }

// person holds the question about the PIN until let go.
type person struct{ asked, let chan struct{} }

func (p *person) AskPIN(context.Context, *consent.PINRequest) (consent.PINAnswer, error) {
	p.asked <- struct{}{}
	<-p.let
	return consent.PINAnswer{}, consent.ErrRefused
}

func (p *person) PINOutcome(context.Context, *consent.PINRequest, bool, string) {}

type scene struct {
	*hand.Hand
	t     *testing.T
	cards *cards
	home  string
	quits chan struct{}
}

func newScene(t *testing.T, policy string) *scene {
	t.Helper()
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_CONFIG_HOME", "")
	file := filepath.Join(home, "policy.json")
	if policy != "" {
		if err := os.WriteFile(file, []byte(policy), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := &scene{Hand: hand.New(), t: t, cards: &cards{}, home: home, quits: make(chan struct{}, 1)}
	s.Lang = func() message.Lang { return message.Italian }
	s.Cards, s.History, s.Store = s.cards, history.Open(filepath.Join(home, "state")), config.Open(filepath.Join(home, "config")).WithPolicy(file)
	s.Reminders = &care.Reminders{Dir: filepath.Join(home, "state")}
	s.Patient = func() *doctor.Patient {
		return &doctor.Patient{Cards: s.cards.Cards, Modules: []string{"/gone.so"}, Root: fstest.MapFS{}}
	}
	s.Bench = &doctor.Bench{Store: s.Store, Dir: filepath.Join(home, "state")}
	s.KnownModules = func() []string { return []string{"OpenSC: /x.so"} }
	s.CheckModule = func(_ context.Context, path string) error {
		if strings.Contains(path, "bad") {
			return errors.New("no PKCS#11")
		}
		return nil
	}
	s.Extension = func() (hand.Extension, error) {
		return &nativehost.Manifests{Program: "/opt/citel-agent", Home: home, Config: filepath.Join(home, ".config"), Root: filepath.Join(home, "root")}, nil
	}
	s.NewRelease = func() string { return "" }
	s.About = func(message.Lang) string { return "CiTel" }
	s.Quit = func() { s.quits <- struct{}{} }
	s.Downloads = func() (string, error) { return home, nil }
	s.Changed = func() {}
	return s
}

func (s *scene) do(name string, args map[string]string) (string, error) {
	v, err := s.Call(s.t.Context(), name, args)
	if err != nil {
		return "", err
	}
	return v.(pages.Done).Text, nil
}

func (s *scene) must(name string, args map[string]string) string {
	s.t.Helper()
	text, err := s.do(name, args)
	if err != nil {
		s.t.Fatalf("%s: %v", name, err)
	}
	return text
}

// page gives a page as JSON, which is what goes to the window.
func (s *scene) page(name string) string {
	s.t.Helper()
	v, err := s.Call(s.t.Context(), name, nil)
	if err != nil {
		s.t.Fatalf("%s: %v", name, err)
	}
	b, err := json.Marshal(v)
	if err != nil {
		s.t.Fatal(err)
	}
	if strings.Contains(string(b), "hand.") || strings.Contains(string(b), ":null") {
		s.t.Errorf("%s has a sentence or a list that is not there: %s", name, b)
	}
	return string(b)
}

func (s *scene) says(page string, what ...string) {
	s.t.Helper()
	text := s.page(page)
	for _, w := range what {
		if !strings.Contains(text, w) {
			s.t.Errorf("%s does not say %q: %s", page, w, text)
		}
	}
}

func TestStates(t *testing.T) {
	s := newScene(t, "")
	in := func(state card.State, kind string, err error) card.Found {
		return card.Found{Reader: card.Reader{Name: "Lettore", State: state}, Kind: kind, Number: "6090000000000017", Err: err}
	}
	for want, c := range map[string]cards{
		"smart card non risponde": {err: signing.ErrNoService},
		"Nessun lettore":          {},
		"inserisci la carta":      {found: []card.Found{in(card.Empty, "", nil)}},
		"Carta pronta: CNS …0017": {found: []card.Found{in(card.Empty, "", nil), in(card.Present, card.KindCNS, nil)}},
		"non legge da solo":       {found: []card.Found{in(card.Present, card.KindUnknown, signing.ErrCardUnknown)}},
		"tiene la carta occupata": {found: []card.Found{in(card.Present, card.KindUnknown, signing.ErrCardBusy)}},
		"controlla da che lato":   {found: []card.Found{in(card.Mute, "", nil)}},
	} {
		*s.cards = c
		s.says(pages.Home, want)
	}
}

func TestTheCardsPage(t *testing.T) {
	s := newScene(t, "")
	s.cards.err = signing.ErrNoCard
	s.cards.found = []card.Found{{Reader: card.Reader{Name: "R"}}}
	s.page(pages.Card)
	cert := *pki.Shared(t).MustIssue(t, pki.CNS, pki.RSA2048, pki.Citizens[0]).Cert
	soon := cert
	soon.Raw = append([]byte{}, append(cert.Raw, 0)...) // another one
	soon.NotAfter = time.Now().AddDate(0, 0, 20)
	old := cert
	old.NotAfter = time.Now().AddDate(0, 0, -1)
	s.cards.err = nil
	for want, id := range map[string]signing.Identity{
		"G702":                 {Kind: "cns", Number: "6090000000000017", Certificate: &cert, PIN: signing.PINState{TriesLeft: -1}},
		"scade tra 19 giorni":  {Kind: "cns", Certificate: &soon, PIN: signing.PINState{TriesLeft: 2}},
		"è scaduto il":         {Kind: "cns", Certificate: &old},
		`"locked":true`:        {Kind: "cns", Certificate: &cert, PIN: signing.PINState{Locked: true}},
		"solo dopo il PIN":     {Kind: "cie", Number: "123456789012", PIN: signing.PINState{TriesLeft: -1}},
		"Tentativi rimasti: 2": {Kind: "cie", PIN: signing.PINState{TriesLeft: 2}},
	} {
		s.cards.ids = []signing.Identity{id}
		s.says(pages.Card, want)
	}
	s.says(pages.Home, "scade il") // also when the card is out
}

func TestOnePINAtATime(t *testing.T) {
	s := newScene(t, "")
	s.cards.ids = []signing.Identity{{Kind: "cns", Ref: "r\x00cns\x001\x00authentication", PIN: signing.PINState{TriesLeft: -1}}}
	p := &person{asked: make(chan struct{}), let: make(chan struct{})}
	s.Care = &care.Care{Cards: s.cards, Asker: p, Lang: s.Lang}
	ended := make(chan struct{}, 1)
	s.Changed = func() { ended <- struct{}{} }
	args := map[string]string{"card": care.ID(s.cards.ids[0])}
	s.must(pages.DoPINChange, args)
	<-p.asked
	if _, err := s.do(pages.DoPINUnblock, args); err == nil || !strings.Contains(err.Error(), "finisci prima") {
		t.Errorf("a second question: %v", err)
	}
	close(p.let)
	<-ended
	if _, err := s.do(pages.DoPINChange, map[string]string{"card": "other"}); err == nil {
		t.Error("a card that is not there")
	}
	s.must(pages.DoPINUnblock, args)
	<-p.asked
}

func TestSettings(t *testing.T) {
	s := newScene(t, "")
	if err := s.Store.SetSite("https://a.example", config.Remembered, time.Now()); err != nil {
		t.Fatal(err)
	}
	s.says(pages.Settings, `"trusted":[{"origin":"https://a.example"`, "OpenSC: /x.so")
	s.must(pages.DoSite, map[string]string{"origin": "https://a.example", "decision": "block"})
	s.says(pages.Settings, `"blocked":[{"origin":"https://a.example"`)
	s.must(pages.DoSite, map[string]string{"origin": "https://a.example", "decision": "forget"})
	s.says(pages.Settings, `"blocked":[]`, `"trusted":[]`)
	s.must(pages.DoLanguage, map[string]string{"language": "en"})
	s.says(pages.Settings, `"language":"en"`)
	s.must(pages.DoAutostart, map[string]string{"on": "true"})
	s.says(pages.Settings, `"autostart":true`)
	s.must(pages.DoAutostart, map[string]string{"on": "false"})

	good, bad := filepath.Join(s.home, "good.so"), filepath.Join(s.home, "bad.so")
	for _, name := range []string{good, bad} {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{"good.so", bad, "/nowhere.so", ""} {
		if text, err := s.do(pages.DoModuleAdd, map[string]string{"path": path}); err == nil {
			t.Errorf("%q: %s", path, text)
		}
	}
	s.must(pages.DoModuleAdd, map[string]string{"path": good})
	if _, err := s.do(pages.DoModuleAdd, map[string]string{"path": good}); err == nil {
		t.Error("twice")
	}
	s.says(pages.Settings, `"name":"good.so"`, `"good":true`)
	s.must(pages.DoModuleRemove, map[string]string{"path": good})
	s.says(pages.Settings, `"modules":[]`)
	s.must(pages.DoQuit, nil)
	<-s.quits
	if _, err := s.do("rm", nil); !errors.Is(err, hand.ErrCall) {
		t.Errorf("%v", err)
	}
}

// What an administrator set is shown as locked, and stays whatever the window asks.
func TestLocked(t *testing.T) {
	s := newScene(t, `{"language":"it","modules":[],"autostart":false,"trustedSites":["https://t.example"],"blockedSites":["https://b.example"]}`)
	s.says(pages.Settings, `"languageLocked":true`, `"autostartFixed":true`, `"modulesLocked":true`, `"origin":"https://t.example","since":"","locked":true`,
		`"origin":"https://b.example","since":"","locked":true`, "policy.json")
	for name, args := range map[string]map[string]string{pages.DoLanguage: {"language": "en"}, pages.DoAutostart: {"on": "true"}, pages.DoModuleAdd: {"path": "/x.so"},
		pages.DoModuleRemove: {"path": "/x.so"}, pages.DoSite: {"origin": "https://b.example", "decision": "forget"}} {
		if _, err := s.do(name, args); err == nil || !strings.Contains(err.Error(), "gestisce") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestHistory(t *testing.T) {
	s := newScene(t, "")
	for range 3 {
		if err := s.History.Append(history.Entry{Kind: history.KindSign, By: history.BySite, Origin: "https://a.example", Documents: 2, Digests: []string{"aa", "bb"}, Card: "cns …0017", Outcome: "pin-wrong"}); err != nil {
			t.Fatal(err)
		}
	}
	s.says(pages.History, "firma (2 documenti)", "https://a.example", "CNS …0017", "PIN errato", `"broken":false`)
	for _, format := range []string{"csv", "json"} {
		text := s.must(pages.DoHistoryExport, map[string]string{"format": format})
		_, name, _ := strings.Cut(text, "/")
		name = "/" + name
		if b, err := os.ReadFile(name); err != nil || !strings.Contains(string(b), "https://a.example") {
			t.Errorf("%s: %v %s", name, err, b)
		}
		if st, err := os.Stat(name); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%v %v", st.Mode(), err)
		}
	}
	file := filepath.Join(s.home, "state", "history.jsonl")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(b), "a.example", "b.example", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	s.says(pages.History, `"broken":true`, `"gap":true`)
	s.says(pages.Home, "non è integro")
	s.must(pages.DoHistoryClear, nil)
	s.says(pages.History, "storico c", `"broken":false`)
}

func TestDoctor(t *testing.T) {
	s := newScene(t, "")
	if err := s.Store.Change(func(v *config.Settings) { v.Modules = []config.Module{{Path: "/gone.so"}} }); err != nil {
		t.Fatal(err)
	}
	s.says(pages.Doctor, `"bad":2`, "drop-modules", "Togli i moduli")
	s.must(pages.DoCure, map[string]string{"cure": doctor.CureDropModules})
	if v, err := s.Store.Settings(); err != nil || len(v.Modules) != 0 {
		t.Errorf("%+v %v", v, err)
	}
	s.says(pages.Doctor, `"undo":[{"id":"drop-modules"`)
	s.must(pages.DoUndo, map[string]string{"cure": doctor.CureDropModules})
	if _, err := s.do(pages.DoCure, map[string]string{"cure": "other"}); err == nil {
		t.Error("a cure of nobody")
	}
	v, err := s.Call(t.Context(), pages.DoReport, nil)
	if err != nil || !strings.Contains(v.(pages.Done).Report, "reader-bad") {
		t.Errorf("%+v %v", v, err)
	}
}

// The settings' page does what `citel-agent native` does, and another program's manifest stays.
func TestExtension(t *testing.T) {
	s := newScene(t, "")
	s.says(pages.Settings, `"name":"Firefox","state":"non collegato"`, `"joined":false`)
	other := filepath.Join(s.home, ".config", "chromium", "NativeMessagingHosts", nativehost.ManifestName)
	if err := os.MkdirAll(filepath.Dir(other), 0o700); err != nil {
		t.Fatal(err)
	}
	theirs := `{"name":"eu.webeid","path":"/usr/bin/web-eid"}`
	if err := os.WriteFile(other, []byte(theirs), 0o600); err != nil {
		t.Fatal(err)
	}
	if said := s.must(pages.DoExtension, map[string]string{"on": "true"}); !strings.Contains(said, "non lo sostituisce") {
		t.Error(said)
	}
	s.says(pages.Settings, `"name":"Firefox","state":"collegato a CiTel"`, `"joined":true`, "/usr/bin/web-eid")
	s.must(pages.DoExtension, map[string]string{"on": "false"})
	s.says(pages.Settings, `"name":"Firefox","state":"non collegato"`, `"joined":false`, "/usr/bin/web-eid")
	if b, err := os.ReadFile(other); err != nil || string(b) != theirs {
		t.Errorf("%q %v", b, err)
	}
}

// A newer release is said on the first page.
func TestNewRelease(t *testing.T) {
	s := newScene(t, "")
	s.NewRelease = func() string { return "9.1" }
	s.says(pages.Home, "versione nuova di CiTel (9.1)")
}
