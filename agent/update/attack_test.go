package update

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// Who looks for updates is told to nobody in clear, whatever the server answers.
func TestNoRedirectionToHTTP(t *testing.T) {
	var asked atomic.Bool
	clear := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Store(true) }))
	t.Cleanup(clear.Close)
	srv := httptest.NewTLSServer(http.RedirectHandler(clear.URL, http.StatusFound))
	t.Cleanup(srv.Close)
	c := (&remembered{}).checker(t)
	c.Client = srv.Client()
	c.Client.CheckRedirect = secure // as New sets it
	c.Address, _ = url.Parse(srv.URL + "/x/")
	if _, err := c.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "redirected to http") {
		t.Errorf("%v", err)
	}
	if asked.Load() {
		t.Error("it was asked in clear")
	}
}

// A download that is cut off leaves nothing, and a link that waits in its place is
// replaced and not followed.
func TestDownloadIntoATrap(t *testing.T) {
	s, c, _ := start(t)
	content := []byte("a package")
	s.publish(t, List{Format: 1, Serial: 1, Expires: now.Add(time.Hour), Releases: []Release{release("1.1.0", content)}}, s.keys...)
	o, err := c.Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	cut := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "9")
		_, _ = w.Write(content[:4])
	}))
	t.Cleanup(cut.Close)
	whole, client := c.Address, c.Client
	c.Address, _ = url.Parse(cut.URL + "/x/")
	c.Client = cut.Client()
	dir := t.TempDir()
	if _, err := c.Download(t.Context(), o, dir); err == nil {
		t.Error("half a file was taken")
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left: %v %v", left, err)
	}

	c.Address, c.Client = whole, client
	s.put(o.File.Name, content)
	mine := filepath.Join(t.TempDir(), "mine")
	if err := os.WriteFile(mine, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(mine, filepath.Join(dir, o.File.Name)); err != nil {
		t.Fatal(err)
	}
	path, err := c.Download(t.Context(), o, dir)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]byte{mine: []byte("mine"), path: content} {
		if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, want) { //nolint:gosec // the test's own
			t.Errorf("%s: %q %v", name, got, err)
		}
	}
}
