// Package client_test checks the page's side against the agent's.
package client_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/citel-pa/citel/agent/client/bundle"
	"github.com/citel-pa/citel/agent/wire"
	"github.com/citel-pa/citel/pkcs/message"
)

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The codes of the agent are all here, with the catalogue's sentences.
func TestCodesAndSentences(t *testing.T) {
	codes, sentences := read(t, "src/codes.ts"), read(t, "src/sentences.ts")
	for _, c := range wire.Codes {
		if !strings.Contains(codes, `"`+string(c)+`"`) {
			t.Errorf("codes.ts lacks %q", c)
		}
		for _, lang := range []message.Lang{message.Italian, message.English} {
			want := strings.ReplaceAll(message.Text(lang, "wire."+string(c)), `"`, `\"`)
			if !strings.Contains(sentences, want) {
				t.Errorf("sentences.ts: %s of %s is not the catalogue's", lang, c)
			}
		}
	}
}

// The compiler accepts the module, and refuses it when a code has no sentence.
func TestTypes(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"package.json", "package-lock.json", "tsconfig.json", ".npmrc"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(read(t, name)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, sub := range []string{"src", "web-eid"} {
		if err := os.CopyFS(filepath.Join(dir, sub), os.DirFS(sub)); err != nil {
			t.Fatal(err)
		}
	}
	run := func(args ...string) (string, error) {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"); err != nil {
		t.Fatalf("npm ci (`make deps` installs npm): %v\n%s", err, out)
	}
	if out, err := run("node_modules/.bin/tsc", "-p", "."); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	without := regexp.MustCompile(`(?m)^.*"pin-locked".*$`).ReplaceAllString(read(t, "src/sentences.ts"), "")
	if err := os.WriteFile(filepath.Join(dir, "src", "sentences.ts"), []byte(without), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := run("node_modules/.bin/tsc", "-p", "."); err == nil || !strings.Contains(out, "pin-locked") {
		t.Errorf("a code without a sentence compiles: %v\n%s", err, out)
	}
}

func TestBundle(t *testing.T) {
	t.Chdir("../..")
	out := t.TempDir()
	if err := bundle.Build(out); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"citel.js", "citel-iife.js", "web-eid.js", "web-eid-iife.js"} {
		if st, err := os.Stat(filepath.Join(out, name)); err != nil || st.Size() > 60<<10 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Every state and message, against a socket that plays the agent's part.
func TestWithoutABrowser(t *testing.T) {
	t.Chdir("../..")
	out := t.TempDir()
	if err := bundle.Build(out); err != nil {
		t.Fatal(err)
	}
	env := os.Environ()
	for name, variable := range map[string]string{"citel": "CITEL_BUNDLE", "web-eid": "CITEL_WEBEID"} {
		module := filepath.Join(out, name+".mjs")
		if err := os.Rename(filepath.Join(out, name+".js"), module); err != nil {
			t.Fatal(err)
		}
		env = append(env, variable+"="+module)
	}
	cmd := exec.Command("node", "--test", "agent/client/test/")
	cmd.Env = env
	if report, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("node (`make deps` installs it): %v\n%s", err, report)
	}
}

// What npm packs holds the built module, its types' source and the guide.
func TestPackage(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"package.json", "README.md"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(read(t, name)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, sub := range []string{"src", "web-eid"} {
		if err := os.CopyFS(filepath.Join(dir, sub), os.DirFS(sub)); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir("../..")
	if err := bundle.Build(filepath.Join(dir, "dist")); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("npm", "pack", "--dry-run", "--json")
	cmd.Dir = dir
	report, err := cmd.Output()
	if err != nil {
		t.Fatalf("npm pack (`make deps` installs npm): %v", err)
	}
	for _, want := range []string{"dist/citel.js", "src/index.ts", "dist/web-eid.js", "web-eid/web-eid.ts", "README.md"} {
		if !strings.Contains(string(report), `"`+want+`"`) {
			t.Errorf("the package lacks %s:\n%s", want, report)
		}
	}
}
