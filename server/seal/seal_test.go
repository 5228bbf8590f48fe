package seal_test

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/pkcs/timestamp"
	"github.com/citel-pa/citel/pkcs/trust"
	"github.com/citel-pa/citel/server/pdf"
	"github.com/citel-pa/citel/server/seal"
	"github.com/citel-pa/citel/testdata/pki"
	"github.com/citel-pa/citel/testdata/town"
	"github.com/citel-pa/citel/testdata/tsa"
)

func document(t *testing.T) []byte {
	t.Helper()
	d := pdf.New(pdf.Info{Title: "Prova", Lang: "it-IT", Author: "Comune di Prova", Created: time.Now()})
	d.Heading(1, "Prova")
	d.Paragraph("Una riga.")
	var b bytes.Buffer
	if _, err := d.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func run(t *testing.T, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	var missing *exec.Error
	if errors.As(err, &missing) {
		t.Fatalf("%s is missing: make deps", name)
	}
	return string(out), err
}

// The seal is told genuine by the program that a citizen has, by poppler and by openssl;
// a changed byte by none.
func TestSeal(t *testing.T) {
	agent := filepath.Join(t.TempDir(), "citel-agent")
	if out, err := run(t, "go", "build", "-o", agent, "github.com/citel-pa/citel/agent/cmd/citel-agent"); err != nil {
		t.Fatal(out)
	}
	authority, err := pki.New()
	if err != nil {
		t.Fatal(err)
	}
	address := tsa.Start(t, authority.TSA)
	client := &timestamp.Client{URL: address, Post: &trust.Fetcher{Private: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}}
	town.Each(t, func(t *testing.T, town *town.Town) {
		for name, stamp := range map[string]func(context.Context, []byte, crypto.Hash) ([]byte, error){
			"B-B": nil, "B-T": client.Stamp,
			"down": func(context.Context, []byte, crypto.Hash) ([]byte, error) { return nil, errors.New("down") },
		} {
			t.Run(name, func(t *testing.T) {
				d := &seal.Desk{Store: town.Store, Keys: town.Keys, Stamp: stamp}
				sealed, stamped, err := d.Seal(t.Context(), "prova", "Comune di Prova", "Ricevuta", document(t))
				if err != nil || stamped != (name == "B-T") {
					t.Fatal(stamped, err)
				}
				dir := t.TempDir()
				file, pem := filepath.Join(dir, "ricevuta.pdf"), filepath.Join(dir, "ente.pem")
				trusted, err := d.PEM(t.Context(), "prova", "Comune di Prova")
				if err != nil {
					t.Fatal(err)
				}
				if err := errors.Join(os.WriteFile(file, sealed, 0o600), os.WriteFile(pem, trusted, 0o600)); err != nil {
					t.Fatal(err)
				}
				out, err := run(t, agent, "verify", "--offline", "--json", "--trust", pem, file)
				if err != nil || !strings.Contains(out, `"TOTAL-PASSED"`) || !strings.Contains(out, `"kind": "seal"`) && !strings.Contains(out, `"kind":"seal"`) {
					t.Errorf("%v\n%s", err, out)
				}
				if out, err := run(t, "pdfsig", "-nocert", file); err != nil || !strings.Contains(out, "Signature is Valid") {
					t.Errorf("%v\n%s", err, out)
				}
				if out, err := run(t, "qpdf", "--check", file); err != nil {
					t.Errorf("%v\n%s", err, out)
				}
				openssl(t, dir, sealed, pem)
				bad := bytes.Replace(sealed, []byte("/Lang"), []byte("/Lamg"), 1)
				if err := os.WriteFile(file, bad, 0o600); err != nil {
					t.Fatal(err)
				}
				if out, err := run(t, agent, "verify", "--offline", "--trust", pem, file); err == nil {
					t.Errorf("a changed receipt passes\n%s", out)
				}
			})
		}
	})
}

// openssl verifies the CMS over the two ranges of bytes.
func openssl(t *testing.T, dir string, sealed []byte, pem string) {
	t.Helper()
	from := bytes.LastIndex(sealed, []byte("/Contents <"))
	if from < 0 {
		from = bytes.LastIndex(sealed, []byte("/Contents<"))
	}
	if from < 0 {
		t.Fatal("no /Contents")
	}
	from += bytes.IndexByte(sealed[from:], '<')
	to := from + bytes.IndexByte(sealed[from:], '>') + 1
	value := make([]byte, 0, (to-from)/2)
	for i := from + 1; i+1 < to-1; i += 2 {
		value = append(value, unhex(sealed[i])<<4|unhex(sealed[i+1]))
	}
	content := append(bytes.Clone(sealed[:from]), sealed[to:]...)
	der, data := filepath.Join(dir, "s.der"), filepath.Join(dir, "content")
	if err := errors.Join(os.WriteFile(der, value, 0o600), os.WriteFile(data, content, 0o600)); err != nil {
		t.Fatal(err)
	}
	out, err := run(t, "openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", der, "-content", data, "-CAfile", pem, "-purpose", "any", "-partial_chain", "-out", os.DevNull)
	if err != nil {
		t.Errorf("openssl: %v\n%s", err, out)
	}
}

func unhex(c byte) byte {
	if c >= 'a' {
		return c - 'a' + 10
	}
	if c >= 'A' {
		return c - 'A' + 10
	}
	return c - '0'
}
