package service

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/server/session"
)

// Kinds of fields that definitions have besides those above.
const (
	Money   Kind = "money"   // euro with a comma, kept as cents
	Number  Kind = "number"  // a whole number
	Choices Kind = "choices" // several of the options; kept with commas between
)

var kinds = []Kind{Text, Choice, Date, Email, Phone, CAP, CodiceFiscale, Check, Long, Money, Number, Choices}

// Words are a text in both languages.
type Words struct {
	It string `yaml:"it"`
	En string `yaml:"en"`
}

// In gives the text of a language.
func (w Words) In(l message.Lang) string {
	if l == message.English {
		return w.En
	}
	return w.It
}

// Signature says whether the document of an application is signed.
type Signature string

// Whether it is signed.
const (
	SignatureRequired Signature = "required"
	SignatureOptional Signature = "optional"
	SignatureNone     Signature = "none"
)

// Act is what comes of a service.
type Act string

// The acts. An istanza is registered and answered by law; a message is answered and
// registered too, without being one; a self-certification is the person's own document,
// meant for others, and gets no number.
const (
	Istanza           Act = "istanza"
	Message           Act = "message"
	SelfCertification Act = "self-certification"
)

// Silence is what it means when the term ends without an answer (L. 241/1990, art. 20).
type Silence string

// What silence means.
const (
	SilenceNone    Silence = "none"
	SilenceConsent Silence = "consent"
	SilenceRefusal Silence = "refusal"
)

// Definition is a service as data.
type Definition struct {
	ID    string `yaml:"id"`
	Title Words  `yaml:"title"`
	Help  Words  `yaml:"help"`
	Topic string `yaml:"topic"`
	Act   Act    `yaml:"act"`
	Level string `yaml:"level"`
	// Signature of the document with the card.
	Signature Signature `yaml:"signature"`
	// AdvancedCode: the ente has adopted the one-time code of the desk as an advanced
	// electronic signature (DPCM 22 February 2013, art. 55 to 61), so that it signs an
	// istanza too.
	AdvancedCode bool     `yaml:"advanced-code"`
	Actors       []string `yaml:"actors"`   // citizen, company, professional
	Mandates     []string `yaml:"mandates"` // minor, ward, company, delegate: who may be acted for
	// MinimumAge in years of whoever acts; 0 is 18.
	MinimumAge int    `yaml:"minimum-age"`
	Office     string `yaml:"office"`
	// Routes are other offices by the value of a field.
	Routes      *Routes     `yaml:"routes"`
	Responsible Responsible `yaml:"responsible"`
	Term        Term        `yaml:"term"`
	// Preavviso says whether the reasons against an istanza are told before it is refused
	// (L. 241/1990, art. 10-bis): "no", with the law's reason, for what the law leaves out.
	Preavviso    string `yaml:"preavviso"`
	PreavvisoWhy Words  `yaml:"preavviso-why"`
	Remedies     Words  `yaml:"remedies"`
	Fee          *Fee   `yaml:"fee"`
	Retention    int    `yaml:"retention"` // years
	// DraftDays is for how many days a draft is kept after its last change; 0: as the house
	// has it.
	DraftDays int    `yaml:"draft-days"`
	Opens     string `yaml:"opens"` // day; empty: open
	Closes    string `yaml:"closes"`
	// Declaration: the warnings of DPR 445/2000, art. 75 and 76, are accepted before
	// (declarations of art. 46 and 47).
	Declaration bool `yaml:"declaration"`
	// Addressee is the field that says whom a self-certification is meant for.
	Addressee   string       `yaml:"addressee"`
	Cosigners   []Cosigner   `yaml:"cosigners"`
	Privacy     Privacy      `yaml:"privacy"`
	Attachments []Attachment `yaml:"attachments"`
	Sections    []Section    `yaml:"sections"`
	// Ranking puts applications in order; nil: there is none.
	Ranking *Ranking `yaml:"ranking"`

	// Off: the ente has switched the service off. It is no part of the text.
	Off bool `yaml:"-"`
}

// For how many days a draft may be kept: long enough that its end can be said before, and not
// for good (Regulation (EU) 2016/679, art. 5(1)(e)).
const (
	LeastDraftDays = 30
	MostDraftDays  = 730
)

// Routes send to an office by what was chosen.
type Routes struct {
	Field string            `yaml:"field"`
	To    map[string]string `yaml:"to"`
}

// Responsible is the person in charge (L. 241/1990, art. 5).
type Responsible struct {
	Name    string `yaml:"name"`
	Contact string `yaml:"contact"`
}

// Term is when the answer is due (L. 241/1990, art. 2).
type Term struct {
	Days    int     `yaml:"days"`
	Silence Silence `yaml:"silence"`
}

// Fee is what an application costs.
type Fee struct {
	Cents int   `yaml:"cents"`
	Why   Words `yaml:"why"`
}

// Cosigner is somebody else who signs, one after the other.
type Cosigner struct {
	Field string `yaml:"field"` // holds the codice fiscale
	When  *When  `yaml:"when"`
}

// Privacy is the notice of Regulation (EU) 2016/679, art. 13.
type Privacy struct {
	Version string `yaml:"version"`
	Text    Words  `yaml:"text"`
}

// Attachment is a file that is asked for.
type Attachment struct {
	ID       string `yaml:"id"`
	Title    Words  `yaml:"title"`
	Required bool   `yaml:"required"`
	When     *When  `yaml:"when"`
}

// Section is a step of the form.
type Section struct {
	ID    string `yaml:"id"`
	Title Words  `yaml:"title"`
	Help  Words  `yaml:"help"`
	// Sensitive data (Regulation (EU) 2016/679, art. 9) is asked apart, in a section of
	// its own.
	Sensitive bool `yaml:"sensitive"`
	// Repeat: it is answered once for each of several items; nil: once.
	Repeat    *Repeat    `yaml:"repeat"`
	Questions []Question `yaml:"fields"`
}

// Question is a field of a definition.
type Question struct {
	ID           string   `yaml:"id"`
	Kind         Kind     `yaml:"kind"`
	Label        Words    `yaml:"label"`
	Help         Words    `yaml:"help"`
	Required     bool     `yaml:"required"`
	Max          int      `yaml:"max"` // characters
	Least        *int     `yaml:"least"`
	Most         *int     `yaml:"most"` // of a number
	After        string   `yaml:"after"`
	Before       string   `yaml:"before"` // of a date: a day, or years from today (-4y, 0y)
	Options      []Option `yaml:"options"`
	When         *When    `yaml:"when"`
	Prefill      string   `yaml:"prefill"`
	Points       int      `yaml:"points"` // of a check that is set
	Autocomplete string   `yaml:"autocomplete"`
}

// Option of a choice.
type Option struct {
	Value  string `yaml:"value"`
	Label  Words  `yaml:"label"`
	Points int    `yaml:"points"`
}

// When is a condition: a field has one of the values.
type When struct {
	Field string   `yaml:"field"`
	Is    []string `yaml:"is"`
}

// Holds tells whether the condition is met; nil always is.
func (w *When) Holds(values map[string]string) bool {
	if w == nil {
		return true
	}
	for _, v := range strings.Split(values[w.Field], ",") {
		if slices.Contains(w.Is, v) {
			return true
		}
	}
	return false
}

// Problem is what is wrong with a definition, at a line of its text. Code is stable, its
// sentence "definition.<code>".
type Problem struct {
	Line   int
	Code   string
	Detail string // what it is about, as it is written in the text
}

// Sentence is for people.
func (p Problem) Sentence(l message.Lang) string {
	return message.Text(l, "definition.line", "line", p.Line, "text", message.Text(l, "definition."+p.Code, "what", p.Detail))
}

// ProblemsError is a definition that cannot be published.
type ProblemsError struct{ Problems []Problem }

// Error gives all of them.
func (e *ProblemsError) Error() string {
	var out []string
	for _, p := range e.Problems {
		out = append(out, fmt.Sprintf("line %d: %s: %s", p.Line, p.Code, p.Detail))
	}
	return "service: " + strings.Join(out, "; ")
}

// MaxText bounds a definition's text in bytes.
const MaxText = 256 << 10

// Parse reads a definition and checks it: an unknown key, one that is there twice and
// whatever else is wrong is a Problem with its line (*ProblemsError).
func Parse(text []byte) (*Definition, error) {
	if len(text) > MaxText {
		return nil, &ProblemsError{[]Problem{{Line: 1, Code: "too-long"}}}
	}
	var root yaml.Node
	if err := yaml.Load(text, &root); err != nil {
		return nil, problems(err)
	}
	if anchored(&root) {
		return nil, &ProblemsError{[]Problem{{Line: 1, Code: "alias"}}}
	}
	var d Definition
	if err := yaml.Load(text, &d, yaml.WithKnownFields()); err != nil {
		return nil, problems(err)
	}
	c := checker{d: &d, lines: map[string]int{}}
	if root.Kind == yaml.DocumentNode && len(root.Content) == 1 {
		c.index("", root.Content[0])
	}
	c.run()
	if len(c.problems) > 0 {
		slices.SortStableFunc(c.problems, func(a, b Problem) int { return a.Line - b.Line })
		return nil, &ProblemsError{c.problems}
	}
	return &d, nil
}

// anchored: references inside a text make it grow, and nobody needs them here.
func anchored(n *yaml.Node) bool {
	return n.Kind == yaml.AliasNode || n.Anchor != "" || slices.ContainsFunc(n.Content, anchored)
}

func problems(err error) error {
	var all *yaml.LoadErrors
	var one *yaml.LoadError
	var out []Problem
	add := func(e *yaml.LoadError) {
		line, text := max(e.Mark.Line, 1), e.Error()
		code, what := "form", text
		if _, rest, ok := strings.Cut(text, "field "); ok && strings.Contains(rest, " not found in type") {
			code, what = "unknown", strings.Fields(rest)[0]
		}
		out = append(out, Problem{Line: line, Code: code, Detail: what})
	}
	switch {
	case errors.As(err, &all):
		for _, e := range all.Errors {
			add(e)
		}
	case errors.As(err, &one):
		add(one)
	default:
		out = append(out, Problem{Line: 1, Code: "form", Detail: err.Error()})
	}
	return &ProblemsError{out}
}

// Fields gives all questions in their order.
func (d *Definition) Fields() (out []Question) {
	for _, s := range d.Sections {
		out = append(out, s.Questions...)
	}
	return out
}

// Field finds a question.
func (d *Definition) Field(id string) (Question, bool) {
	for _, q := range d.Fields() {
		if q.ID == id {
			return q, true
		}
	}
	return Question{}, false
}

// Needs is the level of the session that sends it.
func (d *Definition) Needs() session.Level {
	switch d.Level {
	case "debole":
		return session.Debole
	case "media":
		return session.Media
	}
	return session.Forte
}

// Age is the least age in years of whoever acts.
func (d *Definition) Age() int {
	if d.MinimumAge == 0 {
		return 18
	}
	return d.MinimumAge
}

// GivesNotice tells whether the reasons against an application are told before it is
// refused (L. 241/1990, art. 10-bis): of every istanza, but of none that competes with
// others for a place in a ranking (procedure concorsuali) unless the text says so.
func (d *Definition) GivesNotice() bool {
	return d.Act == Istanza && d.Preavviso != "no" && (d.Ranking == nil || d.Preavviso == "yes")
}

// OfficeFor is where an application goes.
func (d *Definition) OfficeFor(values map[string]string) string {
	if d.Routes != nil {
		if o := d.Routes.To[values[d.Routes.Field]]; o != "" {
			return o
		}
	}
	return d.Office
}

// Fingerprint of a text: what a version is told by.
func Fingerprint(text []byte) string {
	sum := sha256.Sum256(bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n")))
	return hex.EncodeToString(sum[:])
}
