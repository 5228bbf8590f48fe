package web

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
)

// A document whose reading fails half way, as when the database crashes: the visitor's
// program sees a broken connection, never a whole answer; one that fails before its first
// byte is an error like any other.
func TestHalfADocument(t *testing.T) {
	broken := errors.New("the database has gone")
	var said error
	answer := func(body io.Reader) (int, string, error) {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, hr *http.Request) {
			said = Document{Name: "x.pdf", MediaType: "application/pdf", Inline: true}.Send(w, hr, slog.New(slog.DiscardHandler), io.NopCloser(body))
			if said != nil {
				http.Error(w, "error", http.StatusInternalServerError)
			}
		}))
		defer s.Close()
		resp, err := http.Get(s.URL) //nolint:noctx // loopback
		if err != nil {
			return 0, "", err
		}
		data, err := io.ReadAll(resp.Body)
		return resp.StatusCode, string(data), errors.Join(err, resp.Body.Close())
	}
	if code, body, err := answer(strings.NewReader("%PDF-")); code != 200 || body != "%PDF-" || err != nil {
		t.Error(code, body, err)
	}
	if code, _, err := answer(iotest.ErrReader(broken)); code != 500 || err != nil || !errors.Is(said, broken) {
		t.Error(code, err, said)
	}
	if code, _, err := answer(io.MultiReader(strings.NewReader(strings.Repeat("x", 100<<10)), iotest.ErrReader(broken))); err == nil {
		t.Error("half a document looks whole", code)
	}
}
