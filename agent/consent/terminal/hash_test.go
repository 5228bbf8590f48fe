package terminal

import (
	"strings"
	"testing"

	"github.com/citel-pa/citel/agent/consent"
)

func TestThroughTheExtension(t *testing.T) {
	face, p := newPerson(t)
	r := login()
	r.Purpose, r.Caller.Extension = consent.PurposeCertificate, true
	ch := ask(t.Context(), face, r)
	p.patient("s = sì", "s\r")
	if got := <-ch; got.err != nil || got.a.CertificateID != "aa" || len(got.a.PIN) != 0 {
		t.Fatalf("%+v", got)
	}
	if text := p.text(); !strings.Contains(text, "tramite l'estensione") || !strings.Contains(text, "il sito riceve il certificato") || strings.Contains(text, "PIN") {
		t.Errorf("%s", text)
	}
	r = login()
	r.Purpose, r.Hash = consent.PurposeHash, &consent.Hash{Function: "SHA-256", Value: []byte{0xab, 0xcd}}
	ch = ask(t.Context(), face, r)
	p.patient("abcd", "s\r")
	p.waitFor("PIN della carta")
	p.types("24680\r")
	if got := <-ch; got.err != nil || string(got.a.PIN) != "24680" {
		t.Fatalf("%+v", got)
	}
	if !strings.Contains(p.text(), "il documento non si può mostrare") {
		t.Errorf("%s", p.text())
	}
}
