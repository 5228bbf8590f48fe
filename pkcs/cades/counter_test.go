package cades

import (
	"bytes"
	"crypto"
	"testing"

	"github.com/citel-pa/citel/pkcs/cms"
	"github.com/citel-pa/citel/testdata/pki"
)

// counterSigned puts a counter-signature of id over value on the first signer.
func counterSigned(t *testing.T, p7m []byte, id *pki.Identity, value []byte, contentType bool) []byte {
	t.Helper()
	s, err := newSignature(options(id))
	if err != nil {
		t.Fatal(err)
	}
	m, err := cms.Parse(bytes.NewReader(p7m), cms.ParseOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if value == nil {
		value = m.Signers[0].Signature
	}
	attrs := []cms.Attribute{
		{OID: cms.OIDMessageDigest, Values: [][]byte{cms.OctetString(sum(s.scheme.Hash, value))}},
		signingCertificateV2(id.Cert.Raw, s.scheme.Hash),
		{OID: cms.OIDSigningTime, Values: [][]byte{cms.Time(signingTime)}},
	}
	if contentType {
		attrs = append(attrs, cms.Attribute{OID: cms.OIDContentType, Values: [][]byte{cms.OID(cms.OIDData)}})
	}
	var parts [][]byte
	for _, a := range attrs {
		parts = append(parts, a.Marshal())
	}
	set := cms.SetOf(parts...)
	sig, err := s.opts.Sign(t.Context(), sum(s.scheme.Hash, set), s.scheme.Hash)
	if err != nil {
		t.Fatal(err)
	}
	info, err := s.assemble(set, sig)
	if err != nil {
		t.Fatal(err)
	}
	el, _, err := cms.Next(m.Signers[0].Raw)
	if err != nil {
		t.Fatal(err)
	}
	unsigned := cms.SetOf(cms.Attribute{OID: cms.OIDCounterSignature, Values: [][]byte{info}}.Marshal())
	unsigned[0] = tagUnsigned
	r := &rewriting{m: m, hash: crypto.SHA256, digests: m.DigestAlgorithms, certificates: append(m.RawCertificates, id.Cert.Raw),
		infos: [][]byte{cms.Sequence(el.Content, unsigned)}}
	var out bytes.Buffer
	if err := r.write(t.Context(), bytes.NewReader(p7m), &out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestCounterSignature(t *testing.T) {
	p := pki.Shared(t)
	first := p.MustIssue(t, pki.CNS, pki.P256, pki.Citizens[0])
	second := p.MustIssue(t, pki.CNS, pki.RSA2048, pki.Citizens[1])
	p7m := sign(t, options(first), content)
	for _, c := range []struct {
		name        string
		value       []byte
		contentType bool
		digest      bool
	}{
		{"good", nil, false, true},
		{"over another value", []byte("something else"), false, false},
		{"with a content type, which has no place there", nil, true, true},
	} {
		f := read(t, counterSigned(t, p7m, second, c.value, c.contentType), ReadOptions{})[0]
		holds(t, f)
		if len(f.Counter) != 1 {
			t.Fatalf("%s: %d counter-signatures", c.name, len(f.Counter))
		}
		x := f.Counter[0]
		if x.Attribute.DigestMatch != c.digest || !x.Value.OverReceived || x.Attribute.ContentTypeMatch == c.contentType || !bytes.Equal(x.Signer.Certificate, second.Cert.Raw) {
			t.Errorf("%s: %+v %+v", c.name, x.Attribute, x.Value)
		}
	}
}
