package cms

import (
	"crypto/x509"
	"fmt"

	"go.mozilla.org/pkcs7"

	"github.com/citel-pa/citel/pkcs/certificate"
)

// maxBag bounds a certificate bag, which pkcs7 holds in memory several times.
const maxBag = 4 << 20

// ReadBag reads the certificates of a .p7b or an AIA .p7c (RFC 5280, 4.2.2.1), DER or BER of
// at most 4 MB. Nothing is verified. Errors: ErrTooLarge, ErrMalformed.
func ReadBag(der []byte) ([]*x509.Certificate, error) {
	if len(der) > maxBag {
		return nil, fmt.Errorf("%w: certificate bag", ErrTooLarge)
	}
	// pkcs7 reads nested elements by calling itself, without a bound.
	if err := shallow(der, 0); err != nil {
		return nil, fmt.Errorf("certificate bag: %w", err)
	}
	p, err := pkcs7.Parse(der)
	if err != nil {
		return nil, fmt.Errorf("%w: certificate bag: %w", ErrMalformed, err)
	}
	out := make([]*x509.Certificate, 0, len(p.Certificates))
	for i, c := range p.Certificates {
		// As every other certificate is read, keys that crypto/x509 passes over included.
		c, err := certificate.Parse(c.Raw)
		if err != nil {
			return nil, fmt.Errorf("%w: certificate %d of the bag: %w", ErrMalformed, i+1, err)
		}
		out = append(out, c)
	}
	return out, nil
}

// shallow tells whether elements, one after the other, are whole and nested as an honest file
// nests them.
func shallow(elements []byte, depth int) error {
	if depth >= maxDepth {
		return malformed("nested too deeply")
	}
	for len(elements) > 0 {
		el, rest, err := next(elements, depth)
		if err != nil {
			return err
		}
		if el.Tag&tagConstructed != 0 {
			if err := shallow(el.Content, depth+1); err != nil {
				return err
			}
		}
		elements = rest
	}
	return nil
}

// WriteBag writes certificates as a SignedData without signers (RFC 5652, 5.1), for a .p7b.
func WriteBag(certs []*x509.Certificate) ([]byte, error) {
	var all []byte
	for _, c := range certs {
		all = append(all, c.Raw...)
	}
	der, err := pkcs7.DegenerateCertificate(all)
	if err != nil {
		return nil, fmt.Errorf("cms: certificate bag: %w", err)
	}
	return der, nil
}
