package submission_test

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/service"
	"github.com/citel-pa/citel/server/submission"
	"github.com/citel-pa/citel/testdata/pki"
)

// structure is the structure tree of an application's document, with its text.
func (c *counter) structure(a *submission.Application) string {
	c.t.Helper()
	f, err := c.d.Document(c.t.Context(), a)
	if err != nil {
		c.t.Fatal(err)
	}
	data, err := io.ReadAll(f)
	path := filepath.Join(c.t.TempDir(), "istanza.pdf")
	if err = errors.Join(err, f.Close(), os.WriteFile(path, data, 0o600)); err != nil {
		c.t.Fatal(err)
	}
	if keep := os.Getenv("CITEL_KEEP"); keep != "" {
		_ = os.WriteFile(filepath.Join(keep, "istanza.pdf"), data, 0o600)
	}
	out, err := exec.CommandContext(c.t.Context(), "pdfinfo", "-struct-text", path).CombinedOutput() //nolint:gosec // our own file
	if err != nil {
		c.t.Fatalf("pdfinfo (make deps installs it): %v\n%s", err, out)
	}
	return strings.Join(strings.Fields(string(out)), " ")
}

// Items are kept in their order, stand in the document that is signed as numbered headings
// below their section's, and in the desk's view; what is one too many is not made.
func TestItemsOfAnApplication(t *testing.T) {
	each(t, func(t *testing.T, c *counter) {
		ctx, v := t.Context(), c.visitor(0)
		values := child(nursery, "collectors.items", "2", "vaccination", "ask")
		for n, family := range map[string]string{"1": "Prima", "2": "Seconda"} {
			for k, x := range map[string]string{"given": "Nonna", "family": family, "born": "1960-02-03", "is": "other", "other": "vicina di casa", "phone": "06 1234567"} {
				values["collectors."+n+".collector-"+k] = x
			}
		}
		a := c.made(v, "iscrizione-nido", values)
		text := c.structure(a)
		at := 0
		for _, want := range []string{`H2 (block) "Fratelli e sorelle che frequentano"`, "nessuna voce indicata", `H2 (block) "Chi può ritirare la bambina o il bambino"`, `H3 (block) "Persona delegata 1"`, "Prima", "03/02/1960", "vicina di casa",
			`H3 (block) "Persona delegata 2"`, "Seconda", `H2 (block) "Vaccinazioni obbligatorie"`, "Preferisco che il Comune lo chieda", `H2 (block) "Disabilità e dieta"`} {
			i := strings.Index(text[at:], want)
			if i < 0 {
				t.Fatalf("%q is not there, or not in its place:\n%s", want, text)
			}
			at += i
		}
		if err := c.d.Reopen(ctx, v, a.ID); err != nil {
			t.Fatal(err)
		}
		values["collectors.items"] = "6"
		if errs, err := c.d.Save(ctx, v, a.ID, get(values), false); err != nil || errs["collectors.items"] != "error-items-most" {
			t.Error(errs, err)
		}
		if _, err := c.d.Make(ctx, v, a.ID, true, a.Service.Privacy.Version); !errors.Is(err, submission.ErrFields) {
			t.Errorf("six: %v", err)
		}
	})
}

// What was asked before a form changed stays as it was asked: an application of a version
// with one box for vaccinations, and without items, is shown and finished with it.
func TestOldFormStays(t *testing.T) {
	each(t, func(t *testing.T, c *counter) {
		ctx, boss := t.Context(), c.Operator("prova", 90, "R6")
		now := string(service.Defaults["iscrizione-nido"])
		from, to := strings.Index(now, "  - id: siblings\n"), strings.Index(now, "  - id: health\n")
		old := now[:from] + now[to:]
		old = strings.Replace(old, "      - {id: disability,", "      - {id: vaccinated, kind: check, label: {it: È in regola con le vaccinazioni, en: The vaccinations are in order}, required: true}\n      - {id: disability,", 1)
		a, b := strings.Index(old, "  - {id: vaccination,"), strings.Index(old, "  - {id: diet, title")
		old = old[:a] + old[b:]
		if _, err := c.Services.Publish(ctx, boss, []byte(old), 0); err != nil {
			t.Fatal(err)
		}
		v, w := c.visitor(0), c.visitor(1)
		values := child(nursery, "vaccinated", "on")
		delete(values, "vaccination")
		made := c.made(v, "iscrizione-nido", values)
		before := c.structure(made)
		draft := c.filled(w, "iscrizione-nido", values)
		if _, err := c.Services.Publish(ctx, boss, []byte(now), 1); err != nil {
			t.Fatal(err)
		}
		made, err := c.d.Get(ctx, v, made.ID)
		if err != nil || made.Service.Number != 1 || c.structure(made) != before {
			t.Errorf("%+v, %v", made, err)
		}
		blocks := made.Service.Preview(made.Fields, message.Italian)
		if len(blocks) != 5 || !slices.ContainsFunc(blocks[4].Lines, func(l service.Line) bool { return l.Label == "È in regola con le vaccinazioni" && l.Value == "sì" }) {
			t.Errorf("%+v", blocks)
		}
		if _, err := c.d.Make(ctx, w, draft.ID, true, draft.Service.Privacy.Version); err != nil {
			t.Errorf("a draft of before: %v", err)
		}
		if a, err := c.d.Start(ctx, c.visitor(2), "iscrizione-nido"); err != nil || len(a.Service.Sections) != 8 {
			t.Error("the new one", err)
		}
	})
}

// Vaccinations, disability and diet are read by who deals with enrolments, at the office
// that has the application; no other desk of the ente, no counts and no mail have them.
func TestHealthIsForEnrolmentsAlone(t *testing.T) {
	each(t, func(t *testing.T, c *counter) {
		ctx, v := t.Context(), c.visitor(0)
		text := strings.Replace(string(service.Defaults["iscrizione-nido"]), "signature: required", "signature: none", 1)
		if _, err := c.Services.Publish(ctx, c.Operator("prova", 90, "R6"), []byte(text), 0); err != nil {
			t.Fatal(err)
		}
		a := c.made(v, "iscrizione-nido", child(nursery, "vaccination", "booked", "disability", "yes", "diet", "ethical"))
		a, err := c.d.Send(ctx, v, a.ID)
		if err != nil {
			t.Fatal(err)
		}
		school := c.Operator("prova", 5, "R20")
		if x, err := c.d.Open(ctx, school, a.ID); err != nil || x.Fields["vaccination"] != "booked" {
			t.Error(x, err)
		}
		for i, r := range []string{"R12", "R6", "R9", "R14", "R-PAAS"} {
			if _, err := c.d.Open(ctx, c.Operator("prova", 60+i, r), a.ID); !errors.Is(err, role.ErrDenied) && !errors.Is(err, submission.ErrNotFound) {
				t.Errorf("%s reads it: %v", r, err)
			}
		}
		away := school
		away.Offices = []string{"URP"}
		if _, err := c.d.Open(ctx, away, a.ID); !errors.Is(err, submission.ErrNotFound) {
			t.Errorf("another office reads it: %v", err)
		}
		for _, mail := range c.Mails("genitore@example.org") {
			if s := strings.Join(mail[:], " "); strings.Contains(s, "accin") || strings.Contains(s, "booked") || strings.Contains(s, "isabil") {
				t.Error(s)
			}
		}
		receipt, err := c.d.Receipt(context.Background(), a)
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(receipt)
		path := filepath.Join(t.TempDir(), "ricevuta.pdf")
		if err := errors.Join(err, receipt.Close(), os.WriteFile(path, data, 0o600)); err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(ctx, "pdftotext", path, "-").CombinedOutput() //nolint:gosec // our own file
		if err != nil || strings.Contains(string(out), "accinazion") || strings.Contains(string(out), "isabilit") || !strings.Contains(string(out), pki.Invented(0).CF) {
			t.Errorf("the receipt: %v\n%s", err, out)
		}
	})
}
