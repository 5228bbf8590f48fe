package assets

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"
)

const prefix = "/assets/"

// types are the content types served; a file of another kind is not served, so
// that the answer does not depend on the machine's table of types.
var types = map[string]string{
	".css":   "text/css; charset=utf-8",
	".js":    "text/javascript; charset=utf-8",
	".svg":   "image/svg+xml",
	".txt":   "text/plain; charset=utf-8",
	".woff2": "font/woff2",
}

// tree is a set of files under one hash.
type tree struct {
	hash  string
	files map[string]*file
}

// file is one asset; packed makes its gzip form at the first request for it.
type file struct {
	kind   string
	tag    string
	plain  []byte
	packed func() []byte
}

func newTree(root fs.FS) *tree {
	t := &tree{files: map[string]*file{}}
	all := sha256.New()
	// WalkDir goes in lexical order, so equal contents give an equal hash.
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		kind, ok := types[path.Ext(name)]
		if !ok {
			return nil
		}
		b, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(b)
		fmt.Fprintf(all, "%s\n%x\n", name, sum)
		t.files[name] = &file{kind: kind, tag: hex.EncodeToString(sum[:8]), plain: b, packed: sync.OnceValue(func() []byte { return pack(kind, b) })}
		return nil
	})
	if err != nil {
		// Files inside the program can always be read; anything else is a fault
		// of the build that no answer to a browser can mend.
		panic(fmt.Sprintf("assets: %v", err))
	}
	t.hash = hex.EncodeToString(all.Sum(nil)[:4])
	return t
}

// pack compresses, or gives nil where it does not pay (fonts are compressed
// already).
func pack(kind string, b []byte) []byte {
	if strings.HasPrefix(kind, "font/") {
		return nil
	}
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil
	}
	if _, err := w.Write(b); err != nil {
		return nil
	}
	if err := w.Close(); err != nil || out.Len() >= len(b) {
		return nil
	}
	return out.Bytes()
}

func (t *tree) check() error {
	if len(t.files) == 0 {
		return ErrNotBuilt
	}
	return nil
}

func (t *tree) url(name string) string { return prefix + t.hash + "/" + name }

// ServeHTTP answers GET and HEAD for files of this tree's hash. Another hash,
// of an older program, is not found: its contents would not be what its address
// promises for a year.
func (t *tree) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	if err := t.check(); err != nil {
		w.Header().Set("Cache-Control", "no-store")
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	var f *file
	if name, ok := strings.CutPrefix(r.URL.Path, prefix+t.hash+"/"); ok {
		f = t.files[name]
	}
	if f == nil {
		w.Header().Set("Cache-Control", "no-store")
		http.Error(w, "not found", http.StatusNotFound)
		return
	}
	h := w.Header()
	h.Set("Content-Type", f.kind)
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("Vary", "Accept-Encoding")
	body, tag := f.plain, f.tag
	if takesGzip(r.Header.Values("Accept-Encoding")) {
		if packed := f.packed(); packed != nil {
			h.Set("Content-Encoding", "gzip")
			body, tag = packed, tag+"-gz"
		}
	}
	h.Set("ETag", `"`+tag+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
}

// takesGzip reads Accept-Encoding (RFC 9110, 12.5.3): gzip named and not with a
// weight of nought.
func takesGzip(values []string) bool {
	for _, item := range strings.Split(strings.Join(values, ","), ",") {
		coding, params, _ := strings.Cut(item, ";")
		if !strings.EqualFold(strings.TrimSpace(coding), "gzip") {
			continue
		}
		q, ok := strings.CutPrefix(strings.ToLower(strings.TrimSpace(params)), "q=")
		return !ok || strings.Trim(q, "0.") != ""
	}
	return false
}
