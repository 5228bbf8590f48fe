package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/ebfe/scard"

	"github.com/citel-pa/citel/agent/card/virtual"
	"github.com/citel-pa/citel/agent/wire"
	"github.com/citel-pa/citel/testdata/page"
	"github.com/citel-pa/citel/testdata/pcscd"
	"github.com/citel-pa/citel/testdata/pki"
	"github.com/citel-pa/citel/testdata/stack"
)

// The delay model of a card at its contacts: 15 ms for each command, and 0.1 ms for
// each byte, which is T=1 at 115,200 baud. The key's own time is left out: it is the
// same for both.
const (
	delayAPDU = 15 * time.Millisecond
	delayByte = 100 * time.Microsecond
	openSC    = "/usr/lib/x86_64-linux-gnu/opensc-pkcs11.so"
	cardRuns  = 5
)

// cards measures CiTel's own driver beside OpenSC's module with the same virtual
// card, and how fast a card's coming and going reaches a page.
func cards(ctx context.Context, t *table, dir string, _ int64) error {
	s, err := stack.New(filepath.Join(dir, "cards"), filepath.Join("build", "citel-agent"), filepath.Join("build", "citel-server"))
	if err != nil {
		return err
	}
	if s.Agent, err = filepath.Abs(s.Agent); err != nil {
		return err
	}
	p, err := pcscd.Start(ctx, 1)
	if err != nil {
		return err
	}
	defer p.Stop()
	card, err := s.VirtualCNS(pki.Citizens[0], pin)
	if err != nil {
		return err
	}
	faults := &virtual.Faults{PerAPDU: delayAPDU, PerByte: delayByte}
	if err := p.Readers[0].Insert(ctx, card, faults); err != nil {
		return err
	}
	time.Sleep(time.Second) // pcscd looks at its virtual reader every 400 ms
	native, err := coldLogins(ctx, s, p, faults)
	if err != nil {
		return err
	}
	peer, err := coldLogins(ctx, s, p, faults, "--module", openSC)
	if err != nil {
		return err
	}
	add := func(what, unit, target string, own, theirs float64) {
		t.add(Row{Name: "CNS login, cold: " + what, Value: own, Unit: unit, Peer: fmt.Sprintf("OpenSC's module (%.4g)", theirs), Ratio: own / theirs, Target: target})
	}
	add("commands to the card", "APDU", "20", native.apdus, peer.apdus)
	add("bytes, both ways", "bytes", "", native.bytes, peer.bytes)
	add("time, the whole program, median", "ms", "a third", native.ms, peer.ms)
	if err := cachedLogin(ctx, t, s, p, faults); err != nil {
		return err
	}
	return events(ctx, t, s, p, card)
}

type cost struct{ apdus, bytes, ms float64 }

// coldLogins runs `citel-agent login`, each time a new process that knows nothing.
func coldLogins(ctx context.Context, s *stack.Stack, p *pcscd.Service, f *virtual.Faults, args ...string) (cost, error) {
	home := filepath.Join(s.Dir, "home")
	file := filepath.Join(s.Dir, "login-pin")
	if err := errors.Join(os.MkdirAll(home, 0o700), os.WriteFile(file, []byte(pin), 0o600)); err != nil {
		return cost{}, err
	}
	var c cost
	var times []float64
	for range cardRuns {
		a0, b0 := f.Count()
		cmd := exec.CommandContext(ctx, s.Agent, append([]string{"login", "--origin", origin, "--nonce", nonce(), "--pin-file", file, "--config", filepath.Join(home, "citel")}, args...)...)
		cmd.Env = append(os.Environ(), append(p.Env(), "HOME="+home)...)
		begin := time.Now()
		if out, err := cmd.CombinedOutput(); err != nil {
			return c, fmt.Errorf("login %v: %w\n%s", args, err, out)
		}
		times = append(times, ms(time.Since(begin)))
		a1, b1 := f.Count()
		c.apdus, c.bytes = float64(a1-a0), float64(b1-b0)
		time.Sleep(500 * time.Millisecond)
	}
	c.ms = median(times)
	return c, nil
}

func nonce() string {
	b := make([]byte, 33)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return base64.StdEncoding.EncodeToString(b)
}

// cachedLogin is what the running agent needs once it has seen the card.
func cachedLogin(ctx context.Context, t *table, s *stack.Stack, p *pcscd.Service, f *virtual.Faults) (err error) {
	a, port, err := s.StartAgent(ctx, stack.AgentOptions{PIN: pin, Origin: origin, Native: true, Env: p.Env()})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Stop()) }()
	l, err := page.Dial(ctx, port, origin)
	if err != nil {
		return err
	}
	defer func() { _ = l.Close() }()
	if _, err := l.Hello(); err != nil {
		return err
	}
	for i := range 2 {
		before, _ := f.Count()
		begin := time.Now()
		if _, _, err := l.Login(nonce(), 5*time.Minute); err != nil {
			return err
		}
		took := ms(time.Since(begin))
		after, _ := f.Count()
		if i == 1 {
			t.add(Row{Name: "CNS login, certificate cached: commands", Value: float64(after - before), Unit: "APDU", Target: "8"})
			t.add(Row{Name: "CNS login, certificate cached: time", Value: took, Unit: "ms"})
		}
		time.Sleep(time.Second)
	}
	return nil
}

// events measures how long after a bare client of PC/SC a page hears of a card.
func events(ctx context.Context, t *table, s *stack.Stack, p *pcscd.Service, card virtual.Card) (err error) {
	a, port, err := s.StartAgent(ctx, stack.AgentOptions{PIN: pin, Origin: origin, Native: true, Env: p.Env()})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Stop()) }()
	l, err := page.Dial(ctx, port, origin) // remembered since the logins before
	if err != nil {
		return err
	}
	defer func() { _ = l.Close() }()
	if _, err := l.Hello(); err != nil {
		return err
	}
	bare, err := bareClient(p)
	if err != nil {
		return err
	}
	heard := make(chan time.Time, 100)
	go func() {
		for {
			head, raw, _, err := l.Read()
			if err != nil {
				close(heard)
				return
			}
			var e wire.Event
			if head.Type == wire.TypeEvent && json.Unmarshal(raw, &e) == nil && e.Event == wire.EventCard {
				heard <- time.Now()
			}
		}
	}()
	var in, out []float64
	for i := range 20 {
		if i%2 == 0 {
			p.Readers[0].Remove()
		} else if err := p.Readers[0].Insert(ctx, card, nil); err != nil {
			return err
		}
		var first, second time.Time
		for _, c := range []struct {
			from <-chan time.Time
			at   *time.Time
		}{{bare, &first}, {heard, &second}} {
			select {
			case *c.at = <-c.from:
			case <-time.After(10 * time.Second):
				return errors.New("bench: no event within 10 s")
			}
		}
		if later := ms(second.Sub(first)); i%2 == 0 {
			out = append(out, later)
		} else {
			in = append(in, later)
		}
		time.Sleep(700 * time.Millisecond)
	}
	const peer = "a bare SCardGetStatusChange client"
	t.add(Row{Name: "page hears of a card put in, after " + peer, Value: median(in), Unit: "ms", Target: "within 50"})
	t.add(Row{Name: "the worst of 10", Value: worst(in), Unit: "ms", Target: "within 50"})
	t.add(Row{Name: "page hears of a card taken out", Value: median(out), Unit: "ms", Target: "within 50"})
	t.add(Row{Name: "the worst of 10 (taken out)", Value: worst(out), Unit: "ms", Target: "within 50"})
	return nil
}

func worst(v []float64) float64 {
	most := v[0]
	for _, x := range v {
		most = max(most, x)
	}
	return most
}

var pcscOnce sync.Once

// bareClient tells when SCardGetStatusChange says that a card came or went.
func bareClient(p *pcscd.Service) (<-chan time.Time, error) {
	pcscOnce.Do(func() {
		for _, kv := range p.Env() {
			k, v, _ := strings.Cut(kv, "=")
			_ = os.Setenv(k, v) // a name and a path of ours
		}
	})
	pc, err := scard.EstablishContext()
	if err != nil {
		return nil, err
	}
	readers, err := pc.ListReaders()
	if err != nil || len(readers) == 0 {
		return nil, fmt.Errorf("bench: no readers: %w", err)
	}
	states := []scard.ReaderState{{Reader: readers[0]}}
	if err := pc.GetStatusChange(states, 0); err != nil {
		return nil, err
	}
	changes := make(chan time.Time, 100)
	go func() {
		present := states[0].EventState & scard.StatePresent
		for {
			states[0].CurrentState = states[0].EventState
			if pc.GetStatusChange(states, -1) != nil {
				return
			}
			if now := states[0].EventState & scard.StatePresent; now != present {
				present = now
				changes <- time.Now()
			}
		}
	}()
	return changes, nil
}
