package virtual

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"time"
)

// DocumentSigner signs the security objects of virtual cards. Root is the country
// signing certificate above it.
type DocumentSigner struct {
	Root, Certificate *x509.Certificate
	Key               crypto.Signer
}

// NewDocumentSigner makes both, for tests.
func NewDocumentSigner() (*DocumentSigner, error) {
	now := time.Now()
	name := func(cn string) pkix.Name {
		return pkix.Name{CommonName: cn, Organization: []string{"CiTel TEST"}, Country: []string{"IT"}}
	}
	rootKey, err1 := rsa.GenerateKey(rand.Reader, 3072)
	key, err2 := rsa.GenerateKey(rand.Reader, 2048)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: name("CiTel TEST Country Signer CA"), NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(10, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	rootDER, err := x509.CreateCertificate(rand.Reader, root, root, &rootKey.PublicKey, rootKey)
	if err != nil {
		return nil, err
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: name("eIdentityCardSigner TEST"), NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(10, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature,
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, root, &key.PublicKey, rootKey)
	if err != nil {
		return nil, err
	}
	d := &DocumentSigner{Key: key}
	d.Root, err1 = x509.ParseCertificate(rootDER)
	d.Certificate, err2 = x509.ParseCertificate(leafDER)
	return d, errors.Join(err1, err2)
}
