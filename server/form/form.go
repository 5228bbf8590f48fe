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
	"strconv"
	"strings"

	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/server/service"
)

//go:embed templates/*.html
var files embed.FS

// Parse adds the templates to a page's: form-wrong (the summary of errors, of a *Form),
// form-fields (all sections of a *Form), form-section (a Section), form-field (a Field),
// form-answers (a []Block). They call no functions. A form whose sections repeat has buttons
// of its own in it (Repeats): what sends it on by default stands before them.
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

// Repeats tells whether a section repeats.
func (f *Form) Repeats() bool {
	return slices.ContainsFunc(f.Sections, func(s Section) bool { return s.Repeat != nil })
}

// Section is a step.
type Section struct {
	ID          string
	Title, Help string
	Sensitive   bool
	N           int // its place in the definition, from 1
	Fields      []Field
	Repeat      *Repeat // nil: it does not repeat, and has no items
	Items       []Item
}

// Repeat is what a section that repeats shows around its items. Its own place in the page,
// where items are added, is that of its Field.
type Repeat struct {
	Field              // the number of items; Label is the section's title
	Button, Add string // the buttons' name; the value of the one that adds
	AddText     string
	RemoveText  string
	None        string // there are no items
	AtMost      string // no more can be added; empty: they can
	Gone        string // one was taken away just now
	Inert       bool   // a page that only shows the form
}

// Item is one of a repeated section's.
type Item struct {
	ID, Title string
	Fields    []Field
	Remove    string // the value of the button that takes it away; empty: it stays
}

// Field is a question. Its id in the page is "f-<ID>", its error's that with "-e", its
// help's with "-h" (WAI-ARIA 1.2, aria-describedby).
type Field struct {
	ID          string
	Of          string // the title of its item; empty without one
	Step        int    // its section's place, from 1
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
	Focus    bool // the page begins here
}

// Option of a choice.
type Option struct {
	ID, Value, Label string
	Chosen           bool
}

// HTML is the field's id in the page.
func (f Field) HTML() string { return "f-" + f.ID }

// Name is what the summary of errors calls it.
func (f Field) Name() string { return strings.TrimPrefix(f.Of+": "+f.Label, ": ") }

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
		if s.Repeat != nil {
			out.Repeat = repeat(s, values, l)
			out.Repeat.Step = i + 1
			if code := errs[s.CountKey()]; code != "" {
				out.Repeat.Error = message.Text(l, "service."+code, "most", s.Repeat.Max, "least", s.Repeat.Min)
				f.Wrong = append(f.Wrong, out.Repeat.Field)
			}
		}
		for _, g := range s.Groups(values) {
			var item Item
			if s.Repeat != nil {
				item = Item{ID: fmt.Sprintf("%s.%d", s.ID, g.N), Title: s.TitleOf(g.N, l)}
				if s.Count(values) > s.Repeat.Min {
					item.Remove = s.RemoveButton(g.N)
				}
			}
			for _, q := range g.Questions {
				x := field(q, values, l)
				x.Of, x.Step = item.Title, i+1
				if code := errs[q.ID]; code != "" && !x.Hidden {
					x.Error = message.Text(l, "service."+code)
					f.Wrong = append(f.Wrong, x)
				}
				item.Fields = append(item.Fields, x)
			}
			if s.Repeat != nil {
				out.Items = append(out.Items, item)
			} else {
				out.Fields = item.Fields
			}
		}
		f.Sections = append(f.Sections, out)
	}
	return f
}

func repeat(s service.Section, values map[string]string, l message.Lang) *Repeat {
	r := &Repeat{
		Field:  Field{ID: s.CountKey(), Label: s.Title.In(l), Value: strconv.Itoa(s.Count(values))},
		Button: service.TurnName, Add: s.AddButton(), AddText: s.Repeat.Add.In(l), RemoveText: message.Text(l, "form.remove"), None: message.Text(l, "form.no-items"),
	}
	if r.AddText == "" {
		r.AddText = message.Text(l, "form.add", "one", s.Repeat.One.In(l))
	}
	if s.Count(values) >= s.Repeat.Max {
		r.AtMost = message.Text(l, "form.at-most", "most", s.Repeat.Max)
	}
	return r
}

// Preview lays out a form to be looked at alone: a section that repeats shows an item, and
// its buttons do nothing.
func Preview(d *service.Definition, l message.Lang) *Form {
	values := map[string]string{}
	for _, s := range d.Sections {
		if s.Repeat != nil {
			values[s.CountKey()] = strconv.Itoa(max(s.Repeat.Min, 1))
		}
	}
	f := New(d, "", values, nil, l)
	for _, s := range f.Sections {
		if s.Repeat != nil {
			s.Repeat.Inert = true
		}
	}
	return f
}

// Look lets the page begin where a button of a repeated section has led: at the first
// question of the item that was added, or at what says that one is gone.
func (f *Form) Look(t service.Turn, l message.Lang) {
	i := slices.IndexFunc(f.Sections, func(s Section) bool { return s.ID == t.Section && s.Repeat != nil })
	if i < 0 || t.Item < 0 || t.Item > len(f.Sections[i].Items) {
		return
	}
	s := f.Sections[i]
	if t.Item == 0 {
		s.Repeat.Gone = message.Text(l, "form.item-gone", "n", len(s.Items))
		return
	}
	if fields := s.Items[t.Item-1].Fields; len(fields) > 0 {
		fields[0].Focus = true
	}
}

// LookAt is Look at what an address says (Turn.String).
func (f *Form) LookAt(s string, l message.Lang) {
	section, n, ok := strings.Cut(s, ".")
	if item, err := strconv.Atoi(n); ok && err == nil {
		f.Look(service.Turn{Section: section, Item: item}, l)
	}
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
		if section != "" && s.ID != section {
			continue
		}
		if s.Repeat != nil {
			here[s.ID+"."] = true
			continue
		}
		for _, q := range s.Questions {
			here[q.ID] = true
		}
	}
	return func(id string) string {
		name, _, dotted := strings.Cut(id, ".")
		if dotted {
			name += "."
		}
		if here[name] {
			return strings.Join(posted[id], ",")
		}
		return before[id]
	}
}

// Appeared lists the questions of a section that are asked now and were not asked before:
// without the page's script nobody has seen them yet. An item that is there only now was
// asked as it is.
func Appeared(d *service.Definition, section string, before, now map[string]string) (out []string) {
	for _, s := range d.Sections {
		if s.ID != section {
			continue
		}
		for _, g := range s.Groups(now) {
			for _, q := range g.Questions {
				if q.When.Holds(now) && !q.When.Holds(before) {
					out = append(out, q.ID)
				}
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
	Items     []BlockItem // of a section that repeats
	None      string      // says that it has none
	// Change leads to where they are changed, in the words of ChangeText; empty: nowhere.
	Change, ChangeText string
}

// BlockItem is one item's answers.
type BlockItem struct {
	Title   string
	Answers []Answer
}

// Answer is one, written for people.
type Answer struct{ ID, Label, Value string }

// Read lays out what was answered: what is not asked with these answers is not there, and
// what was left open says so.
func Read(d *service.Definition, values map[string]string, l message.Lang) (out []Block) {
	for i, s := range d.Sections {
		b := Block{ID: s.ID, Title: s.Title.In(l), Sensitive: s.Sensitive, N: i + 1}
		for _, g := range s.Groups(values) {
			var answers []Answer
			for _, q := range g.Questions {
				if !q.When.Holds(values) {
					continue
				}
				v := q.Show(values[q.ID], l)
				if v == "" {
					v = message.Text(l, "form.left-open")
				}
				answers = append(answers, Answer{q.ID, q.Label.In(l), v})
			}
			if s.Repeat != nil {
				b.Items = append(b.Items, BlockItem{s.TitleOf(g.N, l), answers})
			} else {
				b.Answers = answers
			}
		}
		if s.Repeat != nil && len(b.Items) == 0 {
			b.None = message.Text(l, "form.no-items")
		}
		if len(b.Answers) > 0 || s.Repeat != nil {
			out = append(out, b)
		}
	}
	return out
}
