package verification

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/citel-pa/citel/pkcs/message"
)

// problem is an answer that is not a report (RFC 9457, Problem Details for HTTP APIs).
// Code is stable; its sentence is "api.CODE" of the catalogue.
type problem struct {
	status int
	code   string
	retry  time.Duration
	cause  error
}

// Error is for the log.
func (p *problem) Error() string {
	if p.cause != nil {
		return fmt.Sprintf("verification: %s: %v", p.code, p.cause)
	}
	return "verification: " + p.code
}

// Unwrap gives the cause.
func (p *problem) Unwrap() error { return p.cause }

// The problems, each with its HTTP status.
var statuses = map[string]int{
	"unauthorized":           http.StatusUnauthorized,
	"not-found":              http.StatusNotFound,
	"method-not-allowed":     http.StatusMethodNotAllowed,
	"not-acceptable":         http.StatusNotAcceptable,
	"bad-parameter":          http.StatusBadRequest,
	"bad-multipart":          http.StatusBadRequest,
	"empty":                  http.StatusBadRequest,
	"too-slow":               http.StatusRequestTimeout,
	"too-large":              http.StatusRequestEntityTooLarge,
	"unsupported-media-type": http.StatusUnsupportedMediaType,
	"malformed":              http.StatusUnprocessableEntity,
	"too-many-requests":      http.StatusTooManyRequests,
	"internal":               http.StatusInternalServerError,
	"busy":                   http.StatusServiceUnavailable,
}

func fail(code string, cause error) *problem {
	return &problem{status: statuses[code], code: code, cause: cause}
}

func later(code string, wait time.Duration) *problem {
	p := fail(code, nil)
	p.retry = max(wait, time.Second)
	return p
}

// write answers with a problem. Whatever is not one of ours is "internal", and its
// cause stays in the log.
func write(w http.ResponseWriter, lang message.Lang, err error) *problem {
	var p *problem
	if !errors.As(err, &p) {
		p = fail("internal", err)
	}
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Content-Language", string(lang))
	if p.retry > 0 {
		h.Set("Retry-After", strconv.Itoa(int(p.retry.Seconds())))
	}
	if p.status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="CiTel"`)
	}
	w.WriteHeader(p.status)
	_ = json.NewEncoder(w).Encode(map[string]any{ // a client that left is no error of ours
		"type": "about:blank", "title": http.StatusText(p.status), "status": p.status, "code": p.code, "detail": message.Text(lang, "api."+p.code),
	})
	return p
}
