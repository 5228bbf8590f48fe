// Package service is the catalogue of what a citizen can apply for: services are data,
// texts that each ente may change (Definition).
package service

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Kind is how a field is asked.
type Kind string

// Kinds of fields.
const (
	Text          Kind = "text"
	Choice        Kind = "choice"
	Date          Kind = "date"
	Email         Kind = "email"
	Phone         Kind = "tel"
	CAP           Kind = "cap"
	CodiceFiscale Kind = "codice-fiscale"
	Check         Kind = "check"
	Long          Kind = "long"
)

// Errors of a form: field name -> message code below "service.".
type Errors map[string]string

var (
	capForm   = regexp.MustCompile(`^[0-9]{5}$`)
	phoneForm = regexp.MustCompile(`^\+?[0-9 ()./-]{5,20}$`)
)

// clean takes control characters and the spaces around away, and keeps lines only
// where there may be several.
func clean(s string, lines bool) string {
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "")
	}
	s = strings.ReplaceAll(s, "\r\n", "\n")
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' && lines:
			return r
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r):
			return ' '
		}
		return r
	}, s)
	return strings.TrimSpace(s)
}
