package submission

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/register"
	"github.com/citel-pa/citel/server/role"
)

// Behind finds the application that an entry of the register belongs to, where the
// operator may read it; ErrNotFound for what has none.
func (d *Desk) Behind(ctx context.Context, a role.Actor, e *register.Entry) (*Application, error) {
	return d.Look(ctx, a, e.Document)
}

// Segnatura writes the segnatura di protocollo of an entry (DPR 445/2000, art. 55) with
// its documents. It names the party: ErrDenied for whom that is hidden, ErrNotFound for
// paper of the emergency register, which has no electronic document to mark.
func (d *Desk) Segnatura(ctx context.Context, a role.Actor, n register.Number) ([]byte, error) {
	e, err := d.Register.Open(ctx, a, n)
	if err != nil {
		return nil, err
	}
	if e.Hidden {
		return nil, &role.DeniedError{Permission: role.RoutingRead, Ente: a.Ente}
	}
	if len(e.SHA256) == 0 {
		return nil, ErrNotFound
	}
	body, err := d.Enti.Get(ctx, a.Ente)
	if err != nil {
		return nil, err
	}
	// The party was shown: the application's topic may need another right, its segnatura
	// says no more than the register does.
	x, err := d.scan(ctx, d.Store.QueryRowContext(ctx, "SELECT "+appColumns+" FROM application WHERE id = ? AND ente = ?", e.Document, a.Ente))
	if errors.Is(err, ErrNotFound) {
		return register.Segnatura(e, body.Name, "protocollo", register.Subject{Company: e.Party}, []register.File{{Name: "documento", MediaType: "application/octet-stream", Title: e.Subject, SHA256: e.SHA256}})
	}
	if err != nil {
		return nil, err
	}
	owner, _, err := d.people(ctx, x)
	if err != nil {
		return nil, err
	}
	who := register.Subject{Given: owner.Given, Family: owner.Family, Code: owner.CodiceFiscale}
	if owner.Kind == person.Corporate {
		who = register.Subject{Company: owner.Name(), Code: owner.CodiceFiscale}
	}
	files, err := d.marked(ctx, x, e)
	if err != nil {
		return nil, err
	}
	return register.Segnatura(e, body.Name, x.Service.Topic, who, files)
}

// marked are the documents of an entry: the answer, or the application with its
// attachments. The first is what the register has the hash of.
func (d *Desk) marked(ctx context.Context, x *Application, e *register.Entry) ([]register.File, error) {
	if e.Direction == register.Out {
		sealed := true
		if _, err := d.AnswerOf(ctx, x); errors.Is(err, ErrNotFound) {
			sealed = false // of before answers were documents
		} else if err != nil {
			return nil, err
		}
		return []register.File{{Name: "risposta.pdf", MediaType: "application/pdf", Title: e.Subject, SHA256: e.SHA256, Sealed: sealed}}, nil
	}
	out := []register.File{{Name: "istanza.pdf", MediaType: "application/pdf", Title: e.Subject, SHA256: e.SHA256}}
	rows, err := d.Store.QueryContext(ctx, "SELECT name, kind, sha256 FROM application_file WHERE application = ? AND sent = 1 AND slot <> ? ORDER BY created, id", x.ID, SlotMore)
	if err != nil {
		return nil, fmt.Errorf("submission: %w", err)
	}
	return scanMarked(rows, out)
}

func scanMarked(rows *sql.Rows, out []register.File) (_ []register.File, err error) {
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var f File
		if err := rows.Scan(&f.Name, &f.Kind, &f.SHA256); err != nil {
			return nil, fmt.Errorf("submission: %w", err)
		}
		out = append(out, register.File{Name: f.Name, MediaType: f.Kind.MediaType(), Title: f.Name, SHA256: f.SHA256})
	}
	return out, rows.Err()
}
