package console_test

import (
	"net/http"
	"strings"

	"github.com/citel-pa/citel/server/assets"
	"github.com/citel-pa/citel/testdata/chromium"
)

// window is Chromium with the browser's session.
func (b *browser) window(shots string) *chromium.Window {
	b.t.Helper()
	return chromium.Open(b.t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, assets.Prefix) { // the portal's
			assets.Handler().ServeHTTP(w, r)
			return
		}
		b.h.ServeHTTP(w, r)
	}), b.cookies, shots)
}
