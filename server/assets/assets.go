// Package assets holds what the pages are dressed with: Bootstrap Italia's style
// sheet, fonts and icons, and the bundled page scripts. The files are fetched and
// bundled by ./build, embedded here, and never committed.
package assets

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"sync"
)

//go:embed all:dist
var files embed.FS

// ErrNotBuilt means that the program was compiled without the files of the pages.
var ErrNotBuilt = errors.New("assets: the pages' files are not there; run `make assets` and build again")

// Prefix is where Handler is mounted.
const Prefix = "/assets/"

type file struct {
	kind       string
	data, gzip []byte
}

type tree struct {
	hash  string
	files map[string]*file
}

// load reads the embedded tree once. The hash over all of it stands in every
// address, so that relative addresses between the files keep working and a
// browser may keep them for ever.
var load = sync.OnceValues(func() (*tree, error) {
	t := &tree{files: map[string]*file{}}
	sum := sha256.New()
	err := fs.WalkDir(files, "dist", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || path.Base(name) == ".keep" {
			return err
		}
		data, err := files.ReadFile(name)
		if err != nil {
			return err
		}
		short := strings.TrimPrefix(name, "dist/")
		_, _ = fmt.Fprintf(sum, "%s %d\n", short, len(data))
		_, _ = sum.Write(data)
		t.files[short] = newFile(short, data)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if t.files["css/bootstrap-italia.min.css"] == nil {
		return nil, ErrNotBuilt
	}
	t.hash = hex.EncodeToString(sum.Sum(nil)[:6])
	return t, nil
})

func newFile(name string, data []byte) *file {
	f := &file{kind: mime.TypeByExtension(path.Ext(name)), data: data}
	switch path.Ext(name) {
	case ".woff2":
		f.kind = "font/woff2"
		return f // compressed already
	case ".js":
		f.kind = "text/javascript; charset=utf-8"
	case ".css":
		f.kind = "text/css; charset=utf-8"
	case ".svg":
		f.kind = "image/svg+xml"
	case ".txt":
		f.kind = "text/plain; charset=utf-8"
	}
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write(data)
	if errors.Join(err, w.Close()) == nil && b.Len() < len(data) {
		f.gzip = b.Bytes()
	}
	return f
}

// Check tells whether the files are there: ErrNotBuilt when they are not.
func Check() error {
	_, err := load()
	return err
}

// URL is a file's address, e.g. URL("css/bootstrap-italia.min.css"). A name that
// is not there gives an address that answers 404.
func URL(name string) string {
	t, err := load()
	if err != nil {
		return Prefix + "-/" + name
	}
	return Prefix + t.hash + "/" + name
}

// FontURLs are the addresses of the fonts that every page begins with. Pages name them first:
// a font that comes after the text moves the page below the reader's eyes.
func FontURLs() []string {
	out := make([]string, 0, 4)
	for _, weight := range []string{"300", "regular", "600", "700"} {
		out = append(out, URL("fonts/Titillium_Web/titillium-web-v10-latin-ext_latin-"+weight+".woff2"))
	}
	return out
}

// Handler serves the files below Prefix.
func Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t, err := load()
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		hash, name, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, Prefix), "/")
		f := t.files[name]
		if f == nil || hash != t.hash || (r.Method != http.MethodGet && r.Method != http.MethodHead) {
			http.NotFound(w, r)
			return
		}
		h := w.Header()
		h.Set("Content-Type", f.kind)
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Vary", "Accept-Encoding")
		body := f.data
		if f.gzip != nil && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			h.Set("Content-Encoding", "gzip")
			body = f.gzip
		}
		h.Set("Content-Length", fmt.Sprint(len(body)))
		if r.Method == http.MethodGet {
			_, _ = w.Write(body)
		}
	})
}
