package console

import (
	"encoding/csv"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/citel-pa/citel/server/resident"
	"github.com/citel-pa/citel/server/role"
)

// shownFindings bounds each table of a dry run; the download has them all.
const shownFindings = 200

func (c *Console) registryImports(r *request) error { return c.showImports(r, http.StatusOK, "") }

func (c *Console) showImports(r *request, status int, wrong string) error {
	list, err := c.Rooms.Residents.Imports(r.ctx(), r.actor())
	if err != nil {
		return err
	}
	may := r.actor().Has(role.RegistryWrite)
	t := table{ID: "imports", Caption: r.T("registry.m-imports"), Empty: r.T("console.none"), Head: r.registryHeads("uploaded", "file", "state", "rows", "new-ones", "changed", "gone-ones", "bad-lines", "operator")}
	for _, i := range list {
		first := cell{Text: moment(i.Created)}
		if may {
			first.Link = Prefix + "/anagrafe/importazioni/" + i.ID
		}
		n := func(x int) cell { return cell{Text: strconv.Itoa(x)} }
		s := i.Summary
		t.Rows = append(t.Rows, []cell{first, {Text: i.Name}, {Text: r.T("registry.import-" + i.State)}, n(s.Rows), n(s.New), n(s.Changed), n(s.Gone), n(s.BadLines), {Text: c.operatorName(r, i.Operator)}})
	}
	form := table{ID: "columns", Caption: r.T("registry.columns"), Head: r.registryHeads("column", "content", "needed")}
	for _, x := range resident.Columns {
		needed := r.T("registry.needed-" + map[bool]string{true: "value", false: "column"}[x.Required])
		if x.Optional {
			needed = r.T("registry.needed-no")
		}
		form.Rows = append(form.Rows, []cell{{Text: x.Name, Mono: true}, {Text: r.T("registry.about-" + x.Field)}, {Text: needed}})
	}
	d := data{"Intro": r.T("registry.imports-intro"), "Wrong": wrong, "Tables": []table{t, form}}
	if may {
		d["First"] = []act{{Title: r.T("registry.upload"), Intro: r.T("registry.upload-intro", "rows", resident.MaxRows, "megabytes", resident.MaxBytes>>20), Action: Prefix + "/anagrafe/importazioni", Button: r.T("registry.upload-button"), Multipart: true,
			Fields: []field{r.asked("list", "file", "", true), r.asked("complete", "radio", "yes", true, option{"yes", r.T("registry.complete-yes")}, option{"no", r.T("registry.complete-no")})}}}
	}
	return r.page(status, "registry", r.T("registry.m-imports"), d)
}

func (c *Console) registryUpload(r *request) error {
	file, head, err := r.r.FormFile("list")
	if err != nil {
		return c.showImports(r, http.StatusUnprocessableEntity, r.T("registry.no-file"))
	}
	defer func() { _ = file.Close() }()
	i, err := c.Rooms.Residents.Upload(r.ctx(), r.actor(), head.Filename, r.value("complete") != "no", file)
	if status, wrong := r.registryRefused(err); wrong != "" {
		return c.showImports(r, status, wrong)
	}
	if err != nil {
		return err
	}
	r.redirect(Prefix + "/anagrafe/importazioni/" + i.ID)
	return nil
}

func (c *Console) registryImport(r *request) error { return c.showImport(r, http.StatusOK, "") }

// problem says what is wrong and what to do about it.
func (r *request) problem(p resident.Problem) string {
	return r.T("registry.bad-"+p.Code) + " " + r.T("registry.do-"+p.Code)
}

func (c *Console) importFacts(r *request, i *resident.Import) (out []fact) {
	add := func(name, v string) { out = append(out, fact{Label: r.T("registry.f-" + name), Value: v}) }
	s := i.Summary
	add("file", i.Name)
	add("state", r.T("registry.import-"+i.State))
	add("uploaded", moment(i.Created)+", "+c.operatorName(r, i.Operator))
	if !i.Decided.IsZero() {
		add("decided", moment(i.Decided)+", "+c.operatorName(r, i.DecidedBy))
	}
	add("complete", r.T("registry.complete-"+map[bool]string{true: "yes", false: "no"}[i.Complete]))
	for _, x := range []struct {
		name string
		n    int
	}{{"rows", s.Rows}, {"new-ones", s.New}, {"changed", s.Changed}, {"same", s.Same}, {"back", s.Back}, {"gone-ones", s.Gone}, {"conflicts", s.Conflicts}, {"bad-lines", s.BadLines}, {"notices", s.Notices}} {
		add(x.name, strconv.Itoa(x.n))
	}
	if len(s.Ignored) > 0 {
		add("ignored", strings.Join(s.Ignored, ", "))
	}
	return append(out, fact{Label: "SHA-256", Value: i.SHA256, Mono: true})
}

// showImport is the dry run as it would be now: what is wrong, what would change, and what
// has to be decided.
func (c *Console) showImport(r *request, status int, wrong string) error {
	id := r.r.PathValue("import")
	i, err := c.Rooms.Residents.Import(r.ctx(), r.actor(), id)
	if err != nil {
		return err
	}
	path := Prefix + "/anagrafe/importazioni/" + url.PathEscape(id)
	d := data{"Wrong": wrong}
	if i.State == "checked" {
		if i, err = c.dryRun(r, id, path, d); err != nil {
			return err
		}
	}
	d["Facts"] = c.importFacts(r, i)
	return r.page(status, "registry", r.T("registry.import"), d)
}

func (c *Console) dryRun(r *request, id, path string, d data) (*resident.Import, error) {
	found := map[string][]resident.Finding{}
	i, err := c.Rooms.Residents.Report(r.ctx(), r.actor(), id, func(f resident.Finding) error {
		if len(found[f.Kind]) < shownFindings || f.Kind == resident.Conflict {
			found[f.Kind] = append(found[f.Kind], f)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if p := i.Summary.File; p != nil {
		where := ""
		if p.Column != "" {
			where = " (" + p.Column + ")"
		}
		d["Wrong"] = r.T("registry.unreadable", "line", p.Line) + where + ": " + r.problem(*p)
		d["Acts"] = []act{{Title: r.T("registry.drop"), Action: path + "/scarta", Button: r.T("registry.drop")}}
		return i, nil
	}
	d["Intro"] = r.T("registry.dry-intro")
	d["Links"] = []nextStep{{r.T("registry.download"), path + "/esito.csv"}}
	d["Tables"] = c.findingTables(r, found)
	d["Acts"] = append(r.confirmActs(i, found[resident.Conflict], path), act{Title: r.T("registry.drop"), Intro: r.T("registry.drop-intro"), Action: path + "/scarta", Button: r.T("registry.drop")})
	return i, nil
}

func (c *Console) findingTables(r *request, found map[string][]resident.Finding) (out []table) {
	for _, kind := range []string{resident.Bad, resident.Notice, resident.Gone, resident.Changed, resident.Back, resident.Agreed, resident.New} {
		all := found[kind]
		if len(all) == 0 {
			continue
		}
		t := table{ID: kind, Caption: r.T("registry.found-" + kind)}
		if len(all) == shownFindings {
			t.Caption += " " + r.T("registry.first", "n", shownFindings)
		}
		for _, f := range all {
			switch kind {
			case resident.Bad, resident.Notice:
				t.Head = r.registryHeads("line", "column", "written", "wrong")
				t.Rows = append(t.Rows, []cell{{Text: strconv.Itoa(f.Line)}, {Text: f.Problem.Column, Mono: true}, {Text: f.Problem.Value}, {Text: r.problem(f.Problem)}})
			case resident.Changed, resident.Agreed:
				t.Head = r.registryHeads("line", "name", "field", "old", "new")
				t.Rows = append(t.Rows, []cell{{Text: strconv.Itoa(f.Line)}, {Text: f.Data.Name()}, {Text: r.T("registry.f-" + f.Field)}, {Text: r.shownField(f.Field, f.Old)}, {Text: r.shownField(f.Field, f.New)}})
			default:
				t.Head = r.registryHeads("line", "name", "code")
				line := ""
				if f.Line > 0 {
					line = strconv.Itoa(f.Line)
				}
				t.Rows = append(t.Rows, []cell{{Text: line}, {Text: f.Data.Name()}, {Text: f.Data.Code, Mono: true}})
			}
		}
		out = append(out, t)
	}
	return out
}

// confirmActs asks what has to be decided: conflicts with corrections, people who would be
// gone, lines that are left out.
func (r *request) confirmActs(i *resident.Import, conflicts []resident.Finding, path string) []act {
	a := act{Title: r.T("registry.confirm"), Intro: r.T("registry.confirm-intro"), Action: path + "/conferma", Button: r.T("registry.confirm"), Danger: true,
		Hidden: map[string]string{"sha256": i.SHA256, "plan": i.Plan()}}
	for _, f := range conflicts {
		kept := ""
		if f.Again {
			kept = "keep"
		}
		if v := r.value("c." + f.Key()); v != "" {
			kept = v
		}
		a.Fields = append(a.Fields, field{Name: "c." + f.Key(), Kind: "choice", Required: true, Value: kept,
			Label:   r.T("registry.conflict", "name", f.Data.Name(), "field", r.T("registry.f-"+f.Field), "line", f.Line),
			Options: []option{{"", r.T("registry.choose")}, {"keep", r.T("registry.keep", "value", r.shownField(f.Field, f.Old))}, {"take", r.T("registry.take", "value", r.shownField(f.Field, f.New))}}})
	}
	if i.Summary.Gone > 0 {
		a.Fields = append(a.Fields, field{Name: "gone", Kind: "check", Value: r.value("gone"), Label: r.T("registry.agree-gone", "n", i.Summary.Gone)})
	}
	if i.Summary.BadLines > 0 {
		a.Fields = append(a.Fields, field{Name: "bad", Kind: "check", Value: r.value("bad"), Label: r.T("registry.agree-bad", "n", i.Summary.BadLines)})
	}
	return []act{a}
}

func (c *Console) registryConfirm(r *request) error {
	id := r.r.PathValue("import")
	x := resident.Decision{SHA256: r.value("sha256"), Plan: r.value("plan"), Gone: r.value("gone") != "", LeaveBad: r.value("bad") != "", Take: map[string]bool{}, Keep: map[string]bool{}}
	for name, v := range r.r.PostForm {
		if key, ok := strings.CutPrefix(name, "c."); ok && len(v) > 0 {
			x.Take[key], x.Keep[key] = v[0] == "take", v[0] == "keep"
		}
	}
	err := c.Rooms.Residents.Confirm(r.ctx(), r.actor(), id, x)
	if status, wrong := r.registryRefused(err); wrong != "" {
		return c.showImport(r, status, wrong)
	}
	if err != nil {
		return err
	}
	return r.done(Prefix+"/anagrafe/importazioni/"+url.PathEscape(id), "saved")
}

func (c *Console) registryDrop(r *request) error {
	if err := c.Rooms.Residents.Drop(r.ctx(), r.actor(), r.r.PathValue("import")); err != nil {
		return err
	}
	return r.done(Prefix+"/anagrafe/importazioni", "saved")
}

// registryReport streams everything that the dry run finds.
func (c *Console) registryReport(r *request) error {
	i, err := c.Rooms.Residents.Import(r.ctx(), r.actor(), r.r.PathValue("import"))
	if err == nil && i.State != "checked" {
		err = resident.ErrState
	}
	if err != nil {
		return err
	}
	r.w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	r.w.Header().Set("Content-Disposition", `attachment; filename="esito.csv"`)
	_, _ = r.w.Write([]byte("\ufeff")) // spreadsheets take it for UTF-8
	w := csv.NewWriter(r.w)
	w.Comma = ';'
	_ = w.Write(r.registryHeads("line", "what", "code", "name", "column", "old", "new", "wrong"))
	_, err = c.Rooms.Residents.Report(r.ctx(), r.actor(), i.ID, func(f resident.Finding) error {
		line := ""
		if f.Line > 0 {
			line = strconv.Itoa(f.Line)
		}
		row := []string{line, r.T("registry.found-" + f.Kind), f.Data.Code, f.Data.Name(), f.Problem.Column, f.Problem.Value, "", ""}
		if f.Problem.Code != "" {
			row[7] = r.problem(f.Problem)
		}
		if f.Field != "" {
			row[4], row[5], row[6] = r.T("registry.f-"+f.Field), r.shownField(f.Field, f.Old), r.shownField(f.Field, f.New)
		}
		for k := range row {
			row[k] = inert(row[k])
		}
		return w.Write(row)
	})
	w.Flush()
	if err = errors.Join(err, w.Error()); err != nil {
		r.c.Log.Error("a report broke off", "import", i.ID, "error", err)
		panic(http.ErrAbortHandler) // the head is out: the download must not look whole
	}
	return nil
}

// inert keeps a spreadsheet from reading a cell as a formula.
func inert(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r\n", rune(s[0])) {
		return "'" + s
	}
	return s
}
