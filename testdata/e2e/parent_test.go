package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/citel-pa/citel/testdata/chromium"
	"github.com/citel-pa/citel/testdata/page"
	"github.com/citel-pa/citel/testdata/pki"
	"github.com/citel-pa/citel/testdata/smtp"
	"github.com/citel-pa/citel/testdata/stack"
)

// A parent with the card: from the sheet of the nursery to the answer and its genuine
// receipt, with a server that is started anew in the middle of the form and after the answer.
func TestAParentWithTheCard(t *testing.T) {
	t.Parallel()
	w, d := newScreen(t), newDesk(t, pki.CNS)
	d.insert(t, nil)
	post, h := smtp.Start(t, false), newHouse(t, d.Stack)
	h.postTo(post)
	agent(t, d.Stack, stack.AgentOptions{Native: true, Ports: []int{agentPort(t)}, Env: append(d.pcsc.Env(), w.env...)})
	steps := page.Nursery()
	steps[len(steps)-1].Set("diet", "medical")
	picture := filepath.Join(t.TempDir(), "certificato.png")
	if err := os.WriteFile(picture, page.Picture(80, 60), 0o600); err != nil {
		t.Fatal(err)
	}

	// The parent begins, and leaves after the second step.
	parent := keyboard{t, browser(t)}
	ctx := parent.ctx
	parent.open(h.origin+"/servizi/iscrizione-nido", "Iscrizione al nido comunale")
	shot(t, ctx, "parent-1-sheet")
	parent.click("#begin")
	where(t, ctx, "/accedi")
	parent.click("#start")
	w.login(d.pin)
	where(t, ctx, "/servizi/iscrizione-nido/compila")
	fillStep(t, ctx, steps[0])
	do(t, ctx, "the second step", chromium.Seen("#f-relation"))
	for name := range steps[1] {
		answer(t, ctx, name, steps[1].Get(name))
	}
	shot(t, ctx, "parent-2-step")
	parent.click("button[value=esci]")
	parent.where("La bozza è salvata")
	h.restart()

	// It goes on where it was left.
	parent.open(h.origin+"/pratiche", "Iscrizione al nido")
	parent.open(h.origin+"/servizi/iscrizione-nido", "Riprendi la bozza")
	parent.click("#drafts a")
	for _, step := range steps[2:] {
		fillStep(t, ctx, step)
	}
	do(t, ctx, "the certificate", chromium.Seen("input[type=file]#f-diet"))
	do(t, ctx, "the certificate", chromium.Upload("input[type=file]#f-diet", picture))
	parent.click("#s-diet form[data-upload] button")
	parent.where("certificato.png")
	shot(t, ctx, "parent-3-attachment")
	parent.click("a#next")
	do(t, ctx, "the answers", chromium.Seen("#privacy"))
	parent.reads("check your answers", "Nina", "Esempio è", steps[1].Get("email"), "Genitore", "certificato.png", d.who.CF)
	shot(t, ctx, "parent-4-check")
	confirm(t, ctx)
	do(t, ctx, "the signature", chromium.Seen("#card-sign"))
	id := strings.Split(parent.path(), "/")[2]
	shot(t, ctx, "parent-5-sign")
	w.gone()
	parent.click("#start")
	w.read(ctx, d.pin, "Iscrizione al nido", "parent-6-window")
	where(t, ctx, "/pratiche/"+id)
	number := do(t, ctx, "the number", chromium.Text("#protocol"))
	if !strings.Contains(number, "/0000001") {
		t.Errorf("protocol %q", number)
	}
	parent.reads("sent", "Abbiamo ricevuto la pratica", id)
	shot(t, ctx, "parent-7-sent")
	mailAbout(t, post, steps[1].Get("email"), number)

	// The office finds it, takes it, and asks for more.
	office := h.login("R20")
	office.open(h.origin+"/consolleente/pratiche", number)
	shot(t, office.ctx, "parent-8-queue")
	office.click("a[href='/consolleente/pratiche/" + id + "']")
	office.where("Nina")
	office.reads("at the office", d.who.CF, "lett. a", "certificato.png", "Arcobaleno")
	office.deed("carico", "")
	office.deed("integrazione", "Manca il secondo lato del certificato.")
	shot(t, office.ctx, "parent-9-office")

	// The mail leads the parent to it, who answers with a file.
	link := mailAbout(t, post, steps[1].Get("email"), "integrazione")
	do(t, ctx, "the mail's link", chromium.Navigate(link))
	where(t, ctx, "/pratiche/"+id)
	parent.reads("asked for more", "ti ha chiesto qualcosa in più", "Manca il secondo lato del certificato.")
	do(t, ctx, "words", chromium.SetValue("#words", "Ecco il secondo lato."))
	do(t, ctx, "file", chromium.Upload("#file", picture))
	shot(t, ctx, "parent-10-reply")
	parent.click("button[name=do][value=send]")
	parent.where("La tua risposta è arrivata")

	// The office answers.
	office.open(h.origin+"/consolleente/pratiche/"+id, "Ecco il secondo lato.")
	office.deed("risposta", "La domanda è accolta: il posto è al nido Arcobaleno.")
	shot(t, office.ctx, "parent-11-answered")
	mailAbout(t, post, steps[1].Get("email"), "risposta")
	h.restart()

	// The parent reads it, and takes the papers home.
	parent.open(h.origin+"/pratiche/"+id, "La domanda è accolta: il posto è al nido Arcobaleno.")
	parent.reads("answered", number, "ha risposto", "Ecco il secondo lato.")
	shot(t, ctx, "parent-12-answer")
	parent.open(h.origin+"/verifica-ricevuta", "citel-agent verify --trust")
	shot(t, ctx, "parent-13-seal")
	dir, at := t.TempDir(), "/pratiche/"+id
	seal := parent.download(dir, "/sigillo.pem")
	for _, pdf := range []string{"ricevuta.pdf", "risposta.pdf"} {
		name := parent.download(dir, at+"/"+pdf)
		says(t, "TOTAL-PASSED", d.Agent, "verify", "--offline", "--json", "--trust", seal, name)
		says(t, "Signature is Valid", "pdfsig", "-nocert", name)
		says(t, number, "pdftotext", name, "-")
	}
	signed, read := parent.download(dir, at+"/firmato/1"), parent.get(at+"/documento.pdf")
	out, err := exec.Command("openssl", "cms", "-verify", "-inform", "DER", "-in", signed, "-CAfile", filepath.Join(d.Dir, "ca.pem"), "-purpose", "any", "-binary").Output() //nolint:gosec // fixed words
	if err != nil || !bytes.Equal(out, read) {
		t.Errorf("openssl: %v, %d bytes of %d", err, len(out), len(read))
	}

	// And says how it was.
	parent.open(h.origin+at, "La domanda è accolta")
	parent.click("label[for=star-5]")
	parent.click(".rate-positive label")
	parent.click("form[action$='/valuta'] button")
	parent.where("Grazie")
	shot(t, ctx, "parent-14-rated")
}
