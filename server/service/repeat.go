package service

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/citel-pa/citel/pkcs/message"
)

// Repeat says that a section is answered once for each of several items: brothers and
// sisters, partners, those who may collect a child. The answers of an item are named
// "<section>.<n>.<field>", n from 1; how many there are is "<section>.items".
type Repeat struct {
	Min int   `yaml:"min"`
	Max int   `yaml:"max"`
	One Words `yaml:"one"` // an item's title, which its number follows
	Add Words `yaml:"add"` // what the button says that adds one
}

// MaxItems is the most that Max may be.
const MaxItems = 20

const itemsName = "items"

// CountKey names the number of a repeated section's items.
func (s Section) CountKey() string { return s.ID + "." + itemsName }

// TitleOf is an item's title.
func (s Section) TitleOf(n int, l message.Lang) string {
	return s.Repeat.One.In(l) + " " + strconv.Itoa(n)
}

// Count is how many items a repeated section's answers have: as many as it needs at least,
// MaxItems at most.
func (s Section) Count(values map[string]string) int {
	n, _ := s.Repeat.count(values[s.CountKey()])
	return n
}

// count reads a number of items; code tells what is wrong with it.
func (r *Repeat) count(v string) (n int, code string) {
	if v = strings.TrimSpace(v); v != "" {
		var err error
		if n, err = strconv.Atoi(v); err != nil || n < 0 || strconv.Itoa(n) != v {
			n, code = 0, "error-items"
		}
	}
	if n > r.Max {
		code = "error-items-most"
	}
	return min(max(n, r.Min), MaxItems), code
}

// Group is what is asked together: a section's questions, or those of one of its items.
type Group struct {
	N         int        // the item's number; 0: the section does not repeat
	Questions []Question // named as their answers are
}

// Groups are what a section asks with these answers.
func (s Section) Groups(values map[string]string) []Group {
	if s.Repeat == nil {
		return []Group{{Questions: s.Questions}}
	}
	out := make([]Group, s.Count(values))
	for i := range out {
		out[i].N = i + 1
		for _, q := range s.Questions {
			q.ID, q.When = s.in(i+1, q.ID), s.whenIn(i+1, q.When)
			out[i].Questions = append(out[i].Questions, q)
		}
	}
	return out
}

// in names a question of an item.
func (s Section) in(n int, id string) string { return s.ID + "." + strconv.Itoa(n) + "." + id }

// whenIn is a condition as it is meant in an item: of its own answers first.
func (s Section) whenIn(n int, w *When) *When {
	if w == nil || !slices.ContainsFunc(s.Questions, func(q Question) bool { return q.ID == w.Field }) {
		return w
	}
	return &When{Field: s.in(n, w.Field), Is: w.Is}
}

// has tells whether a name is that of an answer of the section.
func (s Section) has(name string) bool {
	if s.Repeat != nil {
		return strings.HasPrefix(name, s.ID+".")
	}
	return slices.ContainsFunc(s.Questions, func(q Question) bool { return q.ID == name })
}

// In gives the errors of a section.
func (e Errors) In(s Section) Errors {
	out := Errors{}
	for name, code := range e {
		if s.has(name) {
			out[name] = code
		}
	}
	return out
}

// FirstWrong is the number of the first section with an error, from 1; 0 without one.
func (d *Definition) FirstWrong(errs Errors) int {
	return 1 + slices.IndexFunc(d.Sections, func(s Section) bool { return len(errs.In(s)) > 0 })
}

// ErrItems is a posted form with items that its page cannot have had.
var ErrItems = errors.New("service: the form has no such items")

// Fits tells whether the items of a posted form are those that its page can have had: names
// with a dot in them are of an item that is counted, and of a question (ErrItems).
func (d *Definition) Fits(posted map[string][]string) error {
	for name := range posted {
		id, rest, dotted := strings.Cut(name, ".")
		if !dotted {
			continue
		}
		i := slices.IndexFunc(d.Sections, func(s Section) bool { return s.ID == id && s.Repeat != nil })
		if i < 0 {
			return ErrItems
		}
		s := d.Sections[i]
		count := posted[s.CountKey()]
		most, code := s.Repeat.count(strings.Join(count, ","))
		if code == "error-items" || len(count) > 0 && count[0] != strconv.Itoa(most) {
			return ErrItems // no number, more than any form has, or fewer than this one's
		}
		if rest == itemsName {
			continue
		}
		no, question, _ := strings.Cut(rest, ".")
		n, err := strconv.Atoi(no)
		if err != nil || n < 1 || n > most || strconv.Itoa(n) != no || !slices.ContainsFunc(s.Questions, func(q Question) bool { return q.ID == question }) {
			return ErrItems
		}
	}
	return nil
}

// TurnName is the name of the buttons that add and take away items.
const TurnName = "_voce"

// AddButton is the value of the button that adds an item.
func (s Section) AddButton() string { return s.ID + ".add" }

// RemoveButton is the value of the button that takes one away.
func (s Section) RemoveButton(n int) string { return s.ID + "." + strconv.Itoa(n) }

// Turn is what such a button did.
type Turn struct {
	Section string
	Item    int    // the one that was added; 0: one was taken away
	Code    string // why nothing was done; its error is the section's CountKey's
}

// String is what it did, for the address of the page that follows.
func (t Turn) String() string { return t.Section + "." + strconv.Itoa(t.Item) }

// Turn does to a posted form what its button says: an item more, or one less, and those
// behind it move up. nil: no such button was pressed. ErrItems: the form does not fit.
func (d *Definition) Turn(posted map[string][]string) (*Turn, error) {
	if err := d.Fits(posted); err != nil {
		return nil, err
	}
	button := posted[TurnName]
	if len(button) == 0 || button[0] == "" {
		return nil, nil //nolint:nilnil // nothing was pressed, and nothing is wrong
	}
	id, what, _ := strings.Cut(button[0], ".")
	i := slices.IndexFunc(d.Sections, func(s Section) bool { return s.ID == id && s.Repeat != nil })
	if i < 0 {
		return nil, ErrItems
	}
	s := d.Sections[i]
	count, _ := s.Repeat.count(strings.Join(posted[s.CountKey()], ","))
	t := &Turn{Section: id}
	set := func(n int) { posted[s.CountKey()] = []string{strconv.Itoa(n)} }
	if button[0] == s.AddButton() {
		if count >= s.Repeat.Max {
			t.Code = "error-items-most"
			return t, nil
		}
		t.Item = count + 1
		set(count + 1)
		return t, nil
	}
	n, err := strconv.Atoi(what)
	if err != nil || n < 1 || n > count || button[0] != s.RemoveButton(n) {
		return nil, ErrItems
	}
	if count <= s.Repeat.Min {
		t.Code = "error-items-least"
		return t, nil
	}
	for ; n <= count; n++ {
		for _, q := range s.Questions {
			if next, ok := posted[s.in(n+1, q.ID)]; ok && n < count {
				posted[s.in(n, q.ID)] = next
			} else {
				delete(posted, s.in(n, q.ID)) // a box that is not ticked is not posted
			}
		}
	}
	set(count - 1)
	return t, nil
}
