package bundle_test

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/pkcs/bundle"
	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/pkcs/profile"
	"github.com/citel-pa/citel/pkcs/trust"
	"github.com/citel-pa/citel/pkcs/validation"
	"github.com/citel-pa/citel/pkcs/verify"
	"github.com/citel-pa/citel/testdata/signed"
)

// made is a bundle and the report that it was made with.
type made struct {
	zip, report []byte
	results     []*validation.Result
}

func make1(t testing.TB, d *signed.Desk, name string, leaveOut bool) made {
	t.Helper()
	return make2(t, d.Store, nil, d.Files[name], leaveOut)
}

func make2(t testing.TB, s *trust.Store, fetch trust.Source, file signed.File, leaveOut bool) made {
	t.Helper()
	now := time.Now().UTC().Round(0)
	var seen []trust.Evidence
	o := verify.Options{Store: s, Time: now, Seen: func(e trust.Evidence) { seen = append(seen, e) },
		Revocation: &trust.Revocation{Store: s, Fetch: fetch, Now: func() time.Time { return now }}}
	b := &bundle.Bundle{Lang: message.Italian, LeaveOut: leaveOut, Policy: validation.Default(), Time: now, Clock: now, Store: s, HTML: []byte("<p>report")}
	if strings.HasSuffix(file.Name, ".p7s") {
		o.Content = strings.NewReader(signed.Content)
		sum := sha256.Sum256([]byte(signed.Content))
		b.Content = &bundle.Document{Name: "istanza.pdf", Reader: strings.NewReader(signed.Content), SHA256: sum[:], Bytes: int64(len(signed.Content))}
	}
	results, err := verify.Reader(t.Context(), bytes.NewReader(file.Data), o)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(file.Data)
	b.Signed = bundle.Document{Name: file.Name, Reader: bytes.NewReader(file.Data), SHA256: sum[:], Bytes: int64(len(file.Data))}
	b.Results, b.Evidence = results, seen
	if b.Report, err = bundle.ReportJSON(results, message.Italian); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if _, err := bundle.Write(&out, b); err != nil {
		t.Fatal(err)
	}
	return made{out.Bytes(), b.Report, results}
}

func read(t testing.TB, data []byte) *bundle.Archive {
	t.Helper()
	a, err := bundle.Read(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// A bundle is judged again from its evidence, bit for bit as before: valid, revoked,
// expired, unknown, with a time-stamp, detached.
func TestSameAgain(t *testing.T) {
	d := signed.Shared(t)
	for _, name := range []string{"valid", "qualified", "cie", "stamped", "changed", "revoked", "expired", "unknown", "hostile", "detached", "pdf"} {
		m := make1(t, d, name, false)
		if !bundle.Is(bytes.NewReader(m.zip), int64(len(m.zip))) {
			t.Errorf("%s: not recognised", name)
		}
		j, err := read(t, m.zip).Judge(t.Context(), bundle.JudgeOptions{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		again, err := bundle.ReportJSON(j.Results, j.Lang)
		if err != nil || !bytes.Equal(again, m.report) || !j.Same || len(j.Changed) > 0 {
			t.Errorf("%s: same %v, changed %v, %v\n%s\n%s", name, j.Same, j.Changed, err, m.report, again)
		}
	}
}

// Whatever is changed in a bundle is told, and the verdict is the evidence's: neither
// saved facts nor report can talk it up.
func TestChangedBundles(t *testing.T) {
	d := signed.Shared(t)
	good := make1(t, d, "valid", false)
	revoked := make1(t, d, "revoked", false)
	passed := func(text []byte) []byte { // what a forger would like to read
		return bytes.ReplaceAll(bytes.ReplaceAll(text, []byte(`"INDETERMINATE"`), []byte(`"TOTAL-PASSED"`)), []byte(`"revoked"`), []byte(`"good"`))
	}
	for _, c := range []struct {
		what   string
		from   made
		entry  string
		change func([]byte) []byte
		want   validation.Indication
		said   string
	}{
		{"the document", good, "signed/signed.p7m", func(b []byte) []byte { return bytes.Replace(b, []byte("chiede"), []byte("odiava"), 1) }, validation.TotalFailed, "signed/signed.p7m"},
		{"the readme", good, "LEGGIMI.txt", func([]byte) []byte { return []byte("tutto bene") }, validation.TotalPassed, "LEGGIMI.txt"},
		{"the report", revoked, "report.json", passed, validation.Indeterminate, "report.json"},
		{"the saved facts", revoked, "facts.json", passed, validation.Indeterminate, "facts.json"},
		// Without its list nobody knows of the revocation: that the bundle was changed is
		// what is told, and what the command's exit code says.
		{"the revocation list", revoked, "crls/01.crl", func(b []byte) []byte { b[len(b)-1] ^= 1; return b }, validation.TotalPassed, "crls/01.crl"},
	} {
		for _, index := range []bool{false, true} { // true: the forger mends the index too
			data := rewrite(t, c.from.zip, index, func(name string, b []byte) []byte {
				if name == c.entry {
					return c.change(b)
				}
				return b
			})
			j, err := read(t, data).Judge(t.Context(), bundle.JudgeOptions{})
			if err != nil {
				t.Errorf("%s: %v", c.what, err)
				continue
			}
			if j.Results[0].Indication != c.want {
				t.Errorf("%s (index mended: %v): %s", c.what, index, j.Results[0].Indication)
			}
			said := strings.Join(j.Changed, "; ")
			if !index && !strings.Contains(said, c.said) || index && said == "" && c.entry != "LEGGIMI.txt" {
				t.Errorf("%s (index mended: %v): said %q", c.what, index, said)
			}
		}
	}
	more := rewrite(t, good.zip, false, func(_ string, b []byte) []byte { return b }, "extra.txt")
	if j, err := read(t, more).Judge(t.Context(), bundle.JudgeOptions{}); err != nil || len(j.Changed) != 1 || !strings.Contains(j.Changed[0], "extra.txt") {
		t.Errorf("an entry that is not in the index: %v %v", j, err)
	}
}

// Authorities of one's own stand over the bundle's.
func TestOwnAuthorities(t *testing.T) {
	d := signed.Shared(t)
	m := make1(t, d, "valid", false)
	other := signed.New(t)
	j, err := read(t, m.zip).Judge(t.Context(), bundle.JudgeOptions{Trust: other.Store})
	if err != nil || j.Results[0].SubIndication != validation.NoCertificateChainFound || j.Same {
		t.Errorf("strangers' authorities: %v %v", j, err)
	}
	own := trust.NewStore(trust.AllowTest())
	if _, err := own.AddPEM(d.Anchors[profile.CNS], "own", profile.CNS); err != nil {
		t.Fatal(err)
	}
	if j, err = read(t, m.zip).Judge(t.Context(), bundle.JudgeOptions{Trust: own}); err != nil || !j.Results[0].Passed() {
		t.Errorf("the right authorities: %+v %v", j, err)
	}
}

// A bundle without the document says so, takes it from outside, and takes no other.
func TestLeftOut(t *testing.T) {
	d := signed.Shared(t)
	for name, document := range map[string][]byte{"valid": d.Files["valid"].Data, "detached": []byte(signed.Content)} {
		m := make1(t, d, name, true)
		if bytes.Contains(m.zip, []byte("Il sottoscritto chiede")) {
			t.Errorf("%s: the document is in it", name)
		}
		a := read(t, m.zip)
		if _, err := a.Judge(t.Context(), bundle.JudgeOptions{}); !errors.Is(err, bundle.ErrLeftOut) {
			t.Errorf("%s: %v", name, err)
		}
		if j, err := a.Judge(t.Context(), bundle.JudgeOptions{Document: bytes.NewReader(document)}); err != nil || !j.Same || len(j.Changed) > 0 {
			t.Errorf("%s with the document: %+v %v", name, j, err)
		}
		other := bytes.Replace(document, []byte("chiede"), []byte("odiava"), 1)
		if j, err := a.Judge(t.Context(), bundle.JudgeOptions{Document: bytes.NewReader(other)}); err != nil || j.Results[0].Indication != validation.TotalFailed || len(j.Changed) == 0 {
			t.Errorf("%s with another: %+v %v", name, j, err)
		}
	}
}

// openssl checks an unpacked bundle by the very commands of its readme.
func TestOpenSSLChecksBundle(t *testing.T) {
	d := signed.Shared(t)
	for _, c := range []struct {
		name string
		fail string // what openssl has to say no to
	}{{"valid", ""}, {"stamped", ""}, {"detached", ""}, {"pdf", ""}, {"changed", "cms -verify"}, {"revoked", "openssl verify"}} {
		dir := t.TempDir()
		unpack(t, make1(t, d, c.name, false).zip, dir)
		if out, err := sh(t, dir, "sha256sum -c --strict SHA256SUMS"); err != nil {
			t.Errorf("%s: %v\n%s", c.name, err, out)
		}
		text, err := os.ReadFile(filepath.Join(dir, "LEGGIMI.txt")) //nolint:gosec // a test's own folder
		if err != nil {
			t.Fatal(err)
		}
		commands := regexp.MustCompile(`(?m)^    (openssl|\(head|tail) .*$`).FindAllString(string(text), -1)
		if len(commands) < 3 {
			t.Fatalf("%s: %d commands\n%s", c.name, len(commands), text)
		}
		for _, command := range commands {
			out, err := sh(t, dir, command)
			if wrong := c.fail != "" && strings.Contains(command, c.fail); (err != nil) != wrong {
				t.Errorf("%s: %s: %v\n%s", c.name, command, err, out)
			}
		}
		if c.fail == "" && c.name != "pdf" {
			if got, err := os.ReadFile(filepath.Join(dir, "document-1.bin")); err != nil || string(got) != signed.Content { //nolint:gosec // a test's own folder
				t.Errorf("%s: openssl gives the document %q, %v", c.name, got, err)
			}
		}
		if c.name == "stamped" && !strings.Contains(string(text), "ts -verify") {
			t.Error("no command for the time-stamp")
		}
	}
}

func sh(t testing.TB, dir, command string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", command)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func unpack(t testing.TB, data []byte, dir string) {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		name := filepath.Join(dir, filepath.FromSlash(f.Name)) //nolint:gosec // our own archive
		if err = errors.Join(err, os.MkdirAll(filepath.Dir(name), 0o700), os.WriteFile(name, content, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
}

// rewrite copies an archive with changes, and mends the index's sums if told so.
func rewrite(t testing.TB, data []byte, mend bool, change func(name string, content []byte) []byte, extra ...string) []byte {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	contents, order := map[string][]byte{}, []string{}
	var index []byte
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if f.Name == "index.json" {
			index = content
		} else {
			after := change(f.Name, bytes.Clone(content))
			contents[f.Name], order = after, append(order, f.Name)
			if mend && !bytes.Equal(after, content) {
				old, now := sha256.Sum256(content), sha256.Sum256(after)
				contents["\x00"+f.Name] = fmt.Appendf(nil, "%x %x %d %d", old, now, len(content), len(after))
			}
		}
	}
	for name, v := range contents {
		if strings.HasPrefix(name, "\x00") {
			var old, now string
			var a, b int
			if _, err := fmt.Sscanf(string(v), "%s %s %d %d", &old, &now, &a, &b); err != nil {
				t.Fatal(err)
			}
			index = bytes.ReplaceAll(index, []byte(old), []byte(now))
			index = bytes.ReplaceAll(index, fmt.Appendf(nil, "%q,\n      \"bytes\": %d", now, a), fmt.Appendf(nil, "%q,\n      \"bytes\": %d", now, b))
		}
	}
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	put := func(name string, content []byte) {
		f, err := w.Create(name)
		if err == nil {
			_, err = f.Write(content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range order {
		put(name, contents[name])
	}
	for _, name := range extra {
		put(name, []byte("x"))
	}
	put("index.json", index)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
