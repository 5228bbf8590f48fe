package trust

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"slices"
	"time"

	"github.com/citel-pa/citel/pkcs/trust/ocsp"
	"github.com/citel-pa/citel/pkcs/trust/rfc5280"
	"github.com/citel-pa/citel/pkcs/validation"
)

// answered is a responder's answer about one certificate.
type answered struct {
	told
	// until is how long it is not asked again.
	until time.Time
}

// told is what an answer says, with the path of who signed it.
type told struct {
	facts *validation.RevocationFacts // nil: what der says was not looked at yet (Replay)
	by    []*x509.Certificate
	der   []byte
	err   error // why there is no answer
}

// copies: facts go into reports of their own.
func (t told) copies() (*validation.RevocationFacts, []*x509.Certificate) {
	f := *t.facts
	return &f, t.by
}

// counts: the answer's signature holds, whatever it says.
func (t told) counts() bool { return t.facts != nil && (t.facts.Trusted || t.facts.Note == "") }

func (r *Revocation) isFresh(f *validation.RevocationFacts) bool {
	return f.Trusted && f.NextUpdate != nil && f.NextUpdate.After(r.now())
}

// response reads a response into facts about one certificate; nil when it speaks of
// others. With a nonce, it must be the answer to it. The path is of who signed it.
func (r *Revocation) response(der []byte, source string, q Question, nonce []byte) (f *validation.RevocationFacts, by []*x509.Certificate) {
	sum := sha256.Sum256(q.Cert.Raw)
	f = &validation.RevocationFacts{Subject: sum[:], Kind: "ocsp", Source: source, Status: "unknown"}
	resp, err := ocsp.Parse(der)
	if err != nil {
		f.Note = err.Error()
		return f, nil
	}
	a := resp.About(q.Cert, q.Issuer)
	if a == nil {
		if source == "embedded" {
			return nil, nil
		}
		f.Note = "the response is about other certificates"
		return f, nil
	}
	f.Object, f.Raw, f.ThisUpdate, f.ProducedAt = validation.ObjectID(resp.Raw), resp.Raw, a.ThisUpdate, &resp.ProducedAt
	// Without a next update newer information is to be had at any time (RFC 6960,
	// 4.2.2.1): the answer speaks for the moment it was made.
	next := a.NextUpdate
	if next.IsZero() {
		next = resp.ProducedAt.Add(noNextUpdate)
	}
	f.NextUpdate = &next
	if !a.ArchiveCutoff.IsZero() {
		f.Remembers = &a.ArchiveCutoff
	}
	f.CertHash = a.CertHash(q.Cert)
	f.DigestName = resp.Digest()
	switch {
	case nonce != nil && !resp.NonceIs(nonce):
		f.Note = "the response answers another request"
		return f, nil
	case f.CertHash != nil && !*f.CertHash:
		f.Note = "the responder knows another certificate of this number"
		return f, nil
	case a.ThisUpdate.After(r.now().Add(clockSkew)):
		f.Note = "the response is of the future"
		return f, nil
	}
	if by, f.Note = r.signedBy(resp, q, f); f.Note != "" {
		return f, nil
	}
	f.Status, f.Trusted = a.Status, a.Status != "unknown"
	if a.Status == "revoked" {
		at := a.RevokedAt
		f.RevokedAt, f.Reason = &at, reasonNames[a.Reason]
	}
	return f, by
}

const (
	// noNextUpdate is how long a response without a next update is taken as fresh.
	noNextUpdate = 5 * time.Minute
	clockSkew    = 5 * time.Minute
)

// signedBy finds who signed a response, and says why it does not count; empty when it
// does. RFC 6960, 4.2.2.2: the issuer itself, one to whom the issuer gave the word
// (issued directly, for OCSPSigning), or one that is trusted here as such. The path is
// nil for the issuer and for who is trusted as such.
func (r *Revocation) signedBy(resp *ocsp.Response, q Question, f *validation.RevocationFacts) (by []*x509.Certificate, why string) {
	issuer := q.Issuer
	if resp.Names(issuer) && resp.Verify(issuer) == nil {
		f.ByIssuer = true
		f.KeyName, f.KeyBits = KeyOf(issuer)
		return nil, ""
	}
	why = "the responder's certificate is not in the response"
	for _, c := range slices.Concat(resp.Certificates, r.candidates(resp.Name, q)) {
		if !resp.Names(c) {
			continue
		}
		path := []*x509.Certificate{c, issuer}
		switch anchor := r.Store.anchorOf(c); {
		case anchor != nil && (slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning) || rfc5280.SameName(c.RawSubject, issuer.RawSubject)):
			path = path[:1]
		case !slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning):
			why = "the responder's certificate is not for OCSP"
			continue
		case issuer.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil:
			if len(q.Path) > 2 {
				path = append(path, q.Path[2:]...)
			}
		default:
			// The issuer may have given the word with another of its keys.
			why = "the responder's certificate is not from the certificate's issuer"
			if !rfc5280.SameName(c.RawIssuer, issuer.RawSubject) {
				continue
			}
			_, path = r.signerPath(c, q)
			if len(path) < 2 || !rfc5280.SameName(path[1].RawSubject, issuer.RawSubject) {
				continue
			}
		}
		if err := resp.Verify(c); err != nil {
			why = "the response's signature does not hold: " + err.Error()
			continue
		}
		f.KeyName, f.KeyBits = KeyOf(c)
		f.By = &validation.ChainFacts{Found: true}
		for _, x := range path {
			f.By.Links = append(f.By.Links, linkFacts(x))
		}
		return path, ""
	}
	return nil, why
}

// askResponder asks the first responder that a certificate names, or takes the answer
// that it gave before while that is fresh; nil when it names none.
func (r *Revocation) askResponder(ctx context.Context, q Question) (*validation.RevocationFacts, []*x509.Certificate) {
	if len(q.Cert.OCSPServer) == 0 {
		return nil, nil
	}
	address := q.Cert.OCSPServer[0]
	key := responderKey(q)
	r.mu.Lock()
	have := r.responses[key]
	r.mu.Unlock()
	if have != nil && r.now().Before(have.until) {
		switch {
		case have.facts != nil:
			return have.copies()
		case have.err != nil:
			return r.noAnswer(q, address, have.err), nil
		}
		return r.response(have.der, address, q, nil)
	}
	ch := r.flight.DoChan("ocsp "+key, func() (any, error) {
		// The request outlives the caller that began it: others wait for it too.
		return r.answer(context.WithoutCancel(ctx), address, key, q), nil
	})
	var enough <-chan time.Time
	if have != nil && have.counts() {
		t := time.NewTimer(patience)
		defer t.Stop()
		enough = t.C
	}
	select {
	case res := <-ch:
		return res.Val.(*answered).copies()
	case <-enough:
		return have.copies()
	case <-ctx.Done():
		return r.noAnswer(q, address, ctx.Err()), nil
	}
}

// responderKey names a question to a responder.
func responderKey(q Question) string {
	sum := sha256.Sum256(slices.Concat(q.Cert.Raw, q.Issuer.Raw))
	return string(sum[:])
}

// answer takes the answer from the folder, and asks when that one is not fresh. The last
// answer stays while nobody gives a newer one; the policy says how old it may be.
func (r *Revocation) answer(ctx context.Context, address, key string, q Question) *answered {
	r.mu.Lock()
	old := r.responses[key]
	r.mu.Unlock()
	if old == nil {
		if der := r.Keep.load("ocsp "+key, ocsp.MaxResponse); der != nil {
			f, by := r.response(der, address, q, nil)
			if kept := (told{facts: f, by: by, der: der}); kept.counts() {
				old = &answered{told: kept, until: *f.NextUpdate}
				r.rememberAnswer(key, old)
				if r.isFresh(f) {
					return old
				}
			}
		}
	}
	a := &answered{until: r.now().Add(retryAfter)}
	nonce := make([]byte, 32)
	_, _ = rand.Read(nonce) // never fails
	var der []byte
	body, err := ocsp.NewRequest(q.Cert, q.Issuer, nonce)
	if err == nil {
		der, err = r.Fetch.Post(ctx, address, "application/ocsp-request", body, ocsp.MaxResponse)
	}
	if err != nil {
		a.facts, a.err = r.noAnswer(q, address, err), err
	} else {
		a.der = der
		a.facts, a.by = r.response(der, address, q, nonce)
	}
	switch {
	case old != nil && old.counts() && (!a.counts() || a.facts.ThisUpdate.Before(old.facts.ThisUpdate)):
		a.told = old.told
	case a.facts.Trusted: // who is not known today may be so in a minute
		if a.facts.NextUpdate.After(a.until) {
			a.until = *a.facts.NextUpdate
		}
		_ = r.Keep.save("ocsp "+key, der) // a full disk costs the next start a request
	}
	r.rememberAnswer(key, a)
	return a
}

func (r *Revocation) rememberAnswer(key string, a *answered) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.responses == nil || len(r.responses) >= maxAnswers {
		r.responses = map[string]*answered{}
	}
	r.responses[key] = a
}

// maxAnswers bounds the answers that are remembered: some 2 KB each.
const maxAnswers = 20_000

func (r *Revocation) noAnswer(q Question, address string, err error) *validation.RevocationFacts {
	sum := sha256.Sum256(q.Cert.Raw)
	return &validation.RevocationFacts{Subject: sum[:], Kind: "ocsp", Source: address, Status: "unknown", Note: err.Error()}
}
