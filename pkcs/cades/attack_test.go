package cades

import (
	"bytes"
	"crypto"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"go.mozilla.org/pkcs7"

	"github.com/citel-pa/citel/pkcs/cms"
	"github.com/citel-pa/citel/pkcs/validation"
	"github.com/citel-pa/citel/testdata/pki"
)

// parse is cms.Parse for tests that take a message apart.
func parse(t testing.TB, p7m []byte) *cms.Message {
	t.Helper()
	m, err := cms.Parse(bytes.NewReader(p7m), cms.ParseOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// assemble builds a SignedData from parts, as an attacker would.
func assemble(content []byte, certs [][]byte, infos ...[]byte) []byte {
	set := cms.SetOf(certs...)
	set[0] = 0xA0
	var encap []byte
	if content == nil {
		encap = cms.Sequence(cms.OID(cms.OIDData))
	} else {
		encap = cms.Sequence(cms.OID(cms.OIDData), cms.Context(0, cms.OctetString(content)))
	}
	return cms.Sequence(cms.OID(cms.OIDSignedData), cms.Context(0, cms.Sequence(
		cms.Integer(1), cms.SetOf(cms.DigestIdentifier(crypto.SHA256)), encap, set, cms.SetOf(infos...))))
}

// signerInfo builds a SignerInfo from a parsed one with other attributes.
func signerInfo(t testing.TB, si cms.SignerInfo, attrs, value []byte) []byte {
	t.Helper()
	alg, err := cms.Scheme{Name: "RSA", Hash: crypto.SHA256}.Identifier()
	if err != nil {
		t.Fatal(err)
	}
	parts := [][]byte{cms.Integer(1), cms.Sequence(si.Issuer, cms.IntegerContent(si.Serial)), cms.DigestIdentifier(crypto.SHA256)}
	if attrs != nil {
		implicit := bytes.Clone(attrs)
		implicit[0] = 0xA0
		parts = append(parts, implicit)
	}
	return cms.Sequence(append(parts, alg, cms.OctetString(value))...)
}

// The forgery of draft-ietf-lamps-cms-euf-cma-signeddata, first kind: the signed
// attributes of a good signature become the content of a file without any.
func TestSignedAttributesTakenForContent(t *testing.T) {
	m := parse(t, sign(t, options(identity(t, pki.RSA2048)), content))
	si := m.Signers[0]
	attrs := cms.AsSet(si.SignedAttrs)
	forged := assemble(attrs, m.RawCertificates, signerInfo(t, si, nil, si.Signature))
	f := read(t, forged, ReadOptions{})[0]
	if f.Attribute.Present || !f.Content.LooksLikeAttributes || !f.Value.OverReceived {
		t.Errorf("the forgery is not seen for what it is: %+v %+v", f.Content, f.Value)
	}
	if f.Format != "CMS" || f.Level != "CMS" {
		t.Errorf("called %s %s", f.Format, f.Level)
	}
	// The second opinion is fooled, which is why it is never asked for a verdict.
	p, err := pkcs7.Parse(forged)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Verify(); err != nil {
		t.Logf("go.mozilla.org/pkcs7 refuses by now: %v", err)
	}
}

// Second kind: a content that was signed without attributes becomes the signed
// attributes of another content. Ours is not fooled as long as the attributes
// must name the signer's certificate.
func TestContentTakenForSignedAttributes(t *testing.T) {
	id := identity(t, pki.RSA2048)
	other := []byte("another content")
	attrs := cms.SetOf(
		cms.Attribute{OID: cms.OIDContentType, Values: [][]byte{cms.OID(cms.OIDData)}}.Marshal(),
		cms.Attribute{OID: cms.OIDMessageDigest, Values: [][]byte{cms.OctetString(sum(crypto.SHA256, other))}}.Marshal(),
	)
	value, err := softSign(id.Key)(t.Context(), sum(crypto.SHA256, attrs), crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	si := parse(t, sign(t, options(id), content)).Signers[0]
	f := read(t, assemble(other, [][]byte{id.Cert.Raw}, signerInfo(t, si, attrs, value)), ReadOptions{})[0]
	if f.Attribute.SigningCertificate.Version != 0 || f.Level != "CMS" {
		t.Errorf("taken for CAdES: %+v", f.Attribute)
	}
}

// rebuilt signs with attributes that a test chose and in the order it chose.
func rebuilt(t testing.TB, id *pki.Identity, attrs []byte, data []byte) *validation.Facts {
	t.Helper()
	value, err := softSign(id.Key)(t.Context(), sum(crypto.SHA256, attrs), crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	si := parse(t, sign(t, options(id), data)).Signers[0]
	return read(t, assemble(data, [][]byte{id.Cert.Raw}, signerInfo(t, si, attrs, value)), ReadOptions{})[0]
}

func setInOrder(parts ...[]byte) []byte {
	body := bytes.Join(parts, nil)
	return append(cms.Header(cms.TagSet, int64(len(body))), body...)
}

func goodAttributes(id *pki.Identity, data []byte) [][]byte {
	return [][]byte{
		signingCertificateV2(id.Cert.Raw, crypto.SHA256).Marshal(),
		cms.Attribute{OID: cms.OIDMessageDigest, Values: [][]byte{cms.OctetString(sum(crypto.SHA256, data))}}.Marshal(),
		cms.Attribute{OID: cms.OIDContentType, Values: [][]byte{cms.OID(cms.OIDData)}}.Marshal(),
	}
}

// Real Italian files are signed over attributes that are not in DER order.
func TestAttributesOutOfOrder(t *testing.T) {
	id := identity(t, pki.RSA2048)
	f := rebuilt(t, id, setInOrder(goodAttributes(id, content)...), content)
	if !f.Value.OverReceived || f.Value.OverDER || f.Value.ReceivedIsDER || f.Level != "B-B" {
		t.Errorf("%+v", f.Value)
	}
	// And the reverse: signed over DER, stored in another order.
	der := cms.SetOf(goodAttributes(id, content)...)
	value, err := softSign(id.Key)(t.Context(), sum(crypto.SHA256, der), crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	si := parse(t, sign(t, options(id), content)).Signers[0]
	info := signerInfo(t, si, setInOrder(goodAttributes(id, content)...), value)
	f = read(t, assemble(content, [][]byte{id.Cert.Raw}, info), ReadOptions{})[0]
	if f.Value.OverReceived || !f.Value.OverDER {
		t.Errorf("%+v", f.Value)
	}
}

func TestDuplicatedAttributes(t *testing.T) {
	id := identity(t, pki.RSA2048)
	good := goodAttributes(id, content)
	twice := cms.SetOf(append(slices.Clone(good), good[1])...)
	f := rebuilt(t, id, twice, content)
	if !slices.Contains(f.Attribute.Duplicated, cms.OIDMessageDigest) || f.Attribute.DigestMatch {
		t.Errorf("%+v", f.Attribute)
	}
	// Of these there may be several (EN 319 122-1, 6.3).
	commitment := cms.Attribute{OID: "1.2.840.113549.1.9.16.2.16", Values: [][]byte{cms.Sequence(cms.OID("1.2.840.113549.1.9.16.6.1"))}}.Marshal()
	if f = rebuilt(t, id, cms.SetOf(append(slices.Clone(good), commitment, commitment)...), content); f.Attribute.Duplicated != nil {
		t.Errorf("%+v", f.Attribute)
	}
	two := cms.Attribute{OID: cms.OIDMessageDigest, Values: [][]byte{
		cms.OctetString(sum(crypto.SHA256, content)), cms.OctetString(make([]byte, 32)),
	}}.Marshal()
	f = rebuilt(t, id, cms.SetOf(good[0], two, good[2]), content)
	if !slices.Contains(f.Attribute.Duplicated, cms.OIDMessageDigest) || f.Attribute.DigestMatch {
		t.Errorf("%+v", f.Attribute)
	}
}

func TestWrongAttributes(t *testing.T) {
	id := identity(t, pki.RSA2048)
	good := goodAttributes(id, content)
	for name, test := range map[string]struct {
		attrs [][]byte
		bad   func(*validation.Facts) bool
	}{
		"digest of another content": {
			[][]byte{good[0], goodAttributes(id, []byte("x"))[1], good[2]},
			func(f *validation.Facts) bool { return f.Attribute.DigestPresent && !f.Attribute.DigestMatch },
		},
		"other content type": {
			[][]byte{good[0], good[1], cms.Attribute{OID: cms.OIDContentType, Values: [][]byte{cms.OID(cms.OIDSignedData)}}.Marshal()},
			func(f *validation.Facts) bool { return f.Attribute.ContentTypePresent && !f.Attribute.ContentTypeMatch },
		},
		"no message digest": {
			[][]byte{good[0], good[2]},
			func(f *validation.Facts) bool { return !f.Attribute.DigestPresent && f.Level == "CMS" },
		},
		"certificate of another": {
			[][]byte{signingCertificateV2(pki.Shared(t).CNS.Cert.Raw, crypto.SHA256).Marshal(), good[1], good[2]},
			func(f *validation.Facts) bool {
				return f.Attribute.SigningCertificate.Version == 2 && !f.Attribute.SigningCertificate.Match
			},
		},
	} {
		if f := rebuilt(t, id, cms.SetOf(test.attrs...), content); !test.bad(f) {
			t.Errorf("%s: not seen: %+v", name, f.Attribute)
		}
	}
}

func TestTextEncodings(t *testing.T) {
	p7m := sign(t, options(identity(t, pki.RSA2048)), bytes.Repeat(content, 5000))
	b64 := base64.StdEncoding.EncodeToString(p7m)
	var lines bytes.Buffer
	for l := range slices.Chunk([]byte(b64), 76) {
		lines.Write(l)
		lines.WriteString("\r\n")
	}
	for name, data := range map[string][]byte{
		"one line":     []byte(b64),
		"CRLF":         lines.Bytes(),
		"BOM":          append([]byte("\xef\xbb\xbf"), lines.Bytes()...),
		"PEM PKCS7":    pem.EncodeToMemory(&pem.Block{Type: "PKCS7", Bytes: p7m}),
		"PEM CMS":      pem.EncodeToMemory(&pem.Block{Type: "CMS", Bytes: p7m}),
		"space before": append([]byte("\n  "), lines.Bytes()...),
	} {
		facts, err := Read(t.Context(), bytes.NewReader(data), ReadOptions{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		holds(t, facts[0])
	}
}

func TestTrailingData(t *testing.T) {
	p7m := append(sign(t, options(identity(t, pki.RSA2048)), content), 0, 0)
	f := read(t, p7m, ReadOptions{})[0]
	if len(f.Faults) != 1 || f.Faults[0].ID != "trailing-data" {
		t.Errorf("%+v", f.Faults)
	}
}

func TestNotCMS(t *testing.T) {
	for name, data := range map[string][]byte{
		"empty": {}, "text": []byte("Buongiorno"), "pdf": []byte("%PDF-1.7\n%x"), "zip": []byte("PK\x03\x04"),
		"certificate": identity(t, pki.RSA2048).Cert.Raw, "sequence": {0x30, 0x00}, "base64 of nothing": []byte("MAA="),
	} {
		if _, err := Read(t.Context(), bytes.NewReader(data), ReadOptions{}); !errors.Is(err, cms.ErrNotCMS) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBombs(t *testing.T) {
	p7m := sign(t, options(identity(t, pki.RSA2048)), content)
	head := []byte{0x30, 0x80, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02, 0xa0, 0x80, 0x30, 0x80, 2, 1, 1, 0x31, 0}
	deep := append(bytes.Clone(head), 0x30, 0x80, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 1, 0xa0, 0x80)
	deep = append(deep, bytes.Repeat([]byte{0x24, 0x80}, 100000)...)
	nested := append(bytes.Clone(head), bytes.Repeat([]byte{0x30, 0x80}, 100000)...)
	huge := append(bytes.Clone(head), 0x30, 0x88, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)
	for name, data := range map[string][]byte{"content nested": deep, "structure nested": nested, "length": huge, "cut": p7m[:len(p7m)-7]} {
		if _, err := Read(t.Context(), bytes.NewReader(data), ReadOptions{}); !errors.Is(err, cms.ErrMalformed) && !errors.Is(err, cms.ErrTooLarge) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Two certificates with the same issuer and serial number: the one that the
// signed attribute names counts, and the ambiguity is told.
func TestSameIssuerAndSerial(t *testing.T) {
	id := identity(t, pki.RSA2048)
	twin := bytes.Clone(id.Cert.Raw)
	twin[len(twin)-1] ^= 1 // another certificate as far as its hash goes
	m := parse(t, sign(t, options(id), content))
	f := read(t, assemble(content, [][]byte{twin, id.Cert.Raw}, m.Signers[0].Raw), ReadOptions{})[0]
	if !f.Signer.Ambiguous || !bytes.Equal(f.Signer.Certificate, id.Cert.Raw) || !f.Value.OverReceived {
		t.Errorf("%+v", f.Signer)
	}
}

// openssl -noattr: plain CMS, told as such.
func TestWithoutAttributes(t *testing.T) {
	dir := t.TempDir()
	id := identity(t, pki.RSA2048)
	key, err := pki.KeyPEM(id.Key)
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "out")
	msg, err := openssl(t, "cms", "-sign", "-noattr", "-binary", "-nodetach", "-in", write(t, dir, "plain", content),
		"-signer", write(t, dir, "cert", pki.EncodePEM(id.Cert)), "-inkey", write(t, dir, "key", key), "-outform", "DER", "-out", out)
	if err != nil {
		t.Fatalf("%v: %s", err, msg)
	}
	p7m, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	f := read(t, p7m, ReadOptions{})[0]
	if f.Attribute.Present || f.Level != "CMS" || !f.Value.OverReceived || f.Content.LooksLikeAttributes {
		t.Errorf("%+v", f)
	}
}

// Several signers made by openssl.
func TestSeveralSigners(t *testing.T) {
	dir := t.TempDir()
	args := []string{"cms", "-sign", "-binary", "-nodetach", "-cades", "-in", write(t, dir, "plain", content), "-outform", "DER", "-out", filepath.Join(dir, "out")}
	for i, alg := range []pki.KeyAlg{pki.RSA2048, pki.P256, pki.P384} {
		id := identity(t, alg)
		key, err := pki.KeyPEM(id.Key)
		if err != nil {
			t.Fatal(err)
		}
		args = append(args, "-signer", write(t, dir, fmt.Sprint("cert", i), pki.EncodePEM(id.Cert)), "-inkey", write(t, dir, fmt.Sprint("key", i), key))
	}
	if msg, err := openssl(t, args...); err != nil {
		t.Fatalf("%v: %s", err, msg)
	}
	p7m, err := os.ReadFile(filepath.Join(dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	facts := read(t, p7m, ReadOptions{})
	if len(facts) != 3 {
		t.Fatalf("%d signers", len(facts))
	}
	for _, f := range facts {
		holds(t, f)
	}
}

// The second opinion agrees on what it can read.
func TestSecondOpinion(t *testing.T) {
	p, err := pkcs7.Parse(sign(t, options(identity(t, pki.RSA2048)), content))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Verify(); err != nil || !bytes.Equal(p.Content, content) {
		t.Errorf("go.mozilla.org/pkcs7: %v", err)
	}
}

func FuzzRead(f *testing.F) {
	for _, alg := range []pki.KeyAlg{pki.RSA2048, pki.P256} {
		p7m := sign(f, options(identity(f, alg)), content)
		f.Add(p7m, false)
		f.Add([]byte(base64.StdEncoding.EncodeToString(p7m)), false)
		o := options(identity(f, alg))
		o.Detached = true
		f.Add(sign(f, o, content), true)
		var ber bytes.Buffer
		if err := Sign(f.Context(), options(identity(f, alg)), bytes.NewReader(content), -1, &ber); err != nil {
			f.Fatal(err)
		}
		f.Add(ber.Bytes(), false)
	}
	f.Fuzz(func(t *testing.T, data []byte, detached bool) {
		var o ReadOptions
		if detached {
			o.Content = bytes.NewReader(content)
		}
		facts, err := Read(t.Context(), bytes.NewReader(data), o)
		if err != nil {
			return
		}
		for _, x := range facts {
			// What holds must be about the content that the key signed.
			if x.Attribute.Present && x.Attribute.DigestMatch && x.Value.OverReceived && x.Attribute.SigningCertificate.Match &&
				!bytes.Equal(x.Content.SHA256, sum(crypto.SHA256, content)) {
				t.Fatalf("a forgery: %+v", x)
			}
		}
	})
}
