package submission_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/ente"
	"github.com/citel-pa/citel/server/store/storetest"
	"github.com/citel-pa/citel/server/submission"
	"github.com/citel-pa/citel/testdata/pki"
	"github.com/citel-pa/citel/testdata/town"
)

// A list that cannot be had must not cost the day of the application: it is registered,
// and the office and the receipt say that it is to be checked.
func TestUnknownRevocationIsKeptToBeChecked(t *testing.T) {
	each(t, func(t *testing.T, c *counter) {
		ctx, v := t.Context(), c.visitor(0)
		c.pki.CRLURL = "http://127.0.0.1:9/" // names a list, and nobody answers
		c.anchors()
		a := c.made(v, "iscrizione-nido", child(nursery))
		if _, err := c.d.Sign(ctx, v, a.ID, bytes.NewReader(c.signed(a, pki.Invented(0))), message.Italian); err != nil {
			t.Fatal(err)
		}
		a, err := c.d.Send(ctx, v, a.ID)
		if err != nil || a.State != submission.StateToCheck || a.Number.Number != 1 {
			t.Fatalf("%+v, %v", a, err)
		}
		if again, err := c.d.Get(ctx, v, a.ID); err != nil || again.State != submission.StateToCheck {
			t.Errorf("read again: %+v, %v", again, err)
		}
		said := c.receipt(a, "Da controllare", "non si è potuto sapere", a.Number.String())
		// The word is under the receipt's seal.
		for _, q := range []string{"UPDATE application_signature SET to_check = 0", "UPDATE application SET state = 'sent'"} {
			if _, err := c.Store.ExecContext(ctx, q); err != nil {
				t.Fatal(err)
			}
		}
		if a, err = c.d.Get(ctx, v, a.ID); err != nil || c.receipt(a) != said {
			t.Errorf("taken off in the database: %v", err)
		}
	})
}

// What no signature of the document by who may sign it is, is refused, and the log has it;
// the application waits as before, and the right one is taken.
func TestRefusedSignatures(t *testing.T) {
	each(t, func(t *testing.T, c *counter) {
		ctx, v := t.Context(), c.visitor(0)
		a, who := c.made(v, "iscrizione-nido", child(nursery)), pki.Invented(0)
		doc := c.document(a)
		good := c.pki.MustIssue(t, pki.CNS, pki.P256, who)
		revoked := c.pki.MustIssue(t, pki.CNS, pki.P256, who)
		c.pki.Revoke(revoked.Cert)
		c.Move(time.Minute)
		c.lists()
		forged := c.signedWith(good, doc)
		forged[len(forged)-1] ^= 1
		refused := 0
		for name, x := range map[string]struct {
			file []byte
			want error
		}{
			"revoked":            {c.signedWith(revoked, doc), submission.ErrInvalid},
			"expired":            {c.signedWith(c.pki.MustIssue(t, pki.Expired, pki.P256, who), doc), submission.ErrInvalid},
			"a changed value":    {forged, submission.ErrInvalid},
			"another document":   {c.signedWith(good, append([]byte("x"), doc...)), submission.ErrOtherContent},
			"another's document": {c.signed(c.made(c.visitor(1), "iscrizione-nido", child(nursery)), who), submission.ErrOtherContent},
			"another person":     {c.signed(a, pki.Invented(3)), submission.ErrOtherSigner},
			"no signature":       {doc, submission.ErrNotSigned},
			"nothing":            {nil, submission.ErrNotSigned},
			"too large":          {make([]byte, submission.MaxSigned+1), submission.ErrTooLarge},
		} {
			_, err := c.d.Sign(ctx, v, a.ID, bytes.NewReader(x.file), message.Italian)
			var invalid *submission.InvalidError
			if !errors.Is(err, x.want) || errors.Is(x.want, submission.ErrInvalid) && !errors.As(err, &invalid) {
				t.Errorf("%s: %v", name, err)
			}
			refused++
			if n := storetest.Count(t, c.Store, "SELECT count(*) FROM journal WHERE kind = '"+audit.SignRefused+"'"); n != refused {
				t.Errorf("%s: %d refusals in the log, want %d", name, n, refused)
			}
		}
		if all, err := c.d.Signatures(ctx, a); err != nil || len(all) > 0 {
			t.Error(all, err)
		}
		if _, err := c.d.Send(ctx, v, a.ID); !errors.Is(err, submission.ErrSigners) {
			t.Error(err)
		}
		if _, err := c.d.Sign(ctx, v, a.ID, bytes.NewReader(c.signedWith(good, doc)), message.Italian); err != nil {
			t.Fatal(err)
		}
		if a, err := c.d.Send(ctx, v, a.ID); err != nil || a.State != submission.StateSent || a.Number.Number != 1 {
			t.Errorf("%+v, %v", a, err)
		}
	})
}

// What was sent before services were data is its sender's to read, as it was sealed.
func TestArchive(t *testing.T) {
	town.Each(t, func(t *testing.T, place *town.Town) {
		ctx, c := t.Context(), &counter{Town: place, t: t}
		v, other := c.visitor(1), c.visitor(2)
		id := place.Archived(v.Person)
		x := &submission.Archive{Ente: ente.Ente{Code: "prova", Name: "Comune di Prova"}, Store: place.Store, Keys: place.Keys}
		all, err := x.List(ctx, v.Person.ID)
		if err != nil || len(all) != 1 || all[0].ID != id {
			t.Fatal(all, err)
		}
		s, err := x.Get(ctx, id, v.Person.ID)
		if err != nil || s.Number.Number != 1 || !s.Test || !s.ToCheck || len(s.Report.Signatures) != 1 {
			t.Fatalf("%+v, %v", s, err)
		}
		var receipt bytes.Buffer
		if err := x.Receipt(s, v.Person, &receipt); err != nil || receipt.Len() == 0 {
			t.Error(receipt.Len(), err)
		}
		for want, open := range map[string]func() (io.ReadCloser, error){
			town.ArchivedPDF:    func() (io.ReadCloser, error) { return x.PDF(ctx, s) },
			town.ArchivedSigned: func() (io.ReadCloser, error) { return x.Signed(ctx, s) },
		} {
			f, err := open()
			if err != nil {
				t.Fatal(err)
			}
			if data, err := io.ReadAll(f); errors.Join(err, f.Close()) != nil || string(data) != want {
				t.Errorf("%q: %v", data, err)
			}
		}
		if _, err := x.Get(ctx, id, other.Person.ID); !errors.Is(err, submission.ErrNotFound) {
			t.Error("another person:", err)
		}
		elsewhere := *x
		elsewhere.Ente.Code = "altro"
		if _, err := elsewhere.Get(ctx, id, v.Person.ID); !errors.Is(err, submission.ErrNotFound) {
			t.Error("another ente:", err)
		}
		if _, err := place.Store.ExecContext(ctx, "UPDATE submission SET to_check = 0"); err != nil {
			t.Fatal(err)
		}
		if _, err := x.Get(ctx, id, v.Person.ID); err == nil || !strings.Contains(err.Error(), "seal") {
			t.Errorf("taken off in the database: %v", err)
		}
	})
}
