package e2e

import (
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/citel-pa/citel/agent/card/virtual"
	"github.com/citel-pa/citel/agent/wire"
	"github.com/citel-pa/citel/testdata/page"
	"github.com/citel-pa/citel/testdata/pcscd"
	"github.com/citel-pa/citel/testdata/pki"
	"github.com/citel-pa/citel/testdata/stack"
)

// desk is a town with a real pcscd, its virtual reader, and one citizen's card.
type desk struct {
	*stack.Stack
	pcsc *pcscd.Service
	card interface {
		virtual.Card
		TriesLeft() int
	}
	pin string
	who pki.Person
}

// eightDigits is the PIN of the tests' CIE.
const eightDigits = "13572468"

func newDesk(t *testing.T, kind pki.Kind) *desk {
	t.Helper()
	s := town(t)
	p, err := pcscd.Start(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	d := &desk{Stack: s, pcsc: p, pin: pin, who: pki.Citizens[0]}
	if kind == pki.CIE {
		d.pin, d.who = eightDigits, pki.Citizens[1]
		d.card, err = s.VirtualCIE(d.who, d.pin)
	} else {
		d.card, err = s.VirtualCNS(d.who, d.pin)
	}
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *desk) insert(t *testing.T, f *virtual.Faults) {
	t.Helper()
	if err := d.pcsc.Readers[0].Insert(t.Context(), d.card, f); err != nil {
		t.Fatal(err)
	}
}

// login tries until the agent has seen the card; enough says when a card that is
// not there is an answer too.
func login(t *testing.T, l *page.Link, site *page.Site, enough func() bool) (*wire.LoginReply, string, error) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		// pcscd looks at its virtual reader every 400 ms, and a page may not ask on
		// and on.
		time.Sleep(900 * time.Millisecond)
		nonce, life, err := site.Nonce(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		reply, key, err := l.Login(nonce, life)
		if c := code(err); (c != wire.CodeNoCard && c != wire.CodeNoReader) || enough() || time.Now().After(deadline) {
			return reply, key, err
		}
	}
}

func never() bool { return false }

// The main job with a card behind the real pcscd, read by the native drivers.
func TestNative(t *testing.T) {
	t.Parallel()
	t.Run("cns", func(t *testing.T) { t.Parallel(); mainJob(t, newDesk(t, pki.CNS), 20, 8, pki.Citizens[0].CardID) })
	t.Run("cie", func(t *testing.T) { t.Parallel(); mainJob(t, newDesk(t, pki.CIE), 60, 30, stack.VirtualService) })
}

func mainJob(t *testing.T, d *desk, mostCold, mostCached int, number string) {
	t.Helper()
	origin := serve(t, d.Stack)
	port := agent(t, d.Stack, stack.AgentOptions{PIN: d.pin, Origin: origin, Native: true, Args: []string{"--verbose"}, Env: d.pcsc.Env()})
	l := dial(t, port, origin)
	site := page.NewSite(origin)
	nonce, life, err := site.Nonce(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := l.Login(nonce, life); code(err) != wire.CodeNoCard {
		t.Errorf("an empty reader: %v", err)
	}
	faults := &virtual.Faults{}
	d.insert(t, faults)
	reply, key, err := login(t, l, site, never)
	if err != nil {
		t.Fatal(err)
	}
	if err := site.Login(t.Context(), reply.Token, reply.Nonce, key); err != nil {
		t.Fatal(err)
	}
	cold, _ := faults.Count()
	draft, err := site.Apply(t.Context(), page.Enrolment, page.Nursery())
	if err != nil {
		t.Fatal(err)
	}
	content, _, err := site.Get(t.Context(), draft+"/documento.pdf")
	if err != nil {
		t.Fatal(err)
	}
	signed, err := l.Sign([]page.Document{{Name: "istanza.pdf", MediaType: "application/pdf", Bytes: content}}, false, d.who.CF, key)
	if err != nil {
		t.Fatal(err)
	}
	both, bytes := faults.Count()
	if _, protocol, err := site.Submit(t.Context(), draft, signed[0]); err != nil || !strings.HasSuffix(protocol, "/0000001") {
		t.Errorf("protocol %q: %v", protocol, err)
	}
	t.Logf("APDUs: %d from an empty cache to the login's signature, %d for the next signature, %d bytes in all", cold, both-cold, bytes)
	if cold > mostCold || both-cold > mostCached {
		t.Errorf("more APDUs than promised: %d cold (%d), %d cached (%d)", cold, mostCold, both-cold, mostCached)
	}
	cmd := exec.Command(d.Agent, "cards", "--json")
	cmd.Env = append(os.Environ(), append(d.pcsc.Env(), "HOME="+t.TempDir())...)
	if out, err := cmd.Output(); err != nil || !strings.Contains(string(out), `"kind": "c`) || !strings.Contains(string(out), number) {
		t.Errorf("cards: %v\n%s", err, out)
	}
	// The help desk's look at it; no number of a card goes out.
	cmd = exec.Command(d.Agent, "doctor", "--json", "--config", t.TempDir())
	cmd.Env = append(os.Environ(), append(d.pcsc.Env(), "HOME="+t.TempDir())...)
	if out, err := cmd.Output(); !strings.Contains(string(out), `"id":"card","state":"good"`) || !strings.Contains(string(out), `"id":"service","state":"good"`) || strings.Contains(string(out), number) {
		t.Errorf("doctor: %v\n%s", err, out)
	}
	// Taken out and put in again.
	d.pcsc.Readers[0].Remove()
	d.insert(t, nil)
	if _, _, err := login(t, l, site, never); err != nil {
		t.Errorf("after the card came back: %v", err)
	}
	// PC/SC goes away and comes back under the agent.
	d.pcsc.Kill()
	if nonce, life, err = site.Nonce(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := l.Login(nonce, life); err == nil {
		t.Error("a login without pcscd")
	}
	if err := d.pcsc.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.insert(t, nil)
	deadline := time.Now().Add(time.Minute)
	for {
		_, _, err := login(t, l, site, never)
		if err == nil {
			break
		}
		if c := code(err); c != wire.CodeNoService && c != wire.CodeNoCertificate || time.Now().After(deadline) {
			t.Fatalf("after pcscd came back: %v", err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// A wrong PIN uses one try of the card, and the page learns how many are left.
func TestNativeWrongPIN(t *testing.T) {
	t.Parallel()
	t.Run("cns", func(t *testing.T) { t.Parallel(); wrongPIN(t, newDesk(t, pki.CNS), "99999") })
	t.Run("cie", func(t *testing.T) { t.Parallel(); wrongPIN(t, newDesk(t, pki.CIE), "99999999") })
}

func wrongPIN(t *testing.T, d *desk, wrong string) {
	t.Helper()
	origin := serve(t, d.Stack)
	l := dial(t, agent(t, d.Stack, stack.AgentOptions{PIN: wrong, Origin: origin, Native: true, Args: []string{"--verbose"}, Env: d.pcsc.Env()}), origin)
	d.insert(t, nil)
	_, _, err := login(t, l, page.NewSite(origin), never)
	if code(err) != wire.CodePINWrong || d.card.TriesLeft() != 2 {
		t.Errorf("%v, %d tries left on the card", err, d.card.TriesLeft())
	}
}

// The link to the card ends after every single APDU of a login in turn, the card
// having seen the command: never a hang, never a success, and a PIN that may have
// been used up is said to be.
func TestTheLinkEndsAfterEveryAPDU(t *testing.T) {
	t.Parallel()
	t.Run("cns", func(t *testing.T) { t.Parallel(); everyAPDU(t, newDesk(t, pki.CNS), 14) })
	t.Run("cie", func(t *testing.T) { t.Parallel(); everyAPDU(t, newDesk(t, pki.CIE), 20) })
}

func everyAPDU(t *testing.T, d *desk, least int) {
	t.Helper()
	origin := serve(t, d.Stack)
	l := dial(t, agent(t, d.Stack, stack.AgentOptions{PIN: d.pin, Origin: origin, Native: true, Args: []string{"--verbose"}, Env: d.pcsc.Env()}), origin)
	site := page.NewSite(origin)
	for at := 1; ; at++ {
		var cut, atPIN atomic.Bool
		d.insert(t, &virtual.Faults{At: func(n int, apdu []byte) (virtual.Action, []byte) {
			if n < at {
				return virtual.Pass, nil
			}
			cut.Store(true)
			atPIN.Store(len(apdu) > 1 && apdu[1] == 0x20)
			return virtual.CutAfter, nil
		}})
		begin := time.Now()
		_, _, err := login(t, l, site, cut.Load)
		if took := time.Since(begin); took > time.Minute {
			t.Errorf("APDU %d: it took %s", at, took)
		}
		if !cut.Load() {
			if err != nil {
				t.Errorf("no APDU was cut: %v", err)
			}
			t.Logf("%d APDUs", at-1)
			if at < least {
				t.Errorf("a login of %d APDUs cannot be", at-1)
			}
			break
		}
		switch c := code(err); {
		case err == nil:
			t.Errorf("APDU %d: a login without an answer", at)
		case atPIN.Load() && c != wire.CodePINUncertain:
			t.Errorf("the PIN's APDU (%d): %v", at, err)
		case c == wire.CodeInternal || c == wire.CodePINWrong:
			t.Errorf("APDU %d: %v", at, err)
		}
		d.pcsc.Readers[0].Remove()
		time.Sleep(1200 * time.Millisecond) // until pcscd has looked: each round begins with a new card
		if at > 60 {
			t.Fatal("no end")
		}
	}
	if d.card.TriesLeft() != 3 {
		t.Errorf("%d tries left", d.card.TriesLeft())
	}
}

// The card is taken out in the middle of a signature: a typed error within a
// second, and the next card works.
func TestRemovalInTheMiddle(t *testing.T) {
	t.Parallel()
	d := newDesk(t, pki.CNS)
	origin := serve(t, d.Stack)
	l := dial(t, agent(t, d.Stack, stack.AgentOptions{PIN: d.pin, Origin: origin, Native: true, Env: d.pcsc.Env()}), origin)
	site := page.NewSite(origin)
	var at atomic.Pointer[time.Time]
	d.insert(t, &virtual.Faults{At: func(_ int, apdu []byte) (virtual.Action, []byte) {
		if len(apdu) > 3 && apdu[1] == 0x2A { // the key's operation
			now := time.Now()
			at.CompareAndSwap(nil, &now)
			return virtual.CutMiddle, nil
		}
		return virtual.Pass, nil
	}})
	_, _, err := login(t, l, site, never)
	if at.Load() == nil {
		t.Fatalf("the key was never used: %v", err)
	}
	if took := time.Since(*at.Load()); took > 20*time.Second { // the card's own time is over later
		t.Errorf("the answer took %s", took)
	}
	if c := code(err); c != wire.CodeCardRemoved && c != wire.CodeCardFailed {
		t.Errorf("%v", err)
	}
	d.pcsc.Readers[0].Remove()
	time.Sleep(1200 * time.Millisecond)
	d.insert(t, nil)
	if _, _, err := login(t, l, site, never); err != nil {
		t.Errorf("the next card: %v", err)
	}
}
