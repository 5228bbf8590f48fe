// Command demo does the main job in front of the reader's eyes, with the real
// programs: an envelope is handed out and opened, a card signs in at the counter and signs an
// application, the desk answers, and the receipt is verified. `make demo` runs it. On a
// terminal it stays up afterwards, for a browser.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/citel-pa/citel/agent/card/virtual"
	"github.com/citel-pa/citel/agent/config"
	"github.com/citel-pa/citel/testdata/page"
	"github.com/citel-pa/citel/testdata/pcscd"
	"github.com/citel-pa/citel/testdata/pki"
	"github.com/citel-pa/citel/testdata/stack"
)

const (
	dir    = "build/demo"
	listen = "127.0.0.1:8480"
	pin    = "24680"
	pinCIE = "13572468"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	interrupted := ctx.Err() != nil
	stop()
	if interrupted {
		fmt.Println("\nThe demo is over; server, agent and reader have ended.")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// steps prints each step with the time it took.
type steps struct{ begin time.Time }

func (s *steps) done(format string, args ...any) {
	fmt.Printf("%8.1f ms  %s\n", float64(time.Since(s.begin).Microseconds())/1000, fmt.Sprintf(format, args...))
	s.begin = time.Now()
}

func run(ctx context.Context) (err error) {
	fmt.Println("CiTel: the main job, on real parts (TEST certificates, no legal value)")
	t := &steps{time.Now()}
	agent, err1 := filepath.Abs("build/citel-agent")
	server, err2 := filepath.Abs("build/citel-server")
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	s, err := stack.New(dir, agent, server)
	if err != nil {
		return err
	}
	citizen := pki.Citizens[0]
	if err := s.Publish(); err != nil {
		return err
	}
	c, err := put(ctx, s, t, os.Getenv("CARD"), citizen)
	if err != nil {
		return err
	}
	defer c.out()

	busta, err := s.Counter(ctx, "http://"+listen, citizen)
	if err != nil {
		return err
	}
	t.done("the town's desk: an envelope printed by one operator, handed out to the citizen by another")
	sp, origin, err := s.StartServer(ctx, stack.ServerOptions{Listen: listen})
	if errors.Is(err, stack.ErrPortTaken) {
		return fmt.Errorf("port %s is in use: end the other demo, or the program that uses it, and try again", listen)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ended(ctx, sp)) }()
	t.done("server up at %s (SQLite)", origin)
	ap, port, err := s.StartAgent(ctx, withOrigin(c.agent, origin))
	if err != nil {
		return err
	}
	t.done("agent up at 127.0.0.1:%d; its window is played by the testers' unattended face", port)
	desk, err := findOperator(sp.Output())
	if err == nil {
		err = envelope(ctx, t, origin, busta)
	}
	if err == nil {
		err = job(ctx, t, origin, port, citizen, desk)
	}
	err = errors.Join(err, ap.Stop())
	if err != nil {
		return err
	}
	if !term.IsTerminal(int(os.Stdin.Fd())) || !term.IsTerminal(int(os.Stdout.Fd())) {
		return nil
	}
	fmt.Print(sp.Output()) // the console's operators
	return stay(ctx, s, c, origin, busta)
}

func withOrigin(o stack.AgentOptions, origin string) stack.AgentOptions {
	o.Origin = origin
	return o
}

// inserted is the citizen's card where the agent finds it.
type inserted struct {
	kind  string // cns, cie, softhsm
	pin   string
	agent stack.AgentOptions
	out   func()
}

// put makes a card of a kind; without one, a virtual CNS where pcscd and its virtual
// reader can run, else a SoftHSM token.
func put(ctx context.Context, s *stack.Stack, t *steps, kind string, citizen pki.Person) (*inserted, error) {
	switch kind {
	case "", "cns", "cie":
	case "softhsm":
		return token(s, t, citizen)
	default:
		return nil, fmt.Errorf("CARD=%s is not there; possible: cns, cie, softhsm", kind)
	}
	c := &inserted{kind: kind, pin: pin}
	if kind == "" {
		c.kind = "cns"
	}
	if c.kind == "cie" {
		c.pin = pinCIE
	}
	reader, err := insert(ctx, s, c.kind, citizen, c.pin)
	if err != nil && kind == "" {
		fmt.Printf("%11s  no virtual card here (%v): SoftHSM instead\n", "", firstLine(err))
		return token(s, t, citizen)
	}
	if err != nil {
		return nil, err
	}
	c.out = reader.Stop
	c.agent = stack.AgentOptions{PIN: c.pin, Native: true, Env: reader.Env()}
	t.done("test PKI, and a virtual %s of %s %s, %s, in the real pcscd; CiTel reads it by itself", strings.ToUpper(c.kind), citizen.Given, citizen.Surname, citizen.CF)
	return c, nil
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

func token(s *stack.Stack, t *steps, citizen pki.Person) (*inserted, error) {
	slot, _, err := s.Card(pki.CNS, pki.RSA2048, citizen, pin)
	if err != nil {
		return nil, err
	}
	t.done("test PKI, and a SoftHSM token (slot %d) with the CNS of %s %s, %s", slot.ID, citizen.Given, citizen.Surname, citizen.CF)
	return &inserted{kind: "softhsm", pin: pin, agent: stack.AgentOptions{PIN: pin}, out: func() {}}, nil
}

// insert starts a pcscd of its own with the citizen's virtual card in its reader, and
// waits until PC/SC says that a card is there.
func insert(ctx context.Context, s *stack.Stack, kind string, citizen pki.Person, pin string) (*pcscd.Service, error) {
	reader, err := pcscd.Start(ctx, 1)
	if err != nil {
		return nil, err
	}
	var card virtual.Card
	if kind == "cie" {
		card, err = s.VirtualCIE(citizen, pin)
	} else {
		card, err = s.VirtualCNS(citizen, pin)
	}
	if err == nil {
		err = reader.Readers[0].Insert(ctx, card, nil)
	}
	if err != nil {
		reader.Stop()
		return nil, err
	}
	time.Sleep(time.Second) // pcscd looks at its virtual reader every 400 ms
	return reader, nil
}

// job is what page, card and server do together.
func job(ctx context.Context, t *steps, origin string, port int, citizen pki.Person, desk operator) error {
	link, err := page.Dial(ctx, port, origin)
	if err != nil {
		return err
	}
	defer func() { _ = link.Close() }()
	hello, err := link.Hello()
	if err != nil {
		return err
	}
	t.done("page and agent %s shake hands over ws://127.0.0.1:%d", hello.Agent, port)
	site := page.NewSite(origin)
	nonce, life, err := site.Nonce(ctx)
	if err != nil {
		return err
	}
	t.done("server's challenge: a nonce good for %s", life)
	login, fingerprint, err := link.Login(nonce, life)
	if err != nil {
		return err
	}
	t.done("card found, consent (%s), PIN, login token signed", strings.Join(link.Events, ", "))
	if err := errors.Join(save("token.json", login.Token), save("origin", []byte(origin)), save("nonce", []byte(login.Nonce))); err != nil {
		return err
	}
	if err := site.Login(ctx, login.Token, login.Nonce, fingerprint); err != nil {
		return err
	}
	area, _, err := site.Get(ctx, "/area")
	if err != nil {
		return err
	}
	if !strings.Contains(string(area), citizen.CF) {
		return errors.New("the area does not show the citizen's codice fiscale")
	}
	t.done("server verified signature, origin, nonce, chain, revocation, profile: level forte for %s", citizen.CF)
	var again *page.ServerError
	if err := site.Login(ctx, login.Token, login.Nonce, fingerprint); !errors.As(err, &again) {
		return fmt.Errorf("the same token was taken twice: %w", err)
	}
	t.done("the same token once more: refused (%s)", again.Code)
	return application(ctx, t, site, link, citizen, fingerprint, desk)
}

func save(name string, data []byte) error { return os.WriteFile(filepath.Join(dir, name), data, 0o644) } //nolint:gosec // results, for everybody to read

// stay leaves server and agent up, with the agent asking on this terminal.
func stay(ctx context.Context, s *stack.Stack, c *inserted, origin string, busta *stack.Envelope) error {
	type card struct {
		kind pki.Kind
		who  pki.Person
		pin  string
	}
	first := pki.CNS
	if c.kind == "cie" {
		first = pki.CIE
	}
	cards := []card{{first, pki.Citizens[0], c.pin}, {pki.CIE, pki.Citizens[1], "13579"}, {pki.CNS, pki.Citizens[2], "11223"}}
	for _, c := range cards[1:] {
		if _, _, err := s.Card(c.kind, pki.P256, c.who, c.pin); err != nil {
			return err
		}
	}
	o := stack.AgentOptions{Ports: []int{52310, 52311, 52312, 52313}, Stderr: os.Stderr, Native: c.agent.Native, Env: c.agent.Env}
	if o.Native {
		// The other citizens' tokens come through a module, as a vendor's would.
		settings := config.Settings{Modules: []config.Module{{Path: s.Cards.Module(), Name: "SoftHSM", Env: s.Cards.Env()}}}
		data, err := json.Marshal(settings)
		if err != nil {
			return err
		}
		o.Config = "agent-stay"
		folder := filepath.Join(s.Dir, o.Config)
		if err := errors.Join(os.MkdirAll(folder, 0o700), os.WriteFile(filepath.Join(folder, "settings.json"), data, 0o600)); err != nil {
			return err
		}
	}
	ap, _, err := s.StartAgent(ctx, o)
	if err != nil {
		return err
	}
	where := "this terminal is the agent's window"
	if os.Getenv("DISPLAY") != "" || os.Getenv("WAYLAND_DISPLAY") != "" {
		where = "CiTel asks in a window of its own"
	}
	fmt.Printf("\nOpen %s in a browser on this computer; %s. Ctrl-C ends it.\n\n", origin, where)
	for _, c := range cards {
		fmt.Printf("  %-28s %s  %-4s PIN %s  level forte\n", c.who.Given+" "+c.who.Surname, c.who.CF, c.kind, c.pin)
	}
	fmt.Printf("\n  the envelope's credential of %s: user name %s, password %q  level media\n", pki.Citizens[0].CF, busta.Username, password)
	select {
	case <-ctx.Done():
	case <-ap.Done():
	}
	return ended(ctx, ap)
}

// ended stops a program; one that Ctrl-C has reached already did not fail.
func ended(ctx context.Context, p *stack.Process) error {
	if err := p.Stop(); ctx.Err() == nil {
		return err
	}
	return nil
}
