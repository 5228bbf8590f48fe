package xades_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/citel-pa/citel/pkcs/xades"
	"github.com/citel-pa/citel/pkcs/xmldsig"
	"github.com/citel-pa/citel/testdata/lists"
	"github.com/citel-pa/citel/testdata/pki"
)

func options(s *lists.Signer) xades.SignOptions {
	return xades.SignOptions{Certificate: s.Cert, SigningTime: time.Now(), Sign: func(_ context.Context, digest []byte, o crypto.SignerOpts) ([]byte, error) {
		return s.Key.Sign(rand.Reader, digest, o)
	}}
}

// What we sign is judged by xmlsec1, and what is canonical by xmllint.
func TestSign(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "signed.xml")
	for _, alg := range []pki.KeyAlg{pki.RSA2048, pki.RSA3072, pki.P256, pki.P384, pki.P521} {
		s := signer(t, alg)
		cert := filepath.Join(dir, "cert.pem")
		if err := os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Cert.Raw}), 0o600); err != nil {
			t.Fatal(err)
		}
		judge := func(text []byte) ([]byte, error) {
			if err := os.WriteFile(file, text, 0o600); err != nil {
				t.Fatal(err)
			}
			return xmlsec(t, append(append([]string{"verify", "--pubkey-cert-pem", cert}, idAttributes...), file)...)
		}
		signed, err := xades.Sign(t.Context(), []byte(document), options(s))
		if err != nil {
			t.Fatal(alg, err)
		}
		if out, err := judge(signed); err != nil {
			t.Errorf("%s: xmlsec1: %v\n%s\n%s", alg, err, out, signed)
		}
		got, err := whole(string(signed), s)
		if err != nil || len(got.Old) > 0 || time.Since(got.Time) > time.Minute {
			t.Errorf("%s: %+v, %v", alg, got, err)
		}
		if _, err := judge(bytes.Replace(signed, []byte("more"), []byte("m0re"), 1)); err == nil {
			t.Errorf("%s: xmlsec1 accepts a changed document", alg)
		}
		if _, err := judge(bytes.Replace(signed, []byte("text/xml"), []byte("text/xmm"), 1)); err == nil {
			t.Errorf("%s: xmlsec1 accepts changed properties", alg)
		}
		theirs, err := exec.CommandContext(t.Context(), "xmllint", "--exc-c14n", file).Output()
		if err != nil {
			t.Fatalf("xmllint (make deps): %v", err)
		}
		d, err := xmldsig.Parse(bytes.Replace(signed, []byte("text/xml"), []byte("text/xmm"), 1))
		if err != nil {
			t.Fatal(err)
		}
		var ours bytes.Buffer
		// xmllint's form has comments.
		if err := xmldsig.Canonical(&ours, d.Node, xmldsig.ExclusiveC14NAll, nil); err != nil || ours.String() != string(theirs) {
			t.Errorf("%s: the canonical form is another: %v\n%s\n%s", alg, err, ours.String(), theirs)
		}
	}
}

func TestSignRefuses(t *testing.T) {
	s := signer(t, pki.P256)
	signed, err := xades.Sign(t.Context(), []byte(document), options(s))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		text string
		want error
	}{
		"signed before":                {string(signed), xades.ErrDocument},
		"empty element":                {`<a/>`, xades.ErrDocument},
		"no XML":                       {`a`, xmldsig.ErrMalformed},
		"a DTD":                        {`<!DOCTYPE a><a></a>`, xmldsig.ErrDTD},
		"an end in a comment after it": {`<a></a><!-- </a> -->`, xades.ErrDocument},
	} {
		if _, err := xades.Sign(t.Context(), []byte(c.text), options(s)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	o := options(s)
	o.Sign = func(context.Context, []byte, crypto.SignerOpts) ([]byte, error) { return []byte("\x30\x00"), nil }
	if _, err := xades.Sign(t.Context(), []byte(document), o); !errors.Is(err, xades.ErrKey) {
		t.Error(err)
	}
	o.Sign = func(context.Context, []byte, crypto.SignerOpts) ([]byte, error) { return nil, os.ErrClosed }
	if _, err := xades.Sign(t.Context(), []byte(document), o); !errors.Is(err, os.ErrClosed) {
		t.Error(err)
	}
}
