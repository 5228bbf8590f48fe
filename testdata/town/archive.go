package town

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"

	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/register"
	"github.com/citel-pa/citel/server/store"
)

// The files of what Archived makes.
const (
	ArchivedPDF    = "%PDF-1.7 document"
	ArchivedSigned = "signed document"
)

// Archived puts an application of before services were data into "prova", as the programs
// of that time wrote it (submission.Archive reads it); its id.
func (town *Town) Archived(who *person.Person) string {
	town.t.Helper()
	ctx, id, at, sum := context.Background(), store.NewID(), town.Today(), sha256.Sum256([]byte(ArchivedPDF))
	name := "submissions/" + id[:2] + "/" + id
	err := errors.Join(town.Store.WriteFile(ctx, name+".pdf", strings.NewReader(ArchivedPDF)), town.Store.WriteFile(ctx, name+".p7m", strings.NewReader(ArchivedSigned)))
	if err != nil {
		town.t.Fatal(err)
	}
	signers := `["` + who.CodiceFiscale + `"]`
	report := `{"signatures":[{"format":"CAdES","level":"B-B","indication":"TOTAL-PASSED","signingTime":"2026-01-02T03:04:05Z","signer":{"subject":"CN=Prova","codiceFiscale":"` + who.CodiceFiscale + `","serial":"01"},"kind":"advanced-cns"}]}`
	err = town.Store.Tx(ctx, func(tx *sql.Tx) error {
		e := register.Entry{Ente: "prova", Time: at, Direction: register.In, Party: who.Name() + ", " + who.CodiceFiscale, Subject: "nido", SHA256: sum[:], Document: id}
		if err := register.Enter(ctx, tx, town.Keys, &e); err != nil {
			return err
		}
		sealed, err := json.Marshal([]any{"citel-receipt-1", "prova", id, e.Number.String(), store.Time(at), hex.EncodeToString(sum[:]), json.RawMessage(signers), true, "to-check"})
		if err != nil {
			return err
		}
		seal, err := town.Keys.Seal(sealed)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO submission (id, ente, service, draft, person, fields, year, number, received, sha256, signers, report, facts, seal, test, to_check)
			VALUES (?, 'prova', 'nido', ?, ?, '{}', ?, ?, ?, ?, ?, ?, '[]', ?, 1, 1)`, id, store.NewID(), who.ID, e.Number.Year, e.Number.Number, store.Time(at), sum[:], signers, report, seal)
		return err
	})
	if err != nil {
		town.t.Fatal(err)
	}
	return id
}
