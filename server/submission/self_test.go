package submission_test

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/resident"
	"github.com/citel-pa/citel/server/service"
	"github.com/citel-pa/citel/server/session"
	"github.com/citel-pa/citel/server/submission"
	"github.com/citel-pa/citel/testdata/pki"
)

// population imports some records.
func (c *counter) population(lines ...string) {
	c.t.Helper()
	a := c.Operator("prova", 80, "R31")
	head := "codice_fiscale;cognome;nome;sesso;data_nascita;luogo_nascita;indirizzo;cap;cittadinanza;stato_civile;codice_famiglia;relazione;residente_dal\n"
	i, err := c.Residents.Upload(c.t.Context(), a, "x.csv", true, strings.NewReader(head+strings.Join(lines, "\n")))
	if err == nil {
		err = c.Residents.Confirm(c.t.Context(), a, i.ID, resident.Decision{SHA256: i.SHA256, Plan: i.Plan(), LeaveBad: true})
	}
	if err != nil || i.Summary.BadLines > 0 {
		c.t.Fatalf("%v %+v", err, i)
	}
}

// pdfText is what a reader of the document reads.
func (c *counter) pdfText(a *submission.Application) string {
	c.t.Helper()
	f, err := c.d.Document(c.t.Context(), a)
	if err != nil {
		c.t.Fatal(err)
	}
	data, err := io.ReadAll(f)
	if err = errors.Join(err, f.Close()); err != nil {
		c.t.Fatal(err)
	}
	path := filepath.Join(c.t.TempDir(), "x.pdf")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		c.t.Fatal(err)
	}
	if keep := os.Getenv("CITEL_KEEP"); keep != "" {
		_ = os.WriteFile(filepath.Join(keep, "autocertificazione.pdf"), data, 0o600)
	}
	out, err := exec.Command("pdftotext", path, "-").CombinedOutput()
	if err != nil {
		c.t.Fatalf("pdftotext (make deps installs it): %v\n%s", err, out)
	}
	return strings.Join(strings.Fields(string(out)), " ")
}

// A self-certification of somebody with a medium credential: prefilled from the
// population's records when a fact is chosen, warned, for whom the person says, without a
// number, and to be signed by hand or with the card.
func TestSelfCertification(t *testing.T) {
	each(t, func(t *testing.T, c *counter) {
		ctx := t.Context()
		me, child := pki.Invented(20), pki.Invented(21)
		row := func(p pki.Person, rel, civil string) string {
			return strings.Join([]string{p.CF, p.Surname, p.Given, "F", p.Born.Format("02/01/2006"), "Pisa", "Via del Campo 5", "56100", "italiana", civil, "F1", rel, "01/03/2010"}, ";")
		}
		c.population(row(me, "Intestataria", "Coniugata"), row(child, "Figlia", "Nubile"))
		v := submission.Visitor{Ente: "prova", Level: session.Media, Credential: "m", Person: c.account(person.Natural, me.CF)}
		a, err := c.d.Start(ctx, v, "autocertificazione")
		if err != nil {
			t.Fatal(err)
		}
		if f := a.Fields; f["residence"] != "Via del Campo 5" || f["town"] != "Prova" || f["birth-place"] != "Pisa" || f["born"] != me.Born.Format("2006-01-02") || f["family"] != "" {
			t.Errorf("%v", f)
		}
		// What is chosen is asked for, and is there already.
		answers := map[string]string{"facts": "citizenship,marital,family,no-convictions,student"}
		for k, x := range a.Fields {
			answers[k] = x
		}
		errs, err := c.d.Save(ctx, v, a.ID, get(answers), true)
		if err != nil || len(errs) != 1 || errs["student-detail"] != "error-required" {
			t.Fatal(errs, err)
		}
		if a, err = c.d.Get(ctx, v, a.ID); err != nil || a.Fields["citizenship"] != "italiana" || a.Fields["marital"] != "married" || !strings.Contains(a.Fields["family"], child.Given+" "+child.Surname+", nascita "+child.Born.Format("02/01/2006")+", Pisa (Figlia)") {
			t.Fatalf("%v %v", a.Fields, err)
		}
		if strings.Contains(a.Fields["family"], child.CF) {
			t.Error("a relative's code is filled in")
		}
		// What the person empties stays empty: it is not filled in again.
		answers["student-detail"], answers["citizenship"], answers["marital"], answers["family"] = "Università di Pisa, 2026", "", "single", a.Fields["family"]
		if errs, err = c.d.Save(ctx, v, a.ID, get(answers), true); err != nil || errs["citizenship"] != "error-required" {
			t.Fatal(errs, err)
		}
		answers["citizenship"], answers["recipient"] = "italiana", "Banca di Prova"
		if errs, err = c.d.Save(ctx, v, a.ID, get(answers), true); err != nil || len(errs) != 0 {
			t.Fatal(errs, err)
		}
		if _, err := c.d.Make(ctx, v, a.ID, false, a.Service.Privacy.Version); !errors.Is(err, submission.ErrNotices) {
			t.Error("without the warnings:", err)
		}
		if a, err = c.d.Make(ctx, v, a.ID, true, a.Service.Privacy.Version); err != nil {
			t.Fatal(err)
		}
		text := c.pdfText(a)
		for _, w := range []string{"art. 46", "Banca di Prova", me.CF, "Via del Campo 5", "c) cittadinanza", "f) stato di famiglia", child.Given, "aa) assenza di condanne penali", "t) qualità di studente", "celibe o nubile", "art. 75", "art. 76", "Firma di chi dichiara"} {
			if !strings.Contains(text, w) {
				t.Errorf("the document lacks %q:\n%s", w, text)
			}
		}
		if strings.Contains(text, child.CF) || strings.Contains(text, "ufficio Demografici") {
			t.Error(text)
		}
		sent, err := c.d.Send(ctx, v, a.ID)
		if err != nil || sent.Number.Number != 0 || sent.State != submission.StateClosed {
			t.Fatalf("%+v %v", sent, err)
		}
		papers, err := c.d.Papers(ctx, sent)
		if err != nil || len(papers) == 0 || papers[0].Name != "autocertificazione.pdf" {
			t.Error(papers, err)
		}
		// An operator who may not look records up gets none of them by filling a form in; who
		// may, does. A weak credential gets nothing, and another ente has nothing.
		for name, x := range map[string]struct {
			roles []string
			want  string
		}{"assisted": {[]string{"R-CAF1"}, ""}, "registry": {[]string{"R31"}, "Via del Campo 5"}} {
			op := c.Operator("prova", map[string]int{"assisted": 82, "registry": 83}[name], x.roles...)
			y := submission.Visitor{Ente: "prova", Person: v.Person, Operator: &op}
			s, err := c.Services.Current(ctx, "prova", "autocertificazione")
			if err != nil {
				t.Fatal(err)
			}
			got, err := c.d.Prefill(ctx, y, s.Definition)
			if err != nil || got["residence"] != x.want {
				t.Error(name, got, err)
			}
		}
		there := v
		there.Ente = "altro"
		s, err := service.Parse(defaultText(t, "autocertificazione"))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := c.d.Prefill(ctx, there, s); err != nil || got["residence"] != "" {
			t.Error("another ente's record:", got, err)
		}
	})
}

func defaultText(t *testing.T, id string) []byte {
	t.Helper()
	text, err := os.ReadFile("../service/defaults/" + id + ".yaml")
	if err != nil {
		t.Fatal(err)
	}
	return text
}
