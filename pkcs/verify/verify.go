// Package verify is the whole way from a signed file to results: it reads the
// facts (pkcs/cades), adds chain, revocation and identity (pkcs/trust,
// pkcs/profile) and has them judged (pkcs/validation).
package verify

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/citel-pa/citel/pkcs/cades"
	"github.com/citel-pa/citel/pkcs/cms"
	"github.com/citel-pa/citel/pkcs/profile"
	"github.com/citel-pa/citel/pkcs/trust"
	"github.com/citel-pa/citel/pkcs/validation"
)

// ErrNoSignature means that the bytes are no signed file of a format that is known.
var ErrNoSignature = errors.New("verify: no signature found")

// Options says what is trusted and how it is judged.
type Options struct {
	Store *trust.Store
	// Revocation answers about certificates; nil asks the store's lists only.
	Revocation *trust.Revocation
	// Policy judges; nil is validation.Default.
	Policy *validation.Policy
	// Time the validation is made for; zero is now.
	Time time.Time
	// Content of a detached signature.
	Content io.Reader
	// Extract receives the enveloped content as it is read. It must not be used
	// before the results were looked at.
	Extract io.Writer
}

// Reader validates every signature of a file. The error is for what could not be
// judged at all: ErrNoSignature, or a failure to read. An invalid signature is a
// result.
func Reader(ctx context.Context, r io.Reader, o Options) ([]*validation.Result, error) {
	facts, err := cades.Read(ctx, r, cades.ReadOptions{Content: o.Content, Extract: o.Extract})
	switch {
	case errors.Is(err, cms.ErrNotCMS):
		return nil, fmt.Errorf("%w: %w", ErrNoSignature, err)
	case err != nil:
		return nil, err
	}
	results := make([]*validation.Result, 0, len(facts))
	for _, f := range facts {
		results = append(results, Judge(ctx, f, o))
	}
	return results, nil
}

// Judge completes facts with chain, revocation and identity, and judges them.
func Judge(ctx context.Context, f *validation.Facts, o Options) *validation.Result {
	policy := o.Policy
	if policy == nil {
		policy = validation.Default()
	}
	Complete(ctx, f, o)
	return validation.Judge(f, policy)
}

// Complete adds to a signature's own facts what others know: the path to an
// anchor, who the certificate names, and whether it was revoked.
func Complete(ctx context.Context, f *validation.Facts, o Options) {
	f.Time = o.Time
	if f.Time.IsZero() {
		f.Time = time.Now()
	}
	signer := f.SignerX509()
	if signer == nil {
		return
	}
	var helpers []*x509.Certificate
	for _, der := range f.Certificates {
		if c, err := x509.ParseCertificate(der); err == nil && !c.Equal(signer) {
			helpers = append(helpers, c)
		}
	}
	f.Identity = identityFacts(signer)
	store := o.Store
	if store == nil {
		store = trust.NewStore()
	}
	var path []*x509.Certificate
	f.Chain, path = store.Path(signer, helpers)
	if path == nil {
		return
	}
	identify(f, signer)
	revocation := o.Revocation
	if revocation == nil {
		revocation = &trust.Revocation{Store: store}
	}
	for i := range len(path) - 1 {
		f.Revocation = append(f.Revocation, revocation.About(ctx, path[i], path[i+1], f.CRLs)...)
	}
}

func identify(f *validation.Facts, signer *x509.Certificate) {
	var listed []profile.Profile
	for _, p := range f.Chain.Anchor.Profiles {
		listed = append(listed, profile.Profile(p))
	}
	who, err := profile.Identify(signer, listed)
	if err != nil {
		f.Identity.Problem = err.Error()
		return
	}
	f.Identity.Profile = string(who.Profile)
	f.Identity.CodiceFiscale = string(who.CodiceFiscale)
	f.Identity.Given, f.Identity.Family = who.Given, who.Family
	f.Identity.QSCD = who.Profile == profile.Qualified && profile.OnQSCD(signer)
}

var (
	oidNoRevAvail = asn1.ObjectIdentifier{2, 5, 29, 56}          // RFC 9608
	oidShortTerm  = asn1.ObjectIdentifier{0, 4, 0, 194121, 2, 1} // ETSI EN 319 412-1, 5.2
	usageNames    = []struct {
		bit  x509.KeyUsage
		name string
	}{
		{x509.KeyUsageDigitalSignature, "digitalSignature"}, {x509.KeyUsageContentCommitment, "nonRepudiation"},
		{x509.KeyUsageKeyEncipherment, "keyEncipherment"}, {x509.KeyUsageDataEncipherment, "dataEncipherment"},
		{x509.KeyUsageKeyAgreement, "keyAgreement"}, {x509.KeyUsageCertSign, "keyCertSign"}, {x509.KeyUsageCRLSign, "cRLSign"},
	}
)

func identityFacts(c *x509.Certificate) validation.IdentityFacts {
	id := validation.IdentityFacts{
		Subject: profile.DistinguishedName(c.Subject), Serial: fmt.Sprintf("%x", c.SerialNumber), Seal: profile.IsSeal(c),
		RevocationSources: len(c.CRLDistributionPoints) > 0 || len(c.OCSPServer) > 0,
		NoRevocation: slices.ContainsFunc(c.Extensions, func(e pkix.Extension) bool {
			return e.Id.Equal(oidNoRevAvail) || e.Id.Equal(oidShortTerm)
		}),
	}
	for _, u := range usageNames {
		if c.KeyUsage&u.bit != 0 {
			id.KeyUsage = append(id.KeyUsage, u.name)
		}
	}
	return id
}
