package e2e

import (
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/citel-pa/citel/agent/client/bundle"
	"github.com/citel-pa/citel/testdata/chromium"
	"github.com/citel-pa/citel/testdata/pki"
	"github.com/citel-pa/citel/testdata/stack"
)

// freeAddress is one that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = free.Close() }()
	return free.Addr().String()
}

// The portal that the client's README shows logs somebody in.
func TestExamplePortal(t *testing.T) {
	s := town(t)
	dir := t.TempDir()
	t.Chdir("../..")
	if err := bundle.Build(dir); err != nil {
		t.Fatal(err)
	}
	portal := filepath.Join(dir, "portal")
	if out, err := exec.Command("go", "build", "-o", portal, "./agent/client/example").CombinedOutput(); err != nil { //nolint:gosec // our own program
		t.Fatalf("%v\n%s", err, out)
	}
	address := freeAddress(t)
	p, err := stack.Start(exec.Command(portal, "-listen", address, "-trust", filepath.Join(s.Dir, "cns.pem"), "-crl", filepath.Join(s.Dir, "cns.crl"), //nolint:gosec // as above
		"-client", dir), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Stop() })
	origin := "http://" + address
	if err := stack.Up(t.Context(), origin); err != nil {
		t.Fatal(err)
	}
	agent(t, s, stack.AgentOptions{PIN: pin, Origin: origin, Ports: []int{52310, 52311, 52312, 52313}})
	ctx := browser(t)
	do(t, ctx, "the page", chromium.Navigate(origin+"/"))
	do(t, ctx, "press", chromium.Click("#enter"))
	do(t, ctx, "the greeting", chromium.Until(`document.querySelector("#state").textContent.includes("Benvenuto")`))
	if text := do(t, ctx, "the greeting", chromium.Text("#state")); !strings.Contains(text, pki.Citizens[0].CF) {
		t.Errorf("%q\n%s", text, p.Log())
	}
}
