package deposit_test

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/pkcs/cades"
	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/pkcs/profile"
	"github.com/citel-pa/citel/pkcs/trust"
	"github.com/citel-pa/citel/pkcs/validation"
	"github.com/citel-pa/citel/server/deposit"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/session"
	"github.com/citel-pa/citel/server/submission"
	"github.com/citel-pa/citel/testdata/page"
	"github.com/citel-pa/citel/testdata/pki"
	"github.com/citel-pa/citel/testdata/town"
)

// What was signed is kept whole: the package of its file has document, signed file, report,
// attachment, receipt and answer, each with its hash in the index, and the signed file in it
// verifies with openssl against the document beside it.
func TestPackageOfASignedFile(t *testing.T) {
	town.Each(t, func(t *testing.T, w *town.Town) {
		ctx, dir := t.Context(), t.TempDir()
		p, err := pki.New()
		if err != nil {
			t.Fatal(err)
		}
		anchors := trust.NewStore(trust.AllowTest())
		if _, err := anchors.AddPEM(p.AnchorsPEM(pki.CNS), "cns", profile.CNS); err != nil {
			t.Fatal(err)
		}
		list, err := p.CRL(p.CNS)
		if err == nil {
			err = anchors.AddCRL(list, "cns")
		}
		if err != nil {
			t.Fatal(err)
		}
		desk := w.Applications
		desk.Trust, desk.Revocation, desk.Policy, desk.Log = anchors, &trust.Revocation{Store: anchors}, validation.Strict(), slog.New(slog.DiscardHandler)
		var who *person.Person
		err = w.Store.Tx(ctx, func(tx *sql.Tx) (err error) {
			who, err = person.EnsureAccount(ctx, tx, person.Natural, pki.Invented(20).CF, "Prova", "Esempio", w.Today())
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		picture := page.Picture(8, 8)
		v := submission.Visitor{Ente: "prova", Level: session.Forte, Profile: "cns", Person: who, Address: "192.0.2.1:1"}
		values := map[string]string{"child-given": "Bimba", "child-family": "Esempio", "child-cf": pki.Child(1).CF, "child-born": "2024-05-01", "relation": "guardian", "email": "tutrice@example.org",
			"other": "none", "first": "girasole", "time": "full", "vaccination": "done"}
		a, err := desk.Start(ctx, v, "iscrizione-nido")
		if err == nil {
			_, err = desk.Save(ctx, v, a.ID, func(id string) string { return values[id] }, true)
		}
		if err == nil {
			_, err = desk.Attach(ctx, v, a.ID, "custody", "decreto.png", bytes.NewReader(picture), int64(len(picture)))
		}
		if err == nil {
			a, err = desk.Make(ctx, v, a.ID, true, a.Service.Privacy.Version)
		}
		if err != nil {
			t.Fatal(err)
		}
		content := read(t)(desk.Document(ctx, a))
		id := p.MustIssue(t, pki.CNS, pki.P256, pki.Invented(20))
		var signed bytes.Buffer
		err = cades.Sign(ctx, cades.SignOptions{Certificate: id.Cert, SigningTime: time.Now(), Sign: func(_ context.Context, sum []byte, o crypto.SignerOpts) ([]byte, error) {
			return id.Key.Sign(rand.Reader, sum, o)
		}},
			bytes.NewReader(content), int64(len(content)), &signed)
		if err == nil {
			_, err = desk.Sign(ctx, v, a.ID, &signed, message.Italian)
		}
		if err == nil {
			a, err = desk.Send(ctx, v, a.ID)
		}
		school := w.Operator("prova", 5, "R20")
		if err := errors.Join(err, desk.Answer(ctx, school, a.ID, "Accolta"), desk.Close(ctx, school, a.ID, "")); err != nil {
			t.Fatal(err)
		}
		w.Move(48 * time.Hour)
		d := &deposit.Desk{Store: w.Store, Audit: w.Audit, Enti: w.Enti, Register: w.Register, Applications: desk, To: deposit.Folder(dir), Now: w.Today}
		if err := errors.Join(w.Register.CloseDays(ctx), d.Run(ctx)); err != nil {
			t.Fatal(err)
		}
		z, err := zip.OpenReader(filepath.Join(dir, "prova", "pratica-"+a.ID+".zip"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = z.Close() }()
		files := map[string][]byte{}
		for _, f := range z.File {
			files[f.Name] = read(t)(f.Open())
		}
		var index deposit.Index
		if err := json.Unmarshal(files["index.json"], &index); err != nil {
			t.Fatal(err)
		}
		at := map[string]string{}
		for _, x := range index.Documents {
			sum := sha256.Sum256(files[x.Path])
			if hex.EncodeToString(sum[:]) != x.SHA256 || x.Protocol != a.Protocol() {
				t.Errorf("%+v", x)
			}
			at[filepath.Base(x.Path)] = x.Path
		}
		for _, want := range []string{"istanza.pdf", "istanza-1.pdf.p7m", "rapporto-1.json", "allegato-01.png", "ricevuta.pdf", "risposta.pdf", "passi.json", "servizio.yaml"} {
			if at[want] == "" {
				t.Errorf("no %s in %v", want, at)
			}
		}
		if !bytes.Equal(files[at["istanza.pdf"]], content) || !bytes.Equal(files[at["allegato-01.png"]], picture) || !strings.Contains(string(files[at["rapporto-1.json"]]), "TOTAL-PASSED") {
			t.Error("what is kept is not what was sent")
		}
		p7m, ca := filepath.Join(t.TempDir(), "istanza.p7m"), filepath.Join(t.TempDir(), "ca.pem")
		if err := errors.Join(os.WriteFile(p7m, files[at["istanza-1.pdf.p7m"]], 0o600), os.WriteFile(ca, slices.Concat(p.AnchorsPEM(), p.AnchorsPEM(pki.CNS)), 0o600)); err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(ctx, "openssl", "cms", "-verify", "-inform", "DER", "-in", p7m, "-CAfile", ca, "-purpose", "any", "-binary").Output() //nolint:gosec // fixed words
		if err != nil || !bytes.Equal(out, content) {
			t.Errorf("openssl: %v, %d bytes of %d", err, len(out), len(content))
		}
	})
}

// read gives all of what was opened.
func read(t *testing.T) func(io.ReadCloser, error) []byte {
	return func(r io.ReadCloser, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err := errors.Join(err, r.Close()); err != nil {
			t.Fatal(err)
		}
		return data
	}
}
