// Package e2e drives the whole house: real programs, SoftHSM cards, a real
// browser.
package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/citel-pa/citel/agent/wire"
	"github.com/citel-pa/citel/testdata/page"
	"github.com/citel-pa/citel/testdata/pki"
	"github.com/citel-pa/citel/testdata/stack"
)

const pin = "24680"

// town builds the programs once and gives a stack with one citizen's CNS.
func town(t *testing.T) *stack.Stack {
	t.Helper()
	dir := t.TempDir()
	for name, pkg := range map[string]string{"citel-agent": "./agent/cmd/citel-agent", "citel-server": "./server/cmd/citel-server"} {
		cmd := exec.Command("go", "build", "-tags", "tester", "-o", filepath.Join(dir, name), pkg)
		cmd.Dir = "../.."
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", pkg, err, out)
		}
	}
	s, err := stack.New(filepath.Join(dir, "town"), filepath.Join(dir, "citel-agent"), filepath.Join(dir, "citel-server"))
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
	draft, err := site.Form(ctx, "/servizi/nido", page.Kindergarten(time.Now()))
	if err != nil {
		t.Fatal(err)
	}
	content, _, err := site.Get(ctx, draft+"/istanza.pdf")
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
	if _, _, err := site.Submit(ctx, path.Base(draft), other[0]); !errors.As(err, &refused) || refused.Code != "other-content" {
		t.Errorf("another document: %v", err)
	}
	if _, _, err := site.Submit(ctx, path.Base(draft), content); !errors.As(err, &refused) || refused.Code != "not-signed" {
		t.Errorf("no signature: %v", err)
	}
	if _, err := l.Sign(doc(content), false, pki.Citizens[1].CF, key); code(err) != wire.CodeCertificateUnfit {
		t.Errorf("another person's certificate asked for: %v", err)
	}
	signed, err := l.Sign(doc(content), false, pki.Citizens[0].CF, key)
	if err != nil {
		t.Fatal(err)
	}
	next, protocol, err := site.Submit(ctx, path.Base(draft), signed[0])
	if err != nil {
		t.Fatal(err)
	}
	again, _, err := site.Submit(ctx, path.Base(draft), signed[0])
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
	p7m, _, err := site.Get(t.Context(), next+"/istanza.pdf.p7m")
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
	s := town(t)
	out, err := exec.Command(s.Server, "serve", "--origin", "https://a.example", "--data", t.TempDir(), "--behind-proxy", "--trust", "cns="+filepath.Join(s.Dir, "cns.pem")).CombinedOutput()
	if err == nil || !bytes.Contains(out, []byte("CiTel TEST")) {
		t.Errorf("%v\n%s", err, out)
	}
}

// What `make dist` builds has no testers' commands.
func TestReleaseHasNoTestersCommands(t *testing.T) {
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

// browser starts headless Chromium; shots go to build/screenshots.
func browser(t *testing.T, flags ...chromedp.ExecAllocatorOption) context.Context {
	t.Helper()
	if _, err := exec.LookPath("chromium"); err != nil {
		t.Fatal("chromium is missing; `make deps` installs it")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath("chromium"), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("lang", "it"),
		chromedp.WindowSize(1200, 900), chromedp.UserDataDir(t.TempDir()))
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), append(options, flags...)...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, 90*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// do makes one step in the browser.
func do[T any](t *testing.T, ctx context.Context, what string, a chromedp.Action[T]) T {
	t.Helper()
	v, err := chromedp.Run(ctx, a)
	if err != nil {
		if png, err := chromedp.Run(ctx, chromedp.CaptureScreenshot()); err == nil {
			save(t, "failed", png)
		}
		t.Fatalf("%s: %v", what, err)
	}
	return v
}

func save(t *testing.T, name string, png []byte) {
	t.Helper()
	dir := filepath.Join("..", "..", "build", "screenshots")
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, name+".png"), png, 0o600)); err != nil { //nolint:gosec // pictures of test pages
		t.Fatal(err)
	}
}

func shot(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	save(t, name, do(t, ctx, "screenshot", chromedp.FullScreenshot(100)))
}

var ports = []string{"--agent-ports", "52390,52391"}

func TestChromium(t *testing.T) {
	s := town(t)
	origin := serve(t, s, ports...)
	ctx := browser(t)
	// No agent: the page says so and how to get it.
	do(t, ctx, "open the service", chromedp.Navigate(origin+"/servizi/nido"))
	do(t, ctx, "the login page", chromedp.WaitVisible("#start"))
	do(t, ctx, "press", chromedp.Click("#start"))
	do(t, ctx, "the page says that the agent is missing", chromedp.WaitVisible("#state-missing"))
	shot(t, ctx, "no-agent")
	agent(t, s, stack.AgentOptions{PIN: pin, Origin: origin, Ports: []int{52390}})
	do(t, ctx, "press", chromedp.Click("#start"))
	do(t, ctx, "back at the form", chromedp.WaitVisible("#f-child-given"))
	shot(t, ctx, "form")
	for name, v := range page.Kindergarten(time.Now()) {
		switch name {
		case "truth", "privacy":
			do(t, ctx, name, chromedp.Click("label[for=f-"+name+"]"))
		default:
			do(t, ctx, name, chromedp.SetValue("#f-"+name, v))
		}
	}
	do(t, ctx, "go on", chromedp.Click("form[action='/servizi/nido'] button"))
	do(t, ctx, "the signing page", chromedp.WaitVisible("#card-sign"))
	shot(t, ctx, "sign")
	do(t, ctx, "sign", chromedp.Click("#start"))
	do(t, ctx, "the receipt", chromedp.WaitVisible("#protocol"))
	shot(t, ctx, "receipt")
	if heading := do(t, ctx, "heading", chromedp.Text("h1")); !strings.Contains(heading, "/0000001") {
		t.Errorf("receipt: %q", heading)
	}
	do(t, ctx, "my area", chromedp.Navigate(origin+"/area"))
	if level := do(t, ctx, "level", chromedp.Text("#level")); !strings.Contains(level, "forte") {
		t.Errorf("level: %q", level)
	}
	shot(t, ctx, "area")
	do(t, ctx, "a phone", chromedp.EmulateViewport(360, 740))
	do(t, ctx, "home", chromedp.Navigate(origin+"/"))
	do(t, ctx, "home", chromedp.WaitVisible("h1"))
	width := do(t, ctx, "width", chromedp.Evaluate[int]("document.documentElement.scrollWidth"))
	if width > 360 {
		t.Errorf("on a phone the page is %d wide in 360", width)
	}
	shot(t, ctx, "phone")
}
