package softhsm

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/citel-pa/citel/testdata/pki"
)

// pkcs11-tool, of another project, is the judge of the tokens.
func TestTokensAreThereForOthers(t *testing.T) {
	p := pki.Shared(t)
	store, err := New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, alg := range []pki.KeyAlg{pki.RSA2048, pki.P256, pki.P384, pki.P521} {
		slot, err := store.Add(Token{
			Label: "CNS " + string(alg), PIN: "24680", Chain: true,
			Identities: []*pki.Identity{p.MustIssue(t, pki.CNS, alg, pki.Citizens[0])},
		})
		if err != nil {
			t.Fatal(err)
		}
		out := p11tool(t, store, "--token-label", slot.Label, "--login", "--pin", "24680", "-O")
		for _, want := range []string{"Private Key Object", "Public Key Object", "Certificate Object", pki.Citizens[0].CF, "CiTel TEST CNS CA"} {
			if !strings.Contains(out, want) {
				t.Errorf("%s: no %q in:\n%s", alg, want, out)
			}
		}
		file := filepath.Join(t.TempDir(), "data")
		if err := os.WriteFile(file, make([]byte, 32), 0o600); err != nil {
			t.Fatal(err)
		}
		mech := "ECDSA"
		if alg == pki.RSA2048 {
			mech = "RSA-PKCS"
		}
		p11tool(t, store, "--token-label", slot.Label, "--login", "--pin", "24680", "--sign", "-m", mech, "-i", file, "-o", file+".sig")
	}
}

func TestRemove(t *testing.T) {
	store, err := New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	slot, err := store.Add(Token{Label: "to go"})
	if err != nil {
		t.Fatal(err)
	}
	if out := p11tool(t, store, "-L"); !strings.Contains(out, "to go") {
		t.Fatalf("no token in %s", out)
	}
	if err := store.Remove(slot); err != nil {
		t.Fatal(err)
	}
	if out := p11tool(t, store, "-L"); strings.Contains(out, "to go") {
		t.Errorf("still there: %s", out)
	}
	if err := store.Remove(slot); err == nil {
		t.Error("removed twice")
	}
}

func p11tool(t *testing.T, s *Store, args ...string) string {
	t.Helper()
	cmd := exec.Command("pkcs11-tool", append([]string{"--module", s.Module()}, args...)...)
	cmd.Env = append(os.Environ(), s.Env()...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("pkcs11-tool %v (`make deps` installs it): %v\n%s", args, err, out)
	}
	return string(out)
}
