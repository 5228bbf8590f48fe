package cades

import (
	"bytes"
	"slices"
	"testing"

	"github.com/citel-pa/citel/pkcs/cms"
	"github.com/citel-pa/citel/testdata/pki"
)

// attributes that are read beyond their shape, signed and unsigned.
var understood = []string{
	cms.OIDContentType, cms.OIDMessageDigest, cms.OIDSigningTime, cms.OIDSigningCertificate, cms.OIDSigningCertificateV2, cms.OIDAlgorithmProtection,
	cms.OIDSignaturePolicy, cms.OIDContentTimestamp, cms.OIDRevocationArchival, cms.OIDSignatureTimestamp, cms.OIDCertValues, cms.OIDRevocationValues,
	cms.OIDArchiveTimestampV3, cms.OIDArchiveTimestampV2, cms.OIDArchiveTimestamp, cms.OIDCounterSignature, cms.OIDHashIndex, cms.OIDHashIndexV2, cms.OIDHashIndexV3,
}

// Any value in the place of any attribute.
func FuzzAttributes(f *testing.F) {
	id := identity(f, pki.P256)
	m := parse(f, sign(f, options(id), content))
	si := m.Signers[0]
	for i := range understood {
		f.Add(uint8(i), []byte{5, 0})
		f.Add(uint8(i), cms.Sequence(cms.Sequence(cms.Sequence(cms.OctetString(make([]byte, 32))))))
		f.Add(uint8(i), cms.Sequence(cms.DigestIdentifier(5), cms.Sequence(cms.OctetString(make([]byte, 32))), cms.Sequence(), cms.Sequence()))
		f.Add(uint8(i), si.Raw)
	}
	f.Fuzz(func(t *testing.T, which uint8, value []byte) {
		oid := understood[int(which)%len(understood)]
		a := cms.Attribute{OID: oid, Values: [][]byte{value}}
		var parts [][]byte
		for _, have := range si.Signed {
			if have.OID != oid {
				parts = append(parts, have.Marshal())
			}
		}
		signed := cms.SetOf(append(parts, a.Marshal())...)
		signed[0] = cms.TagExplicit0
		unsigned := cms.SetOf(a.Marshal())
		unsigned[0] = tagUnsigned
		alg, err := cms.Scheme{Name: "ECDSA", Hash: 5}.Identifier()
		if err != nil {
			t.Fatal(err)
		}
		info := cms.Sequence(cms.Integer(1), cms.Sequence(si.Issuer, cms.IntegerContent(si.Serial)), cms.DigestIdentifier(5), signed, alg, cms.OctetString(si.Signature), unsigned)
		facts, err := Read(t.Context(), bytes.NewReader(assemble(content, [][]byte{id.Cert.Raw}, info)), ReadOptions{})
		if err != nil {
			return
		}
		for _, x := range facts {
			if x.Value.OverReceived && !bytes.Equal(value, valueOf(si, oid)) && slices.Contains(singleValued, oid) {
				t.Errorf("%s: another value, and the signature holds", oid)
			}
			for _, s := range x.Timestamps {
				if s.ImprintMatch && s.Token == nil {
					t.Error("an imprint of no token")
				}
			}
		}
	})
}

func valueOf(si cms.SignerInfo, oid string) []byte {
	v, _ := find(si.Signed, oid)
	return v
}
