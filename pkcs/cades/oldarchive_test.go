package cades

import (
	"bytes"
	"crypto"
	"encoding/asn1"
	"fmt"
	"io"
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

func stamper(t *testing.T) *timestamp.Client {
	t.Helper()
	return &timestamp.Client{URL: tsa.Start(t, pki.Shared(t).TSA), Post: &trust.Fetcher{Private: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}}
}

// archivedV2 adds an archive-time-stamp-v2. It is written from ETSI TS 101 733 v2.2.1,
// 6.4.1 with encoding/asn1, and shares nothing with the code that reads one.
func archivedV2(t *testing.T, p7m, beside []byte, client *timestamp.Client, by crypto.Hash, header bool) []byte {
	t.Helper()
	var outer struct {
		Type asn1.ObjectIdentifier
		Data struct {
			Version      int
			Digests      asn1.RawValue
			Encap        asn1.RawValue
			Certificates asn1.RawValue   `asn1:"optional,tag:0"`
			Lists        asn1.RawValue   `asn1:"optional,tag:1"`
			Infos        []asn1.RawValue `asn1:"set"`
		} `asn1:"explicit,tag:0"`
	}
	if rest, err := asn1.Unmarshal(p7m, &outer); err != nil || len(rest) > 0 {
		t.Fatal(err)
	}
	h := by.New()
	for _, part := range [][]byte{outer.Data.Encap.FullBytes, beside, outer.Data.Certificates.FullBytes, outer.Data.Lists.FullBytes} {
		h.Write(part)
	}
	for rest := outer.Data.Infos[0].Bytes; len(rest) > 0; {
		var field asn1.RawValue
		var err error
		if rest, err = asn1.Unmarshal(rest, &field); err != nil {
			t.Fatal(err)
		}
		if field.Class == asn1.ClassContextSpecific && field.Tag == 1 && !header {
			h.Write(field.Bytes)
		} else {
			h.Write(field.FullBytes)
		}
	}
	token, err := client.Stamp(t.Context(), h.Sum(nil), by)
	if err != nil {
		t.Fatal(err)
	}
	return withUnsigned(t, p7m, cms.Attribute{OID: cms.OIDArchiveTimestampV2, Values: [][]byte{token}})
}

// once hides that a file can be read a second time.
type once struct{ io.Reader }

func TestArchiveTimestampV2(t *testing.T) {
	client := stamper(t)
	id := pki.Shared(t).MustIssue(t, pki.CNS, pki.P256, pki.Citizens[0])
	for _, size := range []int{100, 100_000} {
		for _, detached := range []bool{false, true} {
			for _, by := range []crypto.Hash{crypto.SHA256, crypto.SHA512} {
				for _, header := range []bool{true, false} {
					t.Run(fmt.Sprintf("%d bytes, detached %v, %s, header %v", size, detached, by, header), func(t *testing.T) {
						doc := bytes.Repeat([]byte("a"), size)
						o := options(id)
						o.Detached = detached
						var stamped bytes.Buffer
						if err := Augment(t.Context(), AugmentOptions{Stamp: client.Stamp}, bytes.NewReader(sign(t, o, doc)), &stamped); err != nil {
							t.Fatal(err)
						}
						var beside []byte
						if detached {
							beside = doc
						}
						file := archivedV2(t, stamped.Bytes(), beside, client, by, header)
						reading := func(doc []byte) validation.TimestampFacts {
							var ro ReadOptions
							if detached {
								ro.Content = bytes.NewReader(doc)
							}
							for _, s := range read(t, file, ro)[0].Timestamps {
								if s.Kind == "archive" {
									return s
								}
							}
							t.Fatal("no archive time-stamp")
							return validation.TimestampFacts{}
						}
						s := reading(doc)
						if !s.ImprintFound || !s.ImprintMatch || !slices.Contains(s.Covers, validation.ObjectID(id.Cert.Raw)) || len(s.Covers) < 3 {
							t.Errorf("%+v %s, covers %d", s.Faults, s.Note, len(s.Covers))
						}
						if detached {
							if s := reading(append(doc, 'b')); s.ImprintMatch || len(s.Covers) > 0 {
								t.Error("it holds over another document")
							}
						}
						// Something added after it is not covered, and spoils it: so it is defined.
						var later bytes.Buffer
						if err := Augment(t.Context(), AugmentOptions{Certificates: [][]byte{pki.Shared(t).CIE.Cert.Raw}}, bytes.NewReader(file), &later); err != nil {
							t.Fatal(err)
						}
						file = later.Bytes()
						if s := reading(doc); s.ImprintMatch {
							t.Error("it holds over a certificate that came later")
						}
					})
				}
			}
		}
	}
	t.Run("one on another, and a stream", func(t *testing.T) {
		doc := bytes.Repeat([]byte("a"), 100)
		file := archivedV2(t, sign(t, options(id), doc), nil, client, crypto.SHA256, true)
		two := archivedV2(t, file, nil, client, crypto.SHA256, true)
		f, err := Read(t.Context(), once{bytes.NewReader(two)}, ReadOptions{})
		if err != nil || len(f[0].Timestamps) != 2 {
			t.Fatal(err)
		}
		for _, s := range f[0].Timestamps {
			if !s.ImprintMatch {
				t.Errorf("%+v", s)
			}
		}
	})
}

// An archive time-stamp may be by another hash than the signature: the content is read
// again where it is not small.
func TestArchiveTimestampByAnotherHash(t *testing.T) {
	client := stamper(t)
	id := pki.Shared(t).MustIssue(t, pki.CNS, pki.P256, pki.Citizens[0])
	for _, size := range []int{100, 100_000} {
		doc := bytes.Repeat([]byte("a"), size)
		file := archivedBy(t, sign(t, options(id), doc), client, crypto.SHA512, nil)
		s := read(t, file, ReadOptions{})[0].Timestamps[0]
		if !s.ImprintMatch || s.ImprintDigest != "SHA-512" || len(s.Faults) > 0 {
			t.Errorf("%d bytes: %+v %s", size, s.Faults, s.Note)
		}
		f, err := Read(t.Context(), once{bytes.NewReader(file)}, ReadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if s := f[0].Timestamps[0]; s.ImprintMatch != (size == 100) || s.ImprintFound != (size == 100) {
			t.Errorf("%d bytes, readable once: %+v", size, s)
		}
	}
}

// What is not understood among the unsigned attributes breaks nothing.
func TestUnknownUnsignedAttributes(t *testing.T) {
	id := pki.Shared(t).MustIssue(t, pki.CNS, pki.P256, pki.Citizens[0])
	for _, oid := range []string{
		"1.2.840.113549.1.9.16.2.25", "1.2.840.113549.1.9.16.2.26", "1.2.840.113549.1.9.16.2.21", "1.2.840.113549.1.9.16.2.22", // escTimeStamp, certCRLTimestamp, references
		"1.2.840.113549.1.9.16.2.49", "1.2.840.113549.1.9.16.2.50", "0.4.0.1733.2.2", "1.2.3.4", // evidence records, long-term-validation
		cms.OIDCertValues, cms.OIDRevocationValues, cms.OIDSignatureTimestamp, cms.OIDArchiveTimestampV2, cms.OIDArchiveTimestampV3, cms.OIDArchiveTimestamp, cms.OIDCounterSignature,
	} {
		for _, value := range [][]byte{{5, 0}, cms.Sequence(), cms.OctetString([]byte("x"))} {
			f := read(t, withUnsigned(t, sign(t, options(id), content), cms.Attribute{OID: oid, Values: [][]byte{value, value}}), ReadOptions{})[0]
			holds(t, f)
			if !slices.Contains(f.Attribute.Unsigned, oid) {
				t.Errorf("%s is not told", oid)
			}
		}
	}
}

// Each signer of a detached signature may be over another document.
func TestSeveralContents(t *testing.T) {
	p := pki.Shared(t)
	first, second := p.MustIssue(t, pki.CNS, pki.P256, pki.Citizens[0]), p.MustIssue(t, pki.CNS, pki.RSA2048, pki.Citizens[1])
	o := options(first)
	o.Detached = true
	file := sign(t, o, []byte("istanza"))
	var both bytes.Buffer
	o = options(second)
	o.Detached = true
	if err := AddSigner(t.Context(), o, bytes.NewReader(file), bytes.NewReader([]byte("allegato")), &both); err != nil {
		t.Fatal(err)
	}
	several := func(texts ...string) (out []Content) {
		for i, s := range texts {
			out = append(out, Content{Name: fmt.Sprint(i), Reader: bytes.NewReader([]byte(s))})
		}
		return out
	}
	for _, c := range []struct {
		contents []Content
		want     string
	}{
		{several("istanza", "allegato"), "0 true 1 true"}, {several("altro", "allegato", "istanza"), "2 true 1 true"},
		{several("istanza", "altro"), "0 true  false"}, {several("altro", "altro ancora"), " false  false"},
	} {
		facts := read(t, both.Bytes(), ReadOptions{Contents: c.contents})
		got := map[string]string{}
		for _, f := range facts {
			who := "2"
			if bytes.Equal(f.Signer.Certificate, first.Cert.Raw) {
				who = "1"
			}
			got[who] = fmt.Sprint(f.Content.Name, " ", f.Attribute.DigestMatch)
		}
		if s := got["1"] + " " + got["2"]; s != c.want {
			t.Errorf("%q, want %q", s, c.want)
		}
	}
	// The content in the file is the one that counts.
	f := read(t, sign(t, options(first), content), ReadOptions{Contents: several("altro", "altro ancora")})[0]
	holds(t, f)
}

// A counter-signature has time-stamps of its own.
func TestCounterSignatureWithTimestamp(t *testing.T) {
	p := pki.Shared(t)
	client := stamper(t)
	file := counterSigned(t, sign(t, options(p.MustIssue(t, pki.CNS, pki.P256, pki.Citizens[0])), content), p.MustIssue(t, pki.CNS, pki.P256, pki.Citizens[1]), nil, false)
	m, err := cms.Parse(bytes.NewReader(file), cms.ParseOptions{})
	if err != nil {
		t.Fatal(err)
	}
	raw := m.Signers[0].Unsigned[0].Values[0]
	counter, err := cms.ParseSigner(raw)
	if err != nil {
		t.Fatal(err)
	}
	for _, over := range [][]byte{counter.Signature, m.Signers[0].Signature} {
		token, err := client.Stamp(t.Context(), sum(crypto.SHA256, over), crypto.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		el, _, err := cms.Next(raw)
		if err != nil {
			t.Fatal(err)
		}
		set := cms.SetOf(cms.Attribute{OID: cms.OIDSignatureTimestamp, Values: [][]byte{token}}.Marshal())
		set[0] = tagUnsigned
		stamped := replaceUnsigned(t, file, cms.Attribute{OID: cms.OIDCounterSignature, Values: [][]byte{cms.Sequence(el.Content, set)}})
		f := read(t, stamped, ReadOptions{})[0]
		if len(f.Counter) != 1 || len(f.Counter[0].Timestamps) != 1 || len(f.Timestamps) != 0 {
			t.Fatalf("%d counter-signatures", len(f.Counter))
		}
		if got, want := f.Counter[0].Timestamps[0].ImprintMatch, bytes.Equal(over, counter.Signature); got != want {
			t.Errorf("imprint %v, want %v", got, want)
		}
	}
}

// replaceUnsigned gives the first signer this unsigned attribute alone.
func replaceUnsigned(t *testing.T, file []byte, a cms.Attribute) []byte {
	t.Helper()
	m, err := cms.Parse(bytes.NewReader(file), cms.ParseOptions{})
	if err != nil {
		t.Fatal(err)
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
	set := cms.SetOf(a.Marshal())
	set[0] = tagUnsigned
	r := &rewriting{m: m, hash: crypto.SHA256, digests: m.DigestAlgorithms, certificates: m.RawCertificates, lists: m.RawCRLs, infos: [][]byte{cms.Sequence(append(parts, set)...)}}
	var out bytes.Buffer
	if err := r.write(t.Context(), bytes.NewReader(file), &out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
