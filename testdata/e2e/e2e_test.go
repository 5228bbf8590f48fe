// Package e2e drives the whole house: real programs, SoftHSM cards, a real
// browser.
package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/citel-pa/citel/agent/wire"
	"github.com/citel-pa/citel/testdata/page"
	"github.com/citel-pa/citel/testdata/pki"
	"github.com/citel-pa/citel/testdata/stack"
)

const pin = "24680"

// programs are built once for all tests of the package.
var programs string //nolint:gochecknoglobals // set by TestMain alone

func TestMain(m *testing.M) {
	// The same binary is the visitor that another user starts (user_test.go).
	if len(os.Args) > 2 && os.Args[1] == visitorCommand {
		os.Exit(visit(os.Args[2]))
	}
	// Or the program that keeps a card for itself (reader_test.go).
	if len(os.Args) > 1 && os.Args[1] == holderCommand {
		os.Exit(hold())
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "citel-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	for name, pkg := range map[string]string{"citel-agent": "./agent/cmd/citel-agent", "citel-window": "./agent/cmd/citel-window", "citel-server": "./server/cmd/citel-server"} {
		cmd := exec.Command("go", "build", "-tags", "tester,production,gtk3", "-o", filepath.Join(dir, name), pkg) //nolint:gosec // our own programs
		cmd.Dir = "../.."
		if out, err := cmd.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n%s", pkg, err, out)
			return 1
		}
	}
	programs = dir
	return m.Run()
}

// town is a town of its own for one test, with one citizen's CNS.
func town(t *testing.T) *stack.Stack {
	t.Helper()
	s, err := stack.New(filepath.Join(t.TempDir(), "town"), filepath.Join(programs, "citel-agent"), filepath.Join(programs, "citel-server"))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Card(pki.CNS, pki.RSA2048, pki.Citizens[0], pin); err != nil {
		t.Fatal(err)
	}
	if err := s.Publish(); err != nil {
		t.Fatal(err)
	}
	return s
}

func serve(t *testing.T, s *stack.Stack, args ...string) string {
	t.Helper()
	p, origin, err := s.StartServer(context.Background(), stack.ServerOptions{Args: args})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	})
	return origin
}

func agent(t *testing.T, s *stack.Stack, o stack.AgentOptions) (port int) {
	t.Helper()
	p, port, err := s.StartAgent(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(p.Log())
		}
		if strings.Contains(p.Log(), pin) {
			t.Error("the PIN is in the agent's log")
		}
	})
	return port
}

func dial(t *testing.T, port int, origin string) *page.Link {
	t.Helper()
	l, err := page.Dial(t.Context(), port, origin)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	if _, err := l.Hello(); err != nil {
		t.Fatal(err)
	}
	return l
}

func code(err error) wire.Code {
	var e *page.AgentError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

func TestMainJobAndItsRefusals(t *testing.T) {
	t.Parallel()
	s := town(t)
	origin := serve(t, s)
	port := agent(t, s, stack.AgentOptions{PIN: pin, Origin: origin})
	ctx := t.Context()
	l := dial(t, port, origin)
	site := page.NewSite(origin)
	nonce, life, err := site.Nonce(ctx)
	if err != nil {
		t.Fatal(err)
	}
	login, key, err := l.Login(nonce, life)
	if err != nil {
		t.Fatal(err)
	}
	// Somebody else's session cannot use the token.
	thief := page.NewSite(origin)
	if _, _, err := thief.Nonce(ctx); err != nil {
		t.Fatal(err)
	}
	var refused *page.ServerError
	if err := thief.Login(ctx, login.Token, login.Nonce, key); !errors.As(err, &refused) || refused.Code != "nonce-unknown" {
		t.Errorf("another session: %v", err)
	}
	if err := site.Login(ctx, login.Token, login.Nonce, key); err != nil {
		t.Fatal(err)
	}
	if err := site.Login(ctx, login.Token, login.Nonce, key); !errors.As(err, &refused) {
		t.Errorf("a replayed token: %v", err)
	}
	draft, err := site.Apply(ctx, page.Enrolment, page.Nursery())
	if err != nil {
		t.Fatal(err)
	}
	content, _, err := site.Get(ctx, draft+"/documento.pdf")
	if err != nil {
		t.Fatal(err)
	}
	doc := func(b []byte) []page.Document {
		return []page.Document{{Name: "istanza.pdf", MediaType: "application/pdf", Bytes: b}}
	}
	other, err := l.Sign(doc([]byte("another document")), false, pki.Citizens[0].CF, key)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := site.Submit(ctx, draft, other[0]); !errors.As(err, &refused) || refused.Code != "other-content" {
		t.Errorf("another document: %v", err)
	}
	if _, _, err := site.Submit(ctx, draft, content); !errors.As(err, &refused) || refused.Code != "not-signed" {
		t.Errorf("no signature: %v", err)
	}
	if _, err := l.Sign(doc(content), false, pki.Citizens[1].CF, key); code(err) != wire.CodeCertificateUnfit {
		t.Errorf("another person's certificate asked for: %v", err)
	}
	signed, err := l.Sign(doc(content), false, pki.Citizens[0].CF, key)
	if err != nil {
		t.Fatal(err)
	}
	next, protocol, err := site.Submit(ctx, draft, signed[0])
	if err != nil {
		t.Fatal(err)
	}
	again, _, err := site.Submit(ctx, draft, signed[0])
	if err != nil || again != next {
		t.Errorf("sent twice: %q %v", again, err)
	}
	if !strings.HasSuffix(protocol, "/0000001") {
		t.Errorf("protocol %s", protocol)
	}
	if _, last, err := thief.Get(ctx, next); err != nil || last != "/accedi" {
		t.Errorf("a stranger sees %s: %v", last, err)
	}
	openssl(t, s, site, next, content)

	// A hash is never signed, and what nobody knows gets an error, not a dropped link.
	if err := l.Send(map[string]any{"type": "sign-hash", "id": l.NextID(), "hash": "AAAA"}); err != nil {
		t.Fatal(err)
	}
	_, raw, _, err := l.Read()
	var e wire.Error
	if err = errors.Join(err, json.Unmarshal(raw, &e)); err != nil || e.Code != wire.CodeHashRefused {
		t.Errorf("a hash: %s %v", raw, err)
	}
	for _, bad := range []string{"", "null", "http://comune.example"} {
		if _, err := page.Dial(ctx, port, bad); err == nil {
			t.Errorf("origin %q got in", bad)
		}
	}
	// The testers' face says yes to one site only.
	if _, _, err := dial(t, port, "https://altro.example").Login(nonce, life); code(err) != wire.CodeRefused {
		t.Errorf("another site: %v", err)
	}
}

// openssl is another judge of what was stored.
func openssl(t *testing.T, s *stack.Stack, site *page.Site, next string, content []byte) {
	t.Helper()
	p7m, _, err := site.Get(t.Context(), next+"/firmato/1")
	if err != nil {
		t.Fatal(err)
	}
	in := filepath.Join(t.TempDir(), "istanza.p7m")
	if err := os.WriteFile(in, p7m, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, extra := range [][]string{nil, {"-cades"}} {
		cmd := exec.Command("openssl", append([]string{"cms", "-verify", "-inform", "DER", "-in", in, "-CAfile", filepath.Join(s.Dir, "ca.pem"), "-purpose", "any", "-binary"}, extra...)...)
		var out, errs bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &errs
		if err := cmd.Run(); err != nil || !bytes.Equal(out.Bytes(), content) {
			t.Errorf("openssl %v: %v\n%s", extra, err, errs.String())
		}
	}
	if out, err := exec.Command(s.Agent, "verify", "--offline", "--trust", filepath.Join(s.Dir, "ca.pem"), "--json", in).Output(); err != nil || !bytes.Contains(out, []byte("TOTAL-PASSED")) {
		t.Errorf("citel-agent verify: %v\n%s", err, out)
	}
}

func TestWrongPINIsTriedOnce(t *testing.T) {
	t.Parallel()
	s := town(t)
	origin := serve(t, s)
	l := dial(t, agent(t, s, stack.AgentOptions{PIN: "11111", Origin: origin}), origin)
	nonce, life, err := page.NewSite(origin).Nonce(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := l.Login(nonce, life); code(err) != wire.CodePINWrong {
		t.Errorf("wrong PIN: %v", err)
	}
}

// Test material is for the demo alone.
func TestTestAnchorsNeedTheDemo(t *testing.T) {
	t.Parallel()
	s := town(t)
	out, err := exec.Command(s.Server, "serve", "--origin", "https://a.example", "--data", t.TempDir(), "--behind-proxy", "--trust", "cns="+filepath.Join(s.Dir, "cns.pem")).CombinedOutput()
	if err == nil || !bytes.Contains(out, []byte("CiTel TEST")) {
		t.Errorf("%v\n%s", err, out)
	}
}

// What `make dist` builds has no testers' commands.
func TestReleaseHasNoTestersCommands(t *testing.T) {
	t.Parallel()
	bin := filepath.Join(t.TempDir(), "citel-agent")
	cmd := exec.Command("go", "build", "-o", bin, "./agent/cmd/citel-agent")
	cmd.Dir = "../.."
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, args := range [][]string{{"--help"}, {"run", "--help"}, {"sign", "--help"}} {
		if out, _ := exec.Command(bin, args...).CombinedOutput(); bytes.Contains(out, []byte("TESTER")) || bytes.Contains(out, []byte("pin-f")) {
			t.Errorf("%v: %s", args, out)
		}
	}
	if out, err := exec.Command(bin, "login", "--origin", "https://a.example").CombinedOutput(); err == nil {
		t.Errorf("login: %s", out)
	}
	if out, _ := exec.Command(bin, "version", "--json").Output(); !bytes.Contains(out, []byte(`"tester":false`)) {
		t.Errorf("version: %s", out)
	}
}
