package verify

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"slices"

	"github.com/citel-pa/citel/pkcs/certificate"
	"github.com/citel-pa/citel/pkcs/trust"
	"github.com/citel-pa/citel/pkcs/validation"
)

// evidence is what a file brought along, in any place of it: a list in a signature's
// revocation values may be about its time-stamper.
type evidence struct {
	certificates []*x509.Certificate
	seen         map[[32]byte]bool
	crls, ocsps  [][]byte
}

// maxEvidence bounds the certificates, lists and responses that are looked at.
const maxEvidence = 256

func gather(f *validation.Facts, helpers []*x509.Certificate) *evidence {
	e := &evidence{seen: map[[32]byte]bool{}}
	for _, c := range helpers {
		if e.fresh(c.Raw) {
			e.certificates = append(e.certificates, c)
		}
	}
	e.take(f)
	return e
}

func (e *evidence) take(f *validation.Facts) {
	for _, der := range f.Certificates {
		if e.fresh(der) {
			if c, err := certificate.Parse(der); err == nil {
				e.certificates = append(e.certificates, c)
			}
		}
	}
	for _, der := range f.CRLs {
		if e.fresh(der) {
			e.crls = append(e.crls, der)
		}
	}
	for _, der := range f.OCSPs {
		if e.fresh(der) {
			e.ocsps = append(e.ocsps, der)
		}
	}
	for _, t := range f.Timestamps {
		if t.Token != nil {
			e.take(t.Token)
		}
	}
	for _, c := range f.Counter {
		e.take(c)
	}
}

func (e *evidence) fresh(der []byte) bool {
	key := sha256.Sum256(der)
	if e.seen[key] || len(e.seen) >= maxEvidence {
		return false
	}
	e.seen[key] = true
	return true
}

// follow finds the way from a signature's certificate to an anchor, and what is known
// of each certificate on it.
func (e *evidence) follow(ctx context.Context, f *validation.Facts, o Options) *x509.Certificate {
	signer := e.signer(f)
	if signer == nil {
		return nil
	}
	f.Identity = identityFacts(signer)
	var path []*x509.Certificate
	helpers := e.helpers(signer)
	f.Chain, path = o.Store.PathAt(signer, helpers, o.Time)
	for i := range max(0, len(path)-1) {
		from := len(f.Revocation)
		f.Revocation = append(f.Revocation, o.Revocation.About(ctx, trust.Question{
			Cert: path[i], Issuer: path[i+1], Path: path[i:], Helpers: helpers, CRLs: e.crls, OCSPs: e.ocsps, Seen: o.Seen,
		})...)
		if i == len(path)-2 {
			remembers(f.Chain.Anchor, f.Revocation[from:])
		}
	}
	return signer
}

// signer is the signature's certificate, which was read already as one of the file's.
func (e *evidence) signer(f *validation.Facts) *x509.Certificate {
	if i := slices.IndexFunc(e.certificates, func(c *x509.Certificate) bool { return bytes.Equal(c.Raw, f.Signer.Certificate) }); i >= 0 {
		return e.certificates[i]
	}
	return f.SignerX509()
}

// remembers lets answers of a listed service's issuer count for certificates after their
// end, where the list says so (TS 119 612, 5.5.9.1).
func remembers(anchor *validation.AnchorFacts, answers []validation.RevocationFacts) {
	if anchor == nil || anchor.Service == nil || anchor.Service.ExpiredCerts == nil {
		return
	}
	for i := range answers {
		if answers[i].Remembers == nil {
			answers[i].Remembers = anchor.Service.ExpiredCerts
		}
	}
}

func (e *evidence) helpers(signer *x509.Certificate) (out []*x509.Certificate) {
	for _, c := range e.certificates {
		if !c.Equal(signer) {
			out = append(out, c)
		}
	}
	return out
}
