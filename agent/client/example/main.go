// Command example is a portal in two files: a page that asks for a login with
// agent/client, and this server, which verifies it with pkcs/authtoken. Start it
// from the repository's root after `make build`, with the agent in developer mode:
//
//	go run ./agent/client/example -trust build/demo/cns.pem
//
// /web-eid is a second page, written for Web eID's library, with our drop-in.
package main

import (
	"crypto/rand"
	"encoding/json"
	"flag"
	"io"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/citel-pa/citel/pkcs/authtoken"
	"github.com/citel-pa/citel/pkcs/profile"
	"github.com/citel-pa/citel/pkcs/trust"
)

const (
	cookie   = "session"
	maxToken = 64 << 10
)

type portal struct {
	origin    string
	nonces    authtoken.Nonces
	validator *authtoken.Validator
}

func main() {
	listen := flag.String("listen", "127.0.0.1:8481", "where to listen")
	anchors := flag.String("trust", "", "issuers of CNS certificates, PEM")
	lists := flag.String("crl", "", "their revocation list")
	dir := flag.String("dir", "agent/client/example", "the page's folder")
	client := flag.String("client", "build/client", "the folder of the client's bundles")
	flag.Parse()
	p, err := newPortal("http://"+*listen, *anchors, *lists)
	if err != nil {
		log.Fatal(err)
	}
	file := func(name string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, name) }
	}
	http.HandleFunc("GET /{$}", file(filepath.Join(*dir, "index.html")))
	http.HandleFunc("GET /page.js", file(filepath.Join(*dir, "page.js")))
	http.HandleFunc("GET /citel.js", file(filepath.Join(*client, "citel.js")))
	http.HandleFunc("POST /nonce", p.nonce)
	http.HandleFunc("POST /login", p.login)
	// The same for a site made for Web eID.
	e := &webEID{portal: p}
	http.HandleFunc("GET /web-eid", file(filepath.Join(*dir, "web-eid.html")))
	http.HandleFunc("GET /web-eid-page.js", file(filepath.Join(*dir, "web-eid-page.js")))
	http.HandleFunc("GET /web-eid.js", file(filepath.Join(*client, "web-eid.js")))
	http.HandleFunc("GET /auth/challenge", e.challenge)
	http.HandleFunc("POST /auth/login", e.login)
	http.HandleFunc("POST /sign/prepare", e.prepare)
	http.HandleFunc("POST /sign/finalize", e.finalize)
	s := &http.Server{Addr: *listen, Handler: headers(http.DefaultServeMux), ReadHeaderTimeout: 10 * time.Second}
	log.Fatal(s.ListenAndServe())
}

func newPortal(origin, anchors, lists string) (*portal, error) {
	text, err := os.ReadFile(anchors) //nolint:gosec // named on the command line
	if err != nil {
		return nil, err
	}
	store := trust.NewStore(trust.AllowTest()) // a real portal leaves AllowTest out
	if _, err := store.AddPEM(text, anchors, profile.CNS); err != nil {
		return nil, err
	}
	if lists != "" {
		crl, err := os.ReadFile(lists) //nolint:gosec // as above
		if err != nil {
			return nil, err
		}
		if err := store.AddCRL(crl, lists); err != nil {
			return nil, err
		}
	}
	return &portal{origin: origin, validator: &authtoken.Validator{Origin: origin, Store: store}}, nil
}

// headers are what a page needs to reach the agent, and nothing more.
func headers(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; connect-src 'self' ws://127.0.0.1:52310 ws://127.0.0.1:52311 ws://127.0.0.1:52312 ws://127.0.0.1:52313; frame-ancestors 'none'; base-uri 'none'")
		w.Header().Set("Permissions-Policy", "loopback-network=(self), local-network-access=(self)")
		h.ServeHTTP(w, r)
	})
}

// binding ties a nonce to the browser: its session cookie.
func binding(w http.ResponseWriter, r *http.Request) string {
	if c, err := r.Cookie(cookie); err == nil {
		return c.Value
	}
	id := rand.Text()
	http.SetCookie(w, &http.Cookie{Name: cookie, Value: id, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode}) //nolint:gosec // an example on loopback, without https
	return id
}

func (p *portal) nonce(w http.ResponseWriter, r *http.Request) {
	value, expires, err := p.nonces.Issue(binding(w, r), p.origin)
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"nonce": value, "expiresIn": int(time.Until(expires).Seconds())})
}

func (p *portal) login(w http.ResponseWriter, r *http.Request) {
	var got struct {
		Token json.RawMessage `json:"token"`
		Nonce string          `json:"nonce"`
	}
	if err := json.NewDecoder(io.LimitReader(r.Body, maxToken)).Decode(&got); err != nil {
		http.Error(w, "not a login", http.StatusBadRequest)
		return
	}
	// The nonce is used up before anything else is looked at.
	if err := p.nonces.Take(got.Nonce, binding(w, r), p.origin); err != nil {
		http.Error(w, authtoken.Code(err), http.StatusForbidden)
		return
	}
	id, err := p.validator.Validate(r.Context(), got.Token, got.Nonce)
	if err != nil {
		http.Error(w, authtoken.Code(err), http.StatusForbidden)
		return
	}
	// Here a portal gives its session a new id and the person's codice fiscale.
	_, _ = io.WriteString(w, "Benvenuto, "+string(id.Person.CodiceFiscale))
}
