package form_test

import (
	"bytes"
	"html/template"
	"io"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/server/form"
	"github.com/citel-pa/citel/server/service"
)

func nido(t *testing.T) *service.Definition {
	t.Helper()
	d, err := service.Parse(service.Defaults["iscrizione-nido"])
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func render(t *testing.T, name string, data any) string {
	t.Helper()
	tmpl, err := form.Parse(template.New("page"))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := tmpl.ExecuteTemplate(&b, name, data); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestOneSection(t *testing.T) {
	d := nido(t)
	f := form.New(d, "applicant", map[string]string{"other": "none", "email": `a"<b>@example.org`}, service.Errors{"email": "error-email", "other-cf": "error-required", "child-cf": "error-required"}, message.Italian)
	if len(f.Sections) != 1 || f.Sections[0].N != 2 || len(f.Wrong) != 1 {
		t.Fatalf("%+v", f)
	}
	html := render(t, "form-wrong", f) + render(t, "form-fields", f)
	for _, want := range []string{
		`<a href="#f-email">E-mail</a>`, `type="email" autocomplete="email" required aria-invalid="true" aria-describedby="f-email-e"`, `id="f-email-e"`,
		`data-when="other" data-is="consents" hidden`, `value="a&#34;&lt;b&gt;@example.org"`, `name="other" value="none" checked`, `<legend class="field-label">A quale titolo *</legend>`,
	} {
		if !strings.Contains(html, want) {
			t.Errorf("%q is not in\n%s", want, html)
		}
	}
	if all := form.New(d, "", nil, nil, message.English); len(all.Sections) != len(d.Sections) {
		t.Error(len(all.Sections))
	}
}

// Each input has a label, and no two elements have one id.
func TestLabels(t *testing.T) {
	for id, text := range service.Defaults {
		d, err := service.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		html := render(t, "form-fields", form.Preview(d, message.Italian))
		seen := map[string]bool{}
		for _, part := range strings.Split(html, ` id="f-`)[1:] {
			name, _, _ := strings.Cut(part, `"`)
			if seen[name] {
				t.Errorf("%s: f-%s twice", id, name)
			}
			seen[name] = true
			if !strings.HasSuffix(name, "-h") && !strings.HasSuffix(name, ".items") && !strings.Contains(html, `for="f-`+name+`"`) {
				t.Errorf("%s: f-%s has no label", id, name)
			}
		}
		if len(seen) == 0 {
			t.Errorf("%s: nothing is asked", id)
		}
	}
}

func TestAnswersOfAStep(t *testing.T) {
	d := nido(t)
	before := map[string]string{"child-given": "Bea", "relation": "parent"}
	get := form.Answers(d, "applicant", url.Values{"relation": {"foster"}, "child-given": {"tampered"}, "other": {"a", "b"}}, before)
	for id, want := range map[string]string{"child-given": "Bea", "relation": "foster", "other": "a,b", "email": ""} {
		if got := get(id); got != want {
			t.Errorf("%s: %q, want %q", id, got, want)
		}
	}
	if got := form.Appeared(d, "applicant", before, map[string]string{"other": "consents"}); len(got) != 2 || got[0] != "other-cf" {
		t.Error(got)
	}
	values, errs := d.Validate(get, time.Now(), false)
	if errs["other"] != "error-choice" || values["child-given"] != "Bea" {
		t.Error(values, errs)
	}
}

func TestRead(t *testing.T) {
	d := nido(t)
	blocks := form.Read(d, map[string]string{"child-given": "<b>Bea</b>", "child-born": "2025-03-04", "other": "none"}, message.English)
	if blocks[0].Answers[0].Value != "<b>Bea</b>" || blocks[0].Answers[3].Value != "4 March 2025" || blocks[0].Answers[1].Value != "not given" {
		t.Errorf("%+v", blocks[0])
	}
	blocks[0].Change, blocks[0].ChangeText = "/x?a=1", "Change"
	html := render(t, "form-answers", blocks)
	if strings.Contains(html, "<b>Bea") || !strings.Contains(html, `<a href="/x?a=1">Change<span class="visually-hidden">: The child</span></a>`) || strings.Contains(html, "other parent signs") {
		t.Error(html)
	}
}

var two = map[string]string{"siblings.items": "2", "siblings.1.sibling-given": "Leo", "siblings.2.sibling-given": `<b>"Bea"`, "siblings.2.sibling-school": "girasole"}

// Each item is a group with its number, whose errors name it; buttons are of the same form.
func TestItems(t *testing.T) {
	d := nido(t)
	f := form.New(d, "siblings", two, service.Errors{"siblings.2.sibling-born": "error-required", "siblings.items": "error-items-most"}, message.Italian)
	if !f.Repeats() || form.New(d, "child", nil, nil, message.Italian).Repeats() {
		t.Error("which repeats")
	}
	f.LookAt("siblings.2", message.Italian)
	html := render(t, "form-wrong", f) + render(t, "form-fields", f)
	for _, want := range []string{
		`<input type="hidden" name="siblings.items" value="2">`, `id="item-siblings.2"><legend class="h5">Fratello o sorella 2</legend>`, `value="&lt;b&gt;&#34;Bea&#34;" type="text" autofocus`, `value="girasole" checked`,
		`<a href="#f-siblings.2.sibling-born">Fratello o sorella 2: Data di nascita</a>`, `<a href="#f-siblings.items">Fratelli e sorelle che frequentano</a>: Qui le voci sono al massimo 5`,
		`name="_voce" value="siblings.1">Togli<span class="visually-hidden">: Fratello o sorella 1</span>`, `id="f-siblings.items" name="_voce" value="siblings.add" aria-describedby="f-siblings.items-e">Aggiungi un fratello o una sorella</button>`,
	} {
		if !strings.Contains(html, want) {
			t.Errorf("%q is not in\n%s", want, html)
		}
	}
	f = form.New(d, "siblings", map[string]string{"siblings.items": "5"}, nil, message.English)
	f.LookAt("siblings.0", message.English)
	html = render(t, "form-fields", f)
	if strings.Contains(html, "siblings.add") || !strings.Contains(html, "5 entries at most") || !strings.Contains(html, `role="status" tabindex="-1" autofocus id="gone-siblings">The entry was taken away. Entries left: 5.`) {
		t.Error(html)
	}
	for _, at := range []string{"", "siblings", "siblings.9", "siblings.-1", "child.1", "x.0", "siblings.1.2"} {
		f := form.New(d, "siblings", two, nil, message.Italian)
		f.LookAt(at, message.Italian)
		if html := render(t, "form-fields", f); strings.Contains(html, "autofocus") {
			t.Errorf("%s: %s", at, html)
		}
	}
	if html := render(t, "form-fields", form.New(d, "siblings", nil, nil, message.Italian)); !strings.Contains(html, "nessuna voce indicata") || strings.Contains(html, "form-item\"") {
		t.Error(html)
	}
	// Whoever writes the form sees an item of it, with buttons that do nothing.
	if html := render(t, "form-fields", form.Preview(d, message.Italian)); strings.Count(html, "Fratello o sorella 1</legend>") != 1 || strings.Count(html, " disabled>") != 4 {
		t.Error(html)
	}
	html = render(t, "form-answers", form.Read(d, two, message.Italian))
	if !strings.Contains(html, `<h3 class="h5 answers-item">Fratello o sorella 2</h3><dl class="facts"><dt>Nome</dt><dd>&lt;b&gt;&#34;Bea&#34;</dd>`) || !strings.Contains(html, `<p class="answers-none">nessuna voce indicata</p>`) {
		t.Error(html)
	}
}

func TestAnswersOfItems(t *testing.T) {
	d := nido(t)
	get := form.Answers(d, "siblings", url.Values{"siblings.items": {"1"}, "siblings.1.sibling-given": {"Ada"}, "collectors.items": {"3"}, "collectors.1.collector-given": {"tampered"}}, two)
	for id, want := range map[string]string{"siblings.items": "1", "siblings.1.sibling-given": "Ada", "siblings.2.sibling-given": "", "collectors.items": "", "collectors.1.collector-given": ""} {
		if got := get(id); got != want {
			t.Errorf("%s: %q, want %q", id, got, want)
		}
	}
	before := map[string]string{"collectors.items": "1", "collectors.1.collector-is": "sitter"}
	if got := form.Appeared(d, "collectors", before, map[string]string{"collectors.items": "1", "collectors.1.collector-is": "other"}); len(got) != 1 || got[0] != "collectors.1.collector-other" {
		t.Error(got)
	}
}

// Whatever a form posts: what is taken is bounded, is what the page could ask, stays what it
// is when it is saved again, and is shown without breaking the page.
func FuzzPosted(f *testing.F) {
	for _, s := range []string{
		"", "siblings.items=2&siblings.1.sibling-given=Leo&siblings.2.sibling-given=Bea&_voce=siblings.1", "siblings.items=5&_voce=siblings.add", "collectors.items=1&collectors.1.collector-is=other&_voce=collectors.add",
		"siblings.items=999999999999&_voce=siblings.999999999999", "siblings.items=20&siblings.20.sibling-born=2024-01-01", "siblings.1.sibling-school=%22%3E&siblings.items=1", "child-given=a&vaccination=exempt&collectors.items=-0", "siblings.items=1&siblings.items=1&siblings.01.x=1",
	} {
		f.Add(s)
	}
	d, err := service.Parse(service.Defaults["iscrizione-nido"])
	if err != nil {
		f.Fatal(err)
	}
	tmpl, err := form.Parse(template.New("page"))
	if err != nil {
		f.Fatal(err)
	}
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, query string) {
		posted, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		turn, refused := d.Turn(posted)
		values, errs := d.Validate(form.Answers(d, "", posted, nil), now, true)
		kept := url.Values{}
		for k, v := range values {
			kept.Set(k, v)
		}
		if refused == nil && d.Fits(kept) != nil {
			t.Fatalf("%q is kept as %v", query, values)
		}
		again, errs2 := d.Validate(func(id string) string { return values[id] }, now, true)
		for k, v := range values {
			if errs[k] == "" && (again[k] != v || errs2[k] != "") {
				t.Fatalf("%s: %q is kept as %q, then %q %s", k, query, v, again[k], errs2[k])
			}
		}
		page := form.New(d, "", values, errs, message.Italian)
		if turn != nil {
			page.Look(*turn, message.Italian)
		}
		for _, s := range page.Sections {
			if len(s.Items) > service.MaxItems {
				t.Fatal(len(s.Items))
			}
		}
		for name, data := range map[string]any{"form-wrong": page, "form-fields": page, "form-answers": form.Read(d, values, message.Italian)} {
			if err := tmpl.ExecuteTemplate(io.Discard, name, data); err != nil {
				t.Fatal(err)
			}
		}
	})
}
