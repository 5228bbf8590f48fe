package register_test

import (
	"context"
	"crypto/sha256"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/pkcs/xmldsig"
	"github.com/citel-pa/citel/server/register"
	"github.com/citel-pa/citel/server/seal"
	"github.com/citel-pa/citel/server/store"
	"github.com/citel-pa/citel/server/store/storetest"
	"github.com/citel-pa/citel/testdata/town"
)

const space = "http://www.agid.gov.it/protocollo/"

// rules are what segnatura_protocollo.xsd 3.0.0 asks of the elements that we write: the
// children in their order, or the text, and the attributes that must be there. The schema
// itself is AgID's and is not kept here; where a copy is at hand (CITEL_SEGNATURA_XSD names
// it) xmllint judges by it, too.
var rules = map[string]struct{ children, text, attributes string }{
	"SegnaturaInformatica":         {children: "Intestazione( Riferimenti)? Descrizione Signature", attributes: "versione=3.0.0 lang=it"},
	"Intestazione":                 {children: "Identificatore( PrimaRegistrazione)? Oggetto Classifica( Fascicolo)?( Riservato)?"},
	"Identificatore":               {children: "CodiceAmministrazione CodiceAOO CodiceRegistro NumeroRegistrazione DataRegistrazione( OraRegistrazione)?"},
	"CodiceAmministrazione":        {text: ".+"},
	"CodiceAOO":                    {text: ".+"},
	"CodiceRegistro":               {text: `[A-Za-z0-9_.\-]{1,16}`},
	"NumeroRegistrazione":          {text: "[0-9]{7,}"},
	"DataRegistrazione":            {text: `\d{4}-\d\d-\d\d`},
	"OraRegistrazione":             {text: `\d\d:\d\d:\d\d`},
	"Oggetto":                      {text: ".+"},
	"Classifica":                   {children: "Denominazione (CodiceFlat|CodicePath)"},
	"Denominazione":                {text: ".+"},
	"CodiceFlat":                   {text: ".+"},
	"Descrizione":                  {children: "Mittente( Destinatario)+ DocumentoPrimario( Allegato)*"},
	"Mittente":                     {children: "(Amministrazione|PersonaGiuridica|PersonaFisica|AmministrazioneEstera)"},
	"Destinatario":                 {children: "(Amministrazione|PersonaGiuridica|PersonaFisica|AmministrazioneEstera)"},
	"Amministrazione":              {children: "DenominazioneAmministrazione( CFAmministrazione)? CodiceIPAAmministrazione( CodiceIPAAOO)?"},
	"DenominazioneAmministrazione": {text: ".+"},
	"CFAmministrazione":            {text: "[0-9]{11}"},
	"CodiceIPAAmministrazione":     {text: ".+"},
	"CodiceIPAAOO":                 {text: ".+"},
	"PersonaGiuridica":             {children: "Denominazione( PIVAoCF)?"},
	"PIVAoCF":                      {text: "[0-9]{11}"},
	"PersonaFisica":                {children: "Nome Cognome( CodiceFiscale)?"},
	"Nome":                         {text: ".+"},
	"Cognome":                      {text: ".+"},
	"CodiceFiscale":                {text: "[A-Z]{6}[0-9LMNPQRSTUV]{2}[ABCDEHLMPRST][0-9LMNPQRSTUV]{2}[A-Z][0-9LMNPQRSTUV]{3}[A-Z]"},
	"DocumentoPrimario":            {children: "Descrizione Impronta( firmatoDigitalmente)?( sigillatoElettronicamente)?( marcaturaTemporale)?", attributes: "nomeFile= mimeType="},
	"Allegato":                     {children: "Descrizione Impronta( firmatoDigitalmente)?( sigillatoElettronicamente)?( marcaturaTemporale)?", attributes: "nomeFile= mimeType="},
	"Impronta":                     {text: "[A-Za-z0-9+/]{43}=", attributes: "algoritmo=SHA-256"},
	"firmatoDigitalmente":          {children: "UnDetached"},
	"sigillatoElettronicamente":    {children: "UnDetached"},
	"UnDetached":                   {text: "true"},
}

func follow(t *testing.T, n *xmldsig.Node) {
	t.Helper()
	if n.Space == xmldsig.Space && n.Local == "Signature" {
		return // xmlsec1 and xmllint judge it
	}
	if n.Space != space {
		t.Errorf("%s is in %q", n.Local, n.Space)
	}
	rule, ok := rules[n.Local]
	var names []string
	for _, c := range n.Elements() {
		names = append(names, c.Local)
	}
	if n.Local == "Descrizione" && len(names) == 0 { // of a document
		rule.children, rule.text = "", ".+"
	}
	if !ok || !regexp.MustCompile("^(?:"+rule.children+")$").MatchString(strings.Join(names, " ")) || rule.text != "" && !regexp.MustCompile("(?s)^(?:"+rule.text+")$").MatchString(n.Text()) {
		t.Errorf("%s: %v %q", n.Local, names, n.Text())
	}
	for _, want := range strings.Fields(rule.attributes) {
		name, value, _ := strings.Cut(want, "=")
		found := false
		for _, a := range n.Attrs {
			found = found || a.Space == space && a.Local == name && a.Value != "" && (value == "" || a.Value == value)
		}
		if !found {
			t.Errorf("%s: attribute %s in %+v", n.Local, want, n.Attrs)
		}
	}
	for _, c := range n.Elements() {
		follow(t, c)
	}
}

// A segnatura as AgID's schema wants it, with the ente's seal: its structure by the rules
// above, its signature by xmlsec1 and by us, and by the schema itself where it is at hand.
func TestSegnatura(t *testing.T) {
	sum := sha256.Sum256([]byte("x"))
	body := register.Body{Name: "Comune di Prova", Fiscal: "00743110157"}
	person := register.Subject{Given: "Prova", Family: "Esempio", Code: town.FormOf(1).Code}
	p7m := register.File{Name: "istanza.pdf.p7m", Title: "Istanza", MediaType: "application/pkcs7-mime", SHA256: sum[:], Signed: true}
	pdf := register.File{Name: "a.pdf", Title: "Allegato", MediaType: "application/pdf", SHA256: sum[:], Sealed: true}
	entry := register.Entry{Number: register.Number{Year: 2026, Number: 42}, IPA: "c_prova", AOO: "AOO1", Registry: register.Code, Time: time.Date(2026, 1, 1, 23, 30, 0, 0, time.UTC),
		Direction: register.In, Subject: "Iscrizione <nido> & altro", SHA256: sum[:]}
	out := entry
	unknown := body
	unknown.Fiscal = ""
	out.Direction = register.Out
	place := town.New(t, storetest.New(t, store.SQLite))
	d := &seal.Desk{Store: place.Store, Keys: place.Keys}
	dir := t.TempDir()
	cert, err := d.PEM(t.Context(), "prova", body.Name)
	file, trusted := filepath.Join(dir, "segnatura.xml"), filepath.Join(dir, "ente.pem")
	if err := errors.Join(err, os.WriteFile(trusted, cert, 0o600)); err != nil {
		t.Fatal(err)
	}
	if b, _ := pem.Decode(cert); b == nil {
		t.Fatal("no certificate")
	}
	for name, c := range map[string]struct {
		entry  *register.Entry
		body   register.Body
		sender register.Subject
		files  []register.File
	}{
		"person":      {&entry, body, person, []register.File{p7m, pdf}},
		"nobody":      {&entry, body, register.Subject{Given: "Prova", Family: "Esempio"}, []register.File{pdf}},
		"provisional": {&entry, body, register.Subject{Given: "Prova", Family: "Esempio", Code: "00743110157"}, []register.File{pdf}},
		"company":     {&entry, body, register.Subject{Company: "Esempio <S.r.l.>", Code: "00743110157"}, []register.File{p7m}},
		"one owner":   {&entry, body, register.Subject{Company: "Ditta Esempio", Code: town.FormOf(2).Code}, []register.File{p7m}},
		"out":         {&out, unknown, person, []register.File{p7m}},
	} {
		plain, err := register.Segnatura(c.entry, c.body, "istruzione", c.sender, c.files)
		if err != nil {
			t.Fatal(err)
		}
		signed, err := d.SignXML(t.Context(), "prova", body.Name, plain)
		if err != nil {
			t.Fatal(err)
		}
		x, err := xmldsig.Parse(signed)
		if err != nil {
			t.Fatal(err)
		}
		follow(t, x.Element())
		for _, w := range []string{">0000042<", ">2026-01-02<", ">00:30:00<", "&lt;nido&gt; &amp;"} {
			if !strings.Contains(string(signed), w) {
				t.Errorf("%s: %s is not in\n%s", name, w, signed)
			}
		}
		xmlsec := []string{"xmlsec1", "verify", "--pubkey-cert-pem", trusted, "--id-attr:Id", "http://uri.etsi.org/01903/v1.3.2#:SignedProperties", file}
		judge(t, name, file, string(signed), true, xmlsec...)
		judge(t, name, file, strings.Replace(string(signed), "0000042", "0000043", 1), false, xmlsec...)
		if schema := os.Getenv("CITEL_SEGNATURA_XSD"); schema != "" {
			judge(t, name, file, string(signed), true, "xmllint", "--nonet", "--noout", "--schema", schema, file)
			judge(t, name, file, strings.Replace(string(signed), ">0000042<", ">42<", 1), false, "xmllint", "--nonet", "--noout", "--schema", schema, file)
		}
	}
	for name, change := range map[string]func(e *register.Entry){"IPA": func(e *register.Entry) { e.IPA = "" }, "AOO": func(e *register.Entry) { e.AOO = "" }} {
		e := entry
		change(&e)
		if _, err := register.Segnatura(&e, body, "x", person, []register.File{pdf}); !errors.Is(err, register.ErrCodes) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func judge(t *testing.T, name, file, text string, good bool, command ...string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput() //nolint:gosec // our own words
	if missing := (*exec.Error)(nil); errors.As(err, &missing) {
		t.Fatalf("%s is missing: make deps", command[0])
	}
	if (err == nil) != good {
		t.Errorf("%s: %v: %v\n%s\n%s", name, command, err, out, text)
	}
}
