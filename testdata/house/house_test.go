// Package house holds the tests of the house itself: which room may import
// which, and that every room says what it is.
package house

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const module = "github.com/citel-pa/citel/"

type pkg struct {
	ImportPath string
	Name       string
	Doc        string
	Imports    []string
	Deps       []string
	GoFiles    []string
}

// list asks the go command; tags chooses the build.
func list(t *testing.T, tags string) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Name,Doc,Imports,Deps,GoFiles", "-tags", tags,
		module+"agent/...", module+"server/...", module+"pkcs/...", module+"installer/...")
	cmd.Dir = "../.."
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var pkgs []pkg
	for dec := json.NewDecoder(out); ; {
		var p pkg
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if len(pkgs) < 10 {
		t.Fatalf("only %d packages listed: the walls were not looked at", len(pkgs))
	}
	return pkgs
}

// A wall is a place that must not reach another, directly or through others.
type wall struct{ from, to, why string }

var walls = []wall{
	{"agent/", module + "server/", "agent and server never meet: what both need is in pkcs"},
	{"server/", module + "agent/", "agent and server never meet: what both need is in pkcs"},
	{"pkcs/", module + "agent/", "pkcs is below agent"},
	{"pkcs/", module + "server/", "pkcs is below server"},
	{"pkcs/", "github.com/gorilla/websocket", "pkcs listens to nobody"},
	{"pkcs/", module + "testdata/", "test material stays in tests"},
	{"agent/wire", module, "the wire protocol has no dependencies"},
	{"agent/consent", module + "agent/wire", "a face knows nothing of the wire"},
	{"agent/card/virtual", module + "agent/card/cns", "a virtual card that shares its driver's code finds no fault of it"},
	{"agent/card/virtual", module + "agent/card/cie", "a virtual card that shares its driver's code finds no fault of it"},
	{"agent/card/cns", module + "agent/card/virtual", "drivers know no virtual card"},
	{"agent/card/cie", module + "agent/card/virtual", "drivers know no virtual card"},
	{"agent/cmd/citel-agent", "github.com/wailsapp/wails", "the agent links no window toolkit"},
	{"agent/cmd/citel-agent", module + "agent/window", "the window is a program of its own"},
	{"agent/window", module + "agent/signing", "the window knows no key"},
	{"agent/window", module + "agent/card", "the window knows no card"},
	{"server/", module + "testdata/", "test material stays in tests"},
}

func TestWalls(t *testing.T) {
	for _, tags := range []string{"", "tester"} {
		for _, p := range list(t, tags) {
			path := strings.TrimPrefix(p.ImportPath, module)
			for _, w := range walls {
				if !strings.HasPrefix(path, w.from) {
					continue
				}
				for _, dep := range p.Deps {
					if strings.HasPrefix(dep, w.to) && dep != p.ImportPath {
						t.Errorf("%s reaches %s: %s (tags %q)", path, strings.TrimPrefix(dep, module), w.why, tags)
					}
				}
			}
		}
	}
}

// The agent that citizens get links nothing made for tests.
func TestDistLinksNoTestMaterial(t *testing.T) {
	for _, p := range list(t, "") {
		if !strings.HasSuffix(p.ImportPath, "/cmd/citel-agent") && !strings.HasSuffix(p.ImportPath, "/cmd/citel-server") {
			continue
		}
		for _, dep := range p.Deps {
			if strings.Contains(dep, "/testdata/") || strings.HasSuffix(dep, "/agent/card/virtual") {
				t.Errorf("%s links %s without the tag tester", p.ImportPath, dep)
			}
		}
	}
}

// PKCS#11, PC/SC and WebSocket have one home each.
func TestOneHome(t *testing.T) {
	homes := map[string]string{
		"github.com/miekg/pkcs11":      "pkcs/token",
		"github.com/ebfe/scard":        "agent/card",
		"github.com/gorilla/websocket": "agent/gateway",
		"go.mozilla.org/pkcs7":         "pkcs/cms",
	}
	for _, p := range list(t, "tester") {
		for _, imp := range p.Imports {
			home, ok := homes[imp]
			if ok && p.ImportPath != module+home && !strings.HasPrefix(p.ImportPath, module+home+"/") {
				t.Errorf("%s imports %s, whose home is %s", p.ImportPath, imp, home)
			}
		}
	}
}

func TestEveryRoomSaysWhatItIs(t *testing.T) {
	for _, p := range list(t, "tester") {
		if len(p.GoFiles) > 0 && p.Doc == "" {
			t.Errorf("%s has no package comment", p.ImportPath)
		}
	}
}

// Tests ask a browser's page by testdata/chromium alone: chromedp's own queries never end
// where another document took the page's place meanwhile.
func TestBrowserTestsAskThePage(t *testing.T) {
	query := regexp.MustCompile(`chromedp\.(Wait\w*|Click|DoubleClick|Text|TextContent|Value|SetValue|Focus|Blur|Clear|SendKeys|SetUploadFiles|Submit|Nodes|Query|Attribute\w*|Poll\w*|Navigate)[[(]`)
	looked := 0
	for _, room := range []string{"agent", "server", "pkcs", "testdata"} {
		err := filepath.WalkDir(filepath.Join("..", "..", room), func(name string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() || filepath.Ext(name) != ".go" {
				return err
			}
			text, err := os.ReadFile(name) //nolint:gosec // our own source
			if err != nil {
				return err
			}
			looked++
			if m := query.Find(text); m != nil {
				t.Errorf("%s has %s...): testdata/chromium has one that ends", name, m)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if looked < 100 {
		t.Errorf("only %d files", looked)
	}
}
