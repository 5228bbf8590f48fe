package worker

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/citel-pa/citel/agent/consent"
	"github.com/citel-pa/citel/agent/signing"
	"github.com/citel-pa/citel/testdata/badmodule"
	"github.com/citel-pa/citel/testdata/pki"
	"github.com/citel-pa/citel/testdata/softhsm"
)

const (
	testPIN   = "86420864"
	helperArg = "helper-of-the-tests"
)

// The test binary is its own helper.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == helperArg {
		in, out, err := Pipes()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(Main(context.Background(), in, out))
	}
	if len(os.Args) == 2 && os.Args[1] == documentArg {
		os.Exit(DocumentMain(os.Stdin, os.Stdout))
	}
	if len(os.Args) == 3 && os.Args[1] == hostileArg {
		os.Exit(hostile(os.Args[2]))
	}
	os.Exit(m.Run())
}

// bench is a store with one token, and what was made of it.
type bench struct {
	store *softhsm.Store
	slot  softhsm.Slot
	cfg   Config
	count string
}

func newBench(tb testing.TB, algs ...pki.KeyAlg) *bench {
	tb.Helper()
	store, err := softhsm.New(tb.TempDir())
	if err != nil {
		tb.Fatal(err)
	}
	t := softhsm.Token{Label: "card", PIN: testPIN, Chain: true}
	for _, alg := range algs {
		t.Identities = append(t.Identities, pki.Shared(tb).MustIssue(tb, pki.CNS, alg, pki.Citizens[0]))
	}
	b := &bench{store: store, count: filepath.Join(tb.TempDir(), "count")}
	if len(algs) > 0 {
		if b.slot, err = store.Add(t); err != nil {
			tb.Fatal(err)
		}
	}
	exe, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	b.cfg = Config{Exe: []string{exe, helperArg}, Modules: []Module{{Name: "SoftHSM", Path: store.Module(), Env: store.Env()}}}
	return b
}

// bad puts the misbehaving module before the real one.
func (b *bench) bad(tb testing.TB, mode string) *bench {
	tb.Helper()
	env := append(badmodule.Env(mode, b.store.Module(), b.count), badmodule.PINPad(testPIN))
	b.cfg.Modules = []Module{{Name: mode, Path: badmodule.Build(tb), Env: append(env, b.store.Env()...)}}
	return b
}

func (b *bench) pool(tb testing.TB) *Pool {
	tb.Helper()
	p, err := New(b.cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := p.Close(); err != nil {
			tb.Error(err)
		}
		if len(p.helpers) != 0 {
			tb.Errorf("%d helpers are left", len(p.helpers))
		}
	})
	return p
}

// logins counts the C_Login that reached the misbehaving module.
func (b *bench) logins(tb testing.TB) int {
	tb.Helper()
	data, err := os.ReadFile(b.count)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		tb.Fatal(err)
	}
	return bytes.Count(data, []byte("\n"))
}

func list(tb testing.TB, p *Pool) []signing.Identity {
	tb.Helper()
	ids, err := p.Sources()[0].Identities(context.Background())
	if err != nil {
		tb.Fatal(err)
	}
	return ids
}

func openKey(tb testing.TB, p *Pool, id signing.Identity) signing.Key {
	tb.Helper()
	k, err := p.Sources()[0].Open(context.Background(), id)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = k.Close() })
	return k
}

func digest(h crypto.Hash) []byte {
	w := h.New()
	w.Write([]byte("prova"))
	return w.Sum(nil)
}

func TestTheWholeWay(t *testing.T) {
	b := newBench(t, pki.RSA2048, pki.P256, pki.P384, pki.P521)
	p := b.pool(t)
	if card, err := p.Present(context.Background()); !card || err != nil {
		t.Errorf("present: %v, %v", card, err)
	}
	ids := list(t, p)
	if len(ids) != 4 {
		t.Fatalf("%d identities", len(ids))
	}
	for _, id := range ids {
		if id.Source != "card" || id.PIN != (signing.PINState{TriesLeft: -1}) {
			t.Errorf("identity %+v, source %q", id.PIN, id.Source)
		}
		k := openKey(t, p, id)
		if err := k.Unlock(context.Background(), []byte(testPIN)); err != nil {
			t.Fatal(err)
		}
		if card, err := p.Present(context.Background()); !card || err != nil {
			t.Errorf("present while a key is open: %v, %v", card, err)
		}
		for _, h := range []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512} {
			d := digest(h)
			sig, err := k.Sign(context.Background(), d, h)
			if err != nil {
				t.Fatal(err)
			}
			switch pub := k.Public().(type) {
			case *rsa.PublicKey:
				if err := rsa.VerifyPKCS1v15(pub, h, d, sig); err != nil {
					t.Error(err)
				}
				pss := &rsa.PSSOptions{Hash: h, SaltLength: rsa.PSSSaltLengthEqualsHash}
				if sig, err = k.Sign(context.Background(), d, pss); err != nil {
					t.Fatal(err)
				}
				if err := rsa.VerifyPSS(pub, h, d, sig, pss); err != nil {
					t.Error(err)
				}
			case *ecdsa.PublicKey:
				if !ecdsa.VerifyASN1(pub, d, sig) {
					t.Errorf("%s, %v does not verify", pub.Params().Name, h)
				}
			}
		}
		for name, o := range map[string]crypto.SignerOpts{"SHA-1": crypto.SHA1, "another hash": crypto.SHA384, "none": nil} {
			if _, err := k.Sign(context.Background(), digest(crypto.SHA256), o); !errors.Is(err, signing.ErrFormatUnsupported) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := errors.Join(k.Close(), k.Close()); err != nil {
			t.Error(err)
		}
		if _, err := k.Sign(context.Background(), digest(crypto.SHA256), crypto.SHA256); err == nil {
			t.Error("a closed key signs")
		}
	}
}

// One process serves until it got a PIN, and no further.
func TestTheHelperIsReplacedAfterAPIN(t *testing.T) {
	p := newBench(t, pki.P256).pool(t)
	id := list(t, p)[0]
	pid := func() int {
		h, err := p.sources[0].take(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		defer p.sources[0].give(h, false)
		return h.cmd.Process.Pid
	}
	first := pid()
	k := openKey(t, p, id)
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
	list(t, p)
	if pid() != first {
		t.Error("replaced without a PIN")
	}
	for _, pin := range []string{testPIN, "99999999"} {
		before := pid()
		k := openKey(t, p, id)
		used := k.(*key).helper
		_ = k.Unlock(context.Background(), []byte(pin))
		if err := k.Close(); err != nil {
			t.Fatal(err)
		}
		<-used.dead
		if pid() == before {
			t.Errorf("the helper that got %q is still in use", pin)
		}
	}
}

func TestWrongPINOnce(t *testing.T) {
	b := newBench(t, pki.P256).bad(t, "")
	p := b.pool(t)
	id := list(t, p)[0]
	k := openKey(t, p, id)
	err := k.Unlock(context.Background(), []byte("99999999"))
	if wrong, ok := errors.AsType[*signing.ErrPINWrong](err); !ok || wrong.TriesLeft != -1 {
		t.Fatalf("got %v", err)
	}
	if err := k.Unlock(context.Background(), []byte(testPIN)); err == nil {
		t.Error("a second PIN for one request")
	}
	if _, err := k.Sign(context.Background(), digest(crypto.SHA256), crypto.SHA256); err == nil {
		t.Error("signed without the PIN")
	}
	if err := k.Close(); err != nil {
		t.Error(err)
	}
	if n := b.logins(t); n != 1 {
		t.Errorf("%d C_Login for one PIN", n)
	}
	if id := list(t, p)[0]; !id.PIN.CountLow {
		t.Errorf("the next request is not told: %+v", id.PIN)
	}
	for _, pin := range [][]byte{nil, {}, make([]byte, maxPIN+1)} {
		k := openKey(t, p, id)
		if err := k.Unlock(context.Background(), pin); err == nil || errors.Is(err, signing.ErrPINUncertain) {
			t.Errorf("a PIN of %d bytes: %v", len(pin), err)
		}
		if err := k.Close(); err != nil {
			t.Error(err)
		}
	}
	if n := b.logins(t); n != 1 {
		t.Errorf("%d C_Login: what is no PIN was sent", n)
	}
}

// The frames, the helper's command line and environment are looked at.
func TestThePINIsNowhereElse(t *testing.T) {
	b := newBench(t, pki.RSA2048)
	var mu sync.Mutex
	var frames, pins [][]byte
	b.cfg.tap = func(frame []byte, pin bool) {
		mu.Lock()
		defer mu.Unlock()
		if pin {
			pins = append(pins, bytes.Clone(frame))
		} else {
			frames = append(frames, bytes.Clone(frame))
		}
	}
	var log bytes.Buffer
	b.cfg.Log = slog.New(slog.NewTextHandler(&locked{w: &log, mu: &mu}, &slog.HandlerOptions{Level: slog.LevelDebug}))
	p := b.pool(t)
	k := openKey(t, p, list(t, p)[0])
	cmd := k.(*key).helper.cmd
	if err := k.Unlock(context.Background(), []byte(testPIN)); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Sign(context.Background(), digest(crypto.SHA256), crypto.SHA256); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(k.Close(), p.Close()); err != nil {
		t.Fatal(err)
	}
	if len(pins) != 1 || string(pins[0]) != testPIN {
		t.Errorf("%d PIN frames", len(pins))
	}
	if len(frames) < 10 {
		t.Errorf("only %d frames were seen", len(frames))
	}
	// A helper that was being replaced may still write to the log.
	mu.Lock()
	defer mu.Unlock()
	for _, f := range append(frames, log.Bytes(), []byte(strings.Join(append(cmd.Args, cmd.Env...), "\n"))) {
		if bytes.Contains(f, []byte(testPIN)) || bytes.Contains(f, []byte("ODY0MjA4NjQ")) { // or its base64
			t.Errorf("the PIN is in %s", f)
		}
	}
}

type locked struct {
	mu *sync.Mutex
	w  *bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

func TestNoCardNoReader(t *testing.T) {
	b := newBench(t)
	p := b.pool(t)
	if card, err := p.Present(context.Background()); card || err != nil {
		t.Errorf("present: %v, %v", card, err)
	}
	if _, err := p.Sources()[0].Identities(context.Background()); !errors.Is(err, signing.ErrNoCard) {
		t.Errorf("no card: %v", err)
	}
	// A token that comes later is seen, though SoftHSM looks only when it is
	// initialised.
	slot, err := b.store.Add(softhsm.Token{Label: "late", PIN: testPIN, Identities: []*pki.Identity{pki.Shared(t).MustIssue(t, pki.CNS, pki.P256, pki.Citizens[0])}})
	if err != nil {
		t.Fatal(err)
	}
	ids := list(t, p)
	if len(ids) != 1 {
		t.Fatalf("%d identities", len(ids))
	}
	if err := b.store.Remove(slot); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Sources()[0].Open(context.Background(), ids[0]); !errors.Is(err, signing.ErrCardRemoved) {
		t.Errorf("opening a key of a token that went away: %v", err)
	}
	if _, err := p.Sources()[0].Identities(context.Background()); !errors.Is(err, signing.ErrNoCard) {
		t.Errorf("after it went away: %v", err)
	}
	if _, err := b.bad(t, "no-slots").pool(t).Sources()[0].Identities(context.Background()); !errors.Is(err, signing.ErrNoReader) {
		t.Errorf("no reader: %v", err)
	}
	if _, err := b.bad(t, "no-token").pool(t).Sources()[0].Identities(context.Background()); !errors.Is(err, signing.ErrNoCard) {
		t.Errorf("no card in a reader: %v", err)
	}
}

func TestRemovedWhileAtWork(t *testing.T) {
	b := newBench(t, pki.RSA2048)
	p := b.pool(t)
	k := openKey(t, p, list(t, p)[0])
	if err := k.Unlock(context.Background(), []byte(testPIN)); err != nil {
		t.Fatal(err)
	}
	if err := b.store.Remove(b.slot); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Sign(context.Background(), digest(crypto.SHA256), crypto.SHA256); !errors.Is(err, signing.ErrCardRemoved) {
		t.Errorf("got %v", err)
	}
	if err := k.Close(); err != nil {
		t.Error(err)
	}
}

func TestPinpad(t *testing.T) {
	b := newBench(t, pki.P256).bad(t, "pinpad")
	p := b.pool(t)
	id := list(t, p)[0]
	if !id.PIN.Pinpad {
		t.Fatalf("got %+v", id.PIN)
	}
	k := openKey(t, p, id)
	if err := k.Unlock(context.Background(), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Sign(context.Background(), digest(crypto.SHA256), crypto.SHA256); err != nil {
		t.Error(err)
	}
	p = b.bad(t, "pinpad-cancel").pool(t)
	if err := openKey(t, p, list(t, p)[0]).Unlock(context.Background(), nil); !errors.Is(err, consent.ErrRefused) {
		t.Errorf("cancelled on the reader: %v", err)
	}
}

func TestPINFlags(t *testing.T) {
	b := newBench(t, pki.P256).bad(t, "final-try")
	p := b.pool(t)
	id := list(t, p)[0]
	if !id.PIN.FinalTry || id.PIN.TriesLeft != 1 {
		t.Errorf("final try: %+v", id.PIN)
	}
	err := openKey(t, p, id).Unlock(context.Background(), []byte("99999999"))
	if wrong, ok := errors.AsType[*signing.ErrPINWrong](err); !ok || wrong.TriesLeft != 1 {
		t.Errorf("final try: %v", err)
	}
	p = b.bad(t, "locked").pool(t)
	id = list(t, p)[0]
	if !id.PIN.Locked || id.PIN.TriesLeft != 0 {
		t.Errorf("locked: %+v", id.PIN)
	}
	if err := openKey(t, p, id).Unlock(context.Background(), []byte(testPIN)); !errors.Is(err, signing.ErrPINLocked) {
		t.Errorf("locked: %v", err)
	}
}

// Several requests at once wait for one another; several modules do not.
func TestSeveralAtOnce(t *testing.T) {
	b, other := newBench(t, pki.P256), newBench(t, pki.P384)
	b.cfg.Modules = append(b.cfg.Modules, other.cfg.Modules...)
	p := b.pool(t)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var wg sync.WaitGroup
	for range 4 {
		for _, s := range p.Sources() {
			wg.Go(func() {
				ids, err := s.Identities(ctx)
				if err != nil || len(ids) != 1 {
					t.Errorf("%d identities, %v", len(ids), err)
					return
				}
				k, err := s.Open(ctx, ids[0])
				if err != nil {
					t.Error(err)
					return
				}
				if err := k.Unlock(ctx, []byte(testPIN)); err != nil {
					t.Error(err)
				}
				if _, err := k.Sign(ctx, digest(crypto.SHA256), crypto.SHA256); err != nil {
					t.Error(err)
				}
				if err := k.Close(); err != nil {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	// While a key is open nobody else gets the module, and is told so in time.
	ids := list(t, p)
	k := openKey(t, p, ids[0])
	short, stop := context.WithTimeout(ctx, 50*time.Millisecond)
	defer stop()
	if _, err := p.Sources()[0].Identities(short); !errors.Is(err, signing.ErrCardBusy) {
		t.Errorf("got %v", err)
	}
	if err := k.Close(); err != nil {
		t.Error(err)
	}
}

func TestWrongConfigurations(t *testing.T) {
	good := newBench(t).cfg
	for name, c := range map[string]Config{
		"no program":      {},
		"relative":        {Exe: []string{"citel-agent", "helper"}},
		"relative module": {Exe: good.Exe, Modules: []Module{{Name: "x", Path: "libx.so"}}},
	} {
		if _, err := New(c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	good.Modules = []Module{{Name: "missing", Path: filepath.Join(t.TempDir(), "missing.so")}}
	good.Exe = slices.Clone(good.Exe)
	p, err := New(good)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Sources()[0].Identities(context.Background()); !errors.Is(err, signing.ErrCardFailed) {
		t.Errorf("a module that is not there: %v", err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if _, err := p.Sources()[0].Identities(context.Background()); !errors.Is(err, signing.ErrCardFailed) {
		t.Errorf("after Close: %v", err)
	}
}
