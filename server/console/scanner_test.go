package console_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/citel-pa/citel/server/attachment"
	"github.com/citel-pa/citel/server/store"
	"github.com/citel-pa/citel/server/store/storetest"
	"github.com/citel-pa/citel/testdata/town"
)

// Who opens attachments reads on the first page that nothing scans them; the others, and
// where a scanner is set, do not. The ente's codes are kept for segnatura and receipt.
func TestUnscannedAndBody(t *testing.T) {
	w := town.New(t, storetest.New(t, store.SQLite))
	h := pages(t, w)
	const note = "Gli allegati NON passano da un antivirus"
	urp, boss, printer := as(t, w, h, w.Operator("prova", 60, "R12"), "192.0.2.3:1"), as(t, w, h, w.Operator("prova", 61, "R6"), "192.0.2.4:1"), as(t, w, h, w.Operator("prova", 62, "R14"), "192.0.2.5:1")
	urp.get(path+"/").wants(http.StatusOK, note)
	boss.get(path+"/").wants(http.StatusOK, note)
	if printer.get(path + "/"); strings.Contains(printer.body, note) {
		t.Error("who prints envelopes opens no attachment")
	}
	boss.get(path+"/infrastruttura/ente").wants(http.StatusOK, "Controllo antivirus degli allegati")
	fields := []string{"ente-name", "Comune di Prova", "ipa", "c_prova", "aoo", "AOO1"}
	boss.send(path+"/infrastruttura/ente", append(fields, "fiscal", "00743110158")...).wants(http.StatusUnprocessableEntity)
	boss.send(path+"/infrastruttura/ente", append(fields, "domicile", "non è un indirizzo")...).wants(http.StatusUnprocessableEntity)
	boss.send(path+"/infrastruttura/ente", append(fields, "fiscal", "00743110157", "domicile", "protocollo@pec.comune.example")...).wants(http.StatusSeeOther)
	if e, err := w.Enti.Get(t.Context(), "prova"); err != nil || e.Fiscal != "00743110157" || e.Domicile != "protocollo@pec.comune.example" || e.IPA != "c_prova" {
		t.Errorf("%+v, %v", e, err)
	}
	scanner, err := attachment.NewICAP("icap://127.0.0.1/avscan")
	if err != nil {
		t.Fatal(err)
	}
	w.Applications.Scanner = scanner
	if urp.get(path + "/"); strings.Contains(urp.body, note) {
		t.Error("there is a scanner")
	}
}
