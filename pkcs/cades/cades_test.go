package cades

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/citel-pa/citel/pkcs/cms"
	"github.com/citel-pa/citel/pkcs/validation"
	"github.com/citel-pa/citel/testdata/pki"
)

var content = []byte("Il sottoscritto chiede l'iscrizione.\r\n\x00\x01 fine\n")

var signingTime = time.Now().UTC().Truncate(time.Second)

func softSign(key crypto.Signer) SignFunc {
	return func(_ context.Context, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
		return key.Sign(rand.Reader, digest, opts)
	}
}

func options(id *pki.Identity) SignOptions {
	return SignOptions{
		Certificate: id.Cert, Chain: id.Chain[:1], Sign: softSign(id.Key),
		SigningTime: signingTime,
	}
}

func sign(t testing.TB, o SignOptions, data []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := Sign(t.Context(), o, bytes.NewReader(data), int64(len(data)), &out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func read(t testing.TB, p7m []byte, o ReadOptions) []*validation.Facts {
	t.Helper()
	facts, err := Read(t.Context(), bytes.NewReader(p7m), o)
	if err != nil {
		t.Fatal(err)
	}
	return facts
}

// holds asserts the facts of a signature that is all right.
func holds(t testing.TB, f *validation.Facts) {
	t.Helper()
	if !f.Content.Found || !f.Attribute.DigestMatch || !f.Attribute.ContentTypeMatch || !f.Value.OverReceived {
		t.Errorf("does not hold: %+v %+v %+v", f.Content, f.Attribute, f.Value)
	}
}

// pair is an algorithm pair that both we and openssl have.
type pair struct {
	alg  pki.KeyAlg
	hash crypto.Hash
	pss  bool
}

func (p pair) String() string { return fmt.Sprintf("%s/%s/pss=%v", p.alg, p.hash, p.pss) }

func pairs() []pair {
	var out []pair
	for _, h := range []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512} {
		out = append(out, pair{pki.RSA2048, h, false}, pair{pki.RSA2048, h, true},
			pair{pki.P256, h, false}, pair{pki.P384, h, false}, pair{pki.P521, h, false})
	}
	return out
}

// bench keeps one identity per key algorithm: RSA keys take time.
var identities = map[pki.KeyAlg]*pki.Identity{}

func identity(t testing.TB, alg pki.KeyAlg) *pki.Identity {
	t.Helper()
	if identities[alg] == nil {
		identities[alg] = pki.Shared(t).MustIssue(t, pki.CNS, alg, pki.Citizens[0])
	}
	return identities[alg]
}

func write(t testing.TB, dir, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func openssl(t testing.TB, args ...string) ([]byte, error) {
	t.Helper()
	cmd := exec.Command("openssl", args...)
	if cmd.Err != nil {
		t.Fatalf("openssl is missing: run make deps (%v)", cmd.Err)
	}
	return cmd.CombinedOutput()
}

func TestOpenSSLAcceptsWhatWeMake(t *testing.T) {
	dir := t.TempDir()
	root := write(t, dir, "root.pem", pki.Shared(t).AnchorsPEM())
	plain := write(t, dir, "plain", content)
	for _, p := range pairs() {
		for _, detached := range []bool{false, true} {
			o := options(identity(t, p.alg))
			o.Hash, o.PSS, o.Detached = p.hash, p.pss, detached
			file := write(t, dir, "signed", sign(t, o, content))
			got := filepath.Join(dir, "content")
			for _, extra := range [][]string{nil, {"-cades"}} {
				args := append([]string{"cms", "-verify", "-binary", "-inform", "DER", "-in", file, "-CAfile", root, "-purpose", "any", "-out", got}, extra...)
				if detached {
					args = append(args, "-content", plain)
				}
				if out, err := openssl(t, args...); err != nil {
					t.Fatalf("%v detached=%v %v: %v: %s", p, detached, extra, err, out)
				}
				if b, _ := os.ReadFile(got); !bytes.Equal(b, content) {
					t.Fatalf("%v: openssl gives back another content", p)
				}
			}
		}
	}
}

func TestWeAcceptWhatOpenSSLMakes(t *testing.T) {
	dir := t.TempDir()
	plain := write(t, dir, "plain", content)
	forms := map[string][]string{
		"attached":   {"-nodetach"},
		"detached":   {},
		"keyid":      {"-nodetach", "-keyid"},
		"streamed":   {"-nodetach", "-stream"},
		"cades":      {"-nodetach", "-cades"},
		"no smimcap": {"-nodetach", "-nosmimecap"},
	}
	for _, p := range pairs() {
		id := identity(t, p.alg)
		key, err := pki.KeyPEM(id.Key)
		if err != nil {
			t.Fatal(err)
		}
		keyFile := write(t, dir, "key.pem", key)
		certFile := write(t, dir, "cert.pem", pki.EncodePEM(id.Cert))
		for name, form := range forms {
			if name == "streamed" && p.pss {
				continue // openssl cms -stream fails by itself with PSS ("illegal zero content")
			}
			out := filepath.Join(dir, "signed")
			md := map[crypto.Hash]string{crypto.SHA256: "sha256", crypto.SHA384: "sha384", crypto.SHA512: "sha512"}[p.hash]
			args := append([]string{"cms", "-sign", "-binary", "-in", plain, "-signer", certFile, "-inkey", keyFile, "-md", md, "-outform", "DER", "-out", out}, form...)
			if p.pss {
				args = append(args, "-keyopt", "rsa_padding_mode:pss", "-keyopt", "rsa_pss_saltlen:-1")
			}
			if msg, err := openssl(t, args...); err != nil {
				t.Fatalf("%v %s: %v: %s", p, name, err, msg)
			}
			p7m, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			var o ReadOptions
			if name == "detached" {
				o.Content = bytes.NewReader(content)
			}
			facts := read(t, p7m, o)
			if len(facts) != 1 {
				t.Fatalf("%v %s: %d signers", p, name, len(facts))
			}
			holds(t, facts[0])
			if name == "keyid" && facts[0].Signer.By != "subjectKeyIdentifier" {
				t.Errorf("%v: %+v", p, facts[0].Signer)
			}
			want := "CMS"
			if name == "cades" {
				want = "B-B"
			}
			if facts[0].Level != want {
				t.Errorf("%v %s: level %s, not %s", p, name, facts[0].Level, want)
			}
		}
	}
}

func TestSignLevelsAndTime(t *testing.T) {
	f := read(t, sign(t, options(identity(t, pki.P256)), content), ReadOptions{})[0]
	holds(t, f)
	a := f.Attribute
	if f.Level != "B-B" || a.SigningCertificate.Version != 2 || !a.SigningCertificate.Match || a.SigningTime == nil ||
		!a.SigningTime.Equal(signingTime) || len(f.Faults) > 0 || !f.Value.ReceivedIsDER || a.Declaration {
		t.Errorf("%+v", f)
	}
}

func TestSignToFileOfEveryAlgorithm(t *testing.T) {
	// A file is written again at its start where the size of the signature was not known.
	big := bytes.Repeat(content, 30000)
	for _, alg := range []pki.KeyAlg{pki.RSA2048, pki.P256, pki.P521} {
		out, err := os.Create(filepath.Join(t.TempDir(), "out"))
		if err != nil {
			t.Fatal(err)
		}
		if err := Sign(t.Context(), options(identity(t, alg)), bytes.NewReader(big), int64(len(big)), out); err != nil {
			t.Fatal(err)
		}
		_ = out.Close()
		p7m, err := os.ReadFile(out.Name())
		if err != nil {
			t.Fatal(err)
		}
		if der, err := cms.AppendDER(nil, p7m); err != nil || !bytes.Equal(der, p7m) {
			t.Errorf("%s: not DER (%v)", alg, err)
		}
		var extracted bytes.Buffer
		holds(t, read(t, p7m, ReadOptions{Extract: &extracted})[0])
		if !bytes.Equal(extracted.Bytes(), big) {
			t.Errorf("%s: another content", alg)
		}
	}
}

func TestSignUnknownSize(t *testing.T) {
	var out bytes.Buffer
	if err := Sign(t.Context(), options(identity(t, pki.P256)), bytes.NewReader(content), -1, &out); err != nil {
		t.Fatal(err)
	}
	holds(t, read(t, out.Bytes(), ReadOptions{})[0])
}

func TestSignContentOfAnotherSize(t *testing.T) {
	for _, size := range []int64{0, int64(len(content)) - 1, int64(len(content)) + 1} {
		for _, alg := range []pki.KeyAlg{pki.RSA2048, pki.P256} {
			err := Sign(t.Context(), options(identity(t, alg)), bytes.NewReader(content), size, &bytes.Buffer{})
			if err == nil {
				t.Errorf("%s: signed %d bytes as %d", alg, len(content), size)
			}
		}
	}
}

func TestAKeyThatLiesIsNotBelieved(t *testing.T) {
	o := options(identity(t, pki.RSA2048))
	o.Sign = func(context.Context, []byte, crypto.SignerOpts) ([]byte, error) { return make([]byte, 256), nil }
	if err := Sign(t.Context(), o, bytes.NewReader(content), int64(len(content)), &bytes.Buffer{}); err == nil {
		t.Error("a signature that does not hold was written")
	}
}

func TestSHA1IsNotSignedWith(t *testing.T) {
	o := options(identity(t, pki.RSA2048))
	o.Hash = crypto.SHA1
	if err := Sign(t.Context(), o, bytes.NewReader(content), int64(len(content)), &bytes.Buffer{}); err == nil {
		t.Error("SHA-1 was taken")
	}
}

func TestSecondSigner(t *testing.T) {
	first := sign(t, options(identity(t, pki.RSA2048)), content)
	other := pki.Shared(t).MustIssue(t, pki.CIE, pki.P384, pki.Citizens[1])
	var out bytes.Buffer
	if err := AddSigner(t.Context(), options(other), bytes.NewReader(first), nil, &out); err != nil {
		t.Fatal(err)
	}
	var extracted bytes.Buffer
	facts := read(t, out.Bytes(), ReadOptions{Extract: &extracted})
	if len(facts) != 2 || !bytes.Equal(extracted.Bytes(), content) {
		t.Fatalf("%d signers over %q", len(facts), extracted.Bytes())
	}
	holds(t, facts[0])
	holds(t, facts[1])
	dir := t.TempDir()
	root := write(t, dir, "root.pem", pki.Shared(t).AnchorsPEM())
	file := write(t, dir, "signed", out.Bytes())
	if msg, err := openssl(t, "cms", "-verify", "-inform", "DER", "-in", file, "-CAfile", root, "-purpose", "any", "-out", os.DevNull); err != nil {
		t.Errorf("openssl: %v: %s", err, msg)
	}
}

func TestPSSHashOfTheMask(t *testing.T) {
	id := identity(t, pki.RSA2048)
	o := options(id)
	o.PSS = true
	p7m := sign(t, o, content)
	f := read(t, p7m, ReadOptions{})[0]
	if f.Value.KeyName != "RSA-PSS" {
		t.Errorf("%+v", f.Value)
	}
	if _, ok := id.Key.(*rsa.PrivateKey); !ok {
		t.Fatal("not an RSA key")
	}
}

// Digests that CiTel never signs with are verified all the same.
func TestOtherDigests(t *testing.T) {
	dir := t.TempDir()
	plain := write(t, dir, "plain", content)
	for _, alg := range []pki.KeyAlg{pki.RSA2048, pki.P256} {
		id := identity(t, alg)
		key, err := pki.KeyPEM(id.Key)
		if err != nil {
			t.Fatal(err)
		}
		keyFile, certFile := write(t, dir, "key.pem", key), write(t, dir, "cert.pem", pki.EncodePEM(id.Cert))
		for md, name := range map[string]string{"sha224": "SHA-224", "sha3-224": "SHA3-224", "sha3-256": "SHA3-256", "sha3-384": "SHA3-384", "sha3-512": "SHA3-512"} {
			if alg == pki.P256 && name != "SHA-224" {
				continue // openssl 3.0 has no ECDSA with SHA-3 for CMS
			}
			out := filepath.Join(dir, "signed")
			if msg, err := openssl(t, "cms", "-sign", "-binary", "-nodetach", "-in", plain, "-signer", certFile, "-inkey", keyFile,
				"-md", md, "-outform", "DER", "-out", out); err != nil {
				t.Fatalf("%s %s: %v: %s", alg, md, err, msg)
			}
			p7m, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			facts := read(t, p7m, ReadOptions{})
			holds(t, facts[0])
			if facts[0].Value.DigestName != name {
				t.Errorf("%s: %+v", md, facts[0].Value)
			}
			p7m[bytes.Index(p7m, content)] ^= 1
			if f := read(t, p7m, ReadOptions{})[0]; f.Attribute.DigestMatch {
				t.Errorf("%s %s: changed content passes", alg, md)
			}
		}
	}
}

// A SignerInfo that names nobody leaves the signer unknown; the file can still be read.
func TestEmptyKeyIdentifier(t *testing.T) {
	id := identity(t, pki.P256)
	p7m := sign(t, options(id), content)
	si := parse(t, p7m).Signers[0]
	attrs := bytes.Clone(si.SignedAttrs)
	attrs[0] = 0xA0
	alg, err := cms.Scheme{Name: "ECDSA", Hash: crypto.SHA256}.Identifier()
	if err != nil {
		t.Fatal(err)
	}
	nobody := cms.Sequence(cms.Integer(3), []byte{0x80, 0}, cms.DigestIdentifier(crypto.SHA256), attrs, alg, cms.OctetString(si.Signature))
	f := read(t, assemble(content, [][]byte{id.Cert.Raw}, nobody), ReadOptions{})[0]
	if f.Signer.Certificate != nil || !f.Attribute.DigestMatch || f.Value.Checked {
		t.Errorf("%+v %+v", f.Signer, f.Value)
	}
}
