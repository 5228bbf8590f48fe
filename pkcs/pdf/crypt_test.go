package pdf

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// encrypt has qpdf do it.
func encrypt(t *testing.T, data []byte, args ...string) []byte {
	t.Helper()
	if _, err := exec.LookPath("qpdf"); err != nil {
		t.Fatal("qpdf is missing: make deps")
	}
	in, out := filepath.Join(t.TempDir(), "in.pdf"), filepath.Join(t.TempDir(), "out.pdf")
	if err := os.WriteFile(in, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if text, err := exec.CommandContext(t.Context(), "qpdf", append(args, in, out)...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	made, err := os.ReadFile(out) //nolint:gosec // a test's file
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// A file with restrictions alone is read like any other; one with a password is not.
func TestEncryption(t *testing.T) {
	for name, args := range map[string][]string{
		"RC4, 40 bits":  {"--allow-weak-crypto", "--encrypt", "", "owner", "40", "--"},
		"RC4, 128 bits": {"--allow-weak-crypto", "--encrypt", "", "owner", "128", "--use-aes=n", "--"},
		"AES, 128 bits": {"--allow-weak-crypto", "--encrypt", "", "owner", "128", "--use-aes=y", "--"},
		"AES, 256 bits": {"--encrypt", "", "owner", "256", "--"},
		"of R 5":        {"--allow-weak-crypto", "--encrypt", "", "owner", "256", "--force-R5", "--"},
	} {
		for _, objects := range []string{"disable", "generate"} {
			t.Run(name+", object streams: "+objects, func(t *testing.T) {
				data := encrypt(t, sample(), append(args, "--object-streams="+objects)...)
				f, err := Open(bytes.NewReader(data), int64(len(data)))
				if err != nil || f.Rebuilt || f.Locked() || !f.Encrypted() {
					t.Fatal(err, f)
				}
				if x, _ := f.Catalog()["Names"].(String); string(x) != "a(b)\r" {
					t.Errorf("%q", x)
				}
				pages := f.Array(f.Dict(f.Catalog()["Pages"])["Kids"])
				s, _ := f.Resolve(f.Dict(pages[0])["Contents"]).(*Stream)
				if s == nil {
					t.Fatal("no content")
				}
				if text, err := f.Decode(s); err != nil || !strings.Contains(string(text), "Hello") {
					t.Errorf("%q %v", text, err)
				}
				if _, err := f.Increment(); !errors.Is(err, ErrEncrypted) {
					t.Errorf("an increment: %v", err)
				}
			})
		}
	}
	data := encrypt(t, sample(), "--encrypt", "user", "owner", "256", "--", "--object-streams=disable")
	f, err := Open(bytes.NewReader(data), int64(len(data)))
	if err != nil || !f.Locked() {
		t.Fatal(err)
	}
	for _, n := range f.Numbers() {
		if s, ok := f.Resolve(Ref{Num: n}).(*Stream); ok {
			if _, err := f.Decode(s); !errors.Is(err, ErrEncrypted) {
				t.Errorf("object %d: %v", n, err)
			}
		}
	}
}
