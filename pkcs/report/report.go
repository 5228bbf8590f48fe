// Package report writes what a validation found for people: the answer first, then why,
// then the evidence; as one self-contained HTML file and as a tagged PDF, in Italian and
// English. Both are made of the same blocks, and say what the JSON report says.
//
// Names and texts come out of strangers' files: clean takes from them what could show
// something else than they hold.
package report

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"time"

	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/pkcs/validation"
	"github.com/citel-pa/citel/pkcs/version"
)

// File is one file that was looked at.
type File struct {
	Name string
	// SHA256 of the file itself; nil when not known.
	SHA256  []byte
	Results []*validation.Result
	// Problem is why it could not be judged at all, empty otherwise; NoSignature: it was
	// read, and holds none.
	Problem     string
	NoSignature bool
	// Warning is what has to be known before the answer is used.
	Warning string
}

// Options of New.
type Options struct {
	Lang message.Lang
	// Policy that judged; nil is validation.Default.
	Policy *validation.Policy
	// Time of the validation.
	Time time.Time
}

// Tone is how an answer looks beside what it says.
type Tone string

// The tones.
const (
	Good Tone = "good"
	Bad  Tone = "bad"
	Open Tone = "open"
)

// Report is a report of one or several files, as blocks in the order in which they are
// read.
type Report struct {
	Title  string
	Lang   message.Lang
	Answer string
	Tone   Tone
	Blocks []Block

	time   time.Time
	policy *validation.Policy
	id     [16]byte
}

// Block is a piece of a report: exactly one of its contents is set.
type Block struct {
	// Heading of a level from 2 on.
	Heading string
	Level   int
	// Answer is a verdict's sentence, in a Tone.
	Answer string
	Tone   Tone

	Text   string
	Note   string
	List   []string
	Fields []Field
	Table  *Table
}

// Field is a label and its value.
type Field struct{ Label, Value string }

// Table has a header row.
type Table struct {
	Header []string
	Rows   [][]string
}

// New writes results down. The same results, policy and time give the same report.
func New(files []File, o Options) *Report {
	if o.Policy == nil {
		o.Policy = validation.Default()
	}
	if o.Lang == "" {
		o.Lang = message.Italian
	}
	r := &Report{Lang: o.Lang, time: o.Time, policy: o.Policy}
	r.Title = r.t("title")
	if len(files) == 1 {
		r.Title = r.t("title-file", "file", clean(files[0].Name, maxName))
	}
	counts := map[Tone]int{}
	for _, f := range files {
		_, tone := r.fileAnswer(&f)
		counts[tone]++
	}
	if len(files) == 1 {
		r.Answer, r.Tone = r.fileAnswer(&files[0])
		r.file(&files[0], 2, r.Answer)
	} else {
		r.Tone = worst(counts)
		r.Answer = r.t("answer-files", "n", len(files), "passed", counts[Good], "failed", counts[Bad], "open", counts[Open])
		for i := range files {
			answer, tone := r.fileAnswer(&files[i])
			r.heading(2, clean(files[i].Name, maxName))
			r.add(Block{Answer: answer, Tone: tone})
			r.file(&files[i], 3, answer)
		}
	}
	r.add(Block{Text: r.t("generated", "version", version.Version)})
	sum := sha256.New()
	_ = json.NewEncoder(sum).Encode(r.Blocks) // strings always have JSON
	copy(r.id[:], sum.Sum(nil))
	return r
}

func worst(counts map[Tone]int) Tone {
	switch {
	case counts[Bad] > 0:
		return Bad
	case counts[Open] > 0 || counts[Good] == 0:
		return Open
	}
	return Good
}

func (r *Report) t(key string, args ...any) string {
	return message.Text(r.Lang, "report."+key, args...)
}

func (r *Report) add(b Block) { r.Blocks = append(r.Blocks, b) }

func (r *Report) heading(level int, text string) { r.add(Block{Heading: text, Level: level}) }

func (r *Report) fields(f ...Field) { r.add(Block{Fields: f}) }

// fileAnswer is the first line about a file.
func (r *Report) fileAnswer(f *File) (string, Tone) {
	switch {
	case f.NoSignature, f.Problem == "" && len(f.Results) == 0:
		return r.t("answer-none"), Open
	case f.Problem != "":
		return r.t("answer-error"), Bad
	case len(f.Results) == 1:
		return r.answer(f.Results[0])
	}
	counts := map[Tone]int{}
	for _, x := range f.Results {
		_, tone := r.answer(x)
		counts[tone]++
	}
	if counts[Good] == len(f.Results) {
		return r.t("answer-all", "n", len(f.Results)), Good
	}
	return r.t("answer-some", "n", len(f.Results), "passed", counts[Good], "failed", counts[Bad], "open", counts[Open]), worst(counts)
}

// answer is the sentence about one signature.
func (r *Report) answer(x *validation.Result) (string, Tone) {
	tone := map[validation.Indication]Tone{validation.TotalPassed: Good, validation.TotalFailed: Bad}[x.Indication]
	if tone == "" {
		tone = Open
	}
	answer := r.t("answer-"+string(x.Indication), "who", r.who(x.Facts), "why", r.why(x.SubIndication))
	if a := x.Facts.Chain.Anchor; a != nil && a.Test {
		answer += " " + r.t("test")
	}
	return answer, tone
}

func (r *Report) why(sub validation.SubIndication) string { return r.ofSub("why-", sub) }

func (r *Report) ofSub(prefix string, sub validation.SubIndication) string {
	if key := prefix + string(sub); sub != "" && message.Has("report."+key) {
		return r.t(key)
	}
	return r.t(prefix + "none")
}

// who names the signer. A name that leads to no recognised authority is anybody's word.
func (r *Report) who(f *validation.Facts) string {
	if f.Identity.CodiceFiscale != "" && f.Chain.Found {
		return clean(strings.TrimSpace(f.Identity.Given+" "+f.Identity.Family), maxName)
	}
	name := ""
	if c := f.SignerX509(); c != nil {
		if name = c.Subject.CommonName; name == "" {
			name = f.Identity.Subject
		}
	}
	switch name = clean(name, maxSigner); {
	case name == "":
		return r.t("unnamed")
	case !f.Chain.Found:
		return r.t("unproved", "name", "«"+name+"»")
	}
	return "«" + name + "»" // so that a name cannot read like a part of our sentence
}

// moment writes a time as Italian clocks show it, with its distance from UTC.
func (r *Report) moment(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	if r.Lang == message.English {
		return t.In(rome()).Format("2 January 2006, 15:04:05 (-07:00)")
	}
	return t.In(rome()).Format("02/01/2006 15:04:05 (-07:00)")
}

// PolicySHA256 names a policy by its content, in hexadecimal.
func PolicySHA256(p *validation.Policy) string {
	var b bytes.Buffer
	_ = json.NewEncoder(&b).Encode(p) // strings and numbers always have JSON
	sum := sha256.Sum256(b.Bytes())
	return hex.EncodeToString(sum[:])
}
