package verification_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/citel-pa/citel/server/verification"
)

// Whatever a portal sends gets a report or a problem, by the document.
func FuzzRequest(f *testing.F) {
	w := newTown(f, func(l *verification.Limits) { l.Burst, l.Rate = 1e12, 1e12 })
	handler := w.service.Handler()
	f.Add("application/octet-stream", "text/html;q=0.5, */*", "format=pdf&lang=en", w.desk.Files["valid"].Data)
	f.Add("application/pdf", "", "time=2026-01-01T00:00:00Z&name=a", w.desk.Files["pdf"].Data)
	f.Add("multipart/form-data; boundary=x", "application/json", "", []byte("--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"../../a\"\r\n\r\nabc\r\n--x\r\nContent-Disposition: form-data; name=\"content\"\r\n\r\nabc\r\n--x--\r\n"))
	f.Fuzz(func(t *testing.T, kind, accept, query string, body []byte) {
		r := httptest.NewRequest(http.MethodPost, verification.Prefix+"verifications", bytes.NewReader(body))
		r.URL.RawQuery = query
		r.Header = http.Header{"Content-Type": {kind}, "Accept": {accept}, "Authorization": {"Bearer " + w.key}}
		out := httptest.NewRecorder()
		handler.ServeHTTP(out, r)
		resp := out.Result()
		resp.Request = &http.Request{URL: &url.URL{Path: r.URL.Path}}
		w.seen.check(t, http.MethodPost, resp, out.Body.Bytes())
		if resp.StatusCode == http.StatusInternalServerError {
			t.Errorf("%s", strings.TrimSpace(out.Body.String()))
		}
	})
}
