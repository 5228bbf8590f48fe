package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/citel-pa/citel/testdata/page"
	"github.com/citel-pa/citel/testdata/pki"
	"github.com/citel-pa/citel/testdata/stack"
)

// browser starts headless Chromium; shots go to build/screenshots.
func browser(t *testing.T, flags ...chromedp.ExecAllocatorOption) context.Context {
	t.Helper()
	return browserFor(t, 90*time.Second, flags...)
}

// browserFor is browser for a longer way.
func browserFor(t *testing.T, d time.Duration, flags ...chromedp.ExecAllocatorOption) context.Context {
	t.Helper()
	if _, err := exec.LookPath("chromium"); err != nil {
		t.Fatal("chromium is missing; `make deps` installs it")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath("chromium"), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("lang", "it"), chromedp.Flag("accept-lang", "it"),
		chromedp.Flag("force-prefers-reduced-motion", true), // a page that still scrolls is clicked beside the mark
		chromedp.WindowSize(1200, 900), chromedp.UserDataDir(t.TempDir()))
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), append(options, flags...)...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, d)
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
	inChromium(t, s, stack.AgentOptions{PIN: pin}, "")
}

// The same with cards behind the real pcscd, read by CiTel itself.
func TestChromiumWithCards(t *testing.T) {
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
	origin := serve(t, s, ports...)
	o.Origin, o.Ports = origin, []int{52390}
	ctx := browser(t)
	// No agent: the page says so and how to get it.
	do(t, ctx, "open the service", chromedp.Navigate(origin+"/servizi/iscrizione-nido/compila"))
	do(t, ctx, "the login page", chromedp.WaitVisible("#start"))
	do(t, ctx, "press", chromedp.Click("#start"))
	do(t, ctx, "the page says that the agent is missing", chromedp.WaitVisible("#state-missing"))
	shot(t, ctx, prefix+"no-agent")
	agent(t, s, o)
	do(t, ctx, "press", chromedp.Click("#start"))
	do(t, ctx, "back at the form", chromedp.WaitVisible("#f-child-given"))
	shot(t, ctx, prefix+"form")
	apply(t, ctx, page.Nursery())
	do(t, ctx, "the signing page", chromedp.WaitVisible("#card-sign"))
	shot(t, ctx, prefix+"sign")
	do(t, ctx, "sign", chromedp.Click("#start"))
	do(t, ctx, "the receipt", chromedp.WaitVisible("#protocol"))
	shot(t, ctx, prefix+"receipt")
	if number := do(t, ctx, "number", chromedp.Text("#protocol")); !strings.Contains(number, "/0000001") {
		t.Errorf("receipt: %q", number)
	}
	do(t, ctx, "my area", chromedp.Navigate(origin+"/area"))
	if level := do(t, ctx, "level", chromedp.Text("#level")); !strings.Contains(level, "forte") {
		t.Errorf("level: %q", level)
	}
	shot(t, ctx, prefix+"area")
	do(t, ctx, "a phone", chromedp.EmulateViewport(360, 740))
	do(t, ctx, "home", chromedp.Navigate(origin+"/"))
	do(t, ctx, "home", chromedp.WaitVisible("h1"))
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
		do(t, ctx, name, chromedp.Click(at+" + label"))
		return
	}
	do(t, ctx, name, chromedp.SetValue(`[id="f-`+name+`"]`, value))
}

// fillStep answers the questions of the step that is open, with as many items as it has, and
// goes on.
func fillStep(t *testing.T, ctx context.Context, step url.Values) {
	t.Helper()
	for name := range step {
		section, ok := strings.CutSuffix(name, ".items")
		for n := 1; ok && fmt.Sprint(n) <= step.Get(name); n++ {
			do(t, ctx, name, chromedp.Click(`[name=_voce][value="`+section+`.add"]`))
			do(t, ctx, name, chromedp.WaitVisible(fmt.Sprintf("#item-%s\\.%d", section, n)))
		}
	}
	for name := range step {
		if strings.HasSuffix(name, ".items") {
			continue
		}
		do(t, ctx, name, chromedp.WaitVisible(`[id="f-`+name+`"]`))
		answer(t, ctx, name, step.Get(name))
	}
	do(t, ctx, "go on", chromedp.Click("form[data-form] .buttons button"))
}

// confirm accepts warnings and notice on the summary and goes on.
func confirm(t *testing.T, ctx context.Context) {
	t.Helper()
	do(t, ctx, "the summary", chromedp.WaitVisible("#privacy"))
	for _, name := range []string{"warned", "privacy"} {
		if do(t, ctx, name, chromedp.Evaluate[bool](`document.getElementById("`+name+`") !== null`)) {
			do(t, ctx, name, chromedp.Click("label[for="+name+"]"))
		}
	}
	do(t, ctx, "go on", chromedp.Click("#next"))
}

// apply fills in all steps of a form from the first on, attaches nothing, and confirms:
// what follows is the page of the signature, or the sent application.
func apply(t *testing.T, ctx context.Context, steps []url.Values) {
	t.Helper()
	for _, step := range steps {
		fillStep(t, ctx, step)
	}
	do(t, ctx, "attachments or the summary", chromedp.WaitVisible("a#next, #privacy"))
	if do(t, ctx, "attachments", chromedp.Evaluate[bool](`document.querySelector("a#next") !== null`)) {
		do(t, ctx, "go on", chromedp.Click("a#next"))
	}
	confirm(t, ctx)
}
