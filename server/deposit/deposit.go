// Package deposit makes packages for conservazione (versamento): for each day its protocol
// register, and for each file that ended its documents, with an index of names, hashes
// and metadata. Where they go is an interface; a folder by default. What was not
// acknowledged is shown.
package deposit

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/ente"
	"github.com/citel-pa/citel/server/register"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/store"
	"github.com/citel-pa/citel/server/submission"
)

// Depositary takes packages. A name always has the same content; one that is handed over
// twice is one.
type Depositary interface {
	Deliver(ctx context.Context, ente, name string, r io.Reader) error
	// Acknowledged gives the depositary's answer (rapporto di versamento), empty while
	// there is none.
	Acknowledged(ctx context.Context, ente, name string) (answer string, err error)
}

// Folder is a depositary: packages are written into it, an answer is a file with the
// package's name and ".esito".
type Folder string

// Deliver writes a package, whole or not at all.
func (f Folder) Deliver(_ context.Context, ente, name string, r io.Reader) (err error) {
	dir := filepath.Join(string(f), ente)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(dir, ".new-*")
	if err != nil {
		return err
	}
	_, err = io.Copy(tmp, r)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), filepath.Join(dir, name))
	}
	if err != nil {
		_ = os.Remove(tmp.Name())
	}
	return err
}

// maxAnswer bounds an answer in bytes.
const maxAnswer = 64 << 10

// Acknowledged reads the answer.
func (f Folder) Acknowledged(_ context.Context, ente, name string) (string, error) {
	r, err := os.Open(filepath.Join(string(f), ente, name+".esito"))
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	data, err := io.ReadAll(io.LimitReader(r, maxAnswer))
	return string(data), errors.Join(err, r.Close())
}

// Desk makes, hands over and follows packages.
type Desk struct {
	Store        *store.Store
	Audit        *audit.Log
	Enti         *ente.Directory
	Register     *register.Desk
	Applications *submission.Desk
	To           Depositary // nil: packages are made and wait
	Now          func() time.Time
}

func (d *Desk) now() time.Time {
	if d.Now != nil {
		return d.Now()
	}
	return time.Now()
}

// Document is a line of a package's index.
type Document struct {
	Path        string `json:"path"`
	MediaType   string `json:"mediaType"`
	Title       string `json:"title"`
	SHA256      string `json:"sha256"`
	Bytes       int64  `json:"bytes"`
	Application string `json:"application,omitempty"`
	Protocol    string `json:"protocol,omitempty"`
	Service     string `json:"service,omitempty"`
	Sent        string `json:"sent,omitempty"`
	Closed      string `json:"closed,omitempty"`
	KeepUntil   string `json:"keepUntil,omitempty"`
}

// Index is what a package holds: index.json in it.
type Index struct {
	Format    string     `json:"format"`
	Ente      string     `json:"ente"`
	Name      string     `json:"name"`
	IPA       string     `json:"codiceIPA"`
	AOO       string     `json:"codiceAOO"`
	Made      string     `json:"made"`
	Documents []Document `json:"documents"`
}

// Package is one that was made.
type Package struct {
	Ente, Name, SHA256 string
	Documents          int
	Made, Handed       time.Time
	Acknowledged       time.Time
	Answer, Error      string
	file               string
}

// builder writes a package.
type builder struct {
	z     *zip.Writer
	index Index
	made  time.Time
}

func (b *builder) add(ctx context.Context, x Document, open func(context.Context) (io.ReadCloser, error)) error {
	r, err := open(ctx)
	if err != nil {
		return fmt.Errorf("deposit: %s: %w", x.Path, err)
	}
	w, err := b.z.CreateHeader(&zip.FileHeader{Name: x.Path, Method: zip.Deflate, Modified: b.made})
	if err != nil {
		return errors.Join(err, r.Close())
	}
	h := sha256.New()
	x.Bytes, err = io.Copy(io.MultiWriter(w, h), r)
	x.SHA256 = hex.EncodeToString(h.Sum(nil))
	b.index.Documents = append(b.index.Documents, x)
	return errors.Join(err, r.Close())
}

// make builds a package and writes it down; one that is there is left alone.
func (d *Desk) make(ctx context.Context, e *ente.Ente, name string, fill func(b *builder) error) error {
	var there int
	if err := d.Store.QueryRowContext(ctx, "SELECT count(*) FROM deposit WHERE ente = ? AND name = ?", e.Code, name).Scan(&there); err != nil || there > 0 {
		return err
	}
	tmp, err := os.CreateTemp("", "citel-deposit-*")
	if err != nil {
		return fmt.Errorf("deposit: %w", err)
	}
	defer func() { _ = errors.Join(tmp.Close(), os.Remove(tmp.Name())) }()
	now := d.now().UTC()
	b := &builder{z: zip.NewWriter(tmp), made: now, index: Index{Format: "citel-deposit-1", Ente: e.Name, Name: name, IPA: e.IPA, AOO: e.AOO, Made: store.Time(now), Documents: []Document{}}}
	if err := fill(b); err != nil {
		return err
	}
	text, err := json.MarshalIndent(b.index, "", " ")
	if err != nil {
		return err
	}
	w, err := b.z.CreateHeader(&zip.FileHeader{Name: "index.json", Method: zip.Deflate, Modified: now})
	if err == nil {
		_, err = w.Write(text)
	}
	if err = errors.Join(err, b.z.Close()); err == nil {
		_, err = tmp.Seek(0, io.SeekStart)
	}
	if err != nil {
		return fmt.Errorf("deposit: %w", err)
	}
	h := sha256.New()
	file := "deposit/" + e.Code + "/" + store.NewID()[:12] + "-" + name
	if err := d.Store.WriteFile(ctx, file, io.TeeReader(tmp, h)); err != nil {
		return err
	}
	sum := hex.EncodeToString(h.Sum(nil))
	err = d.Store.Tx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO deposit (ente, name, file, sha256, documents, made) VALUES (?,?,?,?,?,?)", e.Code, name, file, sum, len(b.index.Documents), store.Time(now))
		if err != nil {
			return err
		}
		return d.Audit.WriteTx(ctx, tx, audit.Event{Ente: e.Code, Kind: audit.Deposited, Detail: map[string]string{"package": name, "sha256": sum}})
	})
	if store.IsUnique(err) { // another process was faster
		return d.Store.RemoveFile(ctx, file)
	}
	if err != nil {
		return fmt.Errorf("deposit: %w", err)
	}
	return nil
}

// maxDays bounds how far back one round looks.
const maxDays = 60

// Run makes what is missing for the days whose register is closed, hands over what was
// not, and asks for answers. Every server process may call it.
func (d *Desk) Run(ctx context.Context) error {
	all, err := d.Enti.List(ctx, false)
	if err != nil {
		return err
	}
	var failed error
	for _, e := range all {
		days, err := d.Register.Days(ctx, e.Code, maxDays)
		if err != nil {
			return err
		}
		for _, day := range days {
			failed = errors.Join(failed, d.day(ctx, e, day))
		}
		failed = errors.Join(failed, d.deliver(ctx, e.Code))
	}
	return failed
}

func (d *Desk) day(ctx context.Context, e *ente.Ente, day *register.Day) error {
	err := d.make(ctx, e, "registro-"+day.Day+".zip", func(b *builder) error {
		open := func(name string) func(context.Context) (io.ReadCloser, error) {
			return func(ctx context.Context) (io.ReadCloser, error) { return d.Store.OpenFile(ctx, name) }
		}
		title := "Registro giornaliero di protocollo " + day.Day
		return errors.Join(b.add(ctx, Document{Path: "registro.pdf", MediaType: "application/pdf", Title: title}, open(day.Document)),
			b.add(ctx, Document{Path: "registro.json", MediaType: "application/json", Title: title}, open(day.Data)))
	})
	if err != nil {
		return err
	}
	at, err := time.ParseInLocation(time.DateOnly, day.Day, register.Rome())
	if err != nil {
		return err
	}
	sent, err := d.Applications.SentOn(ctx, e.Code, at)
	if err != nil {
		return err
	}
	if len(sent) > 0 {
		if err := d.make(ctx, e, "giorno-"+day.Day+".zip", func(b *builder) error { return d.files(ctx, b, sent) }); err != nil {
			return err
		}
	}
	closed, err := d.Applications.ClosedOn(ctx, e.Code, at)
	if err != nil {
		return err
	}
	for _, a := range closed {
		if err := d.make(ctx, e, "pratica-"+a.ID+".zip", func(b *builder) error { return d.files(ctx, b, []*submission.Application{a}) }); err != nil {
			return err
		}
	}
	return nil
}

func (d *Desk) files(ctx context.Context, b *builder, all []*submission.Application) error {
	for _, a := range all {
		papers, err := d.Applications.Papers(ctx, a)
		if err != nil {
			return err
		}
		for _, p := range papers {
			x := Document{Path: a.ID + "/" + p.Name, MediaType: p.MediaType, Title: p.Title, Application: a.ID, Protocol: a.Protocol(), Service: a.Service.ID,
				Sent: store.Time(a.Sent), Closed: store.Time(a.Closed), KeepUntil: a.KeepUntil()}
			if err := b.add(ctx, x, p.Open); err != nil {
				return err
			}
		}
	}
	return nil
}

// deliver hands over and asks for answers.
func (d *Desk) deliver(ctx context.Context, code string) error {
	if d.To == nil {
		return nil
	}
	all, err := d.list(ctx, "ente = ? AND acknowledged = '' ORDER BY made, name LIMIT 500", code)
	if err != nil {
		return err
	}
	var failed error
	for _, p := range all { // what is wrong with one keeps no other back
		err := d.hand(ctx, p)
		if err != nil {
			_, down := d.Store.ExecContext(ctx, "UPDATE deposit SET error = ? WHERE ente = ? AND name = ?", plain(err.Error(), 300), p.Ente, p.Name)
			failed = errors.Join(failed, fmt.Errorf("deposit: %s: %w", p.Name, err), down)
		}
		if errors.Is(err, errDown) || ctx.Err() != nil {
			break // the next round asks again
		}
	}
	return failed
}

// errDown: the depositary takes nothing now.
var errDown = errors.New("not handed over")

// plain is a text as every database keeps it: no NUL, no half character.
func plain(text string, bytes int) string {
	text = strings.ReplaceAll(text, "\x00", "")
	return strings.ToValidUTF8(text[:min(len(text), bytes)], "")
}

func (d *Desk) hand(ctx context.Context, p *Package) error {
	if p.Handed.IsZero() {
		r, err := d.Store.OpenFile(ctx, p.file)
		if err != nil {
			return err
		}
		data, err := io.ReadAll(r)
		if err := errors.Join(err, r.Close()); err != nil {
			return err
		}
		if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != p.SHA256 {
			return errors.New("the package is not what was made")
		}
		if err := d.To.Deliver(ctx, p.Ente, p.Name, bytes.NewReader(data)); err != nil {
			return fmt.Errorf("%w: %w", errDown, err)
		}
		if _, err := d.Store.ExecContext(ctx, "UPDATE deposit SET handed = ?, error = '' WHERE ente = ? AND name = ?", store.Time(d.now()), p.Ente, p.Name); err != nil {
			return err
		}
	}
	answer, err := d.To.Acknowledged(ctx, p.Ente, p.Name)
	if err != nil || answer == "" {
		return err
	}
	_, err = d.Store.ExecContext(ctx, "UPDATE deposit SET acknowledged = ?, answer = ?, error = '' WHERE ente = ? AND name = ?", store.Time(d.now()), plain(answer, maxAnswer), p.Ente, p.Name)
	return err
}

// List gives an ente's packages, newest first; missing alone those without an answer.
func (d *Desk) List(ctx context.Context, a role.Actor, missing bool) ([]*Package, error) {
	if err := role.Check(a, a.Ente, role.InfrastructureRead); err != nil {
		return nil, err
	}
	where := "ente = ? ORDER BY made DESC, name LIMIT 500"
	if missing {
		where = "ente = ? AND acknowledged = '' ORDER BY made, name LIMIT 500"
	}
	return d.list(ctx, where, a.Ente)
}

func (d *Desk) list(ctx context.Context, where string, args ...any) ([]*Package, error) {
	rows, err := d.Store.QueryContext(ctx, "SELECT ente, name, file, sha256, documents, made, handed, acknowledged, answer, error FROM deposit WHERE "+where, args...) //nolint:gosec // our own words
	return store.All(rows, err, func(row store.Row) (*Package, error) {
		var p Package
		var made, handed, acknowledged string
		if err := row.Scan(&p.Ente, &p.Name, &p.file, &p.SHA256, &p.Documents, &made, &handed, &acknowledged, &p.Answer, &p.Error); err != nil {
			return nil, fmt.Errorf("deposit: %w", err)
		}
		p.Made, p.Handed, p.Acknowledged = store.ParseTime(made), store.ParseTime(handed), store.ParseTime(acknowledged)
		return &p, nil
	})
}
