package service_test

import (
	"errors"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/server/service"
	"github.com/citel-pa/citel/testdata/town"
)

// partners is a service of companies whose partners all sign.
const partners = `id: soci
title: {it: Soci, en: Partners}
topic: imprese
act: message
level: forte
signature: optional
actors: [citizen, company]
office: SUAP
term: {days: 30, silence: none}
cosigners:
  - {field: partner-cf, when: {field: partner-signs, is: ["yes"]}}
privacy: {version: "1", text: {it: a, en: b}}
sections:
  - id: company
    title: {it: Impresa, en: Company}
    fields:
      - {id: name, kind: text, label: {it: Nome, en: Name}, required: true}
      - {id: foreign, kind: check, label: {it: Ha soci esteri, en: Has foreign partners}}
  - id: partners
    title: {it: Soci, en: Partners}
    repeat: {min: 1, max: 3, one: {it: Socio, en: Partner}}
    fields:
      - {id: partner-cf, kind: codice-fiscale, label: {it: Codice fiscale, en: Tax code}, required: true}
      - {id: partner-signs, kind: check, label: {it: Firma, en: Signs}}
      - {id: partner-why, kind: text, label: {it: Perché, en: Why}, required: true, when: {field: partner-signs, is: ["yes"]}}
      - {id: partner-state, kind: text, label: {it: Stato, en: State}, when: {field: foreign, is: ["yes"]}}
`

func parsed(t *testing.T, text string) *service.Definition {
	t.Helper()
	d, err := service.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// What is wrong with a part that repeats is told at its line.
func TestProblemsOfRepeats(t *testing.T) {
	for _, c := range []struct{ from, to, code, at string }{
		{"repeat: {min: 1, max: 3,", "repeat: {min: 4, max: 3,", "items", "repeat"},
		{"repeat: {min: 1, max: 3,", "repeat: {min: 1, max: 21,", "items", "repeat"},
		{"repeat: {min: 1, max: 3,", "repeat: {min: -1, max: 3,", "items", "repeat"},
		{"repeat: {min: 1, max: 3,", "repeat: {", "items", "repeat"},
		{"repeat: {min: 1, max: 3,", "repeat: {min: 1, most: 3,", "unknown", "most"},
		{"one: {it: Socio, en: Partner}", "one: {it: Socio}", "words", "one"},
		{"one: {it: Socio, en: Partner}", "one: {it: Socio, en: Partner}, add: {it: Un altro}", "words", "add"},
		{"kind: codice-fiscale, label", "kind: codice-fiscale, prefill: person.code, label", "not-repeated", "prefill"},
		{"kind: check, label: {it: Firma", "kind: check, points: 3, label: {it: Firma", "not-repeated", "points"},
		{"id: partner-state, kind: text", "id: name, kind: text", "twice", "id: name"},
		{"sections:\n", "routes: {field: partner-why, to: {a: b}}\nsections:\n", "in-repeat", "partner-why"},
		{"sections:\n", "attachments:\n  - {id: a, title: {it: a, en: b}, when: {field: partner-signs, is: [\"yes\"]}}\nsections:\n", "in-repeat", "id: a,"},
		{"sections:\n", "ranking: {preferences: [partner-why], once: partner-cf}\nsections:\n", "in-repeat", "ranking"},
		{"signature: optional", "signature: optional\naddressee: partner-why", "in-repeat", "addressee"},
	} {
		text := strings.Replace(partners, c.from, c.to, 1)
		_, err := service.Parse([]byte(text))
		var p *service.ProblemsError
		if text == partners || !errors.As(err, &p) {
			t.Errorf("%s: %v", c.to, err)
			continue
		}
		if !slices.ContainsFunc(p.Problems, func(x service.Problem) bool {
			return x.Code == c.code && strings.Contains(strings.Split(text, "\n")[x.Line-1], strings.Split(c.at, "\n")[0]) && !strings.Contains(x.Sentence(message.Italian), "definition.")
		}) {
			t.Errorf("%s: %v", c.to, err)
		}
	}
}

func TestItems(t *testing.T) {
	d := parsed(t, partners)
	one, two := town.FormOf(3).Code, town.FormOf(4).Code
	in := map[string]string{"name": "Prova", "foreign": "on", "partners.items": "2", "partners.1.partner-cf": one, "partners.1.partner-why": "not asked", "partners.1.partner-state": "Francia",
		"partners.2.partner-cf": strings.ToLower(two), "partners.2.partner-signs": "on", "partners.3.partner-cf": one}
	ask := func(with ...string) (map[string]string, service.Errors) {
		x := maps.Clone(in)
		for i := 0; i+1 < len(with); i += 2 {
			x[with[i]] = with[i+1]
		}
		return d.Validate(func(id string) string { return x[id] }, time.Unix(0, 0), true)
	}
	values, errs := ask()
	want := map[string]string{"name": "Prova", "foreign": "yes", "partners.items": "2", "partners.1.partner-cf": one, "partners.1.partner-state": "Francia", "partners.2.partner-cf": two, "partners.2.partner-signs": "yes"}
	if !maps.Equal(values, want) || len(errs) != 1 || errs["partners.2.partner-why"] != "error-required" {
		t.Error(values, errs)
	}
	if len(errs.In(d.Sections[0])) != 0 || len(errs.In(d.Sections[1])) != 1 || d.FirstWrong(errs) != 2 || d.FirstWrong(nil) != 0 {
		t.Error(errs.In(d.Sections[0]), errs.In(d.Sections[1]), d.FirstWrong(errs))
	}
	if s := d.Signers(values); !slices.Equal(s, []string{two}) {
		t.Error("who signs:", s)
	}
	for items, code := range map[string]string{"4": "error-items-most", "20": "error-items-most", "9999999": "error-items-most", "x": "error-items", "-1": "error-items", "+2": "error-items", "02": "error-items", "2,3": "error-items", "0": "", "": "", "3": ""} {
		values, errs := ask("partners.items", items)
		if errs["partners.items"] != code || d.Sections[1].Count(values) > service.MaxItems || d.Sections[1].Count(values) < 1 {
			t.Errorf("%q items: %v %v", items, errs, values)
		}
	}
	blocks := d.Preview(values, message.English)
	if len(blocks) != 2 || len(blocks[1].Items) != 2 || blocks[1].Items[1].Title != "Partner 2" || blocks[1].Items[0].Lines[2].Value != "Francia" || len(blocks[1].Items[1].Lines) != 4 {
		t.Errorf("%+v", blocks)
	}
	// A draft of nothing has the items that are needed at least.
	if values, errs := d.Validate(func(string) string { return "" }, time.Unix(0, 0), false); len(errs) != 0 || values["partners.items"] != "1" {
		t.Error(values, errs)
	}
}

// The buttons of a form without any script: nothing that was typed is lost, and what no
// page of ours can have sent is refused.
func TestTurn(t *testing.T) {
	d := parsed(t, partners)
	three := "partners.items=3&partners.1.partner-why=a&partners.2.partner-why=b&partners.2.partner-signs=yes&partners.3.partner-why=c"
	for _, c := range []struct{ posted, button, want, turn string }{
		{"partners.items=1&partners.1.partner-why=a&name=x", "partners.add", "name=x&partners.1.partner-why=a&partners.items=2", "partners.2"},
		{"", "partners.add", "partners.items=2", "partners.2"}, // the one that is needed, and another
		{three, "partners.2", "partners.1.partner-why=a&partners.2.partner-why=c&partners.items=2", "partners.0"},
		{three, "partners.3", "partners.1.partner-why=a&partners.2.partner-signs=yes&partners.2.partner-why=b&partners.items=2", "partners.0"},
		{three, "partners.1", "partners.1.partner-signs=yes&partners.1.partner-why=b&partners.2.partner-why=c&partners.items=2", "partners.0"},
		{three, "partners.add", "", "error-items-most"},
		{"partners.items=1", "partners.1", "", "error-items-least"},
		{three, "", "", ""},
		{three, "partners.4", "", "refused"}, {three, "partners.0", "", "refused"}, {three, "partners.02", "", "refused"}, {three, "partners", "", "refused"}, {three, "company.add", "", "refused"}, {three, "x.1", "", "refused"},
		{"partners.items=2&partners.3.partner-why=a", "", "", "refused"},
		{"partners.2.partner-why=a", "", "", "refused"},
		{"partners.items=21", "", "", "refused"}, {"partners.items=x", "", "", "refused"}, {"partners.items=0", "", "", "refused"}, {"partners.items=2&partners.items=3", "", "", "refused"}, {"partners.items=", "", "", "refused"},
		{"partners.items=1&partners.1.name=a", "", "", "refused"}, {"partners.items=1&partners.01.partner-why=a", "", "", "refused"}, {"partners.items=1&partners.1=a", "", "", "refused"},
		{"company.items=1", "", "", "refused"}, {"company.1.name=a", "", "", "refused"}, {"others.1.a=b", "", "", "refused"}, {"partners.items=1&partners.1.partner-why.x=a", "", "", "refused"},
		{"partners.items=4&partners.4.partner-why=d", "", "", ""}, // too many is told, and nothing of it lost
	} {
		posted, err := url.ParseQuery(c.posted)
		if err != nil {
			t.Fatal(err)
		}
		if c.button != "" {
			posted.Set(service.TurnName, c.button)
		}
		turn, err := d.Turn(posted)
		got := ""
		switch {
		case errors.Is(err, service.ErrItems):
			got = "refused"
		case err != nil:
			t.Fatal(err)
		case turn != nil && turn.Code != "":
			got = turn.Code
		case turn != nil:
			got = turn.String()
		}
		posted.Del(service.TurnName)
		if c.want == "" {
			c.want = c.posted
			q, _ := url.ParseQuery(c.posted)
			c.want = q.Encode()
		}
		if got != c.turn || posted.Encode() != c.want {
			t.Errorf("%s of %s: %s %s, want %s %s", c.button, c.posted, got, posted.Encode(), c.turn, c.want)
		}
	}
}
