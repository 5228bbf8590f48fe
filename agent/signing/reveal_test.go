package signing_test

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"testing"

	"github.com/citel-pa/citel/agent/consent"
	"github.com/citel-pa/citel/agent/signing"
	"github.com/citel-pa/citel/testdata/pki"
)

// secretive is a card that gives its certificate after the PIN only.
type secretive struct {
	*card
	shown *x509.Certificate
	asked int
}

func (s *secretive) Identities(context.Context) ([]signing.Identity, error) {
	return []signing.Identity{{Kind: "cie", Number: "123456789012", Ref: "x", PIN: signing.PINState{TriesLeft: -1, Digits: 8}}}, nil
}

func (s *secretive) Open(ctx context.Context, id signing.Identity) (signing.Key, error) {
	if _, err := s.card.Open(ctx, id); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *secretive) Certificate(context.Context) (*x509.Certificate, error) {
	s.asked++
	return s.shown, nil
}

func TestCertificateAfterThePIN(t *testing.T) {
	for name, c := range map[string]struct {
		kind   pki.Kind
		change func(s *secretive, r *signing.SignRequest)
		want   error
	}{
		"good":             {pki.CIE, nil, nil},
		"expired":          {pki.Expired, nil, signing.ErrCertificateUnfit},
		"another person's": {pki.CIE, func(_ *secretive, r *signing.SignRequest) { r.Choice.CodiceFiscale = pki.Citizens[1].CF }, signing.ErrCertificateUnfit},
		"another key": {pki.CIE, func(s *secretive, _ *signing.SignRequest) {
			s.shown = pki.Shared(t).MustIssue(t, pki.CIE, pki.RSA2048, pki.Citizens[0]).Cert
		}, signing.ErrCardFailed},
		"the command line's own": {pki.CIE, func(_ *secretive, r *signing.SignRequest) { r.Choice.Filter = "ABCDEF12" }, signing.ErrCertificateUnfit},
	} {
		t.Run(name, func(t *testing.T) {
			inner, p, ceremony := setup(t, c.kind)
			s := &secretive{card: inner, shown: inner.id.Cert}
			ceremony.Sources = func(context.Context) ([]signing.Source, error) { return []signing.Source{s}, nil }
			out := &sink{}
			req := signing.SignRequest{Caller: caller(), Documents: []consent.Document{document([]byte("x"))}, Format: signing.FormatCAdES,
				Output: func(int) (io.WriteCloser, error) { return out, nil }}
			if c.change != nil {
				c.change(s, &req)
			}
			result, err := ceremony.Sign(t.Context(), req)
			if !errors.Is(err, c.want) || c.want == nil && err != nil {
				t.Fatalf("%v", err)
			}
			q := p.asked[0].Certificates[0]
			if !q.AfterPIN || q.Name != "" || q.CodiceFiscale != "" || q.Number != "123456789012" || q.PIN.Digits != 8 {
				t.Errorf("asked with %+v", q)
			}
			if c.want == nil && !result.Certificate.Equal(inner.id.Cert) {
				t.Error("another certificate")
			}
			if c.want != nil && (len(inner.digests) > 0 || out.Len() > 0) {
				t.Error("something was signed")
			}
			if inner.closed != 1 || s.asked != 1 {
				t.Errorf("closed %d times, the certificate read %d times", inner.closed, s.asked)
			}
		})
	}
}
