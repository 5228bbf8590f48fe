package cms

import (
	"crypto/x509"
	"fmt"

	"go.mozilla.org/pkcs7"
)

// maxBag bounds a certificate bag, which pkcs7 holds in memory several times.
const maxBag = 4 << 20

// ReadBag reads the certificates of a .p7b or an AIA .p7c (RFC 5280, 4.2.2.1).
func ReadBag(der []byte) ([]*x509.Certificate, error) {
	if len(der) > maxBag {
		return nil, fmt.Errorf("%w: certificate bag", ErrTooLarge)
	}
	p, err := pkcs7.Parse(der)
	if err != nil {
		return nil, fmt.Errorf("%w: certificate bag: %w", ErrMalformed, err)
	}
	return p.Certificates, nil
}

// WriteBag writes certificates as a degenerate SignedData.
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
