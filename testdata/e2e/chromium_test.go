package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/citel-pa/citel/testdata/chromium"
	"github.com/citel-pa/citel/testdata/page"
	"github.com/citel-pa/citel/testdata/pki"
	"github.com/citel-pa/citel/testdata/stack"
)

// browser starts headless Chromium; shots go to build/screenshots.
func browser(t *testing.T, flags ...chromedp.ExecAllocatorOption) context.Context {
	t.Helper()
	return chromium.Start(t, flags...)
}

// do makes one step in the browser.
func do[T any](t *testing.T, ctx context.Context, what string, a chromedp.Action[T]) T {
	t.Helper()
	v, err := chromium.Run(ctx, a)
	if err != nil {
		if png, err := chromium.Run(ctx, chromedp.CaptureScreenshot()); err == nil {
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

// agentPorts are the ports that pages look for an agent at: each test has its own, because
// many run side by side.
var agentPorts = struct { //nolint:gochecknoglobals // of this machine
	sync.Mutex
	next int
	of   map[string]int
}{next: 21000, of: map[string]int{}} // below what the system gives to outgoing connections

// agentPort is the first of a test's two ports.
func agentPort(t *testing.T) int {
	t.Helper()
	name, _, _ := strings.Cut(t.Name(), "/")
	agentPorts.Lock()
	defer agentPorts.Unlock()
	for agentPorts.of[name] == 0 {
		if agentPorts.next > 30000 {
			t.Fatal("no free ports")
		}
		port := agentPorts.next
		agentPorts.next += 2
		l1, err1 := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		l2, err2 := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port+1)))
		for _, l := range []net.Listener{l1, l2} {
			if l != nil {
				_ = l.Close()
			}
		}
		if err1 == nil && err2 == nil {
			agentPorts.of[name] = port
		}
	}
	return agentPorts.of[name]
}

// portFlags tell a server of them.
func portFlags(t *testing.T) []string {
	t.Helper()
	port := agentPort(t)
	return []string{"--agent-ports", fmt.Sprintf("%d,%d", port, port+1)}
}

func TestChromium(t *testing.T) {
	t.Parallel()
	s := town(t)
	inChromium(t, s, stack.AgentOptions{PIN: pin}, "")
}

// The same with cards behind the real pcscd, read by CiTel itself.
func TestChromiumWithCards(t *testing.T) {
	t.Parallel()
	for _, kind := range []pki.Kind{pki.CNS, pki.CIE} {
		t.Run(string(kind), func(t *testing.T) {
			d := newDesk(t, kind)
			d.insert(t, nil)
			time.Sleep(time.Second) // pcscd looks at its virtual reader every 400 ms
			inChromium(t, d.Stack, stack.AgentOptions{PIN: d.pin, Native: true, Env: d.pcsc.Env()}, string(kind)+"-")
		})
	}
}

// inChromium does the main job; prefix names its screenshots.
func inChromium(t *testing.T, s *stack.Stack, o stack.AgentOptions, prefix string) {
	t.Helper()
	origin := serve(t, s, portFlags(t)...)
	o.Origin, o.Ports = origin, []int{agentPort(t)}
	ctx := browser(t)
	// No agent: the page says so and how to get it.
	do(t, ctx, "open the service", chromium.Navigate(origin+"/servizi/iscrizione-nido/compila"))
	do(t, ctx, "the login page", chromium.Seen("#start"))
	do(t, ctx, "press", chromium.Click("#start"))
	do(t, ctx, "the page says that the agent is missing", chromium.Seen("#state-missing"))
	shot(t, ctx, prefix+"no-agent")
	agent(t, s, o)
	do(t, ctx, "press", chromium.Click("#start"))
	do(t, ctx, "back at the form", chromium.Seen("#f-child-given"))
	shot(t, ctx, prefix+"form")
	apply(t, ctx, page.Nursery())
	do(t, ctx, "the signing page", chromium.Seen("#card-sign"))
	shot(t, ctx, prefix+"sign")
	do(t, ctx, "sign", chromium.Click("#start"))
	do(t, ctx, "the receipt", chromium.Seen("#protocol"))
	shot(t, ctx, prefix+"receipt")
	if number := do(t, ctx, "number", chromium.Text("#protocol")); !strings.Contains(number, "/0000001") {
		t.Errorf("receipt: %q", number)
	}
	do(t, ctx, "my area", chromium.Navigate(origin+"/area"))
	if level := do(t, ctx, "level", chromium.Text("#level")); !strings.Contains(level, "forte") {
		t.Errorf("level: %q", level)
	}
	shot(t, ctx, prefix+"area")
	do(t, ctx, "a phone", chromedp.EmulateViewport(360, 740))
	do(t, ctx, "home", chromium.Navigate(origin+"/"))
	do(t, ctx, "home", chromium.Seen("h1"))
	width := do(t, ctx, "width", chromedp.Evaluate[int]("document.documentElement.scrollWidth"))
	if width > 360 {
		t.Errorf("on a phone the page is %d wide in 360", width)
	}
	shot(t, ctx, prefix+"phone")
}

// answer gives an answer as a person does: what is chosen is clicked at its words.
func answer(t *testing.T, ctx context.Context, name, value string) {
	t.Helper()
	at := fmt.Sprintf(`[name="%s"][value="%s"]`, name, value)
	if kind := do(t, ctx, name, chromedp.Evaluate[string](fmt.Sprintf(`document.querySelector('[name="%s"]').type`, name))); kind == "radio" || kind == "checkbox" {
		do(t, ctx, name, chromium.Click(at+" + label"))
		return
	}
	do(t, ctx, name, chromium.SetValue(`[id="f-`+name+`"]`, value))
}

// fillStep answers the questions of the step that is open, with as many items as it has, and
// goes on.
func fillStep(t *testing.T, ctx context.Context, step url.Values) {
	t.Helper()
	for name := range step {
		section, ok := strings.CutSuffix(name, ".items")
		for n := 1; ok && fmt.Sprint(n) <= step.Get(name); n++ {
			do(t, ctx, name, chromium.Click(`[name=_voce][value="`+section+`.add"]`))
			do(t, ctx, name, chromium.Seen(fmt.Sprintf(`[id="item-%s.%d"]`, section, n)))
		}
	}
	for name := range step {
		if strings.HasSuffix(name, ".items") {
			continue
		}
		do(t, ctx, name, chromium.Seen(`[id="f-`+name+`"]`))
		answer(t, ctx, name, step.Get(name))
	}
	do(t, ctx, "go on", chromium.Click("form[data-form] .buttons button"))
}

// confirm accepts warnings and notice on the summary and goes on.
func confirm(t *testing.T, ctx context.Context) {
	t.Helper()
	do(t, ctx, "the summary", chromium.Seen("#privacy"))
	for _, name := range []string{"warned", "privacy"} {
		if do(t, ctx, name, chromedp.Evaluate[bool](`document.getElementById("`+name+`") !== null`)) {
			do(t, ctx, name, chromium.Click("label[for="+name+"]"))
		}
	}
	do(t, ctx, "go on", chromium.Click("#next"))
}

// apply fills in all steps of a form from the first on, attaches nothing, and confirms:
// what follows is the page of the signature, or the sent application.
func apply(t *testing.T, ctx context.Context, steps []url.Values) {
	t.Helper()
	for _, step := range steps {
		fillStep(t, ctx, step)
	}
	do(t, ctx, "attachments or the summary", chromium.Seen("a#next, #privacy"))
	if do(t, ctx, "attachments", chromedp.Evaluate[bool](`document.querySelector("a#next") !== null`)) {
		do(t, ctx, "go on", chromium.Click("a#next"))
	}
	confirm(t, ctx)
}
