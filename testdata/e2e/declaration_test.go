package e2e

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/citel-pa/citel/pkcs/declaration"
	"github.com/citel-pa/citel/testdata/chromium"
	"github.com/citel-pa/citel/testdata/page"
	"github.com/citel-pa/citel/testdata/pki"
	"github.com/citel-pa/citel/testdata/stack"
)

// The holder of a certificate for signatures alone logs in by a signed declaration: once by
// the protocol, with what must not pass, and once in the browser.
func TestLoginByDeclaration(t *testing.T) {
	t.Parallel()
	s, err := stack.New(filepath.Join(t.TempDir(), "town"), filepath.Join(programs, "citel-agent"), filepath.Join(programs, "citel-server"))
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = s.Card(pki.Qualified, pki.RSA2048, pki.Citizens[0], pin)
	if err := errors.Join(err, s.Publish()); err != nil {
		t.Fatal(err)
	}
	origin := serve(t, s, portFlags(t)...)
	port := agent(t, s, stack.AgentOptions{PIN: pin, Origin: origin, Ports: []int{agentPort(t)}})
	ctx := context.Background()
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
	if !declaration.Is(login.Token) {
		t.Fatalf("token %s", login.Token)
	}
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
	area, _, err := site.Get(ctx, "/area")
	if err != nil || !strings.Contains(string(area), pki.Citizens[0].CF) {
		t.Errorf("area: %v", err)
	}
	if err := site.Login(ctx, login.Token, login.Nonce, key); !errors.As(err, &refused) {
		t.Errorf("the same declaration twice: %v", err)
	}
	b := browser(t)
	do(t, b, "a service", chromium.Navigate(origin+"/servizi/iscrizione-nido/compila"))
	do(t, b, "the window", chromium.Seen("#need"))
	do(t, b, "log in", chromium.Click("#start"))
	where(t, b, "/servizi/iscrizione-nido/compila")
	do(t, b, "the form", chromium.Seen("#f-child-given"))
	shot(t, b, "citizen-by-declaration")
}
