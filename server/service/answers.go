package service

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/citel-pa/citel/pkcs/message"
)

// Asked tells whether a question is asked, given what was answered before.
func (d *Definition) Asked(q Question, values map[string]string) bool { return q.When.Holds(values) }

// Validate cleans the answers and tells what is wrong with them; what is not asked is
// left out. With complete false (a draft) nothing is required.
func (d *Definition) Validate(get func(id string) string, now time.Time, complete bool) (map[string]string, Errors) {
	values, errs := map[string]string{}, Errors{}
	for _, q := range d.Fields() {
		if !q.When.Holds(values) {
			continue
		}
		v, code := clean(get(q.ID), q.Kind == Long), ""
		switch {
		case v == "" && q.Required && complete && q.Kind == Check:
			code = "error-check"
		case v == "" && q.Required && complete:
			code = "error-required"
		case v != "":
			v, code = q.check(v, now)
		}
		if code != "" {
			errs[q.ID] = code
		}
		if v != "" {
			values[q.ID] = v
		}
	}
	return values, errs
}

func (q Question) check(v string, now time.Time) (string, string) {
	field := Field{Name: q.ID, Kind: q.Kind, Max: q.Max, After: bound(q.After), Before: bound(q.Before)}
	for _, o := range q.Options {
		field.Options = append(field.Options, o.Value)
	}
	switch q.Kind {
	case Choices:
		var out []string
		for _, o := range field.Options { // in the form's order, each once
			if slices.Contains(strings.Split(v, ","), o) {
				out = append(out, o)
			}
		}
		for _, x := range strings.Split(v, ",") {
			if !slices.Contains(field.Options, x) {
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
	}
	return field.check(v, now)
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

// bound reads a day, or years from today.
func bound(s string) func(time.Time) time.Time {
	if s == "" {
		return nil
	}
	if y, ok := strings.CutSuffix(s, "y"); ok {
		n, _ := strconv.Atoi(y) // its form was checked
		return years(n)
	}
	day, _ := time.Parse(time.DateOnly, s)
	return func(time.Time) time.Time { return day }
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
		if d, err := time.Parse(time.DateOnly, v); err == nil {
			return d.Format("02/01/2006")
		}
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

// Signers lists the codici fiscali of those who sign besides the applicant.
func (d *Definition) Signers(values map[string]string) (out []string) {
	for _, c := range d.Cosigners {
		if v := values[c.Field]; v != "" && c.When.Holds(values) && !slices.Contains(out, v) {
			out = append(out, v)
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
}

// Preview lays answers out with the form's own labels: what was not asked is not there.
func (d *Definition) Preview(values map[string]string, l message.Lang) (out []Block) {
	for _, s := range d.Sections {
		b := Block{Title: s.Title.In(l), Sensitive: s.Sensitive}
		for _, q := range s.Questions {
			if !q.When.Holds(values) {
				continue
			}
			v := q.Show(values[q.ID], l)
			if v == "" {
				v = message.Text(l, "form.left-open")
			}
			b.Lines = append(b.Lines, Line{q.Label.In(l), v})
		}
		if len(b.Lines) > 0 {
			out = append(out, b)
		}
	}
	return out
}
