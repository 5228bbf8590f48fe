package form_test

import (
	"bytes"
	"html/template"
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
		html := render(t, "form-fields", form.New(d, "", nil, nil, message.Italian))
		seen := map[string]bool{}
		for _, part := range strings.Split(html, ` id="f-`)[1:] {
			name, _, _ := strings.Cut(part, `"`)
			if seen[name] {
				t.Errorf("%s: f-%s twice", id, name)
			}
			seen[name] = true
			if !strings.HasSuffix(name, "-h") && !strings.Contains(html, `for="f-`+name+`"`) {
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
