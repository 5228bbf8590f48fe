package e2e

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/citel-pa/citel/server/store/storetest"
	"github.com/citel-pa/citel/testdata/page"
	"github.com/citel-pa/citel/testdata/pki"
	"github.com/citel-pa/citel/testdata/stack"
)

// balancer sends each request to the next of several servers.
type balancer struct {
	mu   sync.Mutex
	to   []*httputil.ReverseProxy
	next atomic.Int64
}

func (b *balancer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	p := b.to[int(b.next.Add(1))%len(b.to)]
	b.mu.Unlock()
	p.ServeHTTP(w, r)
}

// serverCommand is a command of the server's program, on the server's database.
func serverCommand(s *stack.Stack, args ...string) *exec.Cmd {
	cmd := exec.Command(s.Server, args...) //nolint:gosec // our own program
	cmd.Env = append(os.Environ(), s.Env...)
	return cmd
}

// behind starts n servers on one PostgreSQL database behind a balancer, which gives each
// request to another one, and gives the folders of their data and the processes.
func behind(t *testing.T, s *stack.Stack, n int, args ...string) (origin string, data []string, servers []*stack.Process) {
	t.Helper()
	s.Env = append(s.Env, "DATABASE_URL="+storetest.Empty(t))
	b := &balancer{}
	front := httptest.NewServer(b)
	t.Cleanup(front.Close)
	for i := range n {
		name := "data" + string(rune('a'+i))
		dir := filepath.Join(s.Dir, name)
		if i > 0 { // every process has the same keys
			ring, err := os.ReadFile(filepath.Join(data[0], "keys.json"))
			if err := errors.Join(err, os.MkdirAll(dir, 0o700), os.WriteFile(filepath.Join(dir, "keys.json"), ring, 0o600)); err != nil {
				t.Fatal(err)
			}
		}
		data = append(data, dir)
		listen := httptest.NewUnstartedServer(nil).Listener
		address := listen.Addr().String()
		if err := listen.Close(); err != nil {
			t.Fatal(err)
		}
		p, _, err := s.StartServer(context.Background(), stack.ServerOptions{Listen: address, Origin: front.URL, Data: name, Args: args})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := p.Stop(); err != nil {
				t.Error(err)
			}
		})
		servers = append(servers, p)
		u, err := url.Parse("http://" + address)
		if err != nil {
			t.Fatal(err)
		}
		b.mu.Lock()
		b.to = append(b.to, httputil.NewSingleHostReverseProxy(u))
		b.mu.Unlock()
	}
	return front.URL, data, servers
}

// Two server processes on one PostgreSQL database: nonce from one, token to the other, the
// session, the draft, the documents and the numbers shared; one log, without a gap.
func TestTwoServerProcesses(t *testing.T) {
	t.Parallel()
	s := town(t)
	origin, data, _ := behind(t, s, 2)
	port := agent(t, s, stack.AgentOptions{PIN: pin, Origin: origin})
	ctx := t.Context()
	l := dial(t, port, origin)
	site := page.NewSite(origin)
	nonce, life, err := site.Nonce(ctx)
	if err != nil {
		t.Fatal(err)
	}
	login, fingerprint, err := l.Login(nonce, life)
	if err != nil {
		t.Fatal(err)
	}
	if err := site.Login(ctx, login.Token, login.Nonce, fingerprint); err != nil {
		t.Fatal(err)
	}
	for range 2 { // whichever process answers
		var again *page.ServerError
		if err := page.NewSite(origin).Login(ctx, login.Token, login.Nonce, fingerprint); !errors.As(err, &again) {
			t.Errorf("the token once more: %v", err)
		}
	}
	for i, want := range []string{"/0000001", "/0000002", "/0000003"} {
		draft, err := site.Apply(ctx, page.Enrolment, page.Nursery())
		if err != nil {
			t.Fatal(err)
		}
		content, _, err := site.Get(ctx, draft+"/documento.pdf")
		if err != nil {
			t.Fatal(err)
		}
		signed, err := l.Sign([]page.Document{{Name: "istanza.pdf", MediaType: "application/pdf", Bytes: content}}, false, pki.Citizens[0].CF, fingerprint)
		if err != nil {
			t.Fatal(err)
		}
		next, protocol, err := site.Submit(ctx, draft, signed[0])
		if err != nil || !strings.HasSuffix(protocol, want) {
			t.Fatalf("%d: %s, %v", i, protocol, err)
		}
		for range 2 {
			if p7m, _, err := site.Get(ctx, next+"/firmato/1"); err != nil || len(p7m) != len(signed[0]) {
				t.Errorf("%d bytes, %v", len(p7m), err)
			}
		}
	}
	for _, dir := range data {
		out, err := serverCommand(s, "audit", "verify", "--quiet", "--data", dir).CombinedOutput()
		if err != nil || !strings.Contains(string(out), "prova: ") {
			t.Errorf("%v\n%s", err, out)
		}
	}
}
