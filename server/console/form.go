package console

import (
	"strconv"
	"strings"

	"github.com/citel-pa/citel/server/person"
)

// form is what the templates "form" and "show" draw.
type form struct {
	Action, Cancel string
	Sections       []section
	Warnings       []string
	// Check adds "Verifica Precedenti".
	Check     bool
	Multipart bool
	// Submit is the main button's sentence; empty is "Conferma".
	Submit string
	Hidden map[string]string
}

type section struct {
	Title  string
	Fields []field
}

type field struct {
	Name, Label, Help, Kind, Value, Error string
	Autocomplete, Inputmode               string
	Required                              bool
	Options                               []option
	// Scope tells fields of the same name apart on a page of several forms.
	Scope string
}

// ID is the field's in the page.
func (f field) ID() string { return "f-" + f.Scope + f.Name }

type option struct{ Value, Text string }

// Wrong are the fields with an error, for the summary.
func (f *form) Wrong() (out []field) {
	for _, s := range f.Sections {
		for _, x := range s.Fields {
			if x.Error != "" {
				out = append(out, x)
			}
		}
	}
	return out
}

// builder makes fields with their labels ("console.f-<name>"), values and errors.
type builder struct {
	*request
	prefix string
	errs   person.Errors
}

// add makes a field; kinds are an input's type, "choice", "radio", "long" and "check". A
// name that ends in * is required.
func (b builder) add(name, kind, value string, options ...option) field {
	name, required := strings.CutSuffix(name, "*")
	f := field{Name: b.prefix + name, Label: b.T("console.f-" + name), Kind: kind, Value: value, Required: required, Options: options, Autocomplete: "off"}
	if key := "console.h-" + name; b.T(key) != key {
		f.Help = b.T(key)
	}
	if code := b.errs[f.Name]; code != "" {
		f.Error = b.T("desk." + code)
	}
	return f
}

func (r *request) warnings(codes []string) (out []string) {
	for _, c := range codes {
		out = append(out, r.T("desk."+c))
	}
	return out
}

func (r *request) sexes() []option {
	return []option{{"F", r.T("console.sex-f")}, {"M", r.T("console.sex-m")}}
}

// personSections is the Censimento's form; own is an operator's own record, where only
// what tells how to reach the person changes.
func (r *request) personSections(prefix string, f person.Form, errs person.Errors, warned, citizen bool) []section {
	b := builder{r, prefix, errs}
	who := section{Title: r.T("console.s-who"), Fields: []field{
		b.add("code*", "text", f.Code), b.add("family*", "text", f.Family), b.add("given", "text", f.Given), b.add("born*", "text", f.Born),
		b.add("birthPlace", "text", f.BirthPlace), b.add("birthState", "text", f.BirthState), b.add("sex*", "radio", f.Sex, r.sexes()...),
	}}
	if !citizen {
		who.Fields[0].Label = r.T("console.f-operator-code")
	}
	if warned || f.Reason != "" || errs[prefix+"reason"] != "" {
		who.Fields = append(who.Fields, b.add("reason", "long", f.Reason))
	}
	reach := section{Title: r.T("console.s-reach"), Fields: r.reachFields(b, f)}
	if citizen {
		yes := ""
		if f.Professional {
			yes = "yes"
		}
		reach.Fields = append(reach.Fields, b.add("professional", "check", yes))
	}
	return []section{who, reach}
}

func (r *request) reachFields(b builder, f person.Form) []field {
	fields := []field{
		b.add("residence", "text", f.Residence), b.add("town", "text", f.Town), b.add("cap", "text", f.CAP),
		b.add("phone", "tel", f.Phone), b.add("officePhone", "tel", f.OfficePhone), b.add("email", "email", f.Email),
	}
	fields[2].Inputmode = "numeric"
	return fields
}

// readPerson reads the Censimento's form.
func (r *request) readPerson(prefix string) person.Form {
	v := func(name string) string { return r.value(prefix + name) }
	return person.Form{
		Code: v("code"), Family: v("family"), Given: v("given"), Born: bornTyped(v("born")), BirthPlace: v("birthPlace"), BirthState: v("birthState"), Sex: v("sex"),
		Residence: v("residence"), Town: v("town"), CAP: v("cap"), Phone: v("phone"), OfficePhone: v("officePhone"), Email: v("email"),
		Professional: v("professional") != "", Reason: v("reason"),
	}
}

// bornTyped takes gg/mm/aaaa and gg.mm.aaaa too: people type what their document shows.
func bornTyped(s string) string { return strings.NewReplacer("/", "-", ".", "-").Replace(s) }

// table is a list: in a region that scrolls by itself on a phone.
type table struct {
	ID, Caption, Empty string
	Head               []string
	Rows               [][]cell
}

type cell struct {
	Text, Link string
	Mono       bool
	// Post is a button instead of a link, with hidden values.
	Act *act
}

// scoped gives the fields of each small form of a page ids of their own.
func scoped(d data) {
	if acts, ok := d["Acts"].([]act); ok {
		for i := range acts {
			for k := range acts[i].Fields {
				acts[i].Fields[k].Scope = strconv.Itoa(i+1) + "-"
			}
		}
	}
	if filter, ok := d["Filter"].([]field); ok {
		for i := range filter {
			filter[i].Scope = "q-"
		}
	}
}

// act is a small form with its button.
type act struct {
	Title, Intro, Action, Button string
	Danger                       bool
	Multipart                    bool
	Fold                         bool // closed until it is opened
	Fields                       []field
	Hidden                       map[string]string
}

type fact struct {
	Label, Value, Link string
	Mono               bool
}

// heads are a table's heads: sentences "console.<key>".
func (r *request) heads(keys ...string) (out []string) {
	for _, k := range keys {
		out = append(out, r.T("console."+k))
	}
	return out
}

func (r *request) facts(pairs ...string) (out []fact) {
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			out = append(out, fact{Label: r.T("console." + pairs[i]), Value: pairs[i+1]})
		}
	}
	return out
}
