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

// answered is a response that was asked for.
type answered struct {
	der []byte
	err error
	// until is how long it is not asked again.
	until time.Time
}

func isFresh(f *validation.RevocationFacts) bool {
	return f.Trusted && f.NextUpdate != nil && f.NextUpdate.After(time.Now())
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
	f.Object, f.ThisUpdate, f.ProducedAt = validation.ObjectID(resp.Raw), a.ThisUpdate, &resp.ProducedAt
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
	case a.ThisUpdate.After(time.Now().Add(clockSkew)):
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
	sum := sha256.Sum256(slices.Concat(q.Cert.Raw, q.Issuer.Raw))
	key := string(sum[:])
	r.mu.Lock()
	have := r.responses[key]
	r.mu.Unlock()
	if have != nil && time.Now().Before(have.until) {
		if have.err != nil {
			return r.noAnswer(q, address, have.err), nil
		}
		return r.response(have.der, address, q, nil)
	}
	ch := r.flight.DoChan("ocsp "+key, func() (any, error) {
		// The request outlives the caller that began it: others wait for it too.
		f, by := r.post(context.WithoutCancel(ctx), address, key, q)
		return told{f, by}, nil
	})
	select {
	case res := <-ch:
		t := res.Val.(told)
		return t.facts, t.by
	case <-ctx.Done():
		return r.noAnswer(q, address, ctx.Err()), nil
	}
}

// told is an answer with the path of who signed it.
type told struct {
	facts *validation.RevocationFacts
	by    []*x509.Certificate
}

func (r *Revocation) post(ctx context.Context, address, key string, q Question) (f *validation.RevocationFacts, by []*x509.Certificate) {
	nonce := make([]byte, 32)
	_, _ = rand.Read(nonce) // never fails
	answer := &answered{until: time.Now().Add(retryAfter)}
	body, err := ocsp.NewRequest(q.Cert, q.Issuer, nonce)
	if err == nil {
		answer.der, err = r.Fetch.Post(ctx, address, "application/ocsp-request", body, ocsp.MaxResponse)
	}
	answer.err = err
	if err != nil {
		f = r.noAnswer(q, address, err)
	} else if f, by = r.response(answer.der, address, q, nonce); isFresh(f) {
		answer.until = *f.NextUpdate
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if old := r.responses[key]; answer.err != nil && old != nil && old.err == nil {
		// The last answer is kept while nobody gives a newer one; the policy says how
		// old it may be.
		answer.der, answer.err = old.der, nil
		f, by = r.response(old.der, address, q, nil)
	}
	if r.responses == nil || len(r.responses) >= maxAnswers {
		r.responses = map[string]*answered{}
	}
	r.responses[key] = answer
	return f, by
}

// maxAnswers bounds the responses that are remembered: some 2 KB each.
const maxAnswers = 20_000

func (r *Revocation) noAnswer(q Question, address string, err error) *validation.RevocationFacts {
	sum := sha256.Sum256(q.Cert.Raw)
	return &validation.RevocationFacts{Subject: sum[:], Kind: "ocsp", Source: address, Status: "unknown", Note: err.Error()}
}
