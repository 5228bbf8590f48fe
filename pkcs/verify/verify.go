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
	"github.com/citel-pa/citel/pkcs/pades"
	"github.com/citel-pa/citel/pkcs/pdf"
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
	// Helpers are certificates that help to find paths, like those of the file; none of
	// them is trusted.
	Helpers []*x509.Certificate
	// Policy judges; nil is validation.Default.
	Policy *validation.Policy
	// Time the validation is made for; zero is now.
	Time time.Time
	// Content of a detached signature.
	Content io.Reader
	// Contents, when there are several: each signer tells which one it fits.
	Contents []cades.Content
	// Extract receives the enveloped content as it is read. It must not be used
	// before the results were looked at.
	Extract io.Writer
	// Seen, where set, gets what store and network said of revocation, in order.
	Seen func(trust.Evidence)
	// TempDir is where a PDF that comes as a stream is put aside, in a file that only
	// this user can read; empty is the system's.
	TempDir string
}

// Reader validates every signature of a file. The error is for what could not be
// judged at all: ErrNoSignature, or a failure to read. An invalid signature is a
// result, and so is one in a format that is known by name only.
func Reader(ctx context.Context, r io.Reader, o Options) ([]*validation.Result, error) {
	facts, err := Facts(ctx, r, o)
	if err != nil {
		return nil, err
	}
	results := make([]*validation.Result, 0, len(facts))
	for _, f := range facts {
		results = append(results, Judge(ctx, f, o))
	}
	return results, nil
}

// Facts reads the signatures' own facts from a file of any format.
func Facts(ctx context.Context, r io.Reader, o Options) ([]*validation.Facts, error) {
	kind, r, err := sniff(r)
	if err != nil {
		return nil, err
	}
	var facts []*validation.Facts
	switch kind {
	case "PDF":
		at, size, done, err := anywhere(r, o.TempDir)
		if err != nil {
			return nil, err
		}
		defer done()
		facts, err = pades.Read(ctx, at, size)
		switch {
		case errors.Is(err, pades.ErrNoSignature):
			return nil, fmt.Errorf("%w: PDF without a signature", ErrNoSignature)
		case errors.Is(err, pdf.ErrNotPDF), errors.Is(err, pdf.ErrMalformed):
			return nil, fmt.Errorf("%w: %w", ErrNoSignature, err)
		}
		return facts, err
	case "CMS":
		facts, err = readEnvelope(ctx, r, cades.ReadOptions{Content: o.Content, Contents: o.Contents, Extract: o.Extract}, 0)
	case "XML":
		signed, err := signedXML(r)
		if err != nil || !signed {
			return nil, errors.Join(fmt.Errorf("%w: XML without a signature", ErrNoSignature), err)
		}
		return unread("XAdES"), nil
	default:
		return unread(kind), nil
	}
	if errors.Is(err, cms.ErrNotCMS) {
		return nil, fmt.Errorf("%w: %w", ErrNoSignature, err)
	}
	return facts, err
}

// unread is a format that is known by name only.
func unread(format string) []*validation.Facts {
	return []*validation.Facts{{Format: format, Level: "-", Unread: true}}
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
// anchor, who the certificate names, and whether it was revoked; the same for its
// time-stamps and counter-signatures, with the evidence of the whole file.
func Complete(ctx context.Context, f *validation.Facts, o Options) {
	if o.Time.IsZero() {
		o.Time = time.Now()
	}
	if o.Store == nil {
		o.Store = trust.NewStore()
	}
	if o.Revocation == nil {
		o.Revocation = &trust.Revocation{Store: o.Store}
	}
	complete(ctx, f, o, gather(f, o.Helpers))
}

// maxStamps bounds what one signature's time-stamps and counter-signatures can cost.
const maxStamps = 32

func complete(ctx context.Context, f *validation.Facts, o Options, e *evidence) {
	f.Time = o.Time
	for i := range f.Timestamps {
		if t := &f.Timestamps[i]; t.Token != nil && i < maxStamps {
			t.Token.Time = o.Time
			e.follow(ctx, t.Token, o)
		}
	}
	for i, c := range f.Counter {
		if i < maxStamps {
			complete(ctx, c, o, e)
		}
	}
	if signer := e.follow(ctx, f, o); signer != nil && f.Chain.Found {
		identify(f, signer)
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
		// A qualified certificate of somebody without an Italian tax code stays one: what
		// is missing is who that is here.
		if p, ok := profile.Of(signer); ok && p == profile.Qualified && slices.Contains(listed, p) {
			f.Identity.Profile, f.Identity.QSCD = string(p), profile.OnQSCD(signer)
		}
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
