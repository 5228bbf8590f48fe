package command_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/pkcs/cades"
	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/pkcs/verify/command"
	"github.com/citel-pa/citel/testdata/pki"
)

// desk is a folder with what a person may verify.
func desk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	p := pki.Shared(t)
	put := func(name string, data []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	sign := func(name string, kind pki.Kind, detached bool) {
		id := p.MustIssue(t, kind, pki.P256, pki.Citizens[0])
		var out bytes.Buffer
		err := cades.Sign(t.Context(), cades.SignOptions{Certificate: id.Cert, Detached: detached, SigningTime: time.Now().UTC().Truncate(time.Second),
			Sign: func(_ context.Context, d []byte, o crypto.SignerOpts) ([]byte, error) {
				return id.Key.Sign(rand.Reader, d, o)
			},
		}, strings.NewReader("contenuto"), 9, &out)
		if err != nil {
			t.Fatal(err)
		}
		put(name, out.Bytes())
	}
	sign("good.p7m", pki.CNS, false)
	sign("other.p7m", pki.OtherRoot, false)
	sign("good.p7s", pki.CNS, true)
	good, err := os.ReadFile(filepath.Join(dir, "good.p7m")) //nolint:gosec // written above
	if err != nil {
		t.Fatal(err)
	}
	put("bad.p7m", bytes.Replace(good, []byte("contenuto"), []byte("Contenuto"), 1))
	put("plain.txt", []byte("no signature"))
	put("content", []byte("contenuto"))
	put("policy.json", []byte(`{"checks":{"no-such-check":"FAIL"}}`))
	list, err := p.CRL(p.Issuer(pki.CNS))
	if err != nil {
		t.Fatal(err)
	}
	put("cns.crl", list)
	put("cns.pem", p.AnchorsPEM(pki.CNS))
	return dir
}

func run(t *testing.T, dir string, args ...string) (code int, out, errs string) {
	t.Helper()
	t.Chdir(dir)
	c := command.New(message.English)
	var stdout, stderr bytes.Buffer
	c.SetOut(&stdout)
	c.SetErr(&stderr)
	c.SetArgs(args)
	c.SilenceUsage, c.SilenceErrors = true, true
	err := c.ExecuteContext(t.Context())
	var e *command.ExitError
	switch {
	case errors.As(err, &e):
		code = e.Code
	case err != nil:
		code = command.Usage
	}
	return code, stdout.String(), stderr.String()
}

// The exit codes that programs build on (design, The commands).
func TestExitCodes(t *testing.T) {
	dir := desk(t)
	trust := []string{"--offline", "--trust", "cns=cns.pem", "--crl", "cns.crl"}
	for _, c := range []struct {
		name string
		args []string
		want int
	}{
		{"valid", []string{"good.p7m"}, 0},
		{"detached", []string{"--content", "content", "good.p7s"}, 0},
		{"detached, another content", []string{"--content", "plain.txt", "good.p7s"}, 1},
		{"detached, no content", []string{"good.p7s"}, 2},
		{"changed", []string{"bad.p7m"}, 1},
		{"unknown issuer", []string{"other.p7m"}, 2},
		{"before it was made", []string{"--time", "2001-01-01T00:00:00Z", "good.p7m"}, 1},
		{"no signature", []string{"plain.txt"}, 2},
		{"not there", []string{"nowhere.p7m"}, 74},
		{"the worst of several", []string{"good.p7m", "other.p7m", "bad.p7m"}, 1},
		{"one is not there", []string{"good.p7m", "bad.p7m", "nowhere.p7m"}, 74},
		{"no file", nil, 64},
		{"a wrong flag", []string{"--no-such-flag", "good.p7m"}, 64},
		{"a wrong time", []string{"--time", "yesterday", "good.p7m"}, 64},
		{"a wrong policy", []string{"--policy", "policy.json", "good.p7m"}, 64},
		{"content for two", []string{"--content", "content", "good.p7s", "good.p7m"}, 64},
	} {
		t.Run(c.name, func(t *testing.T) {
			if code, out, errs := run(t, dir, append(append([]string(nil), trust...), c.args...)...); code != c.want {
				t.Errorf("exit %d, want %d\n%s%s", code, c.want, out, errs)
			}
		})
	}
	if code, _, _ := run(t, dir, "--offline", "--trust", "nowhere.pem", "good.p7m"); code != command.InputOutput {
		t.Errorf("an anchor file that is not there: %d", code)
	}
	if code, _, _ := run(t, dir, "--offline", "good.p7m"); code != command.Undecided {
		t.Errorf("without an anchor: %d", code)
	}
}

// One JSON document on standard output, in the design's shape.
func TestJSON(t *testing.T) {
	dir := desk(t)
	type signature struct {
		Format, Level, Indication, SubIndication, SigningTime, BestSignatureTime, Kind string
		Signer                                                                         struct{ Subject, CodiceFiscale, Serial string }
		Messages                                                                       []struct{ Check, Level, Text string }
		Content                                                                        struct {
			SHA256 string
			Bytes  int64
		}
	}
	trust := []string{"--json", "--offline", "--trust", "cns=cns.pem", "--crl", "cns.crl"}
	_, out, errs := run(t, dir, append(trust, "good.p7m")...)
	var one struct{ Signatures []signature }
	d := json.NewDecoder(strings.NewReader(out))
	if err := d.Decode(&one); err != nil || d.More() || len(one.Signatures) != 1 {
		t.Fatalf("%v\n%s%s", err, out, errs)
	}
	s := one.Signatures[0]
	if s.Format != "CAdES" && !strings.EqualFold(s.Format, "cades") || s.Level != "B-B" || s.Indication != "TOTAL-PASSED" || s.SubIndication != "" ||
		s.Kind != "advanced-cns" || s.Signer.CodiceFiscale != pki.Citizens[0].CF || s.Signer.Serial == "" || s.SigningTime == "" || s.Content.Bytes != 9 || len(s.Content.SHA256) != 64 {
		t.Errorf("%+v", s)
	}
	_, out, _ = run(t, dir, append(trust, "plain.txt")...)
	if strings.Join(strings.Fields(out), "") != `{"signatures":[]}` {
		t.Errorf("no signature: %s", out)
	}
	_, out, _ = run(t, dir, append(trust, "good.p7m", "bad.p7m")...)
	var two struct {
		Files []struct {
			File       string
			Signatures []signature
		}
	}
	if err := json.Unmarshal([]byte(out), &two); err != nil || len(two.Files) != 2 || two.Files[1].File != "bad.p7m" || two.Files[1].Signatures[0].Indication != "TOTAL-FAILED" {
		t.Errorf("%v\n%s", err, out)
	}
}
