package download

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func folder(t *testing.T) *Folder {
	t.Helper()
	dir := t.TempDir()
	put := func(name string, data []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := Release{Version: "1.0.0", Date: time.Unix(1e9, 0).UTC()}
	for _, f := range []File{
		{Name: "citel-agent_1.0.0_amd64.deb", System: "linux", Arch: "amd64", Kind: "deb"},
		{Name: "citel-agent_1.0.0_arm64.deb", System: "linux", Arch: "arm64", Kind: "deb"},
		{Name: "citel-agent-1.0.0.x86_64.rpm", System: "linux", Arch: "amd64", Kind: "rpm"},
		{Name: "citel-agent_1.0.0.msi", System: "windows", Arch: "amd64", Kind: "msi"},
		{Name: "citel-agent_changed.zip", System: "windows", Arch: "amd64", Kind: "zip"},
		{Name: "../secret", System: "linux", Arch: "amd64", Kind: "tar.gz"},
	} {
		data := []byte("content of " + f.Name)
		sum := sha256.Sum256(data)
		f.Package, f.Size, f.SHA256 = "citel-agent", int64(len(data)), hex.EncodeToString(sum[:])
		if f.Name == "citel-agent_changed.zip" {
			data = append(data, 'x')
		}
		if f.Name[0] != '.' {
			put(f.Name, data)
		}
		r.Files = append(r.Files, f)
	}
	server := File{Name: "citel-server_1.0.0_amd64.deb", Package: "citel-server", System: "linux", Arch: "amd64", Kind: "deb"}
	put(server.Name, []byte("x"))
	r.Files = append(r.Files, server)
	list, err := json.Marshal(map[string]any{"format": 1, "serial": 1, "releases": []Release{r}})
	if err != nil {
		t.Fatal(err)
	}
	put(listName, list)
	put(listName+".1A2B.minisig", []byte("signature"))
	put("private.key", []byte("secret"))
	return &Folder{Dir: dir}
}

func TestPick(t *testing.T) {
	r, err := folder(t).Release()
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Files) != 4 {
		t.Errorf("offered: %v", r.Files)
	}
	for agent, want := range map[string]string{
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/156.0.0.0 Safari/537.36":       "citel-agent_1.0.0.msi",
		"Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0":                            "citel-agent_1.0.0_amd64.deb",
		"Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0":                    "citel-agent_1.0.0_amd64.deb",
		"Mozilla/5.0 (X11; Fedora; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0":                    "citel-agent-1.0.0.x86_64.rpm",
		"Mozilla/5.0 (X11; Linux aarch64; rv:153.0) Gecko/20100101 Firefox/153.0":                           "citel-agent_1.0.0_arm64.deb",
		"Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 Chrome/156.0.0.0 Mobile Safari/537.36": "",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15":                       "",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15":                              "",
		"": "",
	} {
		got := ""
		if f := r.Pick(http.Header{"User-Agent": {agent}}); f != nil {
			got = f.Name
		}
		if got != want {
			t.Errorf("%s: %q, want %q", agent, got, want)
		}
	}
	h := http.Header{}
	h.Set("Sec-CH-UA-Platform", `"Windows"`)
	if f := r.Pick(h); f == nil || f.Kind != "msi" {
		t.Errorf("by the hint: %v", f)
	}
}

func TestServe(t *testing.T) {
	d := folder(t)
	for name, want := range map[string]error{
		"citel-agent_1.0.0_amd64.deb": nil, listName: nil, listName + ".1A2B.minisig": nil,
		"citel-agent_changed.zip": ErrNotFound, "private.key": ErrNotFound, "citel-server_1.0.0_amd64.deb": ErrNotFound,
		"../secret": ErrNotFound, listName + "./../x.minisig": ErrNotFound, "": ErrNotFound,
	} {
		w := httptest.NewRecorder()
		err := d.Serve(w, httptest.NewRequest(http.MethodGet, "/", nil), name)
		if !errors.Is(err, want) {
			t.Errorf("%q: %v", name, err)
		}
		if want == nil && (w.Code != http.StatusOK || w.Header().Get("Content-Disposition") != `attachment; filename="`+name+`"`) {
			t.Errorf("%q: %d %v", name, w.Code, w.Header())
		}
	}
	if _, err := (&Folder{Dir: t.TempDir()}).Release(); err == nil {
		t.Error("an empty folder offers something")
	}
}
