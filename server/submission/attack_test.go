package submission_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/server/attachment"
	"github.com/citel-pa/citel/server/mandate"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/session"
	"github.com/citel-pa/citel/server/store"
	"github.com/citel-pa/citel/server/submission"
	"github.com/citel-pa/citel/testdata/pki"
)

// filled is a draft with all its answers.
func (c *counter) filled(v submission.Visitor, service string, values map[string]string) *submission.Application {
	c.t.Helper()
	a, err := c.d.Start(context.Background(), v, service)
	if err != nil {
		c.t.Fatal(err)
	}
	if errs, err := c.d.Save(context.Background(), v, a.ID, get(values), true); err != nil || len(errs) > 0 {
		c.t.Fatal(errs, err)
	}
	return a
}

// files counts what the store keeps below a folder, once what was removed is swept.
func (c *counter) files(folder string) (n int) {
	c.t.Helper()
	if c.Store.Engine() == store.Postgres {
		if err := c.Store.QueryRowContext(context.Background(), "SELECT count(*) FROM file WHERE name LIKE ?", folder+"/%").Scan(&n); err != nil {
			c.t.Fatal(err)
		}
		return n
	}
	if err := c.Store.SweepFiles(context.Background(), time.Now().Add(2*time.Hour)); err != nil {
		c.t.Fatal(err)
	}
	dir, err := c.Store.TempDir()
	if err != nil {
		c.t.Fatal(err)
	}
	err = filepath.WalkDir(filepath.Join(dir, "..", "..", "files", folder), func(_ string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			n++
		}
		return err
	})
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		c.t.Fatal(err)
	}
	return n
}

// What is signed lists what is attached with its hash: a file that is taken away or put
// there in another tab, while the document is written, is in no document.
func TestAttachmentsChangedWhileTheDocumentIsMade(t *testing.T) {
	each(t, func(t *testing.T, c *counter) {
		ctx, v := t.Context(), c.visitor(1)
		attach := func(id string) *submission.File {
			f, err := c.d.Attach(ctx, v, id, "file", "a.png", bytes.NewReader(picture(t)), int64(len(picture(t))))
			if err != nil {
				t.Fatal(err)
			}
			return f
		}
		for name, act := range map[string]func(id, file string){
			"taken away": func(id, file string) {
				if err := c.d.Detach(ctx, v, id, file); err != nil {
					t.Fatal(err)
				}
			},
			"another": func(id, _ string) { attach(id) },
		} {
			a := c.filled(v, "instradamento", map[string]string{"topic": "waste", "subject": "Cassonetto", "text": "È pieno"})
			f := attach(a.ID)
			calls := 0
			c.d.Now = func() time.Time { // the second time is asked for once the files are read
				if calls++; calls == 2 {
					act(a.ID, f.ID)
				}
				return c.Today()
			}
			_, err := c.d.Make(ctx, v, a.ID, true, a.Service.Privacy.Version)
			c.d.Now = c.Today
			if !errors.Is(err, submission.ErrState) {
				t.Errorf("%s: %v", name, err)
			}
			if n := c.files("applications"); n != 0 {
				t.Errorf("%s: %d documents of nobody are left", name, n)
			}
			if _, err := c.d.Make(ctx, v, a.ID, true, a.Service.Privacy.Version); err != nil {
				t.Error(name, err)
			}
			if err := c.d.Discard(ctx, v, a.ID); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// Two who sign are two: the own code as the second's leaves no signature out.
func TestNobodyIsTheSecondSigner(t *testing.T) {
	each(t, func(t *testing.T, c *counter) {
		v := c.visitor(1)
		a := c.filled(v, "iscrizione-nido", child(nursery, "other", "consents", "other-cf", pki.Invented(1).CF, "other-signs", "on"))
		if _, err := c.d.Make(t.Context(), v, a.ID, true, a.Service.Privacy.Version); !errors.Is(err, submission.ErrCosigner) {
			t.Error(err)
		}
	})
}

// Who sends the page chooses its id, and with it neither code nor lot in a ranking.
func TestNobodyChoosesTheApplicationsID(t *testing.T) {
	each(t, func(t *testing.T, c *counter) {
		page := store.NewID()
		a, err := c.d.Begin(t.Context(), c.visitor(1), "iscrizione-nido", page, nil)
		if err != nil || a.ID == page || a.ID != c.d.DraftID(page) {
			t.Fatal(a, err)
		}
		if _, err := c.d.Begin(t.Context(), c.visitor(2), "iscrizione-nido", page, nil); !errors.Is(err, submission.ErrBegun) {
			t.Error(err)
		}
	})
}

// Who signs again and again leaves one file, and what is refused none.
func TestSignedFilesDoNotPileUp(t *testing.T) {
	each(t, func(t *testing.T, c *counter) {
		v := c.visitor(1)
		a := c.made(v, "iscrizione-nido", child(nursery))
		for range 3 {
			if _, err := c.d.Sign(t.Context(), v, a.ID, bytes.NewReader(c.signed(a, pki.Invented(1))), message.Italian); err != nil {
				t.Fatal(err)
			}
		}
		if n := c.files("applications"); n != 2 {
			t.Errorf("%d files for a document and a signature", n)
		}
		if _, f, err := c.d.SignedFile(t.Context(), a, 1); err != nil {
			t.Error(err)
		} else if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
}

// A file that the scanner never gets through with keeps no others waiting.
func TestAFileThatBreaksTheScannerKeepsNobodyWaiting(t *testing.T) {
	each(t, func(t *testing.T, c *counter) {
		ctx, v, down := t.Context(), c.visitor(1), true
		bad := append(picture(t), "poison"...)
		c.d.Scanner = readScanner(func(data []byte) error {
			if down || bytes.HasSuffix(data, []byte("poison")) {
				return attachment.ErrScanner
			}
			return nil
		})
		a, err := c.d.Start(ctx, v, "instradamento")
		if err != nil {
			t.Fatal(err)
		}
		for _, data := range [][]byte{bad, picture(t)} {
			if _, err := c.d.Attach(ctx, v, a.ID, "file", "a.png", bytes.NewReader(data), int64(len(data))); err != nil {
				t.Fatal(err)
			}
		}
		down = false
		if err := c.d.ScanWaiting(ctx); !errors.Is(err, attachment.ErrScanner) {
			t.Error("nobody is told", err)
		}
		files, err := c.d.Files(ctx, a)
		if err != nil || len(files) != 2 {
			t.Fatal(files, err)
		}
		for _, f := range files {
			if want := map[bool]submission.FileState{true: submission.FileWaiting, false: submission.FileClean}[f.Size == int64(len(bad))]; f.State != want {
				t.Errorf("%d bytes: %s", f.Size, f.State)
			}
		}
	})
}

type readScanner func([]byte) error

func (s readScanner) Scan(_ context.Context, r io.Reader, _ int64) (attachment.Verdict, error) {
	data, err := io.ReadAll(r)
	if err == nil {
		err = s(data)
	}
	return attachment.Verdict{Clean: err == nil}, err
}

// Attachments that are never sent fill no disk.
func TestUnsentAttachmentsAreBounded(t *testing.T) {
	each(t, func(t *testing.T, c *counter) {
		ctx := t.Context()
		weak := submission.Visitor{Ente: "prova", Level: session.Debole, Credential: "w1"}
		attach := func(v submission.Visitor) error {
			a, err := c.d.Start(ctx, v, "instradamento")
			if err == nil {
				_, err = c.d.Attach(ctx, v, a.ID, "file", "a.png", bytes.NewReader(picture(t)), int64(len(picture(t))))
			}
			return err
		}
		other := weak
		other.Credential = "w2"
		for _, v := range []submission.Visitor{weak, c.visitor(1)} {
			if err := attach(v); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Store.ExecContext(ctx, "UPDATE application_file SET size = ?", 300<<20); err != nil {
				t.Fatal(err)
			}
			if err := attach(v); !errors.Is(err, submission.ErrSpace) {
				t.Error("of another draft", err)
			}
		}
		if err := attach(other); err != nil {
			t.Error("another visitor", err)
		}
	})
}

// Whoever takes an application back is who is named, not who sent it.
func TestWithdrawNamesWhoDidIt(t *testing.T) {
	each(t, func(t *testing.T, c *counter) {
		ctx, v := t.Context(), c.visitor(1)
		principal := c.account(person.Natural, pki.Invented(2).CF)
		m, err := c.d.Mandates.Grant(ctx, c.Operator("prova", 9, "R8"), mandate.Mandate{Kind: mandate.Delegate, Principal: principal.ID, Agent: v.Person.ID, Title: "Delegato", Since: c.Today().Format(time.DateOnly), Proof: "Delega"})
		if err != nil {
			t.Fatal(err)
		}
		v.Mandate = m.ID
		a := c.made(v, "instradamento", map[string]string{"topic": "waste", "subject": "Cassonetto", "text": "È pieno"})
		if a, err = c.d.Send(ctx, v, a.ID); err != nil {
			t.Fatal(err)
		}
		own := c.visitor(2)
		if err := c.d.Withdraw(ctx, own, a.ID, "Ci ho ripensato"); err != nil {
			t.Fatal(err)
		}
		steps, err := c.d.Steps(ctx, a)
		if last := steps[len(steps)-1]; err != nil || last.Kind != "withdraw" || last.Person != principal.ID {
			t.Errorf("%+v %v", last, err)
		}
	})
}
