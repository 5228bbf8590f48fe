package e2e

import (
	"bufio"
	"context"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	cdpbrowser "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/chromedp"

	"github.com/citel-pa/citel/testdata/chromium"
	"github.com/citel-pa/citel/testdata/stack"
)

// public makes Chromium take the page for one of the public Internet: then it
// asks the person before the page may reach this computer (Local Network Access).
func public(t *testing.T, origin string) chromedp.ExecAllocatorOption {
	t.Helper()
	u, err := url.Parse(origin)
	if err != nil {
		t.Fatal(err)
	}
	return chromedp.Flag("ip-address-space-overrides", u.Host+"=public")
}

// permit sets the answer that the person gave.
func permit(t *testing.T, ctx context.Context, origin string, setting cdpbrowser.PermissionSetting) {
	t.Helper()
	do(t, ctx, "the browser", chromium.Navigate("about:blank"))
	if _, err := chromedp.CallBrowser(ctx, cdpbrowser.SetPermission, cdpbrowser.SetPermissionParams{
		Permission: &cdpbrowser.PermissionDescriptor{Name: "loopback-network"}, Setting: setting, Origin: origin,
	}); err != nil {
		t.Fatal(err)
	}
}

// onlyState asserts that of the page's states this one alone is shown.
func onlyState(t *testing.T, ctx context.Context, want string) {
	t.Helper()
	// Whatever is shown first is what the person reads.
	do(t, ctx, "a state", chromium.Until(`!document.querySelector("#start").disabled || [...document.querySelectorAll("[id^=state-]")].some(e => !e.hidden)`))
	got := do(t, ctx, "states", chromedp.Evaluate[string](`[...document.querySelectorAll("[id^=state-]")].filter(e => !e.hidden).map(e => e.id).join()`))
	if got != "state-"+want {
		t.Errorf("shown: %s, want state-%s alone", got, want)
	}
	if problem := do(t, ctx, "problem", chromedp.Evaluate[bool](`!document.getElementById("problem").hidden`)); problem {
		t.Error("a second explanation beside the state's own")
	}
}

func TestPublicPage(t *testing.T) {
	t.Parallel()
	s := town(t)
	origin := serve(t, s, portFlags(t)...)

	// A display is a person who could answer, so the permission is still open.
	for name, flags := range map[string][]chromedp.ExecAllocatorOption{
		"no agent":              {chromedp.Flag("headless", false), chromedp.Env("DISPLAY=" + xvfb(t))},
		"no agent, but allowed": nil,
	} {
		t.Run(name, func(t *testing.T) {
			ctx := browser(t, append(flags, public(t, origin))...)
			if flags == nil {
				permit(t, ctx, origin, cdpbrowser.PermissionSettingGranted)
			}
			do(t, ctx, "open", chromium.Navigate(origin+"/accedi"))
			do(t, ctx, "press", chromium.Click("#start"))
			onlyState(t, ctx, "missing")
			shot(t, ctx, "public-missing")
		})
	}
	agent(t, s, stack.AgentOptions{PIN: pin, Origin: origin, Ports: []int{agentPort(t)}})
	t.Run("denied", func(t *testing.T) {
		ctx := browser(t, public(t, origin))
		permit(t, ctx, origin, cdpbrowser.PermissionSettingDenied)
		do(t, ctx, "open", chromium.Navigate(origin+"/accedi"))
		do(t, ctx, "press", chromium.Click("#start"))
		onlyState(t, ctx, "denied")
		shot(t, ctx, "public-denied")
	})
	t.Run("unanswered", func(t *testing.T) {
		ctx := browser(t, public(t, origin), chromedp.Flag("headless", false), chromedp.Env("DISPLAY="+xvfb(t)))
		do(t, ctx, "open", chromium.Navigate(origin+"/accedi"))
		do(t, ctx, "press", chromium.Click("#start"))
		onlyState(t, ctx, "question-open")
		shot(t, ctx, "public-question")
	})
	t.Run("dismissed", func(t *testing.T) {
		display := xvfb(t)
		ctx := browser(t, public(t, origin), chromedp.Flag("headless", false), chromedp.Env("DISPLAY="+display))
		do(t, ctx, "open", chromium.Navigate(origin+"/accedi"))
		do(t, ctx, "press", chromium.Click("#start"))
		onlyState(t, ctx, "question-open")
		// The person closes the question without an answer: the keyboard's way to the
		// browser's bubble, and Escape.
		s := &screen{t: t, env: []string{"DISPLAY=" + display}}
		for range 30 {
			s.key("F6")
			s.key("Escape")
			time.Sleep(time.Second)
			if do(t, ctx, "state", chromedp.Evaluate[bool](`!document.getElementById("state-dismissed").hidden`)) {
				break
			}
		}
		s.shot("public-dismissed-screen")
		onlyState(t, ctx, "dismissed")
		shot(t, ctx, "public-dismissed")
	})
	t.Run("granted", func(t *testing.T) {
		ctx := browser(t, public(t, origin))
		permit(t, ctx, origin, cdpbrowser.PermissionSettingGranted)
		do(t, ctx, "open", chromium.Navigate(origin+"/accedi"))
		do(t, ctx, "press", chromium.Click("#start"))
		do(t, ctx, "my area", chromium.Seen("#level"))
		// The proof that the page was a public one: without the permission the same
		// browser and agent do not get there.
	})
	t.Run("not granted", func(t *testing.T) {
		ctx := browser(t, public(t, origin))
		do(t, ctx, "open", chromium.Navigate(origin+"/accedi"))
		state := do(t, ctx, "socket", chromedp.Evaluate[string](`new Promise(ok => {
			const s = new WebSocket("ws://127.0.0.1:`+strconv.Itoa(agentPort(t))+`/");
			s.onopen = () => ok("open"); s.onerror = () => ok("error"); setTimeout(() => ok("held"), 5000);
		})`, chromedp.EvalAwaitPromise))
		if state == "open" {
			t.Error("the page is not taken for a public one: the other cases prove nothing")
		}
	})
}

// xvfb starts a display of its own and gives its name.
func xvfb(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("Xvfb"); err != nil {
		t.Fatal("Xvfb is missing; `make deps` installs it")
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("Xvfb", "-displayfd", "3", "-screen", "0", "1280x1024x24", "-noreset", "-nolisten", "tcp")
	cmd.ExtraFiles = []*os.File{w}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	_ = w.Close()
	number, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	_ = r.Close()
	return ":" + strings.TrimSpace(number)
}
