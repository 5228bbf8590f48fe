package verification

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/citel-pa/citel/pkcs/message"
)

// Whatever a portal sends is understood or gets a problem that is in the table; a form's
// file is gone when it is closed.
func FuzzRequest(f *testing.F) {
	f.Add("application/octet-stream", "text/html;q=0.5, */*", "format=pdf&lang=en", []byte("x"))
	f.Add("application/pdf", "", "time=2026-01-01T00:00:00Z&name=a", []byte("%PDF-"))
	f.Add("multipart/form-data; boundary=x", "application/json", "", []byte("--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"../../a\"\r\n\r\nabc\r\n--x\r\nContent-Disposition: form-data; name=\"content\"\r\n\r\nabc\r\n--x--\r\n"))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, kind, accept, query string, body []byte) {
		r := httptest.NewRequest(http.MethodPost, Prefix+"verifications", bytes.NewReader(body))
		r.URL.RawQuery = query
		r.Header = http.Header{"Content-Type": {kind}, "Accept": {accept}}
		check := func(err error) {
			var p *problem
			if !errors.As(err, &p) || statuses[p.code] != p.status || p.status == 0 || !message.Has("api."+p.code) {
				t.Errorf("%v", err)
			}
		}
		a, err := parse(r)
		if err != nil {
			check(err)
			return
		}
		if a.format == "" || a.lang == "" {
			t.Errorf("%+v", a)
		}
		if a.boundary == "" {
			return
		}
		u, err := openMultipart(r.Body, a.boundary, dir)
		if err != nil {
			check(err)
		} else {
			if u.content != nil {
				_, _ = io.Copy(io.Discard, io.LimitReader(u.content, 1<<20)) // as it comes
			}
			if err := u.finish(); err != nil {
				check(err)
			}
			u.close()
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v %v", left, err)
		}
	})
}
