package service

import (
	"fmt"
	"math"
	"net/mail"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/pkcs/profile"
)

// Asked tells whether a question is asked, given what was answered before.
func (d *Definition) Asked(q Question, values map[string]string) bool { return q.When.Holds(values) }

// Validate cleans the answers and tells what is wrong with them; what is not asked is
// left out. With complete false (a draft) nothing is required.
func (d *Definition) Validate(get func(id string) string, now time.Time, complete bool) (map[string]string, Errors) {
	values, errs := map[string]string{}, Errors{}
	for _, s := range d.Sections {
		if s.Repeat != nil {
			n, code := s.Repeat.count(get(s.CountKey()))
			if code != "" {
				errs[s.CountKey()] = code
			}
			if n > 0 {
				values[s.CountKey()] = strconv.Itoa(n)
			}
		}
		for _, g := range s.Groups(values) {
			for _, q := range g.Questions {
				if !q.When.Holds(values) {
					continue
				}
				v, code := q.answer(get(q.ID), now, complete)
				if code != "" {
					errs[q.ID] = code
				}
				if v != "" {
					values[q.ID] = v
				}
			}
		}
	}
	return values, errs
}

// answer cleans an answer and checks it; with complete it may have to be there.
func (q Question) answer(v string, now time.Time, complete bool) (string, string) {
	switch v = clean(v, q.Kind == Long); {
	case v != "":
		return q.check(v, now)
	case !q.Required || !complete:
		return "", ""
	case q.Kind == Check:
		return "", "error-check"
	}
	return "", "error-required"
}

func (q Question) check(v string, now time.Time) (string, string) {
	limit := q.Max
	if limit == 0 {
		limit = 120
	}
	switch {
	case q.Kind == Choices || q.Kind == Number || q.Kind == Money: // as long as their values are
	case utf8.RuneCountInString(v) > limit:
		return v, "error-long"
	}
	switch q.Kind {
	case Choice:
		if !slices.Contains(q.values(), v) {
			return "", "error-choice"
		}
	case Choices:
		var out []string
		given, all := strings.Split(v, ","), q.values()
		for _, o := range all { // in the form's order, each once
			if slices.Contains(given, o) {
				out = append(out, o)
			}
		}
		for _, x := range given {
			if !slices.Contains(all, x) {
				return "", "error-choice"
			}
		}
		return strings.Join(out, ","), ""
	case Number:
		n, err := strconv.Atoi(v)
		if err != nil {
			return v, "error-number"
		}
		return strconv.Itoa(n), q.within(n)
	case Money:
		n, ok := cents(v)
		if !ok {
			return v, "error-money"
		}
		return euro(n), q.within(n)
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
		if q.After != "" && d.Before(bound(q.After, today)) || q.Before != "" && d.After(bound(q.Before, today)) {
			return v, "error-date-range"
		}
	}
	return v, ""
}

// values are those of the options.
func (q Question) values() (out []string) {
	for _, o := range q.Options {
		out = append(out, o.Value)
	}
	return out
}

func (q Question) within(n int) string {
	if q.Least != nil && n < *q.Least || q.Most != nil && n > *q.Most {
		return "error-range"
	}
	return ""
}

// cents reads "1.234,50", "1234,5" or "1234".
func cents(v string) (int, bool) {
	v = strings.TrimSpace(strings.TrimPrefix(v, "€"))
	whole, part, _ := strings.Cut(v, ",")
	if groups := strings.Split(whole, "."); len(groups) > 1 {
		for _, g := range groups[1:] {
			if len(g) != 3 {
				return 0, false
			}
		}
		whole = strings.Join(groups, "")
	}
	if whole == "" || len(part) > 2 || strings.ContainsAny(whole+part, "+-") {
		return 0, false
	}
	n, err := strconv.ParseUint((whole + part + "00")[:len(whole)+2], 10, 63)
	if err != nil || n > math.MaxInt32 {
		return 0, false
	}
	return int(n), true
}

func euro(n int) string { return fmt.Sprintf("%d,%02d", n/100, n%100) }

// Euros writes an amount, in cents, for people: "12.345,60 €".
func Euros(cents int) string {
	whole := strconv.Itoa(cents / 100)
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "." + whole[i:]
	}
	return fmt.Sprintf("%s,%02d €", whole, cents%100)
}

// bound reads a day, or years from today; its form was checked.
func bound(s string, today time.Time) time.Time {
	if y, ok := strings.CutSuffix(s, "y"); ok {
		n, _ := strconv.Atoi(y)
		return today.AddDate(n, 0, 0)
	}
	day, _ := time.Parse(time.DateOnly, s)
	return day
}

// Show writes an answer for people.
func (q Question) Show(v string, l message.Lang) string {
	switch q.Kind {
	case Check:
		if v == "yes" {
			return message.Text(l, "service.yes")
		}
		return message.Text(l, "service.no")
	case Choice, Choices:
		var out []string
		for _, x := range strings.Split(v, ",") {
			for _, o := range q.Options {
				if o.Value == x {
					out = append(out, o.Label.In(l))
				}
			}
		}
		return strings.Join(out, "; ")
	case Money:
		if n, ok := cents(v); ok {
			return Euros(n)
		}
	case Date:
		return l.Day(v)
	}
	return v
}

// Open tells whether the service takes applications on a day (of Rome).
func (d *Definition) Open(day time.Time) bool {
	today := day.Format(time.DateOnly)
	return !d.Off && (d.Opens == "" || today >= d.Opens) && (d.Closes == "" || today <= d.Closes)
}

// Wanted lists the attachments that are asked for with these answers.
func (d *Definition) Wanted(values map[string]string) (out []Attachment) {
	for _, a := range d.Attachments {
		if a.When.Holds(values) {
			out = append(out, a)
		}
	}
	return out
}

// Signers lists the codici fiscali of those who sign besides the applicant: of a field that
// repeats, each item's.
func (d *Definition) Signers(values map[string]string) (out []string) {
	add := func(field string, w *When) {
		if v := values[field]; v != "" && w.Holds(values) && !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	for _, c := range d.Cosigners {
		i := slices.IndexFunc(d.Sections, func(s Section) bool {
			return slices.ContainsFunc(s.Questions, func(q Question) bool { return q.ID == c.Field })
		})
		if i < 0 || d.Sections[i].Repeat == nil {
			add(c.Field, c.When)
			continue
		}
		s := d.Sections[i]
		for n := range s.Count(values) {
			add(s.in(n+1, c.Field), s.whenIn(n+1, c.When))
		}
	}
	return out
}

// Line of a preview or of a document.
type Line struct{ Label, Value string }

// Block is a section as it is shown.
type Block struct {
	Title     string
	Sensitive bool
	Lines     []Line
	Items     []Item // of a section that repeats
	None      string // says that it has none
}

// Item is one of a repeated section's.
type Item struct {
	Title string
	Lines []Line
}

// Preview lays answers out with the form's own labels: what was not asked is not there.
func (d *Definition) Preview(values map[string]string, l message.Lang) (out []Block) {
	for _, s := range d.Sections {
		b := Block{Title: s.Title.In(l), Sensitive: s.Sensitive}
		for _, g := range s.Groups(values) {
			var lines []Line
			for _, q := range g.Questions {
				if !q.When.Holds(values) {
					continue
				}
				v := q.Show(values[q.ID], l)
				if v == "" {
					v = message.Text(l, "form.left-open")
				}
				lines = append(lines, Line{q.Label.In(l), v})
			}
			if s.Repeat == nil {
				b.Lines = lines
			} else {
				b.Items = append(b.Items, Item{s.TitleOf(g.N, l), lines})
			}
		}
		if s.Repeat != nil && len(b.Items) == 0 {
			b.None = message.Text(l, "form.no-items")
		}
		if len(b.Lines) > 0 || s.Repeat != nil {
			out = append(out, b)
		}
	}
	return out
}
