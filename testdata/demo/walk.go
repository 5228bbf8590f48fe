package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/citel-pa/citel/pkcs/validation"
	"github.com/citel-pa/citel/testdata/page"
	"github.com/citel-pa/citel/testdata/pki"
	"github.com/citel-pa/citel/testdata/stack"
)

// password is what the demo's citizen chooses when the envelope is opened.
const password = "una frase tutta mia per la dimostrazione"

// form sends a form of a page and gives the address that it leads to.
func form(ctx context.Context, site *page.Site, at, to string, fields url.Values) (string, error) {
	csrf, err := site.CSRF(ctx, at)
	if err != nil {
		return "", err
	}
	return site.Send(ctx, to, csrf, fields)
}

// envelope is opened by the citizen at home; then a service that needs more shows its
// window.
func envelope(ctx context.Context, t *steps, origin string, busta *stack.Envelope) error {
	site := page.NewSite(origin)
	at, err := form(ctx, site, "/busta", "/busta", url.Values{"utente": {busta.Username}, "pin": {busta.PIN}, "consegna": {busta.Holder}, "nuova": {password}})
	if err != nil {
		return err
	}
	if at != "/area" {
		return fmt.Errorf("the envelope's activation leads to %s", at)
	}
	t.done("the citizen opens the envelope at /busta: user name %s, PIN and the hand-out's code, a password of one's own: level media", busta.Username)
	body, at, err := site.Get(ctx, "/servizi/"+page.Enrolment+"/compila")
	refused := (*page.ServerError)(nil)
	if err != nil && !errors.As(err, &refused) {
		return err
	}
	if at != "/accedi" || !strings.Contains(strings.ToLower(string(body)), "forte") {
		return fmt.Errorf("the nursery's form opens at level media (%s)", at)
	}
	t.done("the nursery's form needs more: the window names the credential forte (a card), how to get it, and leads back")
	return nil
}

// application goes from the form to the answer that the citizen reads.
func application(ctx context.Context, t *steps, site *page.Site, link *page.Link, citizen pki.Person, fingerprint string, desk operator) error {
	mine, err := site.Apply(ctx, page.Enrolment, page.Nursery())
	if err != nil {
		return err
	}
	content, _, err := site.Get(ctx, mine+"/documento.pdf")
	if err != nil {
		return err
	}
	t.done("the form in its five steps, warnings and notice accepted; the document to be signed is a PDF of %d bytes", len(content))
	signed, err := link.Sign([]page.Document{{Name: "istanza.pdf", MediaType: "application/pdf", Bytes: content}}, false, citizen.CF, fingerprint)
	if err != nil {
		return err
	}
	t.done("consent, PIN, signed by the card: CAdES-B-B, %d bytes", len(signed[0]))
	next, protocol, err := site.Submit(ctx, mine, signed[0])
	if err != nil {
		return err
	}
	if next != mine || protocol == "" {
		return fmt.Errorf("the signed application leads to %s, protocol %q", next, protocol)
	}
	t.done("server verified the signature, stored it and registered it: protocol %s", protocol)
	p7m, _, err1 := site.Get(ctx, mine+"/firmato/1")
	report, _, err2 := site.Get(ctx, mine+"/rapporto.json")
	receipt, _, err3 := site.Get(ctx, mine+"/ricevuta.pdf")
	seal, _, err4 := site.Get(ctx, "/sigillo.pem")
	if err := errors.Join(err1, err2, err3, err4, save("istanza.p7m", p7m), save("istanza.pdf", content), save("ricevuta.pdf", receipt), save("report.json", report), save("ENTE.pem", seal)); err != nil {
		return err
	}
	var all struct {
		Signatures []struct{ Report validation.Report }
	}
	if err := json.Unmarshal(report, &all); err != nil {
		return err
	}
	if len(all.Signatures) != 1 {
		return fmt.Errorf("%d signatures in the report: %s", len(all.Signatures), report)
	}
	r := all.Signatures[0].Report
	if len(r.Signatures) != 1 || r.Signatures[0].Indication != validation.TotalPassed {
		return fmt.Errorf("the report does not say TOTAL-PASSED: %s", report)
	}
	t.done("receipt: protocol %s, %s, %s %s by %s", protocol, r.Signatures[0].Indication, r.Signatures[0].Format, r.Signatures[0].Level, r.Signatures[0].Signer.CodiceFiscale)
	if err := answered(ctx, t, site, mine, desk); err != nil {
		return err
	}
	return genuine(ctx, t)
}

// operator of the demo, as the server has printed it.
type operator struct{ user, password string }

var printed = regexp.MustCompile(`(?m)^  (\S{16})  password (\S+)  R20 `)

// findOperator is the one who answers.
func findOperator(output string) (operator, error) {
	m := printed.FindStringSubmatch(output)
	if m == nil {
		return operator{}, errors.New("the server has printed no operator of Istruzione")
	}
	return operator{m[1], m[2]}, nil
}

// answered: the office takes it in charge and answers, and the citizen reads the answer.
func answered(ctx context.Context, t *steps, citizen *page.Site, mine string, o operator) error {
	const console, words = "/consolleente", "Domanda accolta: il posto è al nido Arcobaleno."
	desk := page.NewSite(citizen.Base)
	at, err := form(ctx, desk, console+"/accedi", console+"/accedi", url.Values{"ente": {"prova"}, "user": {o.user}, "password": {o.password}})
	if err != nil {
		return err
	}
	queue, _, err := desk.Get(ctx, console+"/pratiche")
	if err != nil {
		return err
	}
	if !strings.Contains(string(queue), console+mine) {
		return fmt.Errorf("the application is not in the office's queue (logged in at %s)", at)
	}
	t.done("at the desk, an operator of Istruzione logs in and finds the application in the queue")
	for _, act := range []struct {
		path   string
		fields url.Values
	}{{"carico", nil}, {"risposta", url.Values{"words": {words}}}} {
		if _, err := form(ctx, desk, console+mine, console+mine+"/"+act.path, act.fields); err != nil {
			return fmt.Errorf("%s: %w", act.path, err)
		}
	}
	t.done("taken in charge and answered: %q", words)
	body, _, err := citizen.Get(ctx, mine)
	if err != nil {
		return err
	}
	if !strings.Contains(string(body), "Domanda accolta") {
		return errors.New("the citizen does not see the answer")
	}
	t.done("the citizen reads the answer on the application's page")
	return nil
}

// genuine: our own verifier, poppler and openssl look at the receipt, with nothing but the
// certificate of the ente's pages.
func genuine(ctx context.Context, t *steps) error {
	const pdfsig = "pdfsig"
	sealed := "citel-agent verify"
	run := func(want, name string, args ...string) error {
		out, err := exec.CommandContext(ctx, name, args...).CombinedOutput() //nolint:gosec // fixed words
		if missing := (*exec.Error)(nil); errors.As(err, &missing) {
			fmt.Printf("%11s  %s is not here (make deps): not asked\n", "", name)
			return nil
		}
		if name == pdfsig {
			sealed += " and " + pdfsig
		}
		if err != nil || !strings.Contains(string(out), want) {
			return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
		}
		return nil
	}
	receipt, seal := filepath.Join(dir, "ricevuta.pdf"), filepath.Join(dir, "ENTE.pem")
	agent, err := filepath.Abs("build/citel-agent")
	if err != nil {
		return err
	}
	if err := errors.Join(run("TOTAL-PASSED", agent, "verify", "--offline", "--json", "--trust", seal, receipt), run("Signature is Valid", pdfsig, "-nocert", receipt),
		run("uccessful", "openssl", "cms", "-verify", "-inform", "DER", "-in", filepath.Join(dir, "istanza.p7m"), "-CAfile", filepath.Join(dir, "ca.pem"), "-purpose", "any", "-out", "/dev/null")); err != nil {
		return err
	}
	t.done("genuine: %s on the sealed receipt, openssl on the signed application", sealed)
	fmt.Printf("\nin %s: istanza.p7m istanza.pdf ricevuta.pdf ENTE.pem report.json ca.pem token.json origin nonce\n", dir)
	fmt.Printf("others can check it: openssl cms -verify -inform DER -in %[1]s/istanza.p7m -CAfile %[1]s/ca.pem -purpose any -out /dev/null\n", dir)
	fmt.Printf("                     build/citel-agent verify --trust %[1]s/ENTE.pem %[1]s/ricevuta.pdf\n", dir)
	return nil
}
