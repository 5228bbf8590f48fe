package cades

import (
	"bytes"
	"crypto"
	"net/netip"
	"slices"
	"testing"

	"github.com/citel-pa/citel/pkcs/cms"
	"github.com/citel-pa/citel/pkcs/timestamp"
	"github.com/citel-pa/citel/pkcs/trust"
	"github.com/citel-pa/citel/pkcs/validation"
	"github.com/citel-pa/citel/testdata/pki"
	"github.com/citel-pa/citel/testdata/tsa"
)

// withUnsigned puts an unsigned attribute on the first signer of a CMS file.
func withUnsigned(t *testing.T, file []byte, a cms.Attribute) []byte {
	t.Helper()
	m, err := cms.Parse(bytes.NewReader(file), cms.ParseOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var attributes [][]byte
	for _, have := range m.Signers[0].Unsigned {
		attributes = append(attributes, have.Marshal())
	}
	el, _, err := cms.Next(m.Signers[0].Raw)
	if err != nil {
		t.Fatal(err)
	}
	var parts [][]byte
	for rest := el.Content; len(rest) > 0; {
		var field cms.Element
		if field, rest, err = cms.Next(rest); err != nil {
			t.Fatal(err)
		}
		if field.Tag != tagUnsigned {
			parts = append(parts, field.Raw)
		}
	}
	set := cms.SetOf(append(attributes, a.Marshal())...)
	set[0] = tagUnsigned
	r := &rewriting{m: m, hash: crypto.SHA256, digests: m.DigestAlgorithms, certificates: m.RawCertificates, lists: m.RawCRLs,
		infos: [][]byte{cms.Sequence(append(parts, set)...)}}
	var out bytes.Buffer
	if err := r.write(t.Context(), bytes.NewReader(file), &out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// archived adds an archive-time-stamp-v3. It is written from EN 319 122-1, 5.5.2 and
// 5.5.3, and shares nothing with the code that reads one. change may spoil the index.
func archived(t *testing.T, p7m []byte, client *timestamp.Client, change func(index [][][]byte) [][][]byte) []byte {
	t.Helper()
	return archivedBy(t, p7m, client, crypto.SHA256, change)
}

func archivedBy(t *testing.T, p7m []byte, client *timestamp.Client, by crypto.Hash, change func(index [][][]byte) [][][]byte) []byte {
	t.Helper()
	m, err := cms.Parse(bytes.NewReader(p7m), cms.ParseOptions{Hashes: []crypto.Hash{by}})
	if err != nil {
		t.Fatal(err)
	}
	h := func(parts ...[]byte) []byte {
		s := by.New()
		s.Write(slices.Concat(parts...))
		return s.Sum(nil)
	}
	index := make([][][]byte, 3)
	for _, c := range m.RawCertificates {
		index[0] = append(index[0], h(c))
	}
	for _, c := range m.RawCRLs {
		index[1] = append(index[1], h(c))
	}
	for _, a := range m.Signers[0].Unsigned {
		for _, v := range a.Values {
			index[2] = append(index[2], h(cms.OID(a.OID), v))
		}
	}
	if change != nil {
		index = change(index)
	}
	parts := [][]byte{cms.DigestIdentifier(by)}
	for _, list := range index {
		var octets [][]byte
		for _, d := range list {
			octets = append(octets, cms.OctetString(d))
		}
		parts = append(parts, cms.Sequence(octets...))
	}
	value := cms.Sequence(parts...)
	si := m.Signers[0]
	var sid []byte
	for _, c := range m.Find(&si) {
		sid = cms.Sequence(c.Issuer, cms.IntegerContent(c.Serial))
	}
	alg := cms.Sequence(append([][]byte{cms.OID(si.Algorithm.OID)}, si.Algorithm.Params)...)
	imprint := h(cms.OID(m.ContentType), m.Sums[by], cms.Integer(1), sid, cms.DigestIdentifier(crypto.SHA256), si.SignedAttrs, alg, cms.OctetString(si.Signature), value)
	token, err := client.Stamp(t.Context(), imprint, by)
	if err != nil {
		t.Fatal(err)
	}
	token = withUnsigned(t, token, cms.Attribute{OID: cms.OIDHashIndexV3, Values: [][]byte{value}})
	return withUnsigned(t, p7m, cms.Attribute{OID: cms.OIDArchiveTimestampV3, Values: [][]byte{token}})
}

func TestArchiveTimestamp(t *testing.T) {
	p := pki.Shared(t)
	client := &timestamp.Client{URL: tsa.Start(t, p.TSA), Post: &trust.Fetcher{Private: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}}
	id := p.MustIssue(t, pki.CNS, pki.P256, pki.Citizens[0])
	list, err := p.CRL(p.CNS)
	if err != nil {
		t.Fatal(err)
	}
	var lt bytes.Buffer
	if err := Augment(t.Context(), AugmentOptions{Stamp: client.Stamp, Certificates: [][]byte{p.CNS.Cert.Raw}, CRLs: [][]byte{list}}, bytes.NewReader(sign(t, options(id), content)), &lt); err != nil {
		t.Fatal(err)
	}
	one := func(file []byte) validation.TimestampFacts {
		t.Helper()
		f := read(t, file, ReadOptions{})[0]
		holds(t, f)
		if f.Level != "B-LTA" || len(f.Timestamps) != 2 {
			t.Fatalf("level %s, %d time-stamps", f.Level, len(f.Timestamps))
		}
		for _, s := range f.Timestamps {
			if s.Kind == "archive" {
				return s
			}
		}
		t.Fatal("no archive time-stamp")
		return validation.TimestampFacts{}
	}
	s := one(archived(t, lt.Bytes(), client, nil))
	if !s.ImprintMatch || len(s.Faults) > 0 {
		t.Errorf("%+v %s", s.Faults, s.Note)
	}
	for what, raw := range map[string][]byte{"authority's certificate": p.CNS.Cert.Raw, "signer's certificate": id.Cert.Raw, "list": list} {
		if !slices.Contains(s.Covers, validation.ObjectID(raw)) {
			t.Errorf("the %s is not covered", what)
		}
	}
	// A digest of something that is not in the signature (EN 319 122-1, 5.5.2).
	s = one(archived(t, lt.Bytes(), client, func(x [][][]byte) [][][]byte {
		x[0] = append(x[0], make([]byte, 32))
		return x
	}))
	if !slices.ContainsFunc(s.Faults, func(f validation.Fault) bool { return f.ID == "hash-index-missing" }) {
		t.Errorf("a digest of nothing goes unnoticed: %+v", s.Faults)
	}
	// What the index leaves out is not protected.
	s = one(archived(t, lt.Bytes(), client, func(x [][][]byte) [][][]byte { x[1] = nil; return x }))
	if !s.ImprintMatch || slices.Contains(s.Covers, validation.ObjectID(list)) {
		t.Errorf("a list that the index leaves out is covered: %+v", s)
	}
	// A certificate that came later changes nothing.
	var later bytes.Buffer
	if err := Augment(t.Context(), AugmentOptions{Certificates: [][]byte{p.CIE.Cert.Raw}}, bytes.NewReader(archived(t, lt.Bytes(), client, nil)), &later); err != nil {
		t.Fatal(err)
	}
	if s = one(later.Bytes()); !s.ImprintMatch || slices.Contains(s.Covers, validation.ObjectID(p.CIE.Cert.Raw)) {
		t.Errorf("a later certificate: %+v", s)
	}
}

func TestSignaturePolicy(t *testing.T) {
	id := pki.Shared(t).MustIssue(t, pki.CNS, pki.P256, pki.Citizens[0])
	digest := bytes.Repeat([]byte{7}, 32)
	whole := cms.Sequence(cms.OID("1.2.3.4"), cms.Sequence(cms.DigestIdentifier(crypto.SHA256), cms.OctetString(digest)),
		cms.Sequence(cms.Sequence(cms.OID(oidPolicyURI), append([]byte{0x16, 5}, "a:b/c"...))))
	for name, c := range map[string]struct {
		value []byte
		want  validation.SignaturePolicyFacts
		fault bool
	}{
		"whole":      {whole, validation.SignaturePolicyFacts{OID: "1.2.3.4", HashName: "SHA-256", Hash: digest, URI: "a:b/c"}, false},
		"no digest":  {cms.Sequence(cms.OID("1.2.3.4")), validation.SignaturePolicyFacts{OID: "1.2.3.4"}, false},
		"implied":    {[]byte{5, 0}, validation.SignaturePolicyFacts{}, false},
		"unreadable": {cms.Sequence(cms.Integer(1)), validation.SignaturePolicyFacts{}, true},
	} {
		o := options(id)
		o.Extra = []cms.Attribute{{OID: cms.OIDSignaturePolicy, Values: [][]byte{c.value}}}
		f := read(t, sign(t, o, content), ReadOptions{})[0]
		p := f.SignaturePolicy
		if p == nil || p.OID != c.want.OID || p.HashName != c.want.HashName || !bytes.Equal(p.Hash, c.want.Hash) || p.URI != c.want.URI || c.fault != (len(f.Faults) > 0) {
			t.Errorf("%s: %+v, faults %+v", name, p, f.Faults)
		}
	}
}
