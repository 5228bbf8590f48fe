package main

import (
	"bytes"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"aead.dev/minisign"

	"github.com/citel-pa/citel/agent/update"
	"github.com/citel-pa/citel/pkcs/message"
)

// office is a municipality's https address with releases, and a citizen's agent that
// was built for it.
type office struct {
	agent, config, ca string
	served            string // the folder behind the address
	keys              []string
	began             time.Time
}

// newOffice builds the real agent as version 1.2.3. Its flags are those of `make
// build`, whose compiled packages are there already; the linker's are the packer's.
func newOffice(t *testing.T) *office {
	t.Helper()
	o := &office{agent: filepath.Join(t.TempDir(), "citel-agent"), config: t.TempDir(), began: time.Now().UTC().Truncate(time.Second)}
	site := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.StripPrefix("/scarica/", http.FileServer(http.Dir(o.served))).ServeHTTP(w, r)
	}))
	site.Config.ErrorLog = log.New(io.Discard, "", 0) // one step refuses its certificate
	site.StartTLS()
	t.Cleanup(site.Close)
	o.ca = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(o.ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: site.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	public, private := listKeys(t, 3)
	o.keys = private
	var texts []string
	for _, k := range public {
		texts = append(texts, k.String())
	}
	b := options{release: testRelease(), updateURL: site.URL + "/scarica", updateKeys: strings.Join(texts, ",")}
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-tags", "tester", "-ldflags", strings.Join(append([]string{"-s", "-w"}, b.updateFlags()...), " "), "-o", o.agent, "./agent/cmd/citel-agent") //nolint:gosec // the test's own
	cmd.Dir = "../.."
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return o
}

// release packs a version, its list made some hours after the office began, good for
// days from then, and signed by two of the keys.
func (o *office) release(t *testing.T, version string, hours, days int, signers ...string) string {
	t.Helper()
	r := testRelease()
	r.Version, r.Date = version, o.began.Add(time.Duration(hours)*time.Hour)
	return packed(t, options{release: r, listDays: days, listKeys: signers})
}

// update runs the program's command and gives exit code and words.
func (o *office) update(t *testing.T, args ...string) (int, string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), o.agent, append([]string{"update", "--config", o.config}, args...)...) //nolint:gosec // just built
	// The test's authority takes the system's place: crypto/x509, SystemCertPool.
	cmd.Env = []string{"HOME=" + t.TempDir(), "LANG=en_GB.UTF-8", "SSL_CERT_FILE=" + o.ca, "SSL_CERT_DIR=" + t.TempDir()}
	cmd.Stdin = strings.NewReader("n\n")
	out, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

func says(key string, args ...any) string {
	return message.Text(message.English, "installer."+key, args...)
}

// The whole way with the real program: packages and list as the packer makes them,
// behind https. It is offered, asked for, fetched and checked; and nothing that somebody on
// the way, or at the address, does to it gets through.
func TestUpdateFromARealAddress(t *testing.T) {
	o := newOffice(t)
	two := o.keys[:2]
	current, next := o.release(t, "v1.2.3", 0, 10, two...), o.release(t, "v1.3.0", 1, 10, o.keys[0], o.keys[2])
	name := "citel-agent-1.3.0-linux-" + runtime.GOARCH + ".tar.gz" // the program lies in no package's place
	dir := t.TempDir()
	step := func(what, served string, code int, words string, args ...string) {
		t.Helper()
		o.served = served
		got, out := o.update(t, args...)
		if got != code || !strings.Contains(out, words) {
			t.Errorf("%s: exit %d, %q; want %d, %q", what, got, out, code, words)
		}
	}
	nothing := func() {
		t.Helper()
		if left := contents(t, dir); len(left) > 0 {
			t.Errorf("%d files where nothing was to be fetched", len(left))
		}
	}
	fetch := []string{"--yes", "--to", dir}
	unreachable, _, _ := strings.Cut(says("update-unreachable", "reason", "("), "((")
	step("the newest", current, 0, says("update-none", "version", "1.2.3"))
	step("a look", next, 0, says("update-there", "version", "1.3.0"), "--check")
	step("for a program", next, 0, `{"available":"1.3.0","running":"1.2.3"}`, "--json")
	step("no", next, 1, says("not-done"), "--to", dir)
	nothing()

	good := contents(t, next)
	changed := func(name string, by func([]byte) []byte) string {
		t.Helper()
		folder := t.TempDir()
		for n, data := range good {
			if n == name {
				data = by(slices.Clone(data))
			}
			if data == nil {
				continue
			}
			if err := os.WriteFile(filepath.Join(folder, n), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return folder
	}
	turned := func(data []byte) []byte { data[len(data)/2] ^= 1; return data }
	step("a changed package", changed(name, turned), 1, says("update-changed"), fetch...)
	step("a longer package", changed(name, func(d []byte) []byte { return append(d, 0) }), 1, says("update-changed"), fetch...)
	step("a changed list", changed(update.ListName, turned), 1, says("update-signature"), fetch...)
	step("one signature alone", changed(signatureOf(t, o.keys[0]), func([]byte) []byte { return nil }), 1, says("update-signature"), fetch...)
	step("a signature of nobody", o.release(t, "v1.4.0", 2, 10, first(listKeys(t, 2))...), 1, says("update-signature"), fetch...)
	nothing()

	step("no list", t.TempDir(), 74, unreachable, fetch...)
	nothing()

	step("what was asked for", next, 0, filepath.Join(dir, name), fetch...)
	if got := contents(t, dir); len(got) != 1 || !bytes.Equal(got[name], good[name]) {
		t.Errorf("%d files, or other bytes", len(got))
	}
	if err := os.Remove(filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
	step("an older list again", current, 1, says("update-older"), fetch...)
	step("an older version in a newer list", o.release(t, "v1.2.0", 2, 10, two...), 0, says("update-none", "version", "1.2.3"), fetch...)
	step("past its date", o.release(t, "v1.4.0", 3, -1, two...), 1, says("update-expired"), fetch...)
	nothing()

	o.ca = os.DevNull
	step("a certificate of nobody", next, 74, unreachable, fetch...)
	if err := os.WriteFile(filepath.Join(o.config, "settings.json"), []byte(`{"updates": "off"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	step("switched off", next, 69, says("update-off"), fetch...)
	nothing()
}

func first(_ []minisign.PublicKey, paths []string) []string { return paths }

// signatureOf is the name of the file with a private key's signature.
func signatureOf(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path) //nolint:gosec // the test's own
	if err != nil {
		t.Fatal(err)
	}
	var key minisign.PrivateKey
	if err := key.UnmarshalText(text); err != nil {
		t.Fatal(err)
	}
	return update.SignatureName(key.ID())
}
