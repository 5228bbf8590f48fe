// Package service is the catalogue of what a citizen can apply for, with the
// credential that each needs and the fields of its form.
package service

import (
	"fmt"
	"net/mail"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/citel-pa/citel/pkcs/profile"
	"github.com/citel-pa/citel/server/session"
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

// Field is one question. Its label is in the catalogue: "service.<service>-<name>",
// a help text "...-<name>-help" where there is one.
type Field struct {
	Name     string
	Kind     Kind
	Section  string
	Required bool
	Max      int      // characters; 0 is 120
	Options  []string // of a choice
	// Autocomplete is the purpose of WCAG 2.1, 1.3.5, Identify Input Purpose.
	Autocomplete string
	// After and Before bound a date, relative to now.
	After, Before func(now time.Time) time.Time
}

// Service is one application.
type Service struct {
	ID     string
	Level  session.Level
	Fields []Field
	// Cosigner names the field that holds the codice fiscale of whoever may sign
	// besides the applicant; empty for none.
	Cosigner string
}

// Sections of the form in their order.
func (s *Service) Sections() []string {
	var out []string
	for _, f := range s.Fields {
		if len(out) == 0 || out[len(out)-1] != f.Section {
			out = append(out, f.Section)
		}
	}
	return out
}

// Of a section.
func (s *Service) Of(section string) []Field {
	var out []Field
	for _, f := range s.Fields {
		if f.Section == section {
			out = append(out, f)
		}
	}
	return out
}

func years(n int) func(time.Time) time.Time {
	return func(now time.Time) time.Time { return now.AddDate(n, 0, 0) }
}

// Kindergarten is the enrolment in a municipal kindergarten (asilo nido, children
// of 3 to 36 months).
var Kindergarten = &Service{
	ID: "nido", Level: session.Forte, Cosigner: "other-cf",
	Fields: []Field{
		{Name: "child-given", Kind: Text, Section: "child", Required: true, Max: 60},
		{Name: "child-family", Kind: Text, Section: "child", Required: true, Max: 60},
		{Name: "child-cf", Kind: CodiceFiscale, Section: "child", Required: true},
		{Name: "child-born", Kind: Date, Section: "child", Required: true, After: years(-4), Before: years(0)},
		{Name: "child-place", Kind: Text, Section: "child", Required: true, Max: 80},
		{Name: "address", Kind: Text, Section: "home", Required: true, Max: 120, Autocomplete: "street-address"},
		{Name: "cap", Kind: CAP, Section: "home", Required: true, Autocomplete: "postal-code"},
		{Name: "town", Kind: Text, Section: "home", Required: true, Max: 80, Autocomplete: "address-level2"},
		{Name: "email", Kind: Email, Section: "home", Required: true, Max: 120, Autocomplete: "email"},
		{Name: "phone", Kind: Phone, Section: "home", Max: 20, Autocomplete: "tel"},
		{Name: "relation", Kind: Choice, Section: "applicant", Required: true, Options: []string{"parent", "guardian", "foster"}},
		{Name: "other-cf", Kind: CodiceFiscale, Section: "applicant"},
		{Name: "nursery", Kind: Choice, Section: "wish", Required: true, Options: []string{"arcobaleno", "girasole", "no-preference"}},
		{Name: "time", Kind: Choice, Section: "wish", Required: true, Options: []string{"full", "morning", "afternoon"}},
		{Name: "from", Kind: Date, Section: "wish", Required: true, After: years(0), Before: years(2)},
		{Name: "sibling", Kind: Check, Section: "wish"},
		{Name: "disability", Kind: Check, Section: "wish"},
		{Name: "isee", Kind: Choice, Section: "wish", Required: true, Options: []string{"not-declared", "under-10000", "10000-20000", "over-20000"}},
		{Name: "notes", Kind: Long, Section: "wish", Max: 1000},
		{Name: "truth", Kind: Check, Section: "declare", Required: true},
		{Name: "privacy", Kind: Check, Section: "declare", Required: true},
	},
}

// All services by id.
var All = map[string]*Service{Kindergarten.ID: Kindergarten}

// Errors of a form: field name -> message code below "service.".
type Errors map[string]string

var (
	capForm   = regexp.MustCompile(`^[0-9]{5}$`)
	phoneForm = regexp.MustCompile(`^\+?[0-9 ()./-]{5,20}$`)
)

// Validate cleans the values and tells what is wrong with them. Values that are
// wrong are given back too, so that nobody has to type anything twice.
func (s *Service) Validate(get func(name string) string, now time.Time) (map[string]string, Errors) {
	values, errs := map[string]string{}, Errors{}
	for _, f := range s.Fields {
		v := clean(get(f.Name), f.Kind == Long)
		code := ""
		switch {
		case v == "" && f.Required && f.Kind == Check:
			code = "error-check"
		case v == "" && f.Required:
			code = "error-required"
		case v != "":
			v, code = f.check(v, now)
		}
		if code != "" {
			errs[f.Name] = code
		}
		values[f.Name] = v
	}
	return values, errs
}

func (f Field) check(v string, now time.Time) (string, string) {
	limit := f.Max
	if limit == 0 {
		limit = 120
	}
	if utf8.RuneCountInString(v) > limit {
		return v, "error-long"
	}
	switch f.Kind {
	case Choice:
		for _, o := range f.Options {
			if o == v {
				return v, ""
			}
		}
		return "", "error-choice"
	case Check:
		return "yes", ""
	case CAP:
		if !capForm.MatchString(v) {
			return v, "error-cap"
		}
	case Phone:
		if !phoneForm.MatchString(v) {
			return v, "error-phone"
		}
	case Email:
		a, err := mail.ParseAddress(v)
		if err != nil || a.Address != v || !strings.Contains(v[strings.LastIndex(v, "@")+1:], ".") {
			return v, "error-email"
		}
	case CodiceFiscale:
		cf, err := profile.ParseCodiceFiscale(v)
		if err != nil {
			return v, "error-codice-fiscale"
		}
		return string(cf), ""
	case Date:
		d, err := time.Parse(time.DateOnly, v)
		if err != nil {
			return v, "error-date"
		}
		today := now.Truncate(24 * time.Hour)
		if f.After != nil && d.Before(f.After(today)) || f.Before != nil && d.After(f.Before(today)) {
			return v, "error-date-range"
		}
	}
	return v, ""
}

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

// Show writes a value for people.
func (f Field) Show(v string, text func(key string) string) string {
	switch {
	case f.Kind == Check && v == "yes":
		return text("service.yes")
	case f.Kind == Check:
		return text("service.no")
	case f.Kind == Choice && v != "":
		return text("service." + f.Name + "-" + v)
	case f.Kind == Date && v != "":
		if d, err := time.Parse(time.DateOnly, v); err == nil {
			return d.Format("02/01/2006")
		}
	}
	return v
}

// Label is the catalogue key of a field's label.
func (f Field) Label() string { return "service." + f.Name }

// String names a service for logs.
func (s *Service) String() string { return fmt.Sprintf("service %s", s.ID) }
