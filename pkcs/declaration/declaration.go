// Package declaration is the login of somebody whose certificate is for signatures alone:
// such a key signs no login token, so its holder signs a page of text that says where and
// when the login is. The agent writes the page, from the connection's origin and the
// server's nonce, and marks the signature with a signed attribute that its `sign` never
// sets: no document that somebody was made to sign is ever a login.
package declaration

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/citel-pa/citel/pkcs/authtoken"
	"github.com/citel-pa/citel/pkcs/cades"
	"github.com/citel-pa/citel/pkcs/cms"
	"github.com/citel-pa/citel/pkcs/profile"
	"github.com/citel-pa/citel/pkcs/trust"
	"github.com/citel-pa/citel/pkcs/validation"
	"github.com/citel-pa/citel/pkcs/verify"
)

// Format names the token that carries a declaration; Name and MediaType are the page's.
const (
	Format    = "citel-declaration:1"
	Name      = "dichiarazione-di-accesso.txt"
	MediaType = "text/plain"
)

// MaxToken bounds a token, MaxAge how far the time in the page may be from the server's: the
// nonce, which lives five minutes, is what makes it fresh.
const (
	MaxToken = 48 << 10
	MaxAge   = 10 * time.Minute
)

// Text is the page. The server writes it again and compares every byte.
func Text(origin, nonce string, at time.Time) []byte {
	return fmt.Appendf(nil, `DICHIARAZIONE DI ACCESSO / LOGIN DECLARATION

Con questa firma accedo al sito qui sotto, adesso e una sola volta.
La firma non vale per altro: non approva nessun altro testo.

By this signature I log in at the site below, now and once.
It is good for nothing else and approves no other text.

Sito / Site:      %s
Quando / When:    %s
Codice / Nonce:   %s
Formato / Format: %s
`, origin, at.UTC().Format(time.RFC3339), nonce, Format)
}

// Mark is the signed attribute of a declaration (cades.OIDDeclaration).
func Mark() cms.Attribute {
	return cms.Attribute{OID: cades.OIDDeclaration, Values: [][]byte{cms.OctetString([]byte(Format))}}
}

// Fits tells whether a certificate's holder logs in by declaration: its key can be no login.
func Fits(cert *x509.Certificate) bool { return !cert.IsCA && profile.SignsHashes(cert) }

type token struct {
	Format      string `json:"format"`
	Declaration []byte `json:"declaration"` // CMS with the page in it, standard base64
}

// Make writes the token. sign is given digests of the signed attributes alone.
func Make(ctx context.Context, origin, nonce string, at time.Time, cert *x509.Certificate, sign cades.SignFunc) ([]byte, error) {
	if !Fits(cert) {
		return nil, fmt.Errorf("declaration: %w", authtoken.ErrPurpose)
	}
	at = at.UTC().Truncate(time.Second)
	text := Text(origin, nonce, at)
	var b bytes.Buffer
	err := cades.Sign(ctx, cades.SignOptions{Certificate: cert, Sign: sign, SigningTime: at, Extra: []cms.Attribute{Mark()}}, bytes.NewReader(text), int64(len(text)), &b)
	if err != nil {
		return nil, fmt.Errorf("declaration: %w", err)
	}
	return json.Marshal(token{Format: Format, Declaration: b.Bytes()})
}

// Is tells whether a token says that it carries a declaration.
func Is(data []byte) bool {
	var t struct {
		Format string `json:"format"`
	}
	return len(data) <= MaxToken && json.Unmarshal(data, &t) == nil && t.Format == Format
}

// Validator takes declarations at one origin. Its errors are those of pkcs/authtoken.
type Validator struct {
	// Origin is configuration; it never comes from a request's headers.
	Origin string
	// Known are other origins of the same operator, tried only to tell a person that the
	// declaration was made for another site.
	Known      []string
	Store      *trust.Store
	Revocation *trust.Revocation
	Policy     *validation.Policy // nil is validation.Strict
	Now        func() time.Time   // nil is time.Now
}

// Validate checks a token over a nonce that the caller has taken out of its store just now.
// The signature must be the only one, over exactly the page for this origin and nonce, of
// now, with the mark, by a qualified certificate for signatures alone, and pass whole.
func (v *Validator) Validate(ctx context.Context, data []byte, nonce string) (*authtoken.Identity, error) {
	signed, err := parse(data)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	if v.Now != nil {
		now = v.Now()
	}
	policy := v.Policy
	if policy == nil {
		policy = validation.Strict()
	}
	var content bytes.Buffer
	results, err := verify.Reader(ctx, bytes.NewReader(signed), verify.Options{Store: v.Store, Revocation: v.Revocation, Policy: policy, Time: now, Extract: &content})
	switch {
	case errors.Is(err, verify.ErrNoSignature), errors.Is(err, cms.ErrMalformed), errors.Is(err, cms.ErrTooLarge):
		return nil, fmt.Errorf("%w: no signature that can be read", authtoken.ErrMalformed)
	case err != nil:
		return nil, fmt.Errorf("declaration: %w", err)
	case len(results) != 1:
		return nil, fmt.Errorf("%w: %d signatures", authtoken.ErrMalformed, len(results))
	}
	r := results[0]
	f := r.Facts
	if f.Format != "CAdES" || f.Nested != 0 || f.Content.Detached || !f.Content.Found || len(f.Counter) != 0 {
		return nil, fmt.Errorf("%w: not one CAdES signature with its content", authtoken.ErrMalformed)
	}
	if !f.Attribute.Declaration || len(f.Attribute.Duplicated) != 0 {
		return nil, fmt.Errorf("%w: the signature is not marked as a login", authtoken.ErrPurpose)
	}
	if err := v.page(content.Bytes(), f.Attribute.SigningTime, now, nonce); err != nil {
		return nil, err
	}
	if err := passed(r); err != nil {
		return nil, err
	}
	return identity(f)
}

func parse(data []byte) ([]byte, error) {
	if len(data) > MaxToken {
		return nil, fmt.Errorf("%w: %d bytes", authtoken.ErrTooLong, len(data))
	}
	var t token
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&t); err != nil || d.More() || len(t.Declaration) == 0 {
		return nil, fmt.Errorf("%w: not a token with a declaration", authtoken.ErrMalformed)
	}
	// One reading alone: what is read, written again, is what came.
	again, err := json.Marshal(token{Format: Format, Declaration: t.Declaration})
	if err != nil || t.Format != Format || !bytes.Equal(bytes.TrimSpace(data), again) {
		return nil, fmt.Errorf("%w: not written as the agent writes it", authtoken.ErrMalformed)
	}
	return t.Declaration, nil
}

// page compares what was signed with what the agent had to write.
func (v *Validator) page(content []byte, at *time.Time, now time.Time, nonce string) error {
	if at == nil {
		return fmt.Errorf("%w: no signing time", authtoken.ErrMalformed)
	}
	if raw, err := base64.StdEncoding.Strict().DecodeString(nonce); err != nil || len(raw) < 32 {
		return authtoken.ErrNonce
	}
	if bytes.Equal(content, Text(v.Origin, nonce, *at)) {
		switch age := now.Sub(*at); {
		case age > MaxAge:
			return fmt.Errorf("%w: signed %s ago", authtoken.ErrExpired, age)
		case age < -MaxAge:
			return fmt.Errorf("%w: signed in the future", authtoken.ErrNotYetValid)
		}
		return nil
	}
	for _, other := range v.Known {
		if other != v.Origin && bytes.Equal(content, Text(other, nonce, *at)) {
			return fmt.Errorf("%w: %s", authtoken.ErrOtherOrigin, other)
		}
	}
	return fmt.Errorf("%w: another text was signed", authtoken.ErrSignature)
}

// passed turns a signature's verdict into this package's errors.
func passed(r *validation.Result) error {
	if r.Passed() {
		return nil
	}
	why := ""
	for _, x := range r.Findings {
		if x.Level != validation.Fail {
			continue
		}
		switch x.Check {
		case validation.CheckRevoked:
			return authtoken.ErrRevoked
		case validation.CheckRevocationKnown, validation.CheckRevocationIssuer, validation.CheckRevocationNoSource:
			return authtoken.ErrRevocationUnknown
		case validation.CheckAlgorithms:
			return fmt.Errorf("%w: %s", authtoken.ErrAlgorithm, x.Text("en"))
		}
		if why == "" {
			why = x.Text("en")
		}
	}
	if !r.Facts.Chain.Found {
		return fmt.Errorf("%w: %s", authtoken.ErrUntrusted, why)
	}
	return fmt.Errorf("%w: %s", authtoken.ErrSignature, why)
}

func identity(f *validation.Facts) (*authtoken.Identity, error) {
	cert := f.SignerX509()
	if cert == nil {
		return nil, authtoken.ErrCertificate
	}
	if !Fits(cert) {
		return nil, fmt.Errorf("%w: this key logs in by itself", authtoken.ErrPurpose)
	}
	if f.Identity.Profile != string(profile.Qualified) || f.Identity.Seal || !f.Identity.QSCD || f.Identity.CodiceFiscale == "" {
		return nil, fmt.Errorf("%w: not a person's qualified certificate on a qualified device", authtoken.ErrProfile)
	}
	return &authtoken.Identity{
		Person:      profile.Person{Profile: profile.Qualified, CodiceFiscale: profile.CodiceFiscale(f.Identity.CodiceFiscale), Given: f.Identity.Given, Family: f.Identity.Family},
		Certificate: cert, Algorithm: Format, Test: f.Chain.Anchor != nil && f.Chain.Anchor.Test, Facts: f,
	}, nil
}
