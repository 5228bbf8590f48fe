package console

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/citel-pa/citel/pkcs/message"
	forms "github.com/citel-pa/citel/server/form"
	"github.com/citel-pa/citel/server/register"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/service"
)

var portalModule = menuModule{Title: "console.m-portal", Groups: []menuGroup{{"", []menuLink{
	{"services.m-list", Prefix + "/portale", []role.Permission{role.PortalUse}},
	{"services.m-new", Prefix + "/nuovo-servizio", []role.Permission{role.PortalUse}},
	{"services.m-schema", Prefix + "/schema-servizi", []role.Permission{role.PortalUse}},
}}}}

func init() {
	permitted(get, "/portale", (*Console).services, role.PortalUse)
	permitted(get, "/nuovo-servizio", (*Console).serviceNew, role.PortalUse)
	permitted(post, "/nuovo-servizio", (*Console).serviceBegin, role.PortalUse)
	permitted(get, "/schema-servizi", (*Console).serviceSchema, role.PortalUse)
	permitted(get, "/portale/{service}", (*Console).serviceEditor, role.PortalUse)
	permitted(post, "/portale/{service}", (*Console).serviceText, role.PortalUse)
	permitted(post, "/portale/{service}/pubblica", (*Console).servicePublish, role.PortalUse)
	permitted(post, "/portale/{service}/scarta", (*Console).serviceDrop, role.PortalUse)
	permitted(post, "/portale/{service}/stato", (*Console).serviceSwitch, role.PortalUse)
	permitted(get, "/portale/{service}/versioni", (*Console).serviceVersions, role.PortalUse)
	permitted(get, "/portale/{service}/versioni/{n}", (*Console).serviceVersion, role.PortalUse)
	permitted(get, "/portale/{service}/confronto", (*Console).serviceCompare, role.PortalUse)
}

// sentences of an area of the catalogue, for pages whose words are not the console's own.
func (r *request) in(area string, keys ...string) (out []string) {
	for _, k := range keys {
		out = append(out, r.T(area+"."+k))
	}
	return out
}

// services are the ente's, with those that are only being written.
func (c *Console) services(r *request) error {
	all, err := c.Rooms.Services.List(r.ctx(), r.actor().Ente)
	if err != nil {
		return err
	}
	drafts, err := c.Rooms.Services.Drafts(r.ctx(), r.actor(), "")
	if err != nil {
		return err
	}
	t := &table{ID: "services", Caption: r.T("services.list"), Empty: r.T("console.none"), Head: r.in("services", "h-service", "h-version", "h-act", "h-level", "h-open", "h-state", "h-drafts")}
	writing := map[string][]string{}
	for _, x := range drafts {
		writing[x.Service] = append(writing[x.Service], r.operatorName(x.Operator))
	}
	today := c.now().In(register.Rome())
	for _, v := range all {
		version := r.T("services.default")
		if v.Number > 0 {
			version = fmt.Sprint(v.Number)
		}
		days := strings.Trim(spanText(v.Opens)+" - "+spanText(v.Closes), " -")
		if days == "" {
			days = r.T("services.always")
		}
		state := "state-open"
		if v.Off {
			state = "state-off"
		} else if !v.Open(today) {
			state = "state-closed"
		}
		t.Rows = append(t.Rows, []cell{{Text: v.Title.In(r.lang), Link: Prefix + "/portale/" + v.ID}, {Text: version}, {Text: r.T("services.act-" + string(v.Act))}, {Text: r.T("portal.level-" + v.Level)},
			{Text: days}, {Text: r.T("services." + state)}, {Text: strings.Join(writing[v.ID], ", ")}})
		delete(writing, v.ID)
	}
	for _, x := range drafts {
		if who := writing[x.Service]; who != nil {
			t.Rows = append(t.Rows, []cell{{Text: x.Service, Link: Prefix + "/portale/" + x.Service, Mono: true}, {Text: "-"}, {Text: "-"}, {Text: "-"}, {Text: "-"}, {Text: r.T("services.state-draft")}, {Text: strings.Join(who, ", ")}})
			delete(writing, x.Service)
		}
	}
	return r.page(http.StatusOK, "list", r.T("services.m-list"), data{"Intro": r.T("services.intro"), "Table": t,
		"Links": []nextStep{{r.T("services.m-new"), Prefix + "/nuovo-servizio"}, {r.T("services.m-schema"), Prefix + "/schema-servizi"}}})
}

// spanText is a day of a definition as people read it.
func spanText(day string) string {
	if len(day) == 10 {
		return day[8:] + "/" + day[5:7] + "/" + day[:4]
	}
	return day
}

func (r *request) operatorName(id int64) string {
	if id == 0 {
		return r.T("services.nobody")
	}
	if name, err := r.c.Rooms.Operators.NameOf(r.ctx(), r.actor(), id); err == nil && name != "" {
		return name
	}
	return fmt.Sprint(id)
}

func (c *Console) serviceNew(r *request) error {
	return r.askNewService(http.StatusOK, "", r.query("da"), nil)
}

func (r *request) askNewService(status int, name, from string, wrong map[string]string) error {
	all, err := r.c.Rooms.Services.List(r.ctx(), r.actor().Ente)
	if err != nil {
		return err
	}
	var options []option
	for _, v := range all {
		options = append(options, option{v.ID, v.Title.In(r.lang)})
	}
	return r.page(status, "form", r.T("services.m-new"), data{"Intro": r.T("services.new-intro"), "Form": &form{Action: Prefix + "/nuovo-servizio", Cancel: Prefix + "/portale", Submit: r.T("services.begin"),
		Sections: []section{{Fields: []field{
			{Name: "servizio", Label: r.T("services.f-id"), Help: r.T("services.h-id"), Kind: "text", Value: name, Required: true, Autocomplete: "off", Error: wrong["servizio"]},
			{Name: "da", Label: r.T("services.f-from"), Kind: "choice", Value: from, Options: options, Error: wrong["da"]},
		}}}}})
}

func (c *Console) serviceBegin(r *request) error {
	name, from := r.value("servizio"), r.value("da")
	err := c.Rooms.Services.Begin(r.ctx(), r.actor(), name, from)
	switch {
	case errors.Is(err, service.ErrName):
		return r.askNewService(http.StatusUnprocessableEntity, name, from, map[string]string{"servizio": r.T("definition.id", "what", name)})
	case errors.Is(err, service.ErrExists):
		return r.askNewService(http.StatusConflict, name, from, map[string]string{"servizio": r.T("services.exists")})
	case errors.Is(err, service.ErrNotFound):
		return r.askNewService(http.StatusUnprocessableEntity, name, from, map[string]string{"da": r.T("services.no-template")})
	case err != nil:
		return err
	}
	r.redirect(Prefix + "/portale/" + name)
	return nil
}

// serviceSchema tells what can be written, out of what the program reads.
func (c *Console) serviceSchema(r *request) error {
	t := &table{ID: "schema", Caption: r.T("services.schema"), Head: r.in("services", "h-key", "h-what", "h-type", "h-values")}
	for _, k := range service.Reference() {
		t.Rows = append(t.Rows, []cell{{Text: k.Path, Mono: true}, {Text: r.T("schema." + k.Words())}, {Text: r.T("schema.type-" + k.Type)}, {Text: strings.Join(k.Values, ", "), Mono: true}})
	}
	return r.page(http.StatusOK, "list", r.T("services.m-schema"), data{"Intro": r.T("services.schema-intro"), "Table": t})
}

// edited is a service as an operator works on it.
type edited struct {
	id      string
	version *service.Version // nil: it was never published
	draft   *service.Draft   // the operator's own, nil without one
	others  []service.Draft
}

// last is the number of the version that is in force.
func (e *edited) last() int {
	if e.version == nil {
		return 0
	}
	return e.version.Number
}

// published is the text in force.
func (e *edited) published() []byte {
	if e.version == nil {
		return nil
	}
	return e.version.Text
}

func (r *request) edited() (*edited, error) {
	e := &edited{id: r.r.PathValue("service")}
	var err error
	if e.version, err = r.c.Rooms.Services.Current(r.ctx(), r.actor().Ente, e.id); err != nil && !errors.Is(err, service.ErrNotFound) {
		return nil, err
	}
	drafts, err := r.c.Rooms.Services.Drafts(r.ctx(), r.actor(), e.id)
	if err != nil {
		return nil, err
	}
	for i, x := range drafts {
		if x.Operator == r.operator.ID {
			e.draft = &drafts[i]
		} else {
			e.others = append(e.others, x)
		}
	}
	if e.version == nil && len(drafts) == 0 {
		return nil, errNotFound
	}
	return e, nil
}

// text is what the editor begins with.
func (e *edited) text() (text string, before int) {
	switch {
	case e.draft != nil:
		return string(e.draft.Text), e.draft.Before
	case e.version != nil:
		return string(e.version.Text), e.last()
	}
	return string(e.others[0].Text), 0
}

// problemLine is a problem with the words of its line.
type problemLine struct {
	Line           int
	Sentence, Text string
}

// state of the editor's page.
type editorState struct {
	text     string
	before   int
	problems []service.Problem
	good     bool
	wrong    string
	saved    bool
}

func (c *Console) serviceEditor(r *request) error {
	e, err := r.edited()
	if err != nil {
		return err
	}
	text, before := e.text()
	return r.showEditor(http.StatusOK, e, editorState{text: text, before: before})
}

// spare lines have a number before they are written: without the script no line is added
// to the margin.
const spare = 40

func (r *request) showEditor(status int, e *edited, s editorState) error {
	all := strings.Split(strings.TrimSuffix(s.text, "\n"), "\n")
	var problems []problemLine
	for _, p := range s.problems {
		x := problemLine{Line: p.Line, Sentence: p.Sentence(r.lang)}
		if p.Line <= len(all) {
			x.Text = strings.TrimSpace(all[p.Line-1])
		}
		problems = append(problems, x)
	}
	numbers := make([]int, len(all)+spare)
	wrong := map[int]bool{}
	for i := range numbers {
		numbers[i] = i + 1
	}
	for _, p := range problems {
		wrong[p.Line] = true
	}
	var others []string
	for _, x := range e.others {
		others = append(others, r.T("services.other-editor", "who", r.operatorName(x.Operator), "when", moment(x.Changed)))
	}
	d := data{"Text": s.text, "Before": s.before, "Numbers": numbers, "WrongLines": wrong, "Problems": problems, "Good": s.good, "Others": others, "Path": Prefix + "/portale/" + e.id,
		"Max": service.MaxText, "Script": "app/servizio.js", "Wrong": s.wrong, "Draft": e.draft, "Saved": s.saved, "Version": e.version}
	if s.before != e.last() {
		d["Newer"] = e.last()
	}
	title := e.id
	if e.version != nil {
		title = e.version.Title.In(r.lang)
		b := "off"
		if e.version.Off {
			b = "on"
		}
		d["Acts"] = []act{{Title: r.T("services.switch-" + b), Intro: r.T("services.switch-" + b + "-intro"), Action: Prefix + "/portale/" + e.id + "/stato", Button: r.T("services.switch-" + b), Danger: b == "off",
			Fields: []field{{Name: "perche", Label: r.T("services.f-why"), Kind: "text", Required: true, Autocomplete: "off"}}, Hidden: map[string]string{"verso": b}}}
		d["Links"] = []nextStep{{r.T("services.versions"), Prefix + "/portale/" + e.id + "/versioni"}, {r.T("services.m-schema"), Prefix + "/schema-servizi"}, {r.T("services.copy"), Prefix + "/nuovo-servizio?da=" + e.id}}
	}
	return r.page(status, "editor", r.T("services.editor-title", "service", title), d)
}

// serviceText takes the text, keeps it, and does what the button says.
func (c *Console) serviceText(r *request) error {
	e, err := r.edited()
	if err != nil {
		return err
	}
	text := strings.ReplaceAll(r.r.PostFormValue("testo"), "\r\n", "\n")
	before, err := strconv.Atoi(r.value("prima"))
	if err != nil || before < 0 {
		return errBadForm
	}
	s := editorState{text: text, before: before}
	switch err := c.Rooms.Services.Keep(r.ctx(), r.actor(), e.id, []byte(text), before); {
	case errors.Is(err, service.ErrTooLong):
		s.problems = []service.Problem{{Line: 1, Code: "too-long"}}
		return r.showEditor(http.StatusUnprocessableEntity, e, s)
	case err != nil:
		return err
	}
	if e, err = r.edited(); err != nil {
		return err
	}
	def, err := service.ParseFor(e.id, []byte(text))
	var problems *service.ProblemsError
	if errors.As(err, &problems) {
		s.problems = problems.Problems
	} else if err != nil {
		return err
	}
	switch act := r.value("act"); {
	case act == "save":
		s.problems, s.saved = nil, true
		return r.showEditor(http.StatusOK, e, s)
	case len(s.problems) > 0:
		return r.showEditor(http.StatusUnprocessableEntity, e, s)
	case act == "preview":
		return r.showPreview(e, def)
	case act == "diff":
		return r.showDiff(http.StatusOK, e, "")
	}
	s.good = true
	return r.showEditor(http.StatusOK, e, s)
}

// showPreview is the form as a citizen sees it, with nothing answered.
func (r *request) showPreview(e *edited, def *service.Definition) error {
	lang := r.lang
	if l := r.value("lingua-modulo"); l == "it" || l == "en" {
		lang = message.Lang(l)
	}
	var attachments []string
	for _, a := range def.Attachments {
		attachments = append(attachments, a.Title.In(lang))
	}
	return r.page(http.StatusOK, "preview", r.T("services.preview-title", "service", def.Title.In(lang)), data{"Form": forms.Preview(def, lang), "Def": def,
		"Help": def.Help.In(lang), "Privacy": def.Privacy.Text.In(lang), "Attachments": attachments, "FormLang": string(lang), "Path": Prefix + "/portale/" + e.id, "Script": "app/servizio.js"})
}

// showDiff compares the operator's text with the one in force, and offers to publish it.
func (r *request) showDiff(status int, e *edited, wrong string) error {
	before, title := e.published(), r.T("services.diff-published", "n", e.last())
	if e.last() == 0 {
		title = r.T("services.diff-default")
	}
	changes := numbered(service.Diff(before, e.draft.Text))
	d := data{"Changes": changes, "Caption": title, "Text": string(e.draft.Text), "Path": Prefix + "/portale/" + e.id, "Wrong": wrong, "Same": !changed(changes), "SHA256": service.Fingerprint(e.draft.Text), "Before": e.draft.Before, "Publish": true}
	if e.draft.Before != e.last() {
		// Somebody else has published: nothing is lost, and nothing overwritten.
		d["Newer"], d["Publish"] = e.last(), false
	}
	return r.page(status, "diff", r.T("services.diff-title", "service", e.id), d)
}

// diffLine is a line with its numbers on both sides.
type diffLine struct {
	Op       string
	Old, New int // 0: not there
	Text     string
	Skipped  int // lines that are the same are left out
}

// context is how many lines around a change are shown.
const diffContext = 3

func changed(all []diffLine) bool {
	return slices.ContainsFunc(all, func(l diffLine) bool { return l.Op == "+" || l.Op == "-" })
}

func numbered(all []service.Change) (out []diffLine) {
	near := make([]bool, len(all))
	for i, x := range all {
		if x.Op != ' ' {
			for k := max(0, i-diffContext); k <= min(len(all)-1, i+diffContext); k++ {
				near[k] = true
			}
		}
	}
	before, after, skipped := 0, 0, 0
	for i, x := range all {
		l := diffLine{Op: string(x.Op), Text: x.Text}
		if x.Op != '+' {
			before++
			l.Old = before
		}
		if x.Op != '-' {
			after++
			l.New = after
		}
		if !near[i] {
			skipped++
			continue
		}
		if skipped > 0 {
			out = append(out, diffLine{Skipped: skipped})
			skipped = 0
		}
		out = append(out, l)
	}
	if skipped > 0 {
		out = append(out, diffLine{Skipped: skipped})
	}
	return out
}

// servicePublish publishes the very text that the diff showed.
func (c *Console) servicePublish(r *request) error {
	e, err := r.edited()
	if err != nil {
		return err
	}
	if e.draft == nil {
		text, before := e.text()
		return r.showEditor(http.StatusConflict, e, editorState{text: text, before: before, wrong: r.T("services.no-draft")})
	}
	if service.Fingerprint(e.draft.Text) != r.value("impronta") {
		return r.showDiff(http.StatusConflict, e, r.T("services.other-text"))
	}
	_, err = service.ParseFor(e.id, e.draft.Text)
	var v *service.Version
	if err == nil {
		v, err = c.Rooms.Services.Publish(r.ctx(), r.actor(), e.draft.Text, e.draft.Before)
	}
	var problems *service.ProblemsError
	if errors.As(err, &problems) {
		return r.showEditor(http.StatusUnprocessableEntity, e, editorState{text: string(e.draft.Text), before: e.draft.Before, problems: problems.Problems})
	}
	if errors.Is(err, service.ErrChanged) {
		if e, err = r.edited(); err != nil {
			return err
		}
		return r.showDiff(http.StatusConflict, e, r.T("services.changed"))
	}
	if err != nil {
		return err
	}
	return r.page(http.StatusOK, "show", r.T("services.published-title"), data{"Lead": r.T("services.published-body", "service", v.Title.In(r.lang), "n", v.Number),
		"Facts": []fact{{Label: r.T("services.h-version"), Value: fmt.Sprint(v.Number)}, {Label: r.T("services.h-sha256"), Value: v.SHA256, Mono: true}},
		"Links": []nextStep{{r.T("services.versions"), Prefix + "/portale/" + e.id + "/versioni"}, {r.T("services.m-list"), Prefix + "/portale"}}})
}

func (c *Console) serviceDrop(r *request) error {
	e, err := r.edited()
	if err != nil {
		return err
	}
	if err := c.Rooms.Services.Drop(r.ctx(), r.actor(), e.id); err != nil {
		return err
	}
	if e.version == nil {
		r.redirect(Prefix + "/portale")
		return nil
	}
	r.redirect(Prefix + "/portale/" + e.id)
	return nil
}

func (c *Console) serviceSwitch(r *request) error {
	e, err := r.edited()
	if err != nil {
		return err
	}
	switch err := c.Rooms.Services.Switch(r.ctx(), r.actor(), e.id, r.value("verso") == "off", r.value("perche")); {
	case errors.Is(err, service.ErrReason):
		text, before := e.text()
		return r.showEditor(http.StatusUnprocessableEntity, e, editorState{text: text, before: before, wrong: r.T("services.why")})
	case errors.Is(err, service.ErrNotFound):
		return errNotFound
	case err != nil:
		return err
	}
	r.redirect(Prefix + "/portale/" + e.id)
	return nil
}
