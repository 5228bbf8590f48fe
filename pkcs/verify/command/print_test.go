package command_test

import (
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/pkcs/validation"
	"github.com/citel-pa/citel/pkcs/verify"
	"github.com/citel-pa/citel/pkcs/verify/command"
	"github.com/citel-pa/citel/testdata/signed"
)

// What a person reads: the answer first, why, what to do; names as people write them, and
// no word of a program or of a standard's notation.
func TestPrintedForPeople(t *testing.T) {
	d := signed.Shared(t)
	for name, want := range map[string][]string{
		"valid":     {"firma 1: VALIDA\n", "codice fiscale", "Carta nazionale dei servizi"},
		"qualified": {"firma 1: VALIDA\n", "firma digitale"},
		"stamped":   {"firma 1: VALIDA\n", "marca temporale sulla firma"},
		"changed":   {"firma 1: NON VALIDA (HASH_FAILURE)\n", "Perché: il documento è cambiato", "Che cosa fare: "},
		"revoked":   {"firma 1: NON SI PUÒ DIRE (REVOKED_NO_POE)\n", "Perché: il certificato è stato revocato", "Che cosa fare: "},
		"expired":   {"firma 1: NON SI PUÒ DIRE (OUT_OF_BOUNDS_NO_POE)\n", "Perché: il certificato è scaduto", "Che cosa fare: "},
		"unknown":   {"firma 1: NON SI PUÒ DIRE (NO_CERTIFICATE_CHAIN_FOUND)\n", "l'ha emesso «CiTel TEST CNS CA»", "Che cosa fare: "},
		"hostile":   {"firma 1: VALIDA\n"},
		"pdf":       {"firma 1: VALIDA\n", "firma 2: VALIDA\n"},
	} {
		results, err := verify.Reader(t.Context(), strings.NewReader(string(d.Files[name].Data)), verify.Options{Store: d.Store, Time: time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		if err := command.Print(&out, d.Files[name].Name, results, message.Italian); err != nil {
			t.Fatal(err)
		}
		for _, w := range want {
			if !strings.Contains(out.String(), w) {
				t.Errorf("%s lacks %q:\n%s", name, w, out.String())
			}
		}
		for _, w := range []string{"CN=", "SERIALNUMBER", "keyCompromise", "no anchor", "profile:", "advanced-", "FAIL ", "INFORM", "\x1b", "\u202e", "verify.", "report.", "command."} {
			if strings.Contains(out.String(), w) {
				t.Errorf("%s says %q:\n%s", name, w, out.String())
			}
		}
	}
	var none strings.Builder
	if err := command.Print(&none, "x\x1b[2J", []*validation.Result{{Facts: &validation.Facts{Format: "ASiC", Unread: true}, Indication: validation.Indeterminate}}, message.Italian); err != nil || strings.Contains(none.String(), "\x1b") || strings.Contains(none.String(), "Firmatario") {
		t.Errorf("%q, %v", none.String(), err)
	}
}
