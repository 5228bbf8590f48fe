package verify

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"github.com/citel-pa/citel/pkcs/certificate"
	"github.com/citel-pa/citel/pkcs/profile"
	"github.com/citel-pa/citel/pkcs/validation"
)

// Errors of Gather.
var (
	// ErrIncomplete means that a path or an answer about revocation is missing.
	ErrIncomplete = errors.New("verify: the validation data is not complete")
	// ErrRevoked means that an answer says that a certificate was revoked.
	ErrRevoked = errors.New("verify: a certificate was revoked")
)

// Values are the validation data of a file's signatures (ETSI EN 319 122-1, 6.3, level
// B-LT): what the paths of signers and time-stampers need, as DER.
type Values struct {
	Certificates, CRLs, OCSPs [][]byte
}

// Gather collects the validation data of every signature and time-stamp of a file. Each
// certificate below an anchor that names a source needs an answer that counts.
func Gather(ctx context.Context, r io.Reader, o Options) (*Values, error) {
	facts, err := Facts(ctx, r, o)
	if err != nil {
		return nil, err
	}
	g := &gathering{seen: map[[32]byte]bool{}}
	for _, f := range facts {
		Complete(ctx, f, o)
		if err := g.signature(f); err != nil {
			return nil, err
		}
	}
	return &g.values, nil
}

type gathering struct {
	values Values
	seen   map[[32]byte]bool
}

func (g *gathering) put(to *[][]byte, der []byte) {
	if key := sha256.Sum256(der); der != nil && !g.seen[key] {
		g.seen[key] = true
		*to = append(*to, der)
	}
}

func (g *gathering) signature(f *validation.Facts) error {
	if f.Unread {
		return fmt.Errorf("%w: the format %s is not read", ErrIncomplete, f.Format)
	}
	if !f.Chain.Found {
		return fmt.Errorf("%w: %s: %s", ErrIncomplete, name(f.Signer.Certificate), f.Chain.Note)
	}
	for i, l := range f.Chain.Links {
		g.put(&g.values.Certificates, l.Certificate)
		if i == len(f.Chain.Links)-1 || i == 0 && f.Identity.NoRevocation {
			continue
		}
		if err := g.answer(f, l.Certificate, 0); errors.Is(err, ErrRevoked) || err != nil && published(l.Certificate) {
			return err
		}
	}
	for i := range f.Timestamps {
		if t := f.Timestamps[i].Token; t != nil {
			if err := g.signature(t); err != nil {
				return err
			}
		}
	}
	for _, c := range f.Counter {
		if err := g.signature(c); err != nil {
			return err
		}
	}
	return nil
}

// maxVouching bounds the certificates of those who answer about those who answer.
const maxVouching = 3

// answer takes the best answer about a certificate: a response, which is small, before a list.
func (g *gathering) answer(f *validation.Facts, cert []byte, depth int) error {
	sum := sha256.Sum256(cert)
	var best *validation.RevocationFacts
	why := "nobody answers"
	for i := range f.Revocation {
		r := &f.Revocation[i]
		switch {
		case !bytes.Equal(r.Subject, sum[:]):
		case r.Trusted && r.Status == "revoked":
			return fmt.Errorf("%w: %s", ErrRevoked, name(cert))
		case r.Trusted && r.Status == "good" && r.Raw == nil:
			why = "the list from " + r.Source + " is too long to go into a file"
		case !r.Trusted || r.Status != "good":
			if r.Note != "" {
				why = r.Note
			}
		case best == nil || best.Kind == "crl" && r.Kind == "ocsp":
			best = r
		}
	}
	if best == nil {
		return fmt.Errorf("%w: whether %s was revoked is not known: %s", ErrIncomplete, name(cert), why)
	}
	if best.Kind == "ocsp" {
		g.put(&g.values.OCSPs, best.Raw)
	} else {
		g.put(&g.values.CRLs, best.Raw)
	}
	if best.By == nil {
		return nil
	}
	for i, l := range best.By.Links {
		g.put(&g.values.Certificates, l.Certificate)
		if i < len(best.By.Links)-1 && !l.NoCheck && depth < maxVouching {
			// Without it the answer counts with a warning.
			if err := g.answer(f, l.Certificate, depth+1); errors.Is(err, ErrRevoked) {
				return err
			}
		}
	}
	return nil
}

// published: the certificate says where to learn whether it was revoked. Of one that does
// not there is nothing to collect.
func published(der []byte) bool {
	c, err := certificate.Parse(der)
	return err == nil && len(c.CRLDistributionPoints)+len(c.OCSPServer) > 0
}

// name says whose certificate it is.
func name(der []byte) string {
	c, err := certificate.Parse(der)
	if err != nil {
		return "a certificate that cannot be read"
	}
	return profile.DistinguishedName(c.Subject)
}
