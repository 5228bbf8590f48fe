package main

import (
	"bytes"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/citel-pa/citel/testdata/pki"
)

func TestTokenForEveryKind(t *testing.T) {
	dir := t.TempDir()
	for _, kind := range append(kinds, pki.CNS) { // twice the same: the old token goes
		var out, errs bytes.Buffer
		if code := run([]string{"-kind", string(kind), "-cf", strings.ToLower(pki.Citizens[1].CF), "-dir", dir}, &out, &errs); code != 0 {
			t.Fatalf("%s: exit %d: %s", kind, code, errs.String())
		}
		said := map[string]string{}
		for line := range strings.Lines(out.String()) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
			said[key] = strings.TrimSpace(value)
		}
		cmd := exec.Command("pkcs11-tool", "--module", said["module"], "--slot", said["slot"], "--login", "--pin", said["PIN"], "-O")
		cmd.Env = append(os.Environ(), said["environment"])
		objects, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: pkcs11-tool (make deps installs it): %v: %s", kind, err, objects)
		}
		for _, want := range []string{"Private Key Object", pki.Citizens[1].CF} {
			if !strings.Contains(string(objects), want) {
				t.Errorf("%s: no %q in:\n%s", kind, want, objects)
			}
		}
		list := exec.Command("pkcs11-tool", "--module", said["module"], "-L")
		list.Env = cmd.Env
		slots, err := list.CombinedOutput()
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(slots), ": "+said["label"]); n != 1 {
			t.Errorf("%s: %d tokens with the label %q in:\n%s", kind, n, said["label"], slots)
		}
	}
	data, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	if block, _ := pem.Decode(data); block == nil || block.Type != "CERTIFICATE" {
		t.Errorf("ca.pem is %q", data)
	}
}

func TestWrongUse(t *testing.T) {
	for name, args := range map[string][]string{
		"codice fiscale": {"-cf", "PRVCTT80A10G702X"},
		"kind":           {"-kind", "patente"},
		"flag":           {"-pin", "1"},
		"argument":       {"more"},
	} {
		var out, errs bytes.Buffer
		dir := filepath.Join(t.TempDir(), "not made")
		if code := run(append([]string{"-dir", dir}, args...), &out, &errs); code != exitUsage || errs.Len() == 0 || out.Len() != 0 {
			t.Errorf("%s: exit %d, out %q, errors %q", name, code, out.String(), errs.String())
		}
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%s: made a folder", name)
		}
	}
}
