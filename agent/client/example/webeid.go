package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"io"
	"math/big"
	"net/http"
	"sync"

	"github.com/citel-pa/citel/pkcs/authtoken"
)

// webEID is the server's side of a site made for Web eID: the addresses of its example,
// and what it keeps for each session.
type webEID struct {
	portal   *portal
	mu       sync.Mutex
	sessions map[string]*kept
}

type kept struct {
	nonce       string
	certificate *x509.Certificate
	hash        [sha256.Size]byte
}

func (e *webEID) session(w http.ResponseWriter, r *http.Request) (id string, k *kept) {
	id = binding(w, r)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.sessions == nil || len(e.sessions) > 1000 {
		e.sessions = make(map[string]*kept)
	}
	if e.sessions[id] == nil {
		e.sessions[id] = &kept{}
	}
	return id, e.sessions[id]
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func read(w http.ResponseWriter, r *http.Request, v any) bool {
	err := json.NewDecoder(io.LimitReader(r.Body, maxToken)).Decode(v)
	if err != nil {
		http.Error(w, "not what was expected", http.StatusBadRequest)
	}
	return err == nil
}

func (e *webEID) challenge(w http.ResponseWriter, r *http.Request) {
	id, k := e.session(w, r)
	nonce, _, err := e.portal.nonces.Issue(id, e.portal.origin)
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	e.mu.Lock()
	k.nonce = nonce
	e.mu.Unlock()
	answer(w, map[string]string{"nonce": nonce})
}

func (e *webEID) login(w http.ResponseWriter, r *http.Request) {
	var got struct{ AuthToken json.RawMessage }
	if !read(w, r, &got) {
		return
	}
	id, k := e.session(w, r)
	e.mu.Lock()
	nonce := k.nonce
	k.nonce = ""
	e.mu.Unlock()
	// The nonce is used up before anything else is looked at.
	if err := e.portal.nonces.Take(nonce, id, e.portal.origin); err != nil {
		http.Error(w, authtoken.Code(err), http.StatusForbidden)
		return
	}
	who, err := e.portal.validator.Validate(r.Context(), got.AuthToken, nonce)
	if err != nil {
		http.Error(w, authtoken.Code(err), http.StatusForbidden)
		return
	}
	answer(w, map[string]string{"name": string(who.Person.CodiceFiscale)})
}

// prepare would make a document with a place for the signature; here it is a sentence.
func (e *webEID) prepare(w http.ResponseWriter, r *http.Request) {
	var got struct{ Certificate []byte }
	if !read(w, r, &got) {
		return
	}
	cert, err := x509.ParseCertificate(got.Certificate)
	if err != nil {
		http.Error(w, "not a certificate", http.StatusBadRequest)
		return
	}
	_, k := e.session(w, r)
	e.mu.Lock()
	k.certificate, k.hash = cert, sha256.Sum256([]byte("a document of this site"))
	hash := k.hash
	e.mu.Unlock()
	answer(w, map[string]string{"hash": base64.StdEncoding.EncodeToString(hash[:]), "hashFunction": "SHA-256"})
}

func (e *webEID) finalize(w http.ResponseWriter, r *http.Request) {
	var got struct{ Signature []byte }
	if !read(w, r, &got) {
		return
	}
	_, k := e.session(w, r)
	e.mu.Lock()
	cert, hash := k.certificate, k.hash
	e.mu.Unlock()
	holds := false
	if cert != nil {
		switch key := cert.PublicKey.(type) {
		case *rsa.PublicKey:
			holds = rsa.VerifyPKCS1v15(key, crypto.SHA256, hash[:], got.Signature) == nil
		case *ecdsa.PublicKey:
			half := len(got.Signature) / 2
			holds = ecdsa.Verify(key, hash[:], new(big.Int).SetBytes(got.Signature[:half]), new(big.Int).SetBytes(got.Signature[half:]))
		}
	}
	if !holds {
		http.Error(w, "the signature does not hold", http.StatusForbidden)
		return
	}
	answer(w, map[string]string{"state": "verified"})
}
