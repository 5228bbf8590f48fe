package e2e

import (
	"os"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/citel-pa/citel/testdata/chromium"
	"github.com/citel-pa/citel/testdata/page"
	"github.com/citel-pa/citel/testdata/stack"
)

// axe is what axe-core finds that hinders a person seriously.
const axe = `axe.run(document, {resultTypes: ["violations"]}).then(r => r.violations
	.filter(v => v.impact === "serious" || v.impact === "critical")
	.map(v => v.id + ": " + v.help + " | " + v.nodes.map(n => n.html).join(" || ")).join("\n"))`

// axe-core (WCAG 2.1 A and AA and its good practices) finds nothing serious on
// any page, in both languages, on a desk's and a phone's width.
func TestAccessiblePages(t *testing.T) {
	t.Parallel()
	script, err := os.ReadFile("../../server/assets/dist-test/axe.min.js")
	if err != nil {
		t.Fatalf("%v (`make assets` fetches it)", err)
	}
	s := town(t)
	origin := serve(t, s, portFlags(t)...)
	agent(t, s, stack.AgentOptions{PIN: pin, Origin: origin, Ports: []int{agentPort(t)}})
	ctx := browser(t)
	check := func(t *testing.T, name string) {
		t.Helper()
		do(t, ctx, name, chromedp.Evaluate[bool](string(script)+"; true"))
		if found := do(t, ctx, name, chromedp.Evaluate[string](axe, chromedp.EvalAwaitPromise)); found != "" {
			t.Errorf("%s:\n%s", name, found)
		}
	}
	open := func(t *testing.T, path string) {
		t.Helper()
		do(t, ctx, path, chromium.Navigate(origin+path))
		do(t, ctx, path, chromium.Seen("h1"))
		check(t, path)
	}
	for _, path := range []string{"/", "/accedi", "/aiuto", "/accessibilita", "/?lang=en", "/niente"} {
		open(t, path)
	}
	do(t, ctx, "login", chromium.Navigate(origin+"/servizi/iscrizione-nido/compila"))
	do(t, ctx, "login", chromium.Seen("#start"))
	do(t, ctx, "login", chromium.Click("#start"))
	do(t, ctx, "form", chromium.Seen("#f-child-given"))
	check(t, "form")
	do(t, ctx, "empty form", chromium.Click("form[data-form] button"))
	do(t, ctx, "a form with errors", chromium.Seen("#wrong"))
	check(t, "a form with errors")
	do(t, ctx, "form", chromium.Navigate(origin+"/servizi/iscrizione-nido/compila"))
	apply(t, ctx, page.Nursery())
	do(t, ctx, "sign", chromium.Seen("#card-sign"))
	check(t, "sign")
	do(t, ctx, "sign", chromium.Click("#start"))
	do(t, ctx, "receipt", chromium.Seen("#protocol"))
	check(t, "receipt")
	for _, path := range []string{"/area", "/istanze"} {
		open(t, path)
	}
	do(t, ctx, "a phone", chromedp.EmulateViewport(360, 740))
	for _, path := range []string{"/", "/area", "/servizi/iscrizione-nido/compila"} {
		open(t, path)
	}
}
