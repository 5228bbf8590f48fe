package assets

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

func get(t *testing.T, url string) *http.Response {
	t.Helper()
	w := httptest.NewRecorder()
	Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, url, nil))
	return w.Result()
}

func TestFilesAreServed(t *testing.T) {
	if err := Check(); err != nil {
		t.Fatal(err)
	}
	for name, kind := range map[string]string{
		"css/bootstrap-italia.min.css": "text/css; charset=utf-8", "css/fonts.css": "text/css; charset=utf-8",
		"svg/sprites.svg": "image/svg+xml",
	} {
		r := get(t, URL(name))
		if r.StatusCode != 200 || r.Header.Get("Content-Type") != kind || !strings.Contains(r.Header.Get("Cache-Control"), "immutable") {
			t.Errorf("%s: %s %v", name, r.Status, r.Header)
		}
	}
	for _, bad := range []string{Prefix, Prefix + "x/css/fonts.css", URL("css/"), URL("../assets.go"), URL("nothing.css")} {
		if r := get(t, bad); r.StatusCode != 404 {
			t.Errorf("%s: %s", bad, r.Status)
		}
	}
}

// What a style sheet names is there, and nothing in it needs a policy wider than
// 'self'.
func TestStyleSheetsStayAtHome(t *testing.T) {
	tr, err := load()
	if err != nil {
		t.Fatal(err)
	}
	outside := regexp.MustCompile(`url\(['"]?(data|https?):`)
	address := regexp.MustCompile(`url\("?([^")]+)"?\)`)
	for name, f := range tr.files {
		if !strings.HasSuffix(name, ".css") {
			continue
		}
		if outside.Match(f.data) {
			t.Errorf("%s names what is not here", name)
		}
		for _, m := range address.FindAllSubmatch(f.data, -1) {
			target := strings.TrimPrefix(string(m[1]), "../")
			target, _, _ = strings.Cut(target, "#")
			target, _, _ = strings.Cut(target, "?")
			if tr.files[target] == nil {
				t.Errorf("%s: %s is not there", name, m[1])
			}
		}
	}
}
