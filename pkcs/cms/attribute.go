package cms

import (
	"bytes"
	"crypto"
)

// AsSet gives signed attributes as they are hashed: the [0] tag becomes SET OF
// (RFC 5652, 5.4, Message Digest Calculation Process), the rest stays as received.
func AsSet(signedAttrs []byte) []byte {
	out := bytes.Clone(signedAttrs)
	out[0] = tagSet
	return out
}

// ParseOID reads an OBJECT IDENTIFIER element.
func ParseOID(raw []byte) (string, error) {
	el, _, err := expect(raw, tagOID)
	if err != nil {
		return "", err
	}
	return oidString(el.Content)
}

// ParseOctetString reads an OCTET STRING element.
func ParseOctetString(raw []byte) ([]byte, error) {
	el, _, err := Next(raw)
	if err != nil {
		return nil, err
	}
	return octets(el)
}

// ESSCertID names a certificate by its hash.
type ESSCertID struct {
	Hash  crypto.Hash // 0: not known
	Value []byte
	// Issuer (DER of the name) and Serial (content octets), nil when left out.
	Issuer, Serial []byte
}

// Matches tells whether the identifier names the certificate.
func (id ESSCertID) Matches(raw []byte) bool {
	if id.Hash == 0 {
		return false
	}
	h := id.Hash.New()
	h.Write(raw)
	return bytes.Equal(h.Sum(nil), id.Value)
}

// ParseSigningCertificate reads the first ESSCertID of a SigningCertificate
// (version 1: SHA-1, RFC 2634, 5.4) or SigningCertificateV2 (RFC 5035, 3).
func ParseSigningCertificate(raw []byte, version int) (ESSCertID, error) {
	id := ESSCertID{Hash: crypto.SHA1}
	if version == 2 {
		id.Hash = crypto.SHA256
	}
	outer, _, err := expect(raw, tagSequence)
	if err != nil {
		return id, err
	}
	certs, _, err := expect(outer.Content, tagSequence)
	if err != nil {
		return id, err
	}
	first, _, err := expect(certs.Content, tagSequence)
	if err != nil {
		return id, err
	}
	el, rest, err := Next(first.Content)
	if err != nil {
		return id, err
	}
	if version == 2 && el.Tag == tagSequence {
		a, err := algorithm(el)
		if err != nil {
			return id, err
		}
		id.Hash = HashByOID(a.OID)
		if el, rest, err = Next(rest); err != nil {
			return id, err
		}
	}
	if id.Value, err = octets(el); err != nil {
		return id, err
	}
	if len(rest) > 0 {
		return id, id.issuerSerial(rest)
	}
	return id, nil
}

// issuerSerial reads IssuerSerial: GeneralNames with one directoryName, serial.
func (id *ESSCertID) issuerSerial(raw []byte) error {
	is, _, err := expect(raw, tagSequence)
	if err != nil {
		return err
	}
	names, rest, err := expect(is.Content, tagSequence)
	if err != nil {
		return err
	}
	serial, _, err := expect(rest, tagInteger)
	if err != nil {
		return err
	}
	id.Serial, id.Issuer = serial.Content, []byte{}
	if dir, _, err := expect(names.Content, 0xA4); err == nil {
		id.Issuer = dir.Content
	}
	return nil
}

// AlgorithmProtectionAgrees compares the attribute of RFC 6211, 2 with the
// SignerInfo's own algorithms.
func AlgorithmProtectionAgrees(raw []byte, si *SignerInfo) bool {
	seq, _, err := expect(raw, tagSequence)
	if err != nil {
		return false
	}
	d, rest, err := expect(seq.Content, tagSequence)
	if err != nil {
		return false
	}
	digest, err := algorithm(d)
	if err != nil || digest.OID != si.Digest.OID {
		return false
	}
	s, _, err := expect(rest, tagContext1) // [1] IMPLICIT AlgorithmIdentifier
	if err != nil {
		return false
	}
	s.Tag = tagSequence
	sig, err := algorithm(s)
	return err == nil && sig.OID == si.Algorithm.OID
}
