package submission_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"database/sql"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/pkcs/cades"
	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/pkcs/profile"
	"github.com/citel-pa/citel/pkcs/trust"
	"github.com/citel-pa/citel/pkcs/validation"
	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/ente"
	"github.com/citel-pa/citel/server/keys"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/service"
	"github.com/citel-pa/citel/server/store"
	"github.com/citel-pa/citel/server/submission"
	"github.com/citel-pa/citel/testdata/pki"
)

// desk is an office with one citizen, whose draft it signs.
type desk struct {
	office  *submission.Office
	citizen *person.Person
	pki     *pki.PKI
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	dir := t.TempDir()
	db, err := store.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	ring, err := keys.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	p, err := pki.New() // of its own: the revocation of one test is not another's
	if err != nil {
		t.Fatal(err)
	}
	p.CRLURL = "http://127.0.0.1:9/" // names a list, and nobody answers
	anchors := trust.NewStore(trust.AllowTest())
	if _, err := anchors.AddPEM(p.AnchorsPEM(pki.CNS), "cns", profile.CNS); err != nil {
		t.Fatal(err)
	}
	d := &desk{pki: p, office: &submission.Office{
		Ente: ente.Ente{Code: "DEMO", Name: "Comune di Prova"}, Store: db, Trust: anchors, Revocation: &trust.Revocation{Store: anchors},
		Policy: validation.Strict(), Keys: ring, Audit: &audit.Log{Store: db, Keys: ring}, Log: slog.New(slog.DiscardHandler),
	}}
	who := pki.Citizens[0]
	err = db.Tx(t.Context(), func(tx *sql.Tx) (err error) {
		d.citizen, err = person.Ensure(t.Context(), tx, profile.Person{CodiceFiscale: profile.CodiceFiscale(who.CF), Given: who.Given, Family: who.Surname}, time.Now())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *desk) lists(t *testing.T) {
	t.Helper()
	list, err := d.pki.CRL(d.pki.CNS)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.office.Trust.AddCRL(list, "cns"); err != nil {
		t.Fatal(err)
	}
}

// send makes a draft, signs it with a certificate of the kind, and sends it.
func (d *desk) send(t *testing.T, kind pki.Kind) (*submission.Submission, error) {
	t.Helper()
	draft, err := d.office.NewDraft(t.Context(), service.Kindergarten, d.citizen, map[string]string{"child-given": "Prova"})
	if err != nil {
		t.Fatal(err)
	}
	pdf, err := d.office.DraftPDF(t.Context(), draft)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = pdf.Close() }()
	content, err := io.ReadAll(pdf)
	if err != nil {
		t.Fatal(err)
	}
	id := d.pki.MustIssue(t, kind, pki.P256, pki.Citizens[0])
	if kind == pki.Revoked {
		d.pki.Revoke(id.Cert)
		d.lists(t)
	}
	var signed bytes.Buffer
	err = cades.Sign(t.Context(), cades.SignOptions{Certificate: id.Cert, SigningTime: time.Now(),
		Sign: func(_ context.Context, sum []byte, o crypto.SignerOpts) ([]byte, error) {
			return id.Key.Sign(rand.Reader, sum, o)
		},
	}, bytes.NewReader(content), int64(len(content)), &signed)
	if err != nil {
		t.Fatal(err)
	}
	return d.office.Submit(t.Context(), draft, d.citizen, &signed, message.Italian)
}

// A list that cannot be had must not cost the day of the application: it is registered,
// and page, receipt and seal say that it is to be checked.
func TestUnknownRevocationIsKeptToBeChecked(t *testing.T) {
	d := newDesk(t)
	s, err := d.send(t, pki.CNS)
	if err != nil || !s.ToCheck || s.Number.Number != 1 {
		t.Fatalf("%+v, %v", s, err)
	}
	again, err := d.office.Get(t.Context(), s.ID, d.citizen.ID)
	if err != nil || !again.ToCheck {
		t.Fatalf("read again: %+v, %v", again, err)
	}
	var receipt bytes.Buffer
	if err := d.office.Receipt(again, d.citizen, &receipt); err != nil || receipt.Len() == 0 {
		t.Errorf("receipt: %d bytes, %v", receipt.Len(), err)
	}
	// The word is under the receipt's seal.
	if _, err := d.office.Store.ExecContext(t.Context(), "UPDATE submission SET to_check = 0"); err != nil {
		t.Fatal(err)
	}
	if _, err := d.office.Get(t.Context(), s.ID, d.citizen.ID); err == nil || !strings.Contains(err.Error(), "seal") {
		t.Errorf("taken off in the database: %v", err)
	}
}

func TestKnownRevocation(t *testing.T) {
	d := newDesk(t)
	d.lists(t)
	if s, err := d.send(t, pki.CNS); err != nil || s.ToCheck {
		t.Errorf("good: %+v, %v", s, err)
	}
	for _, kind := range []pki.Kind{pki.Revoked, pki.Expired} {
		var invalid *submission.InvalidError
		if s, err := d.send(t, kind); !errors.As(err, &invalid) {
			t.Errorf("%s: %+v, %v", kind, s, err)
		}
	}
}
