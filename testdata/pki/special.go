package pki

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // a test certificate that has to be refused
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"math/big"
	"time"
)

// Revoke puts a certificate on its issuer's next CRL, as revoked a minute ago.
func (p *PKI) Revoke(cert *x509.Certificate) { p.RevokeAt(cert, time.Now().Add(-time.Minute)) }

// RevokeAt is Revoke with a time.
func (p *PKI) RevokeAt(cert *x509.Certificate, at time.Time) {
	for _, ca := range []*CA{p.CNS, p.CIE, p.Qualified, p.Root} {
		if bytes.Equal(ca.Cert.RawSubject, cert.RawIssuer) {
			ca.revoke(cert.SerialNumber, 1, at)
			return
		}
	}
}

func (ca *CA) revoke(serial *big.Int, reason int, at time.Time) {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	ca.revoked = append(ca.revoked, x509.RevocationListEntry{
		SerialNumber: serial, RevocationTime: at, ReasonCode: reason,
	})
}

// CRL gives the CA's list, signed now, good for a day.
func (p *PKI) CRL(ca *CA) ([]byte, error) { return ca.CRL(time.Now(), time.Now().Add(24*time.Hour)) }

// CRL signs the list for the given times.
func (ca *CA) CRL(thisUpdate, nextUpdate time.Time) ([]byte, error) {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	ca.number++
	return x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(ca.number), ThisUpdate: thisUpdate, NextUpdate: nextUpdate,
		RevokedCertificateEntries: ca.revoked,
	}, ca.Cert, ca.Key)
}

// resignSHA1 takes a certificate and signs it again with sha1WithRSAEncryption,
// which crypto/x509 no longer does.
func resignSHA1(der []byte, key crypto.Signer) ([]byte, error) {
	oidSHA1WithRSA := asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 5}
	oidSHA256WithRSA := asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}
	from, err := asn1.Marshal(oidSHA256WithRSA)
	if err != nil {
		return nil, err
	}
	to, err := asn1.Marshal(oidSHA1WithRSA)
	if err != nil {
		return nil, err
	}
	var c struct {
		TBS asn1.RawValue
		Alg struct {
			ID     asn1.ObjectIdentifier
			Params asn1.RawValue
		}
		Sig asn1.BitString
	}
	if _, err := asn1.Unmarshal(der, &c); err != nil {
		return nil, fmt.Errorf("pki: sha1: %w", err)
	}
	// Both OIDs have the same length, so the DER around them stays right.
	tbs := bytes.Replace(c.TBS.FullBytes, from, to, 1)
	h := sha1.Sum(tbs) //nolint:gosec // see above
	sig, err := key.Sign(rand.Reader, h[:], crypto.SHA1)
	if err != nil {
		return nil, fmt.Errorf("pki: sha1: %w", err)
	}
	c.TBS = asn1.RawValue{FullBytes: tbs}
	c.Alg.ID = oidSHA1WithRSA
	c.Sig = asn1.BitString{Bytes: sig, BitLength: 8 * len(sig)}
	return asn1.Marshal(c)
}
