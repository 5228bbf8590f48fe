package deposit_test

import (
	"archive/zip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/server/deposit"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/session"
	"github.com/citel-pa/citel/server/submission"
	"github.com/citel-pa/citel/testdata/town"
)

func TestPackages(t *testing.T) {
	town.Each(t, func(t *testing.T, town *town.Town) {
		ctx := t.Context()
		town.Applications.Log = slog.New(slog.DiscardHandler)
		v := submission.Visitor{Ente: "prova", Level: session.Debole, Credential: "w"}
		a, err := town.Applications.Start(ctx, v, "instradamento")
		if err != nil {
			t.Fatal(err)
		}
		values := map[string]string{"topic": "waste", "subject": "Cassonetto", "text": "È pieno"}
		if _, err := town.Applications.Save(ctx, v, a.ID, func(id string) string { return values[id] }, true); err != nil {
			t.Fatal(err)
		}
		if _, err := town.Applications.Make(ctx, v, a.ID, true, a.Service.Privacy.Version); err != nil {
			t.Fatal(err)
		}
		if a, err = town.Applications.Send(ctx, v, a.ID); err != nil {
			t.Fatal(err)
		}
		if err := town.Applications.Withdraw(ctx, v, a.ID, "risolto"); err != nil {
			t.Fatal(err)
		}
		town.Move(48 * time.Hour)
		if err := town.Register.CloseDays(ctx); err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		d := &deposit.Desk{Store: town.Store, Audit: town.Audit, Enti: town.Enti, Register: town.Register, Applications: town.Applications, To: deposit.Folder(filepath.Join(dir, "no", "\x00")), Now: town.Today}
		boss := town.Operator("prova", 1, "R6")
		if err := d.Run(ctx); err == nil {
			t.Error("a depositary that is down, and nobody says so")
		}
		missing, err := d.List(ctx, boss, true)
		told := 0
		for _, p := range missing {
			told += min(len(p.Error), 1)
		}
		if err != nil || len(missing) < 3 || told != 1 {
			t.Fatal(missing, told, err)
		}
		d.To = deposit.Folder(dir)
		for range 2 {
			if err := d.Run(ctx); err != nil {
				t.Fatal(err)
			}
		}
		again, err := d.List(ctx, boss, true)
		if err != nil || len(again) != len(missing) {
			t.Fatal("made twice", again, err)
		}
		name := "pratica-" + a.ID + ".zip"
		z, err := zip.OpenReader(filepath.Join(dir, "prova", name))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = z.Close() }()
		hashes := map[string]string{}
		var index deposit.Index
		for _, f := range z.File {
			r, err := f.Open()
			if err != nil {
				t.Fatal(err)
			}
			data, err := io.ReadAll(r)
			if err := errors.Join(err, r.Close()); err != nil {
				t.Fatal(err)
			}
			sum := sha256.Sum256(data)
			hashes[f.Name] = hex.EncodeToString(sum[:])
			if f.Name == "index.json" {
				if err := json.Unmarshal(data, &index); err != nil {
					t.Fatal(err)
				}
			}
		}
		seen := ""
		for _, x := range index.Documents {
			if hashes[x.Path] != x.SHA256 || x.Protocol != a.Protocol() || x.KeepUntil == "" {
				t.Errorf("%+v", x)
			}
			seen += filepath.Base(x.Path) + " "
		}
		if seen != "comunicazione.pdf ricevuta.pdf passi.json servizio.yaml " || len(hashes) != len(index.Documents)+1 {
			t.Error(seen, len(hashes))
		}
		if err := os.WriteFile(filepath.Join(dir, "prova", name+".esito"), []byte("<esito>accettato\x00\xff</esito>"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := d.Run(ctx); err != nil {
			t.Fatal(err)
		}
		all, err := d.List(ctx, boss, false)
		found := false
		for _, p := range all {
			found = found || p.Name == name && !p.Acknowledged.IsZero() && strings.Contains(p.Answer, "accettato")
		}
		if still, _ := d.List(ctx, boss, true); err != nil || !found || len(still) != len(missing)-1 {
			t.Error(found, len(still), err)
		}
		if _, err := d.List(ctx, town.Operator("prova", 2, "R14"), true); !errors.Is(err, role.ErrDenied) {
			t.Error(err)
		}
		town.Move(6 * 366 * 24 * time.Hour)
		if old, err := town.Applications.Expired(ctx, boss); err != nil || len(old) != 1 {
			t.Error(old, err)
		}
	})
}

// A depositary whose answer to one package cannot be read, or is no text, keeps no other
// package back.
func TestHostileAnswers(t *testing.T) {
	town.Each(t, func(t *testing.T, town *town.Town) {
		ctx, dir, boss := t.Context(), t.TempDir(), town.Operator("prova", 1, "R6")
		town.Applications.Log = slog.New(slog.DiscardHandler)
		d := &deposit.Desk{Store: town.Store, Audit: town.Audit, Enti: town.Enti, Register: town.Register, Applications: town.Applications, To: deposit.Folder(dir), Now: town.Today}
		for n, name := range []string{"a.zip", "b.zip", "c.zip"} {
			sum := sha256.Sum256([]byte(name))
			if err := town.Store.WriteFile(ctx, "deposit/"+name, strings.NewReader(name)); err != nil {
				t.Fatal(err)
			}
			if _, err := town.Store.ExecContext(ctx, "INSERT INTO deposit (ente, name, file, sha256, documents, made) VALUES ('prova',?,?,?,1,?)", name, "deposit/"+name, hex.EncodeToString(sum[:]), town.Today().Add(time.Duration(n)).Format(time.RFC3339)); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(os.MkdirAll(filepath.Join(dir, "prova", "a.zip.esito"), 0o700), // a folder
			os.WriteFile(filepath.Join(dir, "prova", "b.zip.esito"), []byte("ok\x00"+strings.Repeat("è", 40_000)), 0o600), os.WriteFile(filepath.Join(dir, "prova", "c.zip.esito"), []byte("ok"), 0o600)); err != nil {
			t.Fatal(err)
		}
		if err := d.Run(ctx); err == nil {
			t.Error("nobody says so")
		}
		left, err := d.List(ctx, boss, true)
		if err != nil || len(left) != 1 || left[0].Name != "a.zip" || left[0].Error == "" {
			t.Error(left, err)
		}
	})
}
