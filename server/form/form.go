// Package form lays out the form of a service: a definition's sections, what was answered
// and what is wrong with it become what a template shows, the same for the citizen's pages
// and for the desk's. It has no rule of its own; those are in server/service.
package form

import (
	"embed"
	"fmt"
	"html/template"
	"net/url"
	"slices"
	"strings"

	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/server/service"
)

//go:embed templates/*.html
var files embed.FS

// Parse adds the templates to a page's: form-wrong (the summary of errors, of a *Form),
// form-fields (all sections of a *Form), form-section (a Section), form-field (a Field),
// form-answers (a []Block). They call no functions.
func Parse(t *template.Template) (*template.Template, error) {
	return t.ParseFS(files, "templates/*.html")
}

// Form is what is asked.
type Form struct {
	Sections []Section
	Wrong    []Field // those with an error, for the summary
	Words    Words
}

// Words of the templates themselves.
type Words struct{ Wrong, Required string }

// Section is a step.
type Section struct {
	ID          string
	Title, Help string
	Sensitive   bool
	N           int // its place in the definition, from 1
	Fields      []Field
}

// Field is a question. Its id in the page is "f-<ID>", its error's that with "-e", its
// help's with "-h" (WAI-ARIA 1.2, aria-describedby).
type Field struct {
	ID          string
	Kind        service.Kind
	Label, Help string
	Value       string
	Error       string
	Required    bool
	Options     []Option
	// Radios: the options are shown at once, else in a list.
	Radios bool
	Choose string // the list's first line
	// Type and InputMode of an input (HTML, 4.10.5).
	Type, InputMode string
	// Autocomplete is the purpose of WCAG 2.1, 1.3.5, Identify Input Purpose.
	Autocomplete string
	Max          int
	// When and Is name the answer that this depends on, Is with commas between; Hidden:
	// it is not asked with the answers at hand.
	When, Is string
	Hidden   bool
}

// Option of a choice.
type Option struct {
	ID, Value, Label string
	Chosen           bool
}

// HTML is the field's id in the page.
func (f Field) HTML() string { return "f-" + f.ID }

// Describedby lists what describes the field.
func (f Field) Describedby() string {
	var out []string
	if f.Help != "" {
		out = append(out, f.HTML()+"-h")
	}
	if f.Error != "" {
		out = append(out, f.HTML()+"-e")
	}
	return strings.Join(out, " ")
}

// maxRadios is how many options are shown at once.
const maxRadios = 5

// New lays out a definition's form: the section of that id, or all of them for "".
func New(d *service.Definition, section string, values map[string]string, errs service.Errors, l message.Lang) *Form {
	f := &Form{Words: Words{Wrong: message.Text(l, "form.wrong"), Required: message.Text(l, "form.required")}}
	for i, s := range d.Sections {
		if section != "" && s.ID != section {
			continue
		}
		out := Section{ID: s.ID, Title: s.Title.In(l), Help: s.Help.In(l), Sensitive: s.Sensitive, N: i + 1}
		for _, q := range s.Questions {
			x := field(q, values, l)
			if code := errs[q.ID]; code != "" && !x.Hidden {
				x.Error = message.Text(l, "service."+code)
				f.Wrong = append(f.Wrong, x)
			}
			out.Fields = append(out.Fields, x)
		}
		f.Sections = append(f.Sections, out)
	}
	return f
}

func field(q service.Question, values map[string]string, l message.Lang) Field {
	x := Field{
		ID: q.ID, Kind: q.Kind, Label: q.Label.In(l), Help: q.Help.In(l), Value: values[q.ID], Required: q.Required, Max: q.Max,
		Autocomplete: q.Autocomplete, Choose: message.Text(l, "form.choose"), Hidden: !q.When.Holds(values), Type: "text",
	}
	if q.When != nil {
		x.When, x.Is = q.When.Field, strings.Join(q.When.Is, ",")
	}
	for i, o := range q.Options {
		y := Option{ID: x.HTML(), Value: o.Value, Label: o.Label.In(l), Chosen: slices.Contains(strings.Split(x.Value, ","), o.Value)}
		if i > 0 {
			y.ID = fmt.Sprintf("%s-%d", x.HTML(), i+1)
		}
		x.Options = append(x.Options, y)
	}
	switch q.Kind {
	case service.Choice:
		x.Radios = q.Required && len(q.Options) <= maxRadios // what can be left open again needs a list
	case service.Date:
		x.Type = "date"
	case service.Email:
		x.Type = "email"
	case service.Phone:
		x.Type = "tel"
	case service.CAP, service.Number:
		x.InputMode = "numeric"
	case service.Money:
		x.InputMode = "decimal"
	}
	return x
}

// Answers reads a posted form as service.Definition.Validate asks for it: of the fields of
// the section, or of all for "", what was posted (several choices with commas between); of
// the others what is there already.
func Answers(d *service.Definition, section string, posted url.Values, before map[string]string) func(id string) string {
	here := map[string]bool{}
	for _, s := range d.Sections {
		for _, q := range s.Questions {
			here[q.ID] = section == "" || s.ID == section
		}
	}
	return func(id string) string {
		if here[id] {
			return strings.Join(posted[id], ",")
		}
		return before[id]
	}
}

// Appeared lists the questions of a section that are asked now and were not asked before:
// without the page's script nobody has seen them yet.
func Appeared(d *service.Definition, section string, before, now map[string]string) (out []string) {
	for _, s := range d.Sections {
		if s.ID != section {
			continue
		}
		for _, q := range s.Questions {
			if q.When.Holds(now) && !q.When.Holds(before) {
				out = append(out, q.ID)
			}
		}
	}
	return out
}

// Block is a section's answers, for reading.
type Block struct {
	ID, Title string
	Sensitive bool
	N         int // the section's place in the definition, from 1
	Answers   []Answer
	// Change leads to where they are changed, in the words of ChangeText; empty: nowhere.
	Change, ChangeText string
}

// Answer is one, written for people.
type Answer struct{ ID, Label, Value string }

// Read lays out what was answered: what is not asked with these answers is not there, and
// what was left open says so.
func Read(d *service.Definition, values map[string]string, l message.Lang) (out []Block) {
	for i, s := range d.Sections {
		b := Block{ID: s.ID, Title: s.Title.In(l), Sensitive: s.Sensitive, N: i + 1}
		for _, q := range s.Questions {
			if !q.When.Holds(values) {
				continue
			}
			v := q.Show(values[q.ID], l)
			if v == "" {
				v = message.Text(l, "form.left-open")
			}
			b.Answers = append(b.Answers, Answer{q.ID, q.Label.In(l), v})
		}
		if len(b.Answers) > 0 {
			out = append(out, b)
		}
	}
	return out
}
