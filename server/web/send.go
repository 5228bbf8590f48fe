package web

import (
	"bufio"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode"
)

// Document is a file for whoever asked for it.
type Document struct {
	Name, MediaType string
	// Inline is only for what we made ourselves: a browser shows it. Whatever else is a
	// download, never shown in this site's name, and in a sandbox wherever a browser opens
	// it all the same.
	Inline bool
}

// Send sends a document and closes it. What fails before its first byte is an error, which
// may have a page of its own; what fails later breaks the connection off: half a document
// must not look whole.
func (d Document) Send(w http.ResponseWriter, r *http.Request, log *slog.Logger, f io.ReadCloser) error {
	whole := bufio.NewReaderSize(f, 32<<10)
	if _, err := whole.Peek(1); err != nil && !errors.Is(err, io.EOF) {
		return errors.Join(err, f.Close())
	}
	h := w.Header()
	h.Set("Content-Type", d.MediaType)
	if d.Inline {
		h.Set("Content-Disposition", Disposition("inline", d.Name))
	} else {
		h.Set("Content-Disposition", Disposition("attachment", d.Name))
		h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	}
	_, err := io.Copy(w, whole)
	if err := errors.Join(err, f.Close()); err != nil {
		log.Warn("a download broke off", "path", r.URL.Path, "error", err)
		panic(http.ErrAbortHandler)
	}
	return nil
}

// Disposition is RFC 6266: a plain name that every browser understands, and besides it the
// name as it is. No control or direction of writing gets into either.
func Disposition(kind, name string) string {
	plain := strings.Map(func(x rune) rune {
		switch {
		case unicode.IsControl(x), unicode.Is(unicode.Cf, x), strings.ContainsRune(`/\:*?"<>|%;`, x):
			return '_'
		}
		return x
	}, name)
	ascii := strings.Map(func(x rune) rune {
		if x > unicode.MaxASCII {
			return '_'
		}
		return x
	}, plain)
	out := mime.FormatMediaType(kind, map[string]string{"filename": ascii})
	if out == "" {
		out = kind
	}
	if ascii != plain {
		out += "; filename*=UTF-8''" + strings.ReplaceAll(url.QueryEscape(plain), "+", "%20")
	}
	return out
}
