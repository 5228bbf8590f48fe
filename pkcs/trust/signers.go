package trust

import (
	"bytes"
	"context"
	"crypto/x509"
	"slices"

	"github.com/citel-pa/citel/pkcs/trust/rfc5280"
	"github.com/citel-pa/citel/pkcs/validation"
)

// maxSigners bounds the certificates that are tried as a list's signer; maxAsking how
// far those who sign answers are asked about in turn.
const (
	maxSigners = 8
	maxAsking  = 3
)

// listSigner finds who signed a list, and says why it does not count; empty when it
// does (RFC 5280, 6.3.3, (f), (g)): the certificate's issuer, or a certificate of the
// list's issuer whose own path ends at the same anchor. The path is nil for the issuer.
func (r *Revocation) listSigner(l *CRL, q Question, f *validation.RevocationFacts) (by []*x509.Certificate, why string) {
	f.DigestName, _ = digestName(l.list.SignatureAlgorithm)
	why = "its signer's certificate is not there"
	if rfc5280.SameName(l.list.RawIssuer, q.Issuer.RawSubject) && rfc5280.SameName(l.list.RawIssuer, q.Cert.RawIssuer) {
		err := l.signedFrom(q.Issuer, true)
		if err == nil {
			f.Trusted, f.ByIssuer = true, true
			f.KeyName, f.KeyBits = KeyOf(q.Issuer)
			return nil, ""
		}
		why = "the list's signature does not hold: " + err.Error()
	}
	for i, c := range r.candidates(l.list.RawIssuer, q) {
		if i == maxSigners {
			break
		}
		if len(l.list.AuthorityKeyId) > 0 && len(c.SubjectKeyId) > 0 && !bytes.Equal(l.list.AuthorityKeyId, c.SubjectKeyId) || l.signedFrom(c, false) != nil {
			continue
		}
		chain, path := r.signerPath(c, q)
		if path == nil {
			why = "its signer's certificate does not lead to the same anchor"
			continue
		}
		f.Trusted, f.By = true, chain
		f.KeyName, f.KeyBits = KeyOf(c)
		return path, ""
	}
	return nil, why
}

// candidates are the certificates of a name, from the path, from the anchors and from
// the file. Nobody vouches for himself.
func (r *Revocation) candidates(name []byte, q Question) (out []*x509.Certificate) {
	add := func(c *x509.Certificate) {
		if rfc5280.SameName(c.RawSubject, name) && !c.Equal(q.Cert) && !onPath(q.asking, c) && !onPath(out, c) {
			out = append(out, c)
		}
	}
	for _, c := range q.Path[1:] {
		add(c)
	}
	for _, a := range r.Store.anchorsNamed(name) {
		add(a.Certificate)
	}
	for _, c := range q.Helpers {
		add(c)
	}
	return out
}

// signerPath finds the path of who signed an answer: it keeps the rules, and ends at the
// anchor of the certificate in question, or at once at an anchor: an authority with a new
// key is listed with both.
func (r *Revocation) signerPath(c *x509.Certificate, q Question) (*validation.ChainFacts, []*x509.Certificate) {
	if i := slices.IndexFunc(q.Path, c.Equal); i >= 0 {
		facts := validation.ChainFacts{Found: true}
		for _, x := range q.Path[i:] {
			facts.Links = append(facts.Links, linkFacts(x))
		}
		return &facts, q.Path[i:]
	}
	facts, path := r.Store.PathAt(c, slices.Concat(q.Helpers, q.Path[1:]), r.now())
	if path == nil || len(facts.Links[0].Faults) > 0 {
		return nil, nil
	}
	if len(path) > 1 && !path[len(path)-1].Equal(q.Path[len(q.Path)-1]) {
		return nil, nil
	}
	return &facts, path
}

// aboutSigner asks about the certificates of who signed an answer, as far as the path of
// the certificate in question does not hold them.
func (r *Revocation) aboutSigner(ctx context.Context, by []*x509.Certificate, q Question) (out []validation.RevocationFacts) {
	if len(q.asking) >= maxAsking {
		return nil
	}
	for i := range max(0, len(by)-1) {
		if onPath(q.Path, by[i]) {
			break // so is what follows
		}
		if noCheck(by[i]) {
			continue
		}
		out = append(out, r.About(ctx, Question{
			Cert: by[i], Issuer: by[i+1], Path: by[i:], Helpers: q.Helpers, CRLs: q.CRLs, OCSPs: q.OCSPs, Seen: q.Seen,
			asking: append(slices.Clone(q.asking), q.Cert, by[i]),
		})...)
	}
	return out
}

// noCheck: id-pkix-ocsp-nocheck on a responder (RFC 6960, 4.2.2.2.1): its issuer asks not
// to look for its revocation.
func noCheck(c *x509.Certificate) bool {
	return slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning) && slices.ContainsFunc(c.Extensions, isNoCheck)
}
