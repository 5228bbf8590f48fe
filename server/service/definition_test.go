package service_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/service"
	"github.com/citel-pa/citel/testdata/town"
)

func TestDefaults(t *testing.T) {
	for id, text := range service.Defaults {
		d, err := service.Parse(text)
		if err != nil || d.ID != id {
			t.Errorf("%s: %+v, %v", id, d, err)
		}
	}
	if len(service.Defaults) < 4 {
		t.Error(len(service.Defaults))
	}
}

// The notice before a refusal (L. 241/1990, art. 10-bis) is of every istanza, but for what the
// text leaves out with the law's reason, and for rankings.
func TestPreavviso(t *testing.T) {
	nursery, plain := string(service.Defaults["iscrizione-nido"]), town.Istanza
	before, _, _ := strings.Cut(nursery, "preavviso:")
	_, after, _ := strings.Cut(nursery, "remedies:")
	old := before + "remedies:" + after // as it was before there was the key
	why := "\npreavviso-why: {it: x, en: x}"
	for _, c := range []struct {
		text  string
		gives bool
	}{
		{nursery, false}, {old, false}, {old + "preavviso: yes\n", true}, {plain, true}, {plain + "preavviso: \"yes\"\n", true},
		{plain + "preavviso: no" + why + "\n", false}, {string(service.Defaults["instradamento"]), false},
	} {
		if d, err := service.Parse([]byte(c.text)); err != nil || d.GivesNotice() != c.gives {
			t.Errorf("%v, not %t:\n%s", err, c.gives, c.text)
		}
	}
	for _, c := range []struct{ text, code string }{
		{plain + "preavviso: no\n", "words"}, {plain + "preavviso: maybe\n", "one-of"}, {plain + "preavviso: yes" + why + "\n", "preavviso-why"},
		{string(service.Defaults["instradamento"]) + "preavviso: yes\n", "preavviso-act"},
	} {
		_, err := service.Parse([]byte(c.text))
		var p *service.ProblemsError
		if !errors.As(err, &p) || p.Problems[0].Code != c.code || strings.Contains(p.Problems[0].Sentence(message.Italian), "definition.") {
			t.Errorf("%s: %v", c.code, err)
		}
	}
}

// What is wrong is told at its line, with a sentence in both languages.
func TestProblemsHaveLines(t *testing.T) {
	good := string(service.Defaults["iscrizione-nido"])
	for _, c := range []struct{ from, to, code, at string }{
		{"level: forte", "livello: forte", "unknown", "livello"},
		{"level: forte", "level: fortissimo", "one-of", "fortissimo"},
		{"level: forte\nsignature: required", "level: media\nsignature: none", "istanza-proof", "signature: none"},
		{"kind: money", "kind: gold", "one-of", "kind: gold"},
		{"field: other-cf, when", "field: other-xx, when", "no-field", "field: other-xx"},
		{"when: {field: other, is: [consents]}}\n      - {id: other-signs", "when: {field: other, is: [agrees]}}\n      - {id: other-signs", "no-option", "agrees"},
		{"when: {field: relation, is: [guardian, foster]}", "when: {field: nothing, is: [guardian]}", "no-field", "nothing"},
		{"id: child-family", "id: child-given", "twice", "family name"},
		{"act: istanza", "act: istanza\nact: message", "form", ""},
		{"term: {days: 60, silence: none}", "term: {days: 60, silence: golden}", "one-of", "golden"},
		{"office: Istruzione", "office: ''", "missing", "office: ''"},
		{"retention: 10", "retention: 10\ndraft-days: 29", "draft-days", "draft-days"},
		{"after: -4y", "after: tomorrow", "day", "tomorrow"},
		{"title: {it: La bambina o il bambino, en: The child}", "title: {it: La bambina}", "words", "La bambina"},
		{"prefill: record.phone", "prefill: record.password", "one-of", "record.password"},
		{"title: {it: Iscrizione", "title: &x {it: Iscrizione", "alias", ""},
	} {
		text := strings.Replace(good, c.from, c.to, 1)
		if text == good {
			t.Fatalf("%q is not in the text", c.from)
		}
		_, err := service.Parse([]byte(text))
		var p *service.ProblemsError
		if !errors.As(err, &p) {
			t.Errorf("%s: %v", c.to, err)
			continue
		}
		found := false
		for _, x := range p.Problems {
			lines := strings.Split(text, "\n")
			found = found || x.Code == c.code && (c.at == "" || strings.Contains(strings.ToLower(lines[x.Line-1]), strings.ToLower(c.at)))
			for _, l := range []message.Lang{message.Italian, message.English} {
				if s := x.Sentence(l); strings.Contains(s, "definition.") || !strings.Contains(s, fmt.Sprint(x.Line)) {
					t.Errorf("%s: no sentence: %s", x.Code, s)
				}
			}
		}
		if !found {
			t.Errorf("%s: %v", c.to, err)
		}
	}
}

func TestAnswers(t *testing.T) {
	d, err := service.Parse(service.Defaults["iscrizione-nido"])
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	in := map[string]string{
		"child-given": "Prova", "child-family": "Esempio", "child-cf": town.FormOf(3).Code, "child-born": "2025-01-10", "relation": "parent", "email": "a@example.org",
		"other": "none", "other-cf": "not asked", "first": "girasole", "time": "full", "sibling": "on", "isee": "12.345,6", "vaccination": "done", "disability": "on",
	}
	got, errs := d.Validate(func(id string) string { return in[id] }, now, true)
	if len(errs) > 0 || got["other-cf"] != "" || got["isee"] != "12345,60" || got["sibling"] != "yes" {
		t.Errorf("%v %v", got, errs)
	}
	if p := d.Points(got); p != 40 {
		t.Errorf("%d points", p)
	}
	for _, c := range []struct{ id, value, code string }{
		{"isee", "12.34", "error-money"}, {"isee", "-1", "error-money"}, {"isee", "1,234", "error-money"}, {"first", "montagna", "error-choice"},
		{"child-born", "2020-01-01", "error-date-range"}, {"vaccination", "", "error-required"}, {"vaccination", "yes", "error-choice"}, {"other", "consents", ""},
	} {
		bad := map[string]string{}
		for k, v := range in {
			bad[k] = v
		}
		bad[c.id] = c.value
		_, errs := d.Validate(func(id string) string { return bad[id] }, now, true)
		want, at := c.code, c.id
		if c.id == "other" {
			want, at = "error-codice-fiscale", "other-cf"
		}
		if errs[at] != want {
			t.Errorf("%s=%q: %v", c.id, c.value, errs)
		}
	}
	if _, errs := d.Validate(func(string) string { return "" }, now, false); len(errs) > 0 {
		t.Errorf("a draft needs nothing: %v", errs)
	}
	blocks := d.Preview(got, message.Italian)
	if len(blocks) != 8 || !blocks[6].Sensitive || !blocks[7].Sensitive || blocks[4].None == "" || blocks[3].Lines[3].Value != "12.345,60 €" {
		t.Errorf("%+v", blocks)
	}
	in["other"], in["other-cf"], in["other-signs"] = "consents", town.FormOf(4).Code, "on"
	got, _ = d.Validate(func(id string) string { return in[id] }, now, true)
	if s := d.Signers(got); len(s) != 1 || s[0] != town.FormOf(4).Code {
		t.Error(s)
	}
}

func TestPublish(t *testing.T) {
	town.Each(t, func(t *testing.T, town *town.Town) {
		d := &service.Desk{Store: town.Store, Audit: town.Audit, Now: town.Today}
		boss := town.Operator("prova", 1, "R6")
		v, err := d.Current(t.Context(), "prova", "instradamento")
		if err != nil || v.Number != 0 {
			t.Fatal(v, err)
		}
		if _, err := d.Publish(t.Context(), town.Operator("prova", 2, "R14"), v.Text, 0); !errors.Is(err, role.ErrDenied) {
			t.Errorf("who hands envelopes out: %v", err)
		}
		one, err := d.Publish(t.Context(), boss, v.Text, 0)
		if err != nil || one.Number != 1 {
			t.Fatal(err)
		}
		text := []byte(strings.Replace(string(v.Text), "days: 30", "days: 20", 1))
		if _, err := d.Publish(t.Context(), boss, text, 0); !errors.Is(err, service.ErrChanged) {
			t.Errorf("edited from an older one: %v", err)
		}
		two, err := d.Publish(t.Context(), boss, text, 1)
		if err != nil || two.Number != 2 || two.Term.Days != 20 {
			t.Fatal(two, err)
		}
		old, err := d.At(t.Context(), "prova", "instradamento", 1)
		if err != nil || old.Term.Days != 30 {
			t.Error(old, err)
		}
		if v, err := d.Current(t.Context(), "altro", "instradamento"); err != nil || v.Term.Days != 30 {
			t.Error("another ente's", err)
		}
		n := 0
		for _, c := range service.Diff(v.Text, text) {
			if c.Op != ' ' {
				n++
			}
		}
		if n != 2 {
			t.Errorf("%d lines differ", n)
		}
		for _, q := range []string{"UPDATE service_version SET content = ''", "DELETE FROM service_version"} {
			if _, err := town.Store.ExecContext(t.Context(), q); err == nil {
				t.Error(q)
			}
		}
		all, err := d.List(t.Context(), "prova")
		if err != nil || len(all) != len(service.Defaults) {
			t.Error(len(all), err)
		}
	})
}

// A service keeps its topic: who may publish forms reads with a changed one what citizens
// send to another desk, and hides it from that.
func TestTopicIsKept(t *testing.T) {
	town.Each(t, func(t *testing.T, town *town.Town) {
		d := &service.Desk{Store: town.Store, Audit: town.Audit, Now: town.Today}
		boss := town.Operator("prova", 1, "R9")
		good := string(service.Defaults["iscrizione-nido"])
		moved := []byte(strings.Replace(good, "topic: istruzione", "topic: altro", 1))
		refused := func(before int) {
			t.Helper()
			var p *service.ProblemsError
			if _, err := d.Publish(t.Context(), boss, moved, before); !errors.As(err, &p) || p.Problems[0].Code != "other-topic" || p.Problems[0].Line < 2 {
				t.Error(err)
			}
		}
		refused(0)
		if _, err := d.Publish(t.Context(), boss, []byte(good), 0); err != nil {
			t.Fatal(err)
		}
		refused(1)
		if _, err := d.Publish(t.Context(), boss, []byte(strings.Replace(string(moved), "id: iscrizione-nido", "id: altro-nido", 1)), 0); err != nil {
			t.Error("a new service", err)
		}
	})
}

// A text that is deep and not long is read in no time and no memory.
func TestDeepTexts(t *testing.T) {
	const half = service.MaxText / 2
	for name, text := range map[string]string{
		"lists":     "id: " + strings.Repeat("[", half) + strings.Repeat("]", half-8),
		"maps":      "id: " + strings.Repeat("{a: ", service.MaxText/5) + strings.Repeat("}", service.MaxText/5-8),
		"dashes":    strings.Repeat("- ", half-8),
		"answers":   "sections: " + strings.Repeat("[", 9_000) + strings.Repeat("]", 9_000),
		"questions": "id: x\nsections:\n - fields:\n    - {options: " + strings.Repeat("[", 9_000) + strings.Repeat("]", 9_000) + "}",
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		var p *service.ProblemsError
		if _, err := service.Parse([]byte(text)); !errors.As(err, &p) {
			t.Errorf("%s: %v", name, err)
		}
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; used > 256<<20 {
			t.Errorf("%s: %d MiB", name, used>>20)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range service.Defaults {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := service.Parse(text)
		var p *service.ProblemsError
		if err != nil && !errors.As(err, &p) {
			t.Fatal(err)
		}
		if d != nil {
			d.Validate(func(string) string { return "x" }, time.Unix(0, 0), true)
		}
	})
}

// Whatever is typed into a form, what is taken is taken again as it was kept: a draft that
// is opened and saved stays as it is.
func FuzzAnswers(f *testing.F) {
	for _, s := range []string{"x", "2024-05-01", "1.234,50", "on", "none,full", "persona@example.org", "RSSMRA80A01H501U", " a\r\nb\x00", "\xff", "-1", "1e9"} {
		f.Add(s)
	}
	var all []*service.Definition
	for name, text := range service.Defaults {
		d, err := service.Parse(text)
		if err != nil {
			f.Fatal(name, err)
		}
		all = append(all, d)
	}
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, typed string) {
		for _, d := range all {
			first, errs := d.Validate(func(string) string { return typed }, now, true)
			again, errs2 := d.Validate(func(id string) string { return first[id] }, now, true)
			for id, v := range first {
				if errs[id] == "" && (errs2[id] != "" || again[id] != v) {
					t.Fatalf("%s %s: %q is kept as %q, then %q %s", d.ID, id, typed, v, again[id], errs2[id])
				}
			}
		}
	})
}
