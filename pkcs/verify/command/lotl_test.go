package command_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/pkcs/cades"
	"github.com/citel-pa/citel/pkcs/verify/command"
	made "github.com/citel-pa/citel/testdata/lists"
	"github.com/citel-pa/citel/testdata/pki"
)

// A LOTL in a folder with the national list and the pivot beside it.
func TestLOTL(t *testing.T) {
	dir := t.TempDir()
	p := pki.Shared(t)
	scene, err := made.NewScene(p, "https://lists.example")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := scene.Write(dir); err != nil {
		t.Fatal(err)
	}
	put := func(name string, data []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("oj.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: scene.Official.Cert.Raw}))
	id := p.MustIssue(t, pki.Qualified, pki.P256, pki.Citizens[0])
	var out bytes.Buffer
	if err := cades.Sign(t.Context(), cades.SignOptions{Certificate: id.Cert, SigningTime: time.Now(),
		Sign: func(_ context.Context, d []byte, o crypto.SignerOpts) ([]byte, error) {
			return id.Key.Sign(rand.Reader, d, o)
		},
	}, strings.NewReader("contenuto"), 9, &out); err != nil {
		t.Fatal(err)
	}
	put("good.p7m", out.Bytes())
	crl, err := p.CRL(p.Qualified)
	if err != nil {
		t.Fatal(err)
	}
	put("q.crl", crl)
	all := []string{"--offline", "--crl", "q.crl", "--lotl-signer", "oj.pem", "--lotl", "eu-lotl.xml", "good.p7m"}
	code, stdout, errs := run(t, dir, append([]string{"--json"}, all...)...)
	var report struct {
		Signatures []struct{ Indication, Kind string }
	}
	if err := json.Unmarshal([]byte(stdout), &report); err != nil || code != 0 {
		t.Fatalf("exit %d, %v\n%s%s", code, err, stdout, errs)
	}
	if s := report.Signatures; len(s) != 1 || s[0].Kind != "qualified" || s[0].Indication != "TOTAL-PASSED" {
		t.Errorf("%+v", s)
	}
	for name, x := range map[string]struct {
		args []string
		want int
	}{
		"not the Official Journal's": {[]string{"--offline", "--lotl", "eu-lotl.xml", "good.p7m"}, command.InputOutput},
		"not there":                  {[]string{"--offline", "--lotl", "nowhere.xml", "good.p7m"}, command.InputOutput},
		"no list":                    {[]string{"--offline", "--lotl", "good.p7m", "good.p7m"}, command.InputOutput},
		"no signers in the file":     {[]string{"--lotl", "eu-lotl.xml", "--lotl-signer", "q.crl", "good.p7m"}, command.Usage},
		"signers without a list":     {[]string{"--lotl-signer", "oj.pem", "good.p7m"}, command.Usage},
		"all territories":            {append([]string{"--territory", "all"}, all...), command.Done},
		"a territory without a list": {append([]string{"--territory", "XX"}, all...), command.InputOutput},
		"one of two":                 {append([]string{"--territory", "XX,IT"}, all...), command.Done},
		"a private address":          {[]string{"--lotl", "http://127.0.0.1:1/eu-lotl.xml", "good.p7m"}, command.InputOutput},
	} {
		t.Setenv("XDG_CACHE_HOME", t.TempDir())
		if code, stdout, errs := run(t, dir, x.args...); code != x.want {
			t.Errorf("%s: exit %d\n%s%s", name, code, stdout, errs)
		}
	}
}
