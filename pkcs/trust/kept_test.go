package trust_test

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/citel-pa/citel/pkcs/profile"
	"github.com/citel-pa/citel/pkcs/trust"
	"github.com/citel-pa/citel/pkcs/trust/ocsp"
	"github.com/citel-pa/citel/testdata/pki"
)

func kept(t *testing.T, dir string) *trust.Kept {
	t.Helper()
	k, err := trust.OpenKept(dir)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// restarted is the counter's program after a restart, with the same folder.
func (c *counter) restarted(t *testing.T, dir string) {
	t.Helper()
	c.rev = &trust.Revocation{Store: c.rev.Store, Fetch: c.rev.Fetch, Keep: kept(t, dir)}
}

// A fresh answer serves after a restart too, while its responder is down.
func TestAnswersOutliveARestart(t *testing.T) {
	c, dir := newCounter(t), t.TempDir()
	c.restarted(t, dir)
	c.r.knows(c.id.Cert, false)
	c.r.args = []string{"-ndays", "1"}
	c.r.signer, c.r.key = delegate(t, c.pki.CNS, x509.ExtKeyUsageOCSPSigning)
	if f := c.about(t, trust.Question{}); f.Status != "good" {
		t.Fatalf("%+v", f)
	}
	c.r.down.Store(true)
	c.restarted(t, dir)
	if f := c.about(t, trust.Question{}); f.Status != "good" || !f.Trusted || f.By == nil || c.r.asked.Load() != 1 {
		t.Errorf("%+v, asked %d times", f, c.r.asked.Load())
	}
}

// What is on the disk is believed no more than what comes over the network.
func TestKeptAnswersAreVerifiedAgain(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, file string, c *counter){
		"changed": func(t *testing.T, file string, _ *counter) {
			rewrite(t, file, func(b []byte) []byte { b[120] ^= 1; return b })
		},
		"cut off": func(t *testing.T, file string, _ *counter) {
			rewrite(t, file, func(b []byte) []byte { return b[:len(b)/2] })
		},
		"empty": func(t *testing.T, file string, _ *counter) {
			rewrite(t, file, func([]byte) []byte { return nil })
		},
		"another certificate's": func(t *testing.T, file string, c *counter) {
			other := c.pki.MustIssue(t, pki.CNS, pki.P256, pki.Citizens[1]).Cert
			c.r.index.Reset()
			c.r.knows(other, false)
			request, err := ocsp.NewRequest(other, c.pki.CNS.Cert, nil)
			if err != nil {
				t.Fatal(err)
			}
			rewrite(t, file, func([]byte) []byte { return c.r.answer(t, request) })
			c.r.index.Reset()
			c.r.knows(c.id.Cert, false)
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, dir := newCounter(t), t.TempDir()
			c.restarted(t, dir)
			c.r.knows(c.id.Cert, false)
			c.r.args = []string{"-ndays", "1"}
			c.about(t, trust.Question{})
			files, err := filepath.Glob(filepath.Join(dir, "*"))
			if err != nil || len(files) != 1 {
				t.Fatalf("%v %v", files, err)
			}
			spoil(t, files[0], c)
			c.restarted(t, dir)
			c.r.down.Store(true)
			if f := c.about(t, trust.Question{}); f.Trusted {
				t.Errorf("believed: %+v", f)
			}
			c.r.down.Store(false)
			c.restarted(t, dir)
			if f := c.about(t, trust.Question{}); !f.Trusted || f.Status != "good" {
				t.Errorf("not asked again: %+v", f)
			}
		})
	}
}

func rewrite(t *testing.T, file string, change func([]byte) []byte) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, change(data), 0o600); err != nil {
		t.Fatal(err)
	}
}

// publisher serves one list, which can be changed.
type publisher struct {
	list  atomic.Pointer[[]byte]
	asked atomic.Int64
	hang  atomic.Pointer[chan struct{}]
	id    *pki.Identity
	ca    *pki.CA
	store *trust.Store
}

func publish(t *testing.T) *publisher {
	t.Helper()
	pk, err := pki.New()
	if err != nil {
		t.Fatal(err)
	}
	p := &publisher{ca: pk.CNS}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		p.asked.Add(1)
		if hang := p.hang.Load(); hang != nil {
			<-*hang
		}
		if list := p.list.Load(); list != nil {
			_, _ = w.Write(*list)
			return
		}
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	t.Cleanup(srv.Close)
	pk.CRLURL = srv.URL
	p.id = pk.MustIssue(t, pki.CNS, pki.P256, pki.Citizens[0])
	p.store = trust.NewStore(trust.AllowTest())
	if _, err := p.store.AddPEM(pk.AnchorsPEM(pki.CNS), "cns", profile.CNS); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *publisher) ask(t *testing.T, r *trust.Revocation) string {
	t.Helper()
	out := "unknown"
	for _, f := range r.About(t.Context(), trust.Question{Cert: p.id.Cert, Issuer: p.ca.Cert}) {
		if f.Trusted {
			out = f.Status
		}
	}
	return out
}

func (p *publisher) revocation(t *testing.T, dir string) *trust.Revocation {
	t.Helper()
	return &trust.Revocation{Store: p.store, Fetch: &trust.Fetcher{Private: loopback}, Keep: kept(t, dir)}
}

// spanning gives a list its times.
func spanning(from, to time.Duration) func(*x509.RevocationList) {
	return func(l *x509.RevocationList) {
		l.ThisUpdate, l.NextUpdate = time.Now().Add(from), time.Now().Add(to)
	}
}

func TestListsOutliveARestart(t *testing.T) {
	p, dir := publish(t), t.TempDir()
	list := crl(t, p.ca, spanning(-time.Minute, time.Hour))
	p.list.Store(&list)
	if got := p.ask(t, p.revocation(t, dir)); got != "good" {
		t.Fatal(got)
	}
	p.list.Store(nil)
	if got := p.ask(t, p.revocation(t, dir)); got != "good" || p.asked.Load() != 1 {
		t.Errorf("%s, asked %d times", got, p.asked.Load())
	}
}

// Where a publisher does not answer, the older list is there for the policy to judge.
func TestASilentPublisher(t *testing.T) {
	p, dir := publish(t), t.TempDir()
	old := crl(t, p.ca, spanning(-2*time.Hour, -time.Hour))
	p.list.Store(&old)
	r := p.revocation(t, dir)
	p.ask(t, r)
	hang := make(chan struct{})
	p.hang.Store(&hang)
	defer close(hang)
	r = p.revocation(t, dir)
	r.Fetch = &trust.Fetcher{Private: loopback, Timeout: 200 * time.Millisecond}
	if got := p.ask(t, r); got != "good" { // old, but that is the policy's to judge
		t.Error(got)
	}
}

// A list from somebody on the way takes no good one's place, and neither does an older one.
func TestAListIsNotPushedOut(t *testing.T) {
	other, err := pki.New()
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]func(p *publisher) []byte{
		"of a namesake": func(*publisher) []byte { return crl(t, other.CNS, spanning(-time.Second, 24*time.Hour)) },
		"changed":       func(p *publisher) []byte { return flip(crl(t, p.ca, spanning(-time.Second, 24*time.Hour))) },
		"older":         func(p *publisher) []byte { return crl(t, p.ca, spanning(-10*time.Hour, 24*time.Hour)) },
		"garbage":       func(*publisher) []byte { return []byte("ciao") },
	} {
		t.Run(name, func(t *testing.T) {
			p, dir := publish(t), t.TempDir()
			// Revoked, on a list that has just ended, so that the next question asks.
			list := crl(t, p.ca, spanning(-2*time.Hour, -time.Second), p.id.Cert)
			p.list.Store(&list)
			p.ask(t, p.revocation(t, dir))
			forged := bad(p)
			p.list.Store(&forged)
			for range 2 {
				if got := p.ask(t, p.revocation(t, dir)); got != "revoked" {
					t.Error(got)
				}
			}
			// And when the true one is back it counts.
			list = crl(t, p.ca, spanning(-time.Second, time.Hour), p.id.Cert)
			p.list.Store(&list)
			if got := p.ask(t, p.revocation(t, dir)); got != "revoked" {
				t.Error(got)
			}
		})
	}
}

func TestKeptIsBounded(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, ".new-1"), []byte("cut off"), 0o600); err != nil {
		t.Fatal(err)
	}
	k := kept(t, dir)
	k.MaxFiles, k.MaxBytes = 8, 1000
	for i := range 40 {
		if err := k.Save(fmt.Sprint(i), bytes.Repeat([]byte{byte(i)}, 100+i)); err != nil {
			t.Fatal(err)
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	total := int64(0)
	for _, f := range files {
		st, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		total += st.Size()
	}
	if err != nil || len(files) > 8 || len(files) < 2 || total > 1000 {
		t.Errorf("%d files, %d bytes, %v", len(files), total, err)
	}
	if got := k.Load("39"); len(got) != 139 {
		t.Errorf("the last one is gone: %d bytes", len(got))
	}
	if leftovers, _ := filepath.Glob(filepath.Join(dir, ".new-*")); len(leftovers) > 0 {
		t.Error("a write that was cut off is still there")
	}
	if k := kept(t, dir); k.Load("39") == nil {
		t.Error("gone after a restart")
	}
}
