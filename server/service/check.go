package service

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

var (
	idForm   = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)
	yearForm = regexp.MustCompile(`^-?[0-9]{1,3}y$`)
)

// Prefills are where a field's first value can come from: the account, what the ente knows
// of the person (record: the population's records first, then what a desk wrote down), and
// what the population's records alone have.
var Prefills = []string{"person.code", "person.given", "person.family", "record.email", "record.phone", "record.residence", "record.cap", "record.town", "record.born", "record.birth-place",
	"resident.citizenship", "resident.civil", "resident.family", "resident.since"}

// checker looks for what the form of a text does not tell.
type checker struct {
	d        *Definition
	lines    map[string]int
	problems []Problem
	fields   map[string]Question
	inside   map[string]string // the section of a field that repeats
}

// index writes down the line of each value by its path, "sections.0.fields.2.kind".
func (c *checker) index(path string, n *yaml.Node) {
	c.lines[path] = n.Line
	join := func(s string) string { return strings.TrimPrefix(path+"."+s, ".") }
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			c.index(join(n.Content[i].Value), n.Content[i+1])
			c.lines[join(n.Content[i].Value)] = n.Content[i].Line
		}
	case yaml.SequenceNode:
		for i, x := range n.Content {
			c.index(join(strconv.Itoa(i)), x)
		}
	}
}

// say writes a problem down at the line of a path, or of what is around it.
func (c *checker) say(path, code, detail string) {
	for p := path; ; {
		if line := c.lines[p]; line > 0 {
			c.problems = append(c.problems, Problem{line, code, detail})
			return
		}
		i := strings.LastIndexByte(p, '.')
		if i < 0 {
			c.problems = append(c.problems, Problem{max(c.lines[""], 1), code, detail})
			return
		}
		p = p[:i]
	}
}

func (c *checker) words(path string, w Words) {
	if strings.TrimSpace(w.It) == "" || strings.TrimSpace(w.En) == "" {
		c.say(path, "words", path)
	}
}

func oneOf[T ~string](c *checker, path string, v T, all ...T) {
	if !slices.Contains(all, v) {
		var may []string
		for _, x := range all {
			may = append(may, string(x))
		}
		c.say(path, "one-of", fmt.Sprintf("%s: %q (%s)", path, v, strings.Join(may, ", ")))
	}
}

func (c *checker) run() {
	d := c.d
	if !idForm.MatchString(d.ID) || len(d.ID) > 40 {
		c.say("id", "id", d.ID)
	}
	c.words("title", d.Title)
	if !idForm.MatchString(d.Topic) {
		c.say("topic", "id", d.Topic)
	}
	oneOf(c, "act", string(d.Act), values["act"]...)
	oneOf(c, "level", d.Level, values["level"]...)
	oneOf(c, "signature", string(d.Signature), values["signature"]...)
	oneOf(c, "term.silence", string(d.Term.Silence), values["term.silence"]...)
	if len(d.Actors) == 0 {
		c.say("actors", "missing", "actors")
	}
	for i, a := range d.Actors {
		oneOf(c, fmt.Sprintf("actors.%d", i), a, values["actors"]...)
	}
	for i, m := range d.Mandates {
		oneOf(c, fmt.Sprintf("mandates.%d", i), m, values["mandates"]...)
	}
	// CAD, art. 65 c. 1: an istanza is signed, or its sender was identified by a card.
	if d.Act == Istanza && d.Level != "forte" && d.Signature != SignatureRequired {
		c.say("signature", "istanza-proof", d.ID)
	}
	if strings.TrimSpace(d.Office) == "" {
		c.say("office", "missing", "office")
	}
	if d.Act == Istanza && strings.TrimSpace(d.Responsible.Name) == "" {
		c.say("responsible", "missing", "responsible.name")
	}
	if d.Term.Days < 0 || d.Term.Days > 3650 || d.Act != SelfCertification && d.Term.Days == 0 {
		c.say("term.days", "days", strconv.Itoa(d.Term.Days))
	}
	c.preavviso()
	if d.Act == Istanza {
		c.words("remedies", d.Remedies)
	}
	if d.Fee != nil && (d.Fee.Cents <= 0 || d.Fee.Cents > 10_000_000) {
		c.say("fee.cents", "money", strconv.Itoa(d.Fee.Cents))
	}
	if d.Retention < 0 || d.Retention > 100 {
		c.say("retention", "years", strconv.Itoa(d.Retention))
	}
	if d.DraftDays != 0 && (d.DraftDays < LeastDraftDays || d.DraftDays > MostDraftDays) {
		c.say("draft-days", "draft-days", strconv.Itoa(d.DraftDays))
	}
	if d.MinimumAge < 0 || d.MinimumAge > 100 {
		c.say("minimum-age", "years", strconv.Itoa(d.MinimumAge))
	}
	if _, ok := d.Field(d.Addressee); d.Addressee != "" && (!ok || d.Act != SelfCertification) {
		c.say("addressee", "missing", "addressee: "+d.Addressee)
	}
	for path, day := range map[string]string{"opens": d.Opens, "closes": d.Closes} {
		if _, err := time.Parse(time.DateOnly, day); day != "" && err != nil {
			c.say(path, "day", day)
		}
	}
	if d.Privacy.Version == "" {
		c.say("privacy", "missing", "privacy.version")
	}
	c.words("privacy.text", d.Privacy.Text)
	c.form()
	c.ranking()
}

// preavviso: who leaves the notice out says by which law; only an istanza has one.
func (c *checker) preavviso() {
	d := c.d
	switch {
	case d.Preavviso == "" && d.PreavvisoWhy == Words{}:
		return
	case d.Act != Istanza:
		c.say("preavviso", "preavviso-act", string(d.Act))
	case d.Preavviso == "no":
		c.words("preavviso-why", d.PreavvisoWhy)
	case d.PreavvisoWhy != Words{}:
		c.say("preavviso-why", "preavviso-why", "preavviso-why")
	}
	if d.Preavviso != "" {
		oneOf(c, "preavviso", d.Preavviso, values["preavviso"]...)
	}
}

func (c *checker) form() {
	d := c.d
	c.fields, c.inside = map[string]Question{}, map[string]string{}
	if len(d.Sections) == 0 || len(d.Fields()) == 0 {
		c.say("sections", "missing", "sections")
	}
	seen := map[string]bool{}
	for i, s := range d.Sections {
		at := fmt.Sprintf("sections.%d", i)
		c.unique(at+".id", s.ID, seen)
		c.words(at+".title", s.Title)
		c.repeat(at, s)
		for j, q := range s.Questions {
			c.question(fmt.Sprintf("%s.fields.%d", at, j), q, s)
		}
	}
	c.once("addressee", d.Addressee)
	seen = map[string]bool{}
	for i, a := range d.Attachments {
		at := fmt.Sprintf("attachments.%d", i)
		c.unique(at+".id", a.ID, seen)
		c.words(at+".title", a.Title)
		c.when(at+".when", a.When, "")
	}
	for i, s := range d.Cosigners {
		at := fmt.Sprintf("cosigners.%d", i)
		if q, ok := c.fields[s.Field]; !ok || q.Kind != CodiceFiscale {
			c.say(at+".field", "no-field", s.Field)
		}
		c.when(at+".when", s.When, c.inside[s.Field])
	}
	if d.Routes != nil {
		q, ok := c.fields[d.Routes.Field]
		if !ok || q.Kind != Choice {
			c.say("routes.field", "no-field", d.Routes.Field)
		}
		c.once("routes.field", d.Routes.Field)
		for v := range d.Routes.To {
			if !slices.ContainsFunc(q.Options, func(o Option) bool { return o.Value == v }) {
				c.say("routes.to."+v, "no-option", v)
			}
		}
	}
}

func (c *checker) unique(path, id string, seen map[string]bool) {
	switch {
	case !idForm.MatchString(id) || len(id) > 40:
		c.say(path, "id", id)
	case seen[id]:
		c.say(path, "twice", id)
	}
	seen[id] = true
}

// repeat looks at a section that repeats: what is asked several times has no first value
// that is known, and gives no points.
func (c *checker) repeat(at string, s Section) {
	r := s.Repeat
	if r == nil {
		return
	}
	if r.Max < 1 || r.Max > MaxItems || r.Min < 0 || r.Min > r.Max {
		c.say(at+".repeat", "items", fmt.Sprintf("min: %d, max: %d", r.Min, r.Max))
	}
	c.words(at+".repeat.one", r.One)
	if r.Add != (Words{}) {
		c.words(at+".repeat.add", r.Add)
	}
	if len(s.Questions) == 0 {
		c.say(at+".repeat", "missing", "fields")
	}
	for j, q := range s.Questions {
		for name, is := range map[string]bool{"prefill": q.Prefill != "", "points": q.Points != 0 || slices.ContainsFunc(q.Options, func(o Option) bool { return o.Points != 0 })} {
			if is {
				c.say(fmt.Sprintf("%s.fields.%d.%s", at, j, name), "not-repeated", name)
			}
		}
	}
}

// once: a field of items has several answers, and nothing outside of them looks at it.
func (c *checker) once(path, field string) {
	if c.inside[field] != "" {
		c.say(path, "in-repeat", field)
	}
}

func (c *checker) question(at string, q Question, in Section) {
	if !idForm.MatchString(q.ID) || len(q.ID) > 40 {
		c.say(at+".id", "id", q.ID)
	} else if _, ok := c.fields[q.ID]; ok {
		c.say(at+".id", "twice", q.ID)
	}
	oneOf(c, at+".kind", q.Kind, kinds...)
	c.words(at+".label", q.Label)
	choice := q.Kind == Choice || q.Kind == Choices
	if choice && len(q.Options) == 0 {
		c.say(at+".options", "missing", "options")
	}
	if !choice && len(q.Options) > 0 {
		c.say(at+".options", "not-here", "options")
	}
	seen := map[string]bool{}
	for k, o := range q.Options {
		c.unique(fmt.Sprintf("%s.options.%d.value", at, k), o.Value, seen)
		c.words(fmt.Sprintf("%s.options.%d.label", at, k), o.Label)
	}
	if q.Max < 0 || q.Max > 10_000 {
		c.say(at+".max", "max", strconv.Itoa(q.Max))
	}
	for name, v := range map[string]string{"after": q.After, "before": q.Before} {
		if _, err := time.Parse(time.DateOnly, v); v != "" && (q.Kind != Date || err != nil && !yearForm.MatchString(v)) {
			c.say(at+"."+name, "day", v)
		}
	}
	if (q.Least != nil || q.Most != nil) && q.Kind != Number && q.Kind != Money {
		c.say(at, "not-here", "least, most")
	}
	if q.Points != 0 && q.Kind != Check {
		c.say(at+".points", "not-here", "points")
	}
	if q.Prefill != "" {
		oneOf(c, at+".prefill", q.Prefill, Prefills...)
	}
	scope := ""
	if in.Repeat != nil {
		scope = in.ID
		c.inside[q.ID] = scope
	}
	c.when(at+".when", q.When, scope)
	c.fields[q.ID] = q
}

// when may only look at what was asked before, so that no circle can be; at a field of items
// only from the same item, whose section scope is.
func (c *checker) when(path string, w *When, scope string) {
	if w == nil {
		return
	}
	if in := c.inside[w.Field]; in != "" && in != scope {
		c.say(path+".field", "in-repeat", w.Field)
		return
	}
	q, ok := c.fields[w.Field]
	if !ok {
		c.say(path+".field", "no-field", w.Field)
		return
	}
	if len(w.Is) == 0 {
		c.say(path+".is", "missing", "is")
	}
	for i, v := range w.Is {
		known := q.Kind == Check && v == "yes" || slices.ContainsFunc(q.Options, func(o Option) bool { return o.Value == v })
		if !known {
			c.say(fmt.Sprintf("%s.is.%d", path, i), "no-option", v)
		}
	}
}
