package submission

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"slices"

	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/service"
	"github.com/citel-pa/citel/server/store"
)

// maxUnsent bounds the bytes of what is attached and was not sent, over all drafts.
const maxUnsent = 300 << 20

// DraftID is the id of the draft that begins with a page's id. Whoever sends the page could
// choose that one; what follows from an application's id, as its code and its lot in a
// ranking, nobody chooses.
func (d *Desk) DraftID(page string) string { return d.Keys.Alias("draft", page) }

// space refuses what would be too much to keep unsent.
func space(ctx context.Context, tx *sql.Tx, a *Application, more int64) error {
	var n int64
	err := tx.QueryRowContext(ctx, `SELECT coalesce(sum(f.size), 0) FROM application_file f JOIN application a ON a.id = f.application
		WHERE f.sent = 0 AND a.ente = ? AND a.person = ? AND (a.person <> 0 OR a.credential = ?)`, a.Ente, a.Person, a.Credential).Scan(&n)
	if err == nil && n+more > maxUnsent {
		err = ErrSpace
	}
	return err
}

// otherSigners: who signs besides is somebody else. The own code there would make of two
// signatures that a service asks for one.
func (d *Desk) otherSigners(ctx context.Context, a *Application) error {
	if len(a.Service.Signers(a.Fields)) == 0 || a.Actor() == 0 {
		return nil
	}
	who, err := person.Get(ctx, d.Store, a.Actor())
	// Who applies may well be one of several partners, and signs once.
	if err == nil && slices.ContainsFunc(a.Service.Cosigners, func(c service.Cosigner) bool {
		return a.Fields[c.Field] == who.CodiceFiscale && c.When.Holds(a.Fields)
	}) {
		err = ErrCosigner
	}
	return err
}

// sameFiles tells whether what is attached is what the document lists.
func sameFiles(ctx context.Context, tx *sql.Tx, id string, listed []*File) (bool, error) {
	rows, err := tx.QueryContext(ctx, "SELECT id FROM application_file WHERE application = ? ORDER BY created, id", id)
	if err != nil {
		return false, err
	}
	now, err := store.Strings(rows)
	return slices.EqualFunc(now, listed, func(id string, f *File) bool { return id == f.ID }), err
}

// unmade takes a document away that did not become the application's. Another request may
// have made the very same bytes a moment before, and then it is; or the draft was thrown
// away, or has ended, meanwhile, and then nothing would ever name what is in it.
func (d *Desk) unmade(ctx context.Context, a *Application) {
	ctx = context.WithoutCancel(ctx)
	var sum []byte
	err := d.Store.QueryRowContext(ctx, "SELECT sha256 FROM application WHERE id = ?", a.ID).Scan(&sum)
	if errors.Is(err, sql.ErrNoRows) || err == nil && !bytes.Equal(sum, a.SHA256) {
		d.remove(ctx, a.documentFile())
	}
}
