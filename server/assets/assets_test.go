package assets

import (
	"bytes"
	"compress/gzip"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
)

func get(t *testing.T, h http.Handler, method, target string, header ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func sample(css string) fs.FS {
	return fstest.MapFS{
		".keep":         {Data: []byte("placeholder")},
		"css/a.css":     {Data: []byte(css)},
		"js/b.js":       {Data: []byte("1")},
		"fonts/c.woff2": {Data: bytes.Repeat([]byte("x"), 4000)},
		"secret.key":    {Data: []byte("no")},
	}
}

func TestServe(t *testing.T) {
	css := strings.Repeat("body{color:red}", 100)
	tr := newTree(sample(css))
	r := get(t, tr, "GET", tr.url("css/a.css"))
	if r.StatusCode != 200 || body(t, r) != css {
		t.Fatalf("status %d", r.StatusCode)
	}
	for name, want := range map[string]string{
		"Content-Type":           "text/css; charset=utf-8",
		"Cache-Control":          "public, max-age=31536000, immutable",
		"Vary":                   "Accept-Encoding",
		"X-Content-Type-Options": "nosniff",
		"Content-Encoding":       "",
	} {
		if got := r.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	tag := r.Header.Get("ETag")
	if r := get(t, tr, "GET", tr.url("css/a.css"), "If-None-Match", tag); r.StatusCode != http.StatusNotModified {
		t.Errorf("If-None-Match: status %d", r.StatusCode)
	}
	if r := get(t, tr, "HEAD", tr.url("css/a.css")); r.StatusCode != 200 || body(t, r) != "" {
		t.Errorf("HEAD: status %d or a body", r.StatusCode)
	}
}

func TestGzip(t *testing.T) {
	css := strings.Repeat("body{color:red}", 100)
	tr := newTree(sample(css))
	r := get(t, tr, "GET", tr.url("css/a.css"), "Accept-Encoding", "br, gzip;q=0.5")
	if r.Header.Get("Content-Encoding") != "gzip" {
		t.Fatal("not compressed")
	}
	if !strings.HasSuffix(r.Header.Get("ETag"), `-gz"`) {
		t.Error("the two forms share an ETag")
	}
	z, err := gzip.NewReader(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(z); err != nil || string(b) != css {
		t.Fatalf("other content: %v", err)
	}
	for _, refuse := range []string{"", "br", "gzip;q=0", "gzip; q=0.0"} {
		if r := get(t, tr, "GET", tr.url("css/a.css"), "Accept-Encoding", refuse); r.Header.Get("Content-Encoding") != "" {
			t.Errorf("compressed for %q", refuse)
		}
	}
	if r := get(t, tr, "GET", tr.url("fonts/c.woff2"), "Accept-Encoding", "gzip"); r.Header.Get("Content-Encoding") != "" {
		t.Error("a font was compressed again")
	}
}

func TestNotServed(t *testing.T) {
	tr := newTree(sample("a"))
	for _, target := range []string{
		"/assets/", "/assets/" + tr.hash, tr.url(""), tr.url("css"), tr.url("css/"), tr.url(".keep"), tr.url("secret.key"),
		tr.url("../css/a.css"), tr.url("css/../css/a.css"), tr.url("/css/a.css"), "/assets/00000000/css/a.css", "/assets/css/a.css",
	} {
		r := get(t, tr, "GET", target)
		if r.StatusCode != http.StatusNotFound || r.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: status %d, %s", target, r.StatusCode, r.Header.Get("Cache-Control"))
		}
	}
	if r := get(t, tr, "POST", tr.url("css/a.css")); r.StatusCode != http.StatusMethodNotAllowed || r.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: status %d", r.StatusCode)
	}
}

func TestHashFollowsContents(t *testing.T) {
	a, same, other := newTree(sample("a")), newTree(sample("a")), newTree(sample("b"))
	if a.hash != same.hash || a.hash == other.hash || len(a.hash) != 8 {
		t.Errorf("hashes %s %s %s", a.hash, same.hash, other.hash)
	}
}

func TestNotBuilt(t *testing.T) {
	tr := newTree(fstest.MapFS{".keep": {}})
	if err := tr.check(); err != ErrNotBuilt {
		t.Fatalf("check: %v", err)
	}
	r := get(t, tr, "GET", tr.url("css/a.css"))
	if r.StatusCode != http.StatusServiceUnavailable || !strings.Contains(body(t, r), "make assets") {
		t.Errorf("status %d", r.StatusCode)
	}
}

// TestBuilt looks at what was really built: all that pages name is there, every
// relative address in the style sheets leads to a file, nothing asks for more
// than the strict policy of the package's comment.
func TestBuilt(t *testing.T) {
	if err := Check(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{Style, Fonts, Sprites, Dropdown, Bundle} {
		if !Has(name) {
			t.Errorf("%s is missing", name)
		}
	}
	address := regexp.MustCompile(`url\(['"]?([^'")]+)['"]?\)`)
	for _, sheet := range []string{Style, Fonts} {
		r := get(t, Handler(), "GET", URL(sheet))
		found := address.FindAllStringSubmatch(body(t, r), -1)
		if len(found) == 0 {
			t.Errorf("%s: no address in it", sheet)
		}
		for _, m := range found {
			if strings.HasPrefix(m[1], "#") {
				continue
			}
			target := path.Join(path.Dir(URL(sheet)), m[1])
			if r := get(t, Handler(), "GET", target); r.StatusCode != 200 {
				t.Errorf("%s: %.60s leads to status %d", sheet, m[1], r.StatusCode)
			}
		}
	}
	script := body(t, get(t, Handler(), "GET", URL(Dropdown)))
	for _, no := range []string{"eval(", "new Function", "createElement(\"style\")", ".innerHTML"} {
		if strings.Contains(script, no) {
			t.Errorf("%s has %s", Dropdown, no)
		}
	}
}

// TestLockNamesNoHost holds the lock to package names, versions and hashes, so
// that it serves behind any mirror of the registry.
func TestLockNamesNoHost(t *testing.T) {
	b, err := os.ReadFile("package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, no := range []string{`"resolved"`, "://"} {
		if strings.Contains(string(b), no) {
			t.Errorf("package-lock.json holds %s", no)
		}
	}
}
