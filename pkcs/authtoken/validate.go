package authtoken

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/citel-pa/citel/pkcs/certificate"
	"github.com/citel-pa/citel/pkcs/profile"
	"github.com/citel-pa/citel/pkcs/trust"
	"github.com/citel-pa/citel/pkcs/validation"
)

// Validator verifies tokens for one origin.
type Validator struct {
	// Origin is configuration; it never comes from a request's headers.
	Origin string
	// Known are other origins of the same operator, tried only to tell a person
	// that the token was made for another site.
	Known []string
	Store *trust.Store
	// Revocation answers about certificates; nil asks the store's lists.
	Revocation *trust.Revocation
	// Policy has the algorithms' end dates and says what an unknown revocation
	// means; nil is validation.Strict.
	Policy *validation.Policy
	// AnyProfile accepts certificates that name no person by an Italian profile.
	// The caller then has a certificate and nothing more.
	AnyProfile bool
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Identity is who a good token came from.
type Identity struct {
	Person      profile.Person
	Certificate *x509.Certificate
	Algorithm   string
	// Test: the anchor carries the mark of test material.
	Test bool
	// Facts of chain and revocation, for the log.
	Facts *validation.Facts
}

// Validate checks a token over a nonce that the caller has taken out of its store
// just now (Nonces.Take). The order is Web eID's: form, certificate, purpose,
// chain and time, revocation, signature.
func (v *Validator) Validate(ctx context.Context, token []byte, nonce string) (*Identity, error) {
	t, cert, a, err := parse(token)
	if err != nil {
		return nil, err
	}
	if !profile.IsLogin(cert) {
		return nil, fmt.Errorf("%w: key usage or extended key usage", ErrPurpose)
	}
	id := &Identity{Certificate: cert, Algorithm: a.name}
	if id.Facts, err = v.chain(ctx, cert); err != nil {
		return nil, err
	}
	if id.Person, err = v.person(cert, id.Facts); err != nil {
		return nil, err
	}
	id.Test = id.Facts.Chain.Anchor.Test
	signature, err := base64.StdEncoding.Strict().DecodeString(t.Signature)
	if err != nil {
		return nil, fmt.Errorf("%w: the signature is not base64", ErrMalformed)
	}
	if err := checkKey(a, cert, v.policy(), v.now()); err != nil {
		return nil, err
	}
	if holds(a, cert, signature, v.Origin, nonce) {
		return id, nil
	}
	for _, other := range v.Known {
		if other != v.Origin && holds(a, cert, signature, other, nonce) {
			return nil, fmt.Errorf("%w: %s", ErrOtherOrigin, other)
		}
	}
	return nil, ErrSignature
}

func (v *Validator) now() time.Time {
	if v.Now != nil {
		return v.Now()
	}
	return time.Now()
}

func (v *Validator) policy() *validation.Policy {
	if v.Policy != nil {
		return v.Policy
	}
	return strict
}

var strict = validation.Strict()

// parse reads the token's form and its certificate.
func parse(token []byte) (t Token, cert *x509.Certificate, a algorithm, err error) {
	if len(token) < MinLength || len(token) > MaxLength {
		return t, nil, a, fmt.Errorf("%w: %d bytes", ErrTooLong, len(token))
	}
	if err := decode(token, &t); err != nil {
		return t, nil, a, err
	}
	// Later versions of the format's first generation add fields and change none; the
	// first programs left the minor number out.
	if t.Format != Format && t.Format != "web-eid:1" && !strings.HasPrefix(t.Format, "web-eid:1.") {
		return t, nil, a, fmt.Errorf("%w: %.40q", ErrFormat, t.Format)
	}
	a, ok := byName(t.Algorithm)
	if !ok {
		return t, nil, a, fmt.Errorf("%w: %.20q", ErrAlgorithm, t.Algorithm)
	}
	der, err := base64.StdEncoding.Strict().DecodeString(t.UnverifiedCertificate)
	if err != nil || len(der) == 0 {
		return t, nil, a, fmt.Errorf("%w: not base64", ErrCertificate)
	}
	if cert, err = certificate.Parse(der); err != nil {
		return t, nil, a, fmt.Errorf("%w: %w", ErrCertificate, err)
	}
	return t, cert, a, nil
}

// decode reads one JSON object and refuses names that stand twice: two readers
// could each take another one.
func decode(token []byte, t *Token) error {
	d := json.NewDecoder(bytes.NewReader(token))
	first, err := d.Token()
	if err != nil || first != json.Delim('{') {
		return fmt.Errorf("%w: not a JSON object", ErrMalformed)
	}
	seen := map[string]bool{}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return fmt.Errorf("%w: not JSON", ErrMalformed)
		}
		key := strings.ToLower(name.(string))
		if seen[key] {
			return fmt.Errorf("%w: a field stands twice", ErrMalformed)
		}
		seen[key] = true
		var skip json.RawMessage
		if err := d.Decode(&skip); err != nil {
			return fmt.Errorf("%w: not JSON", ErrMalformed)
		}
	}
	if _, err := d.Token(); err != nil {
		return fmt.Errorf("%w: not JSON", ErrMalformed)
	}
	if d.More() {
		return fmt.Errorf("%w: more than one document", ErrMalformed)
	}
	if err := json.Unmarshal(token, t); err != nil {
		return fmt.Errorf("%w: a field has the wrong type", ErrMalformed)
	}
	return nil
}

// chain finds the way to an anchor and judges it by the policy's rules for
// certificates, turned into this package's errors.
func (v *Validator) chain(ctx context.Context, cert *x509.Certificate) (*validation.Facts, error) {
	f := &validation.Facts{Time: v.now(), Signer: validation.SignerFacts{Certificate: cert.Raw}}
	// The certificate's own end first, as Web eID's validators do.
	if f.Time.Before(cert.NotBefore) {
		return nil, ErrNotYetValid
	}
	if f.Time.After(cert.NotAfter) {
		return nil, ErrExpired
	}
	var path []*x509.Certificate
	f.Chain, path = v.Store.PathAt(cert, nil, f.Time)
	if path == nil {
		return nil, fmt.Errorf("%w: %s", ErrUntrusted, f.Chain.Note)
	}
	f.Identity.RevocationSources = len(cert.CRLDistributionPoints) > 0 || len(cert.OCSPServer) > 0
	for _, link := range f.Chain.Links[1:] {
		if f.Time.Before(link.NotBefore) || f.Time.After(link.NotAfter) {
			return nil, fmt.Errorf("%w: its issuer's certificate is out of its time", ErrUntrusted)
		}
	}
	for _, fault := range f.Chain.Links[0].Faults {
		return nil, fmt.Errorf("%w: %s: %s", ErrUntrusted, fault.ID, fault.Text)
	}
	revocation := v.Revocation
	if revocation == nil {
		revocation = &trust.Revocation{Store: v.Store}
	}
	for i := range len(path) - 1 {
		f.Revocation = append(f.Revocation, revocation.About(ctx, trust.Question{Cert: path[i], Issuer: path[i+1], Path: path[i:]})...)
	}
	return f, v.judge(f)
}

// judge asks the same checks that signatures are judged by.
func (v *Validator) judge(f *validation.Facts) error {
	for _, x := range validation.JudgeCertificate(f, v.policy()) {
		if x.Level != validation.Fail {
			continue
		}
		switch x.Check {
		case validation.CheckRevoked:
			return ErrRevoked
		case validation.CheckRevocationKnown, validation.CheckRevocationIssuer, validation.CheckRevocationNoSource:
			return ErrRevocationUnknown
		case validation.CheckAlgorithms:
			return fmt.Errorf("%w: %s", ErrAlgorithm, x.Text("en"))
		default: // a check that comes later must not be passed over
			return fmt.Errorf("%w: %s", ErrUntrusted, x.Text("en"))
		}
	}
	return nil
}

func (v *Validator) person(cert *x509.Certificate, f *validation.Facts) (profile.Person, error) {
	var listed []profile.Profile
	for _, p := range f.Chain.Anchor.Profiles {
		listed = append(listed, profile.Profile(p))
	}
	who, err := profile.Identify(cert, listed)
	if err != nil && !v.AnyProfile {
		return who, fmt.Errorf("%w: %w", ErrProfile, err)
	}
	return who, nil
}

// checkKey: algorithm and key must belong together, and be good today.
func checkKey(a algorithm, cert *x509.Certificate, p *validation.Policy, at time.Time) error {
	name, bits := trust.KeyOf(cert)
	if a.key == "RSA-PSS" && name == "RSA" {
		name = a.key
	}
	if name != a.key || a.bits != 0 && bits != a.bits {
		return fmt.Errorf("%w: %s with a key of %s-%d", ErrAlgorithm, a.name, name, bits)
	}
	if ok, _, level := p.Algorithms.Key(name, bits, at); !ok && level == validation.Fail {
		return fmt.Errorf("%w: %s-%d is no longer safe", ErrAlgorithm, name, bits)
	}
	return nil
}

func holds(a algorithm, cert *x509.Certificate, sig []byte, origin, nonce string) bool {
	return a.verify(cert.PublicKey, digest(a.hash, origin, nonce), sig)
}

// VerifyDigest checks a signature value as a token carries it: by the JWA name
// (RFC 7518, 3.1), over a digest of that algorithm's hash, ECDSA as R||S of fixed
// length (RFC 7518, 3.4).
func VerifyDigest(name string, key crypto.PublicKey, digest, sig []byte) bool {
	a, ok := byName(name)
	return ok && a.verify(key, digest, sig)
}

func (a algorithm) verify(key crypto.PublicKey, sum, sig []byte) bool {
	switch k := key.(type) {
	case *rsa.PublicKey:
		switch a.key {
		case "RSA-PSS":
			return rsa.VerifyPSS(k, a.hash, sum, sig, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: a.hash}) == nil
		case "RSA":
			return rsa.VerifyPKCS1v15(k, a.hash, sum, sig) == nil
		}
	case *ecdsa.PublicKey:
		size := (a.bits + 7) / 8
		if a.key != "ECDSA" || k.Curve.Params().BitSize != a.bits || len(sig) != 2*size {
			return false
		}
		return ecdsa.Verify(k, sum, new(big.Int).SetBytes(sig[:size]), new(big.Int).SetBytes(sig[size:]))
	}
	return false
}
