package service

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/citel-pa/citel/pkcs/message"
)

// Ranking says how applications are put in order: by the points of their answers, then by
// the ties, and what is equal even then by lots (server/ranking).
type Ranking struct {
	// Preferences are choice fields of the same options (the schools), the most wanted first.
	Preferences []string `yaml:"preferences"`
	// Group is a choice field by which places are counted apart (the hours); empty: none.
	Group string `yaml:"group"`
	// Once is the codice fiscale that has one application in a call: the last that was sent
	// counts. Empty: all count.
	Once string `yaml:"once"`
	Ties []Tie  `yaml:"ties"`
}

// Tie puts what has equal points in order by a field. Who has not answered comes last.
type Tie struct {
	Field string `yaml:"field"`
	First Order  `yaml:"first"`
}

// Order is which value comes first.
type Order string

// The orders. Of dates the lowest is the earliest.
const (
	Lowest  Order = "lowest"
	Highest Order = "highest"
)

const maxPreferences = 10

func (c *checker) ranking() {
	r := c.d.Ranking
	if r == nil {
		return
	}
	if len(r.Preferences) == 0 || len(r.Preferences) > maxPreferences {
		c.say("ranking.preferences", "preferences", strings.Join(r.Preferences, ", "))
	}
	options := func(q Question) (out []string) {
		for _, o := range q.Options {
			out = append(out, o.Value)
		}
		return out
	}
	for i, id := range r.Preferences {
		q := c.fields[id]
		if q.Kind != Choice || slices.Contains(r.Preferences[:i], id) || !slices.Equal(options(q), options(c.fields[r.Preferences[0]])) {
			c.say(fmt.Sprintf("ranking.preferences.%d", i), "preferences", id)
		}
	}
	if r.Group != "" && c.fields[r.Group].Kind != Choice {
		c.say("ranking.group", "no-field", r.Group)
	}
	if r.Once != "" && c.fields[r.Once].Kind != CodiceFiscale {
		c.say("ranking.once", "no-field", r.Once)
	}
	for i, id := range r.Preferences {
		c.once(fmt.Sprintf("ranking.preferences.%d", i), id)
	}
	c.once("ranking.group", r.Group)
	c.once("ranking.once", r.Once)
	for i, t := range r.Ties {
		c.once(fmt.Sprintf("ranking.ties.%d.field", i), t.Field)
		at := fmt.Sprintf("ranking.ties.%d", i)
		if k := c.fields[t.Field].Kind; k != Date && k != Money && k != Number {
			c.say(at+".field", "tie", t.Field)
		}
		oneOf(c, at+".first", string(t.First), values["ranking.ties[].first"]...)
	}
}

// Schools are the options that places are counted for.
func (d *Definition) Schools() []Option {
	if d.Ranking == nil {
		return nil
	}
	q, _ := d.Field(d.Ranking.Preferences[0])
	return q.Options
}

// Groups are the options by which a school's places are counted apart; one without a
// value where there is nothing of the kind.
func (d *Definition) Groups() []Option {
	if d.Ranking == nil || d.Ranking.Group == "" {
		return []Option{{}}
	}
	q, _ := d.Field(d.Ranking.Group)
	return q.Options
}

// Wishes are the schools that answers name, the most wanted first, each once.
func (d *Definition) Wishes(values map[string]string) (out []string) {
	for _, id := range d.Ranking.Preferences {
		if v := values[id]; v != "" && !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out
}

// Criterion is a question that counts for the ranking, and what its answer gives.
type Criterion struct {
	Question
	Value  string
	Points int
	// Sensitive: of a section apart (Regulation (EU) 2016/679, art. 9).
	Sensitive bool
	Tie       bool // decides between equal points
}

// Criteria lists what counts, with the points of these answers.
func (d *Definition) Criteria(values map[string]string) (out []Criterion) {
	for _, s := range d.Sections {
		for _, q := range s.Questions {
			c := Criterion{Question: q, Value: values[q.ID], Sensitive: s.Sensitive}
			counts := q.Points != 0
			if q.Kind == Check && c.Value == "yes" {
				c.Points = q.Points
			}
			for _, o := range q.Options {
				counts = counts || o.Points != 0
				if slices.Contains(strings.Split(c.Value, ","), o.Value) {
					c.Points += o.Points
				}
			}
			if d.Ranking != nil {
				c.Tie = slices.ContainsFunc(d.Ranking.Ties, func(t Tie) bool { return t.Field == q.ID })
			}
			if (counts || c.Tie) && q.When.Holds(values) {
				out = append(out, c)
			}
		}
	}
	return out
}

// Points that answers give, for a ranking.
func (d *Definition) Points(values map[string]string) (sum int) {
	for _, c := range d.Criteria(values) {
		sum += c.Points
	}
	return sum
}

// Corrected puts what an office has verified in the place of what was declared. What is
// not asked with these answers does not count.
func (d *Definition) Corrected(declared, verified map[string]string) map[string]string {
	all := maps.Clone(declared)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, verified)
	for _, q := range d.Fields() {
		if !q.When.Holds(all) {
			delete(all, q.ID)
		}
	}
	return all
}

// Clean checks one answer; code is empty, or that of a sentence below "service.".
func (q Question) Clean(v string, now time.Time) (value, code string) {
	if v = clean(v, q.Kind == Long); v == "" {
		return "", ""
	}
	return q.check(v, now)
}

// TieKey writes a value so that texts compare as the values do.
func (q Question) TieKey(v string) string {
	if q.Kind == Money {
		n, _ := cents(v)
		return fmt.Sprintf("%012d", n)
	}
	if q.Kind == Number {
		var n int64
		_, _ = fmt.Sscan(v, &n) // its form was checked
		return fmt.Sprintf("%012d", n+1<<32)
	}
	return v
}

// Name of an option, or the value itself where it is not one any more.
func Name(all []Option, value string, l message.Lang) string {
	for _, o := range all {
		if o.Value == value && value != "" {
			return o.Label.In(l)
		}
	}
	return value
}
