package service

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/store"
)

//go:embed defaults/*.yaml
var defaultFiles embed.FS

// Defaults are the texts that every ente begins with, by service.
var Defaults = func() map[string][]byte {
	entries, err := defaultFiles.ReadDir("defaults")
	if err != nil {
		panic(err) // embedded
	}
	out := map[string][]byte{}
	for _, e := range entries {
		text, _ := defaultFiles.ReadFile("defaults/" + e.Name()) // embedded
		out[strings.TrimSuffix(e.Name(), ".yaml")] = text
	}
	return out
}()

// Desk publishes services and finds the version that an application was made with.
type Desk struct {
	Store *store.Store
	Audit *audit.Log
	Now   func() time.Time
}

func (d *Desk) now() time.Time {
	if d.Now != nil {
		return d.Now()
	}
	return time.Now()
}

// Errors of this room.
var (
	ErrNotFound = errors.New("service: not found")
	// ErrChanged: somebody else published meanwhile.
	ErrChanged = errors.New("service: another version was published meanwhile")
)

// Version is a definition that was published; number 0 is the default that comes with
// the program and was never published.
type Version struct {
	*Definition
	Number    int
	Text      []byte
	SHA256    string
	Published time.Time
	Operator  int64
}

// Current gives a service's newest version.
func (d *Desk) Current(ctx context.Context, ente, id string) (*Version, error) {
	v, err := d.version(ctx, d.Store, ente, id, 0)
	if errors.Is(err, ErrNotFound) {
		if v, err = preset(id); err != nil {
			return nil, err
		}
		v.Off, err = off(ctx, d.Store, ente, id)
	}
	return v, err
}

// preset is the default, as version 0.
func preset(id string) (*Version, error) {
	text, ok := Defaults[id]
	if !ok {
		return nil, ErrNotFound
	}
	def, err := Parse(text)
	if err != nil {
		return nil, err
	}
	return &Version{Definition: def, Text: text, SHA256: Fingerprint(text)}, nil
}

type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Fix gives the newest version in a transaction, and writes the default down as version 1
// when there is none: what an application was made with must not change with the program.
func (d *Desk) Fix(ctx context.Context, tx *sql.Tx, ente, id string) (*Version, error) {
	v, err := d.version(ctx, tx, ente, id, 0)
	if !errors.Is(err, ErrNotFound) {
		return v, err
	}
	if v, err = preset(id); err != nil {
		return nil, err
	}
	v.Number, v.Published = 1, d.now().UTC()
	if v.Off, err = off(ctx, tx, ente, id); err != nil {
		return nil, err
	}
	return v, d.insert(ctx, tx, ente, v)
}

// At gives the version that an application was made with.
func (d *Desk) At(ctx context.Context, ente, id string, number int) (*Version, error) {
	if number <= 0 {
		return nil, ErrNotFound
	}
	return d.version(ctx, d.Store, ente, id, number)
}

// version reads one; number 0 is the newest.
func (d *Desk) version(ctx context.Context, q querier, ente, id string, number int) (*Version, error) {
	var v Version
	var text, published string
	query, args := "SELECT version, content, sha256, published, operator FROM service_version WHERE ente = ? AND service = ?", []any{ente, id}
	if number > 0 {
		query, args = query+" AND version = ?", append(args, number)
	}
	err := q.QueryRowContext(ctx, query+" ORDER BY version DESC LIMIT 1", args...).Scan(&v.Number, &text, &v.SHA256, &published, &v.Operator)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("service: %w", err)
	}
	if Fingerprint([]byte(text)) != v.SHA256 {
		return nil, fmt.Errorf("service: version %d is not what was published", v.Number)
	}
	v.Text, v.Published = []byte(text), store.ParseTime(published)
	if v.Definition, err = Parse(v.Text); err != nil {
		return nil, err
	}
	v.Off, err = off(ctx, q, ente, id)
	return &v, err
}

// List gives the newest version of each of an ente's services, by id.
func (d *Desk) List(ctx context.Context, ente string) ([]*Version, error) {
	rows, err := d.Store.QueryContext(ctx, "SELECT DISTINCT service FROM service_version WHERE ente = ?", ente)
	if err != nil {
		return nil, fmt.Errorf("service: %w", err)
	}
	ids, err := store.Strings(rows)
	if err != nil {
		return nil, fmt.Errorf("service: %w", err)
	}
	for id := range Defaults {
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	out := make([]*Version, 0, len(ids))
	for _, id := range ids {
		v, err := d.Current(ctx, ente, id)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// Publish makes a text the service's newest version. before is the number of the version
// that it was edited from (ErrChanged). A text that has problems is a *ProblemsError.
func (d *Desk) Publish(ctx context.Context, a role.Actor, text []byte, before int) (*Version, error) {
	if err := role.Check(a, a.Ente, role.PortalUse); err != nil {
		return nil, err
	}
	def, err := Parse(text)
	if err != nil {
		return nil, err
	}
	v := &Version{Definition: def, Text: text, SHA256: Fingerprint(text), Operator: a.Operator}
	err = d.Store.Tx(ctx, func(tx *sql.Tx) error {
		var last int
		if err := tx.QueryRowContext(ctx, "SELECT coalesce(max(version), 0) FROM service_version WHERE ente = ? AND service = ?", a.Ente, def.ID).Scan(&last); err != nil {
			return err
		}
		if last != before {
			return ErrChanged
		}
		if err := d.sameTopic(ctx, tx, a.Ente, text, def); err != nil {
			return err
		}
		v.Number, v.Published = last+1, d.now().UTC()
		if err := d.insert(ctx, tx, a.Ente, v); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM service_draft WHERE ente = ? AND service = ? AND operator = ?", a.Ente, def.ID, a.Operator); err != nil {
			return err
		}
		return d.Audit.WriteTx(ctx, tx, audit.Event{Ente: a.Ente, Kind: audit.ServicePublished,
			Detail: map[string]string{"service": def.ID, "version": fmt.Sprint(v.Number), "sha256": v.SHA256}}.By(a))
	})
	if err != nil {
		return nil, fmt.Errorf("service: %w", err)
	}
	return v, nil
}

// sameTopic: a service keeps its topic. Rights hang on it: who writes forms would else let
// in to what citizens send whoever may not read it, and move it away from who may.
func (d *Desk) sameTopic(ctx context.Context, tx *sql.Tx, ente string, text []byte, def *Definition) error {
	v, err := d.version(ctx, tx, ente, def.ID, 0)
	if errors.Is(err, ErrNotFound) {
		v, err = preset(def.ID)
	}
	if errors.Is(err, ErrNotFound) {
		return nil // a new one
	}
	if err != nil || v.Topic == def.Topic {
		return err
	}
	line := slices.IndexFunc(lines(text), func(l string) bool { return strings.HasPrefix(l, "topic:") }) + 1
	return &ProblemsError{[]Problem{{Line: max(line, 1), Code: "other-topic", Detail: v.Topic}}}
}

func (d *Desk) insert(ctx context.Context, tx *sql.Tx, ente string, v *Version) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO service_version (ente, service, version, content, sha256, published, operator) VALUES (?,?,?,?,?,?,?)",
		ente, v.ID, v.Number, string(v.Text), v.SHA256, store.Time(v.Published), v.Operator)
	if err != nil {
		return fmt.Errorf("service: %w", err)
	}
	return nil
}

// Change is a line of a difference: "+", "-" or " ".
type Change struct {
	Op   byte
	Text string
}

// maxDiff bounds the lines that are compared one with another.
const maxDiff = 4000

// Diff compares two texts line by line (longest common subsequence).
func Diff(before, after []byte) (out []Change) {
	a, b := lines(before), lines(after)
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		out, a, b = append(out, Change{' ', a[0]}), a[1:], b[1:]
	}
	var tail []Change
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		tail = append(tail, Change{' ', a[len(a)-1]})
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	slices.Reverse(tail)
	if len(a) <= maxDiff && len(b) <= maxDiff {
		out = append(out, middle(a, b)...)
	} else {
		for _, l := range a {
			out = append(out, Change{'-', l})
		}
		for _, l := range b {
			out = append(out, Change{'+', l})
		}
	}
	return append(out, tail...)
}

func middle(a, b []string) (out []Change) {
	common := make([][]int16, len(a)+1)
	for i := range common {
		common[i] = make([]int16, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			out = append(out, Change{' ', a[i]})
			i, j = i+1, j+1
		case i < len(a) && (j == len(b) || common[i+1][j] >= common[i][j+1]):
			out = append(out, Change{'-', a[i]})
			i++
		default:
			out = append(out, Change{'+', b[j]})
			j++
		}
	}
	return out
}

func lines(text []byte) []string {
	s := strings.TrimSuffix(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n")
	if s == "" {
		return nil
	}
	return strings.Split(s, "\n")
}
