package e2e

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/testdata/bidi"
	"github.com/citel-pa/citel/testdata/stack"
)

func TestFirefox(t *testing.T) {
	t.Parallel()
	s := town(t)
	origin := serve(t, s, portFlags(t)...)
	host := strings.TrimPrefix(origin, "http://")
	for name, prefs := range map[string]map[string]string{
		"as installed": nil,
		"public page":  {"network.lna.address_space.public.override": `"` + host + `"`},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
			defer cancel()
			f, err := bidi.Start(ctx, t.TempDir(), prefs)
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := f.Close(); err != nil {
					t.Error(err)
				}
			}()
			step := func(what string, err error) {
				t.Helper()
				if err != nil {
					if png, err := f.Screenshot(); err == nil {
						save(t, "firefox-failed", png)
					}
					t.Fatalf("%s: %v", what, err)
				}
			}
			click := func() {
				t.Helper()
				_, err := f.Text(`document.getElementById("start").click()`)
				step("press", err)
			}
			step("open", f.Navigate(origin+"/accedi"))
			click()
			step("no agent", f.Until(ctx, `!document.getElementById("state-missing").hidden`))
			port := agent(t, s, stack.AgentOptions{PIN: pin, Origin: origin, Ports: []int{agentPort(t)}})
			if port != agentPort(t) {
				t.Fatalf("port %d", port)
			}
			step("the button", f.Until(ctx, `!document.getElementById("start").disabled`))
			click()
			step("my area", f.Until(ctx, `document.getElementById("level") !== null`))
			level, err := f.Text(`document.getElementById("level").textContent`)
			step("level", err)
			if !strings.Contains(level, "forte") {
				t.Errorf("level: %q", level)
			}
			png, err := f.Screenshot()
			step("screenshot", err)
			save(t, "firefox-area", png)
		})
	}
}
