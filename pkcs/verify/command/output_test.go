package command_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/pkcs/verify/command"
	"github.com/citel-pa/citel/testdata/signed"
)

// counter is a folder with signed files and what is trusted.
func counter(t *testing.T) (dir string, base []string) {
	t.Helper()
	d := signed.Shared(t)
	dir = t.TempDir()
	put := func(name string, data []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, file := range d.Files {
		put(name, file.Data)
	}
	put("content", []byte(signed.Content))
	put("cns.crl", d.CRL)
	for p, anchors := range d.Anchors {
		put(string(p)+".pem", anchors)
		base = append(base, "--trust", string(p)+"="+filepath.Join(dir, string(p)+".pem"))
	}
	return dir, append(base, "--crl", filepath.Join(dir, "cns.crl"), "--offline")
}

func verifyCommand(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	c := command.New(message.Italian)
	c.SilenceErrors, c.SilenceUsage = true, true
	var out, errs bytes.Buffer
	c.SetArgs(args)
	c.SetOut(&out)
	c.SetErr(&errs)
	err := c.ExecuteContext(t.Context())
	var exit *command.ExitError
	if errors.As(err, &exit) {
		return exit.Code, out.String(), errs.String() + exit.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
	return command.Done, out.String(), errs.String()
}

// A report and a bundle on the way, and the bundle judged again: the same JSON and the
// same exit code, without the anchors and lists of before.
func TestReportAndBundle(t *testing.T) {
	dir, base := counter(t)
	at := func(name string) string { return filepath.Join(dir, name) }
	for name, want := range map[string]int{"valid": command.Done, "stamped": command.Done, "changed": command.Invalid, "revoked": command.Undecided, "detached": command.Done} {
		args := append([]string{"--json", "--report", at(name + ".html"), "--bundle", at(name + ".zip")}, base...)
		if name == "detached" {
			args = append(args, "--content", at("content"))
		}
		code, first, said := verifyCommand(t, append(args, at(name))...)
		if code != want || !strings.Contains(said, "impronta SHA-256 dell'indice") {
			t.Errorf("%s: exit %d, %s", name, code, said)
			continue
		}
		code, again, said := verifyCommand(t, "--json", "--report", at(name+".pdf"), at(name+".zip"))
		if code != want || again != first || !strings.Contains(said, "bit per bit") || !strings.Contains(said, "Autorità presa dal fascicolo") {
			t.Errorf("%s again: exit %d, %s\n%s\n%s", name, code, said, first, again)
		}
		page, err := os.ReadFile(at(name + ".html"))
		if err != nil || !bytes.HasPrefix(page, []byte("<!doctype html>")) {
			t.Errorf("%s: no page: %v", name, err)
		}
		if paper, err := os.ReadFile(at(name + ".pdf")); err != nil || !bytes.HasPrefix(paper, []byte("%PDF-1.7")) {
			t.Errorf("%s: no PDF: %v", name, err)
		}
	}
	data, err := os.ReadFile(at("valid.zip"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(at("valid.zip"), bytes.Replace(data, []byte("chiede"), []byte("odiava"), 1), 0o600); err != nil { //nolint:gosec // a test's own folder
		t.Fatal(err)
	}
	if code, _, said := verifyCommand(t, "--report", at("warned.html"), at("valid.zip")); code != command.Invalid || !strings.Contains(said, "ATTENZIONE, il fascicolo è stato cambiato") {
		t.Errorf("a changed bundle: exit %d, %s", code, said)
	}
	if page, err := os.ReadFile(at("warned.html")); err != nil || !bytes.Contains(page, []byte("ATTENZIONE")) {
		t.Errorf("the report is silent about it: %v", err)
	}
}

// What cannot be written, or does not go together, is said before any work.
func TestOutputsRefused(t *testing.T) {
	dir, base := counter(t)
	valid := filepath.Join(dir, "valid")
	for what, c := range map[string]struct {
		args []string
		code int
		said string
	}{
		"a report of another kind": {[]string{"--report", filepath.Join(dir, "x.doc"), valid}, command.Usage, ".html o .pdf"},
		"a report that is there":   {[]string{"--report", filepath.Join(dir, "cns.pem") + ".html", valid}, command.InputOutput, "esiste già"},
		"a bundle of two":          {[]string{"--bundle", filepath.Join(dir, "x.zip"), valid, valid}, command.Usage, "un file solo"},
		"no folder":                {[]string{"--report", filepath.Join(dir, "no", "x.html"), valid}, command.InputOutput, "--report"},
	} {
		if err := os.WriteFile(filepath.Join(dir, "cns.pem.html"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if code, _, said := verifyCommand(t, append(c.args, base...)...); code != c.code || !strings.Contains(said, c.said) {
			t.Errorf("%s: exit %d, %s", what, code, said)
		}
	}
}
