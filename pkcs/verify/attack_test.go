package verify_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/citel-pa/citel/pkcs/cms"
	"github.com/citel-pa/citel/pkcs/validation"
	"github.com/citel-pa/citel/pkcs/verify"
	"github.com/citel-pa/citel/testdata/pki"
)

// workbench is where attackers work: a signer, and the parts of SignedData.
type workbench struct {
	id    *pki.Identity
	attrs []cms.Attribute
	// What follows is put into the file.
	content           []byte
	contentType       string
	certificates      [][]byte
	digest, signature []byte                      // AlgorithmIdentifiers
	order             func(parts [][]byte) []byte // the attributes as they are signed
	stored            func(parts [][]byte) []byte // and as they are stored
	value             func(signed []byte) []byte
}

func bench(t *testing.T, id *pki.Identity) *workbench {
	t.Helper()
	hash := func(b []byte) []byte {
		h := crypto.SHA256.New()
		h.Write(b)
		return h.Sum(nil)
	}
	alg, err := cms.Scheme{Name: "RSA", Hash: crypto.SHA256}.Identifier()
	if err != nil {
		t.Fatal(err)
	}
	content := []byte("istanza")
	w := &workbench{id: id, content: content, contentType: cms.OIDData, certificates: [][]byte{id.Cert.Raw},
		digest: cms.DigestIdentifier(crypto.SHA256), signature: alg, order: sorted, stored: nil}
	w.value = func(signed []byte) []byte {
		value, err := id.Key.Sign(rand.Reader, hash(signed), crypto.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
	w.attrs = []cms.Attribute{
		{OID: cms.OIDContentType, Values: [][]byte{cms.OID(cms.OIDData)}},
		{OID: cms.OIDMessageDigest, Values: [][]byte{cms.OctetString(hash(content))}},
		{OID: cms.OIDSigningTime, Values: [][]byte{cms.Time(time.Now().Add(-time.Minute))}},
		{OID: cms.OIDSigningCertificateV2, Values: [][]byte{cms.Sequence(cms.Sequence(cms.Sequence(cms.OctetString(hash(id.Cert.Raw)))))}},
	}
	return w
}

func sorted(parts [][]byte) []byte { return cms.SetOf(parts...) }

// backwards is an order that is not DER's.
func backwards(parts [][]byte) []byte {
	parts = slices.Clone(parts)
	slices.SortFunc(parts, func(a, b []byte) int { return bytes.Compare(b, a) })
	body := bytes.Join(parts, nil)
	return append(cms.Header(cms.TagSet, int64(len(body))), body...)
}

func (w *workbench) attr(oid string) *cms.Attribute {
	return &w.attrs[slices.IndexFunc(w.attrs, func(a cms.Attribute) bool { return a.OID == oid })]
}

func (w *workbench) without(oid string) {
	w.attrs = slices.DeleteFunc(w.attrs, func(a cms.Attribute) bool { return a.OID == oid })
}

func (w *workbench) file(t *testing.T) []byte {
	t.Helper()
	var parts [][]byte
	for _, a := range w.attrs {
		parts = append(parts, a.Marshal())
	}
	signed := w.order(parts)
	stored := signed
	if w.stored != nil {
		stored = w.stored(parts)
	}
	c, err := cms.ParseCertificate(w.id.Cert.Raw)
	if err != nil {
		t.Fatal(err)
	}
	implicit := bytes.Clone(stored)
	implicit[0] = cms.TagExplicit0
	info := cms.Sequence(cms.Integer(1), cms.Sequence(c.Issuer, cms.IntegerContent(c.Serial)), w.digest, implicit, w.signature, cms.OctetString(w.value(signed)))
	set := cms.SetOf(w.certificates...)
	set[0] = cms.TagExplicit0
	encap := cms.Sequence(cms.OID(w.contentType), cms.Context(0, cms.OctetString(w.content)))
	return cms.Sequence(cms.OID(cms.OIDSignedData), cms.Context(0, cms.Sequence(cms.Integer(1), cms.SetOf(w.digest), encap, set, cms.SetOf(info))))
}

// differs are the cases where openssl's mathematics alone (no -cades) comes to another
// result; pkcs/validation/DIFFERENCES.md says why.
var differs = map[string]bool{
	"attribute reordering: stored in another order than signed":            true,
	"content-type confusion: the attribute says time-stamp":                true,
	"content-type confusion: the file says time-stamp":                     true,
	"digest algorithm mismatch: SHA-512 signature over SHA-256 attributes": true,
	"other certificate named by the signer's part, both in the file":       true,
	"other certificate with the same key, alone in the file":               true,
	"signing-certificate-v2 missing":                                       true,
}

func opensslTakes(t *testing.T, file []byte) bool {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "openssl", "cms", "-verify", "-noverify", "-binary", "-inform", "DER", "-out", os.DevNull)
	cmd.Stdin = bytes.NewReader(file)
	out, err := cmd.CombinedOutput()
	if err == nil != bytes.Contains(out, []byte("Verification successful")) {
		t.Fatalf("openssl: %v\n%s", err, out)
	}
	return err == nil
}

// What attackers do to a signature, and what the policy answers.
func TestAttacks(t *testing.T) {
	p := pki.Shared(t)
	id := p.MustIssue(t, pki.CNS, pki.RSA2048, pki.Citizens[0])
	// Another certificate of the same key and authority, on another person's name.
	twin, err := p.IssueFor(pki.CNS, id.Key, pki.Citizens[1])
	if err != nil {
		t.Fatal(err)
	}
	stranger := p.MustIssue(t, pki.CNS, pki.RSA2048, pki.Citizens[2])
	sha512, err := cms.Scheme{Name: "RSA", Hash: crypto.SHA512}.Identifier()
	if err != nil {
		t.Fatal(err)
	}
	const passed, open, failed = validation.TotalPassed, validation.Indeterminate, validation.TotalFailed
	for _, c := range []struct {
		name   string
		change func(*workbench)
		want   validation.Indication
		sub    validation.SubIndication
	}{
		{"nobody", func(*workbench) {}, passed, ""},
		{"signature wrapping: the signer's part around another content", func(w *workbench) { w.content = []byte("altra istanza") }, failed, validation.HashFailure},
		{"digest mismatch: another digest, signed", func(w *workbench) {
			w.attr(cms.OIDMessageDigest).Values = [][]byte{cms.OctetString(make([]byte, 32))}
		}, failed, validation.HashFailure},
		{"digest mismatch: a prefix of the digest", func(w *workbench) {
			w.attr(cms.OIDMessageDigest).Values[0] = cms.OctetString(w.attr(cms.OIDMessageDigest).Values[0][2:10])
		}, failed, validation.HashFailure},
		{"digest algorithm mismatch: SHA-512 signature over SHA-256 attributes", func(w *workbench) { w.signature = sha512 }, failed, validation.FormatFailure},
		{"content-type confusion: the file says time-stamp", func(w *workbench) { w.contentType = cms.OIDTSTInfo }, failed, validation.FormatFailure},
		{"content-type confusion: the attribute says time-stamp", func(w *workbench) {
			w.attr(cms.OIDContentType).Values = [][]byte{cms.OID(cms.OIDTSTInfo)}
		}, failed, validation.FormatFailure},
		{"content-type missing", func(w *workbench) { w.without(cms.OIDContentType) }, failed, validation.FormatFailure},
		{"message-digest missing", func(w *workbench) { w.without(cms.OIDMessageDigest) }, failed, validation.HashFailure},
		{"signing-certificate-v2 missing", func(w *workbench) { w.without(cms.OIDSigningCertificateV2) }, open, validation.SigConstraintsFailure},
		{"other certificate with the same key, alone in the file", func(w *workbench) {
			w.id, w.certificates = twin, [][]byte{twin.Cert.Raw}
		}, open, validation.NoSigningCertificateFound},
		{"other certificate named by the signer's part, both in the file", func(w *workbench) {
			w.id, w.certificates = twin, [][]byte{twin.Cert.Raw, id.Cert.Raw}
		}, open, validation.NoSigningCertificateFound},
		{"a stranger's certificate", func(w *workbench) { w.id, w.certificates = stranger, [][]byte{stranger.Cert.Raw} }, open, validation.NoSigningCertificateFound},
		{"duplicated attributes: two digests", func(w *workbench) {
			w.attrs = append(w.attrs, cms.Attribute{OID: cms.OIDMessageDigest, Values: [][]byte{cms.OctetString(make([]byte, 32))}})
		}, failed, validation.FormatFailure},
		{"duplicated attributes: two values", func(w *workbench) {
			a := w.attr(cms.OIDMessageDigest)
			a.Values = append(a.Values, cms.OctetString(make([]byte, 32)))
		}, failed, validation.FormatFailure},
		{"duplicated attributes: two signing certificates", func(w *workbench) {
			w.attrs = append(w.attrs, cms.Attribute{OID: cms.OIDSigningCertificateV2, Values: [][]byte{cms.Sequence(cms.Sequence(cms.Sequence(cms.OctetString(make([]byte, 32)))))}})
		}, failed, validation.FormatFailure},
		// Both orders are computed; whether they do is the policy's to say (RFC 5652, 5.4).
		{"attribute reordering: signed in another order than DER", func(w *workbench) { w.order = backwards }, passed, ""},
		{"attribute reordering: stored in another order than signed", func(w *workbench) { w.stored = backwards }, passed, ""},
		{"attribute reordering: stored as DER, signed otherwise", func(w *workbench) { w.order, w.stored = backwards, sorted }, failed, validation.SigCryptoFailure},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := bench(t, id)
			c.change(w)
			file := w.file(t)
			if good := opensslTakes(t, file); good != ((c.want == passed) != differs[c.name]) {
				t.Errorf("openssl takes it: %v", good)
			}
			r := judge(t, file, verify.Options{Store: store(t, p), Policy: validation.Strict()})
			if r.Indication != c.want || r.SubIndication != c.sub {
				t.Errorf("%s %s, want %s %s", r.Indication, r.SubIndication, c.want, c.sub)
				for _, x := range r.Findings {
					t.Log(x.Level, x.Check, x.Sub)
				}
			}
		})
	}
	t.Run("attribute reordering under a policy that wants DER", func(t *testing.T) {
		policy := validation.Strict()
		policy.Checks["attributes-order"], policy.Checks["attributes-reordered"] = validation.Fail, validation.Fail
		for _, change := range []func(*workbench){func(w *workbench) { w.order = backwards }, func(w *workbench) { w.stored = backwards }} {
			w := bench(t, id)
			change(w)
			if r := judge(t, w.file(t), verify.Options{Store: store(t, p), Policy: policy}); r.Passed() {
				t.Error("passed")
			}
		}
	})
	t.Run("an envelope without a signer around a signed one", func(t *testing.T) {
		inner := bench(t, id).file(t)
		outer := cms.Sequence(cms.OID(cms.OIDSignedData), cms.Context(0, cms.Sequence(cms.Integer(1), cms.SetOf(),
			cms.Sequence(cms.OID(cms.OIDData), cms.Context(0, cms.OctetString(inner))), cms.SetOf())))
		results, err := verify.Reader(t.Context(), bytes.NewReader(outer), verify.Options{Store: store(t, p)})
		if err != nil || len(results) != 1 || results[0].Facts.Nested != 1 {
			t.Errorf("%d results, %v", len(results), err)
		}
	})
	t.Run("a second envelope behind the first", func(t *testing.T) {
		w := bench(t, id)
		first := w.file(t)
		w.content = []byte("altra")
		r := judge(t, append(first, w.file(t)...), verify.Options{Store: store(t, p)})
		if string(r.Facts.Content.SHA256) == "" || !r.Has("encoding") {
			t.Errorf("what follows is not told: %+v", r.Findings)
		}
	})
}

// weakKey is an RSA key of exponent 3 with a certificate of the CNS authority.
func weakKey(t *testing.T, p *pki.PKI) *pki.Identity {
	t.Helper()
	good := p.MustIssue(t, pki.CNS, pki.RSA2048, pki.Citizens[0])
	e := big.NewInt(3)
	for {
		a, err1 := rand.Prime(rand.Reader, 1024)
		b, err2 := rand.Prime(rand.Reader, 1024)
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		one := big.NewInt(1)
		phi := new(big.Int).Mul(new(big.Int).Sub(a, one), new(big.Int).Sub(b, one))
		d := new(big.Int).ModInverse(e, phi)
		n := new(big.Int).Mul(a, b)
		if d == nil || n.BitLen() != 2048 {
			continue
		}
		key := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: n, E: 3}, D: d, Primes: []*big.Int{a, b}}
		template := *good.Cert
		template.SerialNumber, template.PublicKey, template.RawSubject = big.NewInt(time.Now().UnixNano()), nil, good.Cert.RawSubject
		template.ExtraExtensions = keep(good.Cert.Extensions)
		der, err := x509.CreateCertificate(rand.Reader, &template, p.CNS.Cert, &key.PublicKey, p.CNS.Key)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return &pki.Identity{Cert: cert, Key: key, Chain: good.Chain}
	}
}

// keep is a certificate's policies: the template would lose that they are critical.
func keep(all []pkix.Extension) (out []pkix.Extension) {
	for _, x := range all {
		if x.Id.Equal(asn1.ObjectIdentifier{2, 5, 29, 32}) {
			out = append(out, x)
		}
	}
	return out
}

// raw is what the private key makes of a padded block.
func raw(key *rsa.PrivateKey, block []byte) []byte {
	return new(big.Int).Exp(new(big.Int).SetBytes(block), key.D, key.N).FillBytes(make([]byte, key.Size()))
}

var (
	sha256Info     = []byte{0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20}
	sha256InfoBare = []byte{0x30, 0x2f, 0x30, 0x0b, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x04, 0x20}
)

func padded(size int, info []byte) []byte {
	out := append([]byte{0, 1}, bytes.Repeat([]byte{0xff}, size-len(info)-3)...)
	return append(append(out, 0), info...)
}

// cubeRoot is the smallest number whose cube is not below x.
func cubeRoot(x *big.Int) *big.Int {
	low, high := big.NewInt(0), new(big.Int).Lsh(big.NewInt(1), uint(x.BitLen()/3+2))
	for low.Cmp(high) < 0 {
		mid := new(big.Int).Add(low, high)
		mid.Rsh(mid, 1)
		if new(big.Int).Exp(mid, big.NewInt(3), nil).Cmp(x) < 0 {
			low = mid.Add(mid, big.NewInt(1))
		} else {
			high = mid
		}
	}
	return low
}

// Bleichenbacher's forgery of 2006 and its kin (BERserk): paddings that a parser takes and
// a comparison does not. A digest without NULL holds where the policy lets it.
func TestPaddings(t *testing.T) {
	p := pki.Shared(t)
	id := weakKey(t, p)
	key := id.Key.(*rsa.PrivateKey)
	size := key.Size()
	digestOf := func(signed []byte) []byte {
		h := crypto.SHA256.New()
		h.Write(signed)
		return h.Sum(nil)
	}
	garbage := func(info []byte) func([]byte) []byte {
		return func(signed []byte) []byte {
			block := append([]byte{0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0}, append(bytes.Clone(info), digestOf(signed)...)...)
			target := new(big.Int).Lsh(new(big.Int).SetBytes(block), uint(8*(size-len(block))))
			root := cubeRoot(target)
			cube := new(big.Int).Exp(root, big.NewInt(3), nil).FillBytes(make([]byte, size))
			if !bytes.HasPrefix(cube, block) {
				t.Error("the forgery is not what it should be")
			}
			return root.FillBytes(make([]byte, size)) // made without the private key
		}
	}
	with := func(info []byte, change func(block []byte) []byte) func([]byte) []byte {
		return func(signed []byte) []byte {
			return raw(key, change(padded(size, append(bytes.Clone(info), digestOf(signed)...))))
		}
	}
	same := func(b []byte) []byte { return b }
	for _, c := range []struct {
		name            string
		value           func([]byte) []byte
		byDefault, hard validation.Indication
	}{
		{"right", with(sha256Info, same), validation.TotalPassed, validation.TotalPassed},
		{"no NULL", with(sha256InfoBare, same), validation.TotalPassed, validation.TotalFailed},
		{"garbage at the end", garbage(sha256Info), validation.TotalFailed, validation.TotalFailed},
		{"garbage at the end, no NULL", garbage(sha256InfoBare), validation.TotalFailed, validation.TotalFailed},
		{"block type 2", with(sha256Info, func(b []byte) []byte { b[1] = 2; return b }), validation.TotalFailed, validation.TotalFailed},
		{"a hole in the padding", with(sha256Info, func(b []byte) []byte { b[20] = 0; return b }), validation.TotalFailed, validation.TotalFailed},
		{"long form length", with(append([]byte{0x30, 0x81}, sha256Info[1:]...), same), validation.TotalFailed, validation.TotalFailed},
		{"parameters that are not NULL", with(slices.Concat([]byte{0x30, 0x33, 0x30, 0x0f}, sha256Info[4:15], []byte{0x04, 0x02, 0, 0, 0x04, 0x20}), same), validation.TotalFailed, validation.TotalFailed},
		{"one", func([]byte) []byte { return append(make([]byte, size-1), 1) }, validation.TotalFailed, validation.TotalFailed},
		{"nothing", func([]byte) []byte { return make([]byte, size) }, validation.TotalFailed, validation.TotalFailed},
		{"larger than the modulus", func(s []byte) []byte {
			v := new(big.Int).SetBytes(with(sha256Info, same)(s))
			return v.Add(v, key.N).FillBytes(make([]byte, size+1))
		}, validation.TotalFailed, validation.TotalFailed},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := bench(t, id)
			w.value = c.value
			file := w.file(t)
			for policy, want := range map[*validation.Policy]validation.Indication{validation.Default(): c.byDefault, validation.Strict(): c.hard} {
				r := judge(t, file, verify.Options{Store: store(t, p), Policy: policy})
				if r.Indication != want || want == validation.TotalFailed && r.SubIndication != validation.SigCryptoFailure {
					t.Errorf("%s: %s %s, want %s", policy.Name, r.Indication, r.SubIndication, want)
				}
				if c.name == "no NULL" && !r.Has(validation.CheckDigestInfoNull) {
					t.Error("not told")
				}
			}
		})
	}
}

// A file may cost what it is long, and no more.
func TestASN1Bombs(t *testing.T) {
	head := []byte{0x30, 0x80, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02, 0xa0, 0x80, 0x30, 0x80, 2, 1, 1, 0x31, 0}
	after := func(b ...[]byte) []byte { return slices.Concat(append([][]byte{head}, b...)...) }
	encap := []byte{0x30, 0x80, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 1, 0xa0, 0x80}
	whole := slices.Concat(encap, []byte{0x04, 1, 'x', 0, 0, 0, 0})
	for name, data := range map[string][]byte{
		"deep nesting, indefinite":     after(bytes.Repeat([]byte{0x30, 0x80}, 500_000)),
		"deep nesting, definite":       after([]byte{0x30, 0x83, 0x0f, 0xff, 0xff}, bytes.Repeat([]byte{0x30, 0x83, 0x0f, 0xff, 0xf0}, 100_000)),
		"content in pieces in pieces":  after(encap, bytes.Repeat([]byte{0x24, 0x80}, 500_000)),
		"content of empty pieces":      after(encap, []byte{0x24, 0x80}, bytes.Repeat([]byte{0x04, 0x00}, 500_000)),
		"huge length":                  after([]byte{0x30, 0x88, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}),
		"huge length of the content":   after(encap, []byte{0x04, 0x86, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 'x'}),
		"huge length of certificates":  after(whole, []byte{0xa0, 0x84, 0x7f, 0xff, 0xff, 0xff, 'x'}),
		"certificates without an end":  after(whole, []byte{0xa0, 0x80}, bytes.Repeat([]byte{0x30, 0x00}, 500_000)),
		"certificates, nested":         after(whole, []byte{0xa0, 0x80}, bytes.Repeat([]byte{0x30, 0x80}, 500_000)),
		"signers without an end":       after(whole, []byte{0x31, 0x80}, bytes.Repeat([]byte{0x30, 0x03, 0x02, 0x01, 0x01}, 300_000)),
		"a length of 127 octets":       after([]byte{0x30, 0xff}, make([]byte, 200)),
		"identifiers without an end":   after([]byte{0x3f}, bytes.Repeat([]byte{0xff}, 500_000)),
		"object identifier of a mile":  {0x30, 0x84, 0x00, 0x0f, 0xff, 0xff, 0x06, 0x84, 0x00, 0x0f, 0xff, 0x00},
		"nothing but ends of contents": bytes.Repeat([]byte{0x30, 0x80, 0, 0}, 250_000),
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			before := testing.AllocsPerRun(1, func() {
				results, err := verify.Reader(ctx, bytes.NewReader(data), verify.Options{})
				for _, r := range results {
					if r.Passed() {
						t.Error("passed")
					}
				}
				if err == nil && len(results) == 0 {
					t.Error("neither a result nor an error")
				}
				if ctx.Err() != nil {
					t.Error("it takes too long")
				}
			})
			if before > 100_000 {
				t.Errorf("%.0f allocations", before)
			}
		})
	}
}
