package main

import (
	"bytes"
	"encoding/pem"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/citel-pa/citel/pkcs/trust"
	made "github.com/citel-pa/citel/testdata/lists"
	"github.com/citel-pa/citel/testdata/pki"
)

// The server starts without its lists, takes them when they come, and keeps them when
// they can no longer be had, over a restart too.
func TestTrustedListsComeAndGo(t *testing.T) {
	var files atomic.Pointer[map[string]string]
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if all := files.Load(); all != nil {
			if text, ok := (*all)[strings.TrimPrefix(r.URL.Path, "/")]; ok {
				_, _ = w.Write([]byte(text))
				return
			}
		}
		http.Error(w, "not now", http.StatusServiceUnavailable)
	}))
	t.Cleanup(web.Close)
	scene, err := made.NewScene(pki.Shared(t), web.URL)
	if err != nil {
		t.Fatal(err)
	}
	data, signer := t.TempDir(), filepath.Join(t.TempDir(), "signer.pem")
	if err := os.WriteFile(signer, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: scene.Official.Cert.Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	start := func() *server {
		s := &server{
			flags: &serveFlags{data: data, lotl: lotlFlags{source: web.URL + "/eu-lotl.xml", signer: []string{signer}}},
			log:   slog.New(slog.NewJSONHandler(&log, nil)), registry: prometheus.NewRegistry(), trust: trust.NewStore(trust.AllowTest()),
			fetcher: &trust.Fetcher{Private: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}},
		}
		if err := s.openLists(t.Context()); err != nil {
			t.Fatal(err)
		}
		return s
	}
	metrics := func(s *server) string {
		rec := httptest.NewRecorder()
		promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{}).ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		return rec.Body.String()
	}
	s := start()
	if err := s.lists.Refresh(t.Context()); err == nil || len(s.trust.Anchors()) != 0 {
		t.Errorf("%v, %d anchors", err, len(s.trust.Anchors()))
	}
	if !strings.Contains(metrics(s), `citel_trusted_list_problem{list="LOTL"} 1`) {
		t.Error("the metrics do not tell that there is no list")
	}
	all, err := scene.Files()
	if err != nil {
		t.Fatal(err)
	}
	files.Store(&all)
	if err := s.lists.Refresh(t.Context()); err != nil || len(s.trust.Anchors()) != 4 {
		t.Errorf("%v, %d anchors", err, len(s.trust.Anchors()))
	}
	if got := metrics(s); !strings.Contains(got, `citel_trusted_list_problem{list="IT"} 0`) || !strings.Contains(got, `citel_trusted_list_sequence{list="IT"} 194`) {
		t.Error(got)
	}
	files.Store(nil)
	if s = start(); len(s.trust.Anchors()) != 4 {
		t.Errorf("after a restart: %d anchors\n%s", len(s.trust.Anchors()), log.String())
	}
}

func TestSignersOfNoList(t *testing.T) {
	s := &server{
		flags: &serveFlags{data: t.TempDir(), lotl: lotlFlags{source: "x.xml", signer: []string{"nowhere.pem"}}}, registry: prometheus.NewRegistry(),
		log: slog.New(slog.DiscardHandler), trust: trust.NewStore(), fetcher: &trust.Fetcher{},
	}
	if err := s.openLists(t.Context()); err == nil {
		t.Error("signers that are not there are passed over")
	}
}
