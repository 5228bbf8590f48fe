package web

import (
	"net/http"
	"strings"

	"github.com/citel-pa/citel/pkcs/message"
)

// Language is what the address asks for and the browser then remembers, else what the
// browser speaks, in its order.
func Language(w http.ResponseWriter, r *http.Request) message.Lang {
	if l := r.URL.Query().Get("lingua"); l == "it" || l == "en" {
		http.SetCookie(w, &http.Cookie{Name: "lingua", Value: l, Path: "/", MaxAge: 31536000, SameSite: http.SameSiteLaxMode, HttpOnly: true}) //nolint:gosec // no secret
		return message.Lang(l)
	}
	if c, err := r.Cookie("lingua"); err == nil && (c.Value == "it" || c.Value == "en") {
		return message.Lang(c.Value)
	}
	for _, part := range strings.Split(r.Header.Get("Accept-Language"), ",") {
		switch tag := strings.ToLower(strings.TrimSpace(part)); {
		case strings.HasPrefix(tag, "it"):
			return message.Italian
		case strings.HasPrefix(tag, "en"):
			return message.English
		}
	}
	return message.Italian
}
