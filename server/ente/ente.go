// Package ente is a municipality (or another body) that the server serves: its name,
// arms, offices and mail, which credentials it lets in by the law of today, and whose
// envelopes it accepts. Data, applications and log belong to one ente.
package ente

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/mail"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/citel-pa/citel/pkcs/authtoken"
	"github.com/citel-pa/citel/pkcs/profile"
	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/foureyes"
	"github.com/citel-pa/citel/server/keys"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/store"
)

// Ente is one body.
type Ente struct {
	Code   string // short, stable, lower case: the key of all that is its own, and its slug
	IDEnte string // the first system's, e.g. COPI; empty where it has none
	Name   string // for people
	// Origin is where its pages are, as a browser writes it; empty in the directory for
	// one that shares the server's. Tokens and nonces are bound to it; it is
	// configuration, never a request's header.
	Origin string
	Color  string // #rrggbb, white text on it is readable; empty: the look's own
	IPA    string // code in the Indice PA
	AOO    string // code of the Area organizzativa omogenea
	Fiscal string // codice fiscale of the body, 11 digits
	// Domicile is the body's digital domicile, as the Indice PA has it: receipts name it.
	Domicile string
	Site     string // https address of the body's own pages
	// Active: people get in. Example: of the catalogue, nobody has agreed to it.
	Active, Example bool
	// SecondFactor: operators need one. FourEyes: what server/foureyes names waits for a
	// second operator.
	SecondFactor, FourEyes bool
	HasArms                bool
	Created                time.Time
}

var (
	code   = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,30}$`)
	idEnte = regexp.MustCompile(`^[A-Z0-9]{2,12}$`)
	word   = regexp.MustCompile(`^[A-Za-z0-9_-]{0,40}$`)
)

// Errors of this room.
var (
	ErrNotFound = errors.New("ente: not found")
	ErrExists   = errors.New("ente: the code or the idEnte is another's")
	// ErrInvalid: a value that cannot be; the error's text says which and why.
	ErrInvalid = errors.New("ente: not a usable value")
)

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}

// Town is the municipality's name without what kind of body it is: what an address has.
func (e Ente) Town() string {
	for _, kind := range []string{"Comune di ", "Comune d'", "Comune dell'", "Comune del ", "Città di ", "Municipio di "} {
		if town, ok := strings.CutPrefix(e.Name, kind); ok {
			return town
		}
	}
	return e.Name
}

// Check tells whether the configuration is usable. http on loopback is for the
// demo.
func (e Ente) Check(demo bool) error {
	if err := e.check(); err != nil {
		return err
	}
	_, err := authtoken.ParseOrigin(e.Origin, demo)
	return err
}

// check leaves the origin out, which may be the server's.
func (e Ente) check() error {
	switch {
	case !code.MatchString(e.Code):
		return invalid("the code %q is not made of a-z, 0-9 and -", e.Code)
	case e.IDEnte != "" && !idEnte.MatchString(e.IDEnte):
		return invalid("the idEnte %q is not made of A-Z and 0-9", e.IDEnte)
	case strings.TrimSpace(e.Name) == "" || len(e.Name) > 100:
		return invalid("%s: the name is empty or too long", e.Code)
	case !word.MatchString(e.IPA) || !word.MatchString(e.AOO):
		return invalid("IPA and AOO codes are made of letters, digits, - and _")
	case e.Fiscal != "" && !fiscal(e.Fiscal):
		return invalid("the codice fiscale of a body has 11 digits, the last of which fits the others")
	case len(e.Domicile) > 200 || e.Domicile != "" && !address(e.Domicile):
		return invalid("the digital domicile is no e-mail address")
	case e.Site != "" && !strings.HasPrefix(e.Site, "https://") || len(e.Site) > 200:
		return invalid("the site is not an https address")
	}
	return checkColor(e.Color)
}

// fiscal tells whether it is the codice fiscale of a body, as it is written.
func fiscal(s string) bool {
	cf, err := profile.ParseCodiceFiscale(s)
	return err == nil && cf.Provisional() && string(cf) == s
}

func address(s string) bool {
	x, err := mail.ParseAddress(s)
	return err == nil && x.Address == s
}

// Directory keeps the enti of a server.
type Directory struct {
	Store *store.Store
	Audit *audit.Log
	Keys  *keys.Ring
	Four  *foureyes.Desk
	Demo  bool // http origins on loopback may be
	Now   func() time.Time
}

func (d *Directory) now() time.Time {
	if d.Now != nil {
		return d.Now()
	}
	return time.Now()
}

const columns = "code, id_ente, name, origin, color, ipa, aoo, fiscal, domicile, site, active, example, second_factor, four_eyes, arms IS NOT NULL, created"

func scan(row store.Row) (*Ente, error) {
	var e Ente
	var created string
	err := row.Scan(&e.Code, &e.IDEnte, &e.Name, &e.Origin, &e.Color, &e.IPA, &e.AOO, &e.Fiscal, &e.Domicile, &e.Site, &e.Active, &e.Example, &e.SecondFactor, &e.FourEyes, &e.HasArms, &created)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("ente: %w", err)
	}
	e.Created = store.ParseTime(created)
	return &e, nil
}

// List gives all enti by name; active alone leaves the others out.
func (d *Directory) List(ctx context.Context, activeAlone bool) ([]*Ente, error) {
	q := "SELECT " + columns + " FROM ente"
	if activeAlone {
		q += " WHERE active = 1"
	}
	rows, err := d.Store.QueryContext(ctx, q+" ORDER BY name")
	return store.All(rows, err, scan)
}

// Get finds an ente by its code.
func (d *Directory) Get(ctx context.Context, code string) (*Ente, error) {
	return scan(d.Store.QueryRowContext(ctx, "SELECT "+columns+" FROM ente WHERE code = ?", code))
}

// Find finds an ente by what an address names: its code, or the first system's idEnte
// in any case.
func (d *Directory) Find(ctx context.Context, name string) (*Ente, error) {
	if name == "" || len(name) > 40 {
		return nil, ErrNotFound
	}
	return scan(d.Store.QueryRowContext(ctx, "SELECT "+columns+" FROM ente WHERE code = ? OR id_ente = ?", strings.ToLower(name), strings.ToUpper(name)))
}

// ByOrigin finds the active enti whose pages are at an origin; the server's own finds
// those that share it.
func (d *Directory) ByOrigin(ctx context.Context, origin, servers string) ([]*Ente, error) {
	all, err := d.List(ctx, true)
	var out []*Ente
	for _, e := range all {
		if e.Origin == origin || e.Origin == "" && origin == servers {
			out = append(out, e)
		}
	}
	return out, err
}

// Create makes an ente, switched off for citizens with debole and media (the law of
// today), and not active yet. Who runs the server does it.
func (d *Directory) Create(ctx context.Context, a role.Actor, e Ente) (*Ente, error) {
	if err := role.Check(a, "", role.SystemEnti); err != nil {
		return nil, err
	}
	var out *Ente
	err := d.Store.Tx(ctx, func(tx *sql.Tx) (err error) {
		out, err = d.CreateTx(ctx, tx, e, a)
		return err
	})
	return out, err
}

// CreateTx is Create for the commands of the server itself (setup, demo), which whoever
// starts them may.
func (d *Directory) CreateTx(ctx context.Context, tx *sql.Tx, e Ente, a role.Actor) (*Ente, error) {
	if err := e.check(); err != nil {
		return nil, err
	}
	if e.Origin != "" {
		if _, err := authtoken.ParseOrigin(e.Origin, d.Demo); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
		}
	}
	e.Created = d.now().UTC()
	_, err := tx.ExecContext(ctx, `INSERT INTO ente (code, id_ente, name, origin, color, ipa, aoo, fiscal, domicile, site, active, example, second_factor, four_eyes, created)
		VALUES (?,?,?,?,?,?,?,?,?,?,?,?,1,?,?)`, e.Code, e.IDEnte, e.Name, e.Origin, e.Color, e.IPA, e.AOO, e.Fiscal, e.Domicile, e.Site, e.Active, e.Example, e.FourEyes, store.Time(e.Created))
	if store.IsUnique(err) {
		return nil, fmt.Errorf("%w: %w", ErrExists, err)
	}
	if err != nil {
		return nil, fmt.Errorf("ente: %w", err)
	}
	e.SecondFactor = true
	for _, c := range SwitchedCredentials {
		for _, k := range Categories {
			if err := d.setSwitch(ctx, tx, e.Code, Switch{Credential: c, Category: k, Enabled: k != Citizen, Reason: ReasonLaw, Since: e.Created}); err != nil {
				return nil, err
			}
		}
	}
	return &e, d.Audit.WriteTx(ctx, tx, audit.Event{Ente: e.Code, Kind: audit.EnteChanged, Detail: map[string]string{"made": e.Code, "name": e.Name}}.By(a))
}

// Update changes name, colour, codes, site, second factor and four eyes of the operator's
// own ente. Origin, idEnte and whether it is active are who runs the server's to change.
// To switch four eyes off waits for a second operator (foureyes.ErrPending; the rest is
// changed): else whoever may alone do what they are for.
func (d *Directory) Update(ctx context.Context, a role.Actor, e Ente) error {
	if err := role.Check(a, e.Code, role.InfrastructureWrite); err != nil {
		return err
	}
	if err := e.check(); err != nil {
		return err
	}
	off := false
	err := d.Store.Tx(ctx, func(tx *sql.Tx) error {
		var on bool
		err := tx.QueryRowContext(ctx, "SELECT four_eyes FROM ente WHERE code = ?", e.Code).Scan(&on)
		if errors.Is(err, sql.ErrNoRows) {
			return ErrNotFound
		}
		if err != nil {
			return err
		}
		if off = on && !e.FourEyes; off {
			if off, err = others(ctx, tx, a); err != nil {
				return err
			}
		}
		four := e.FourEyes || off
		return d.changeTx(ctx, tx, a, e.Code, map[string]string{"name": e.Name, "second-factor": fmt.Sprint(e.SecondFactor), "four-eyes": fmt.Sprint(four)},
			"UPDATE ente SET name = ?, color = ?, ipa = ?, aoo = ?, fiscal = ?, domicile = ?, site = ?, second_factor = ?, four_eyes = ? WHERE code = ?",
			e.Name, e.Color, e.IPA, e.AOO, e.Fiscal, e.Domicile, e.Site, e.SecondFactor, four, e.Code)
	})
	if err != nil {
		return fmt.Errorf("ente: %w", err)
	}
	if !off {
		return nil
	}
	return d.Four.Second(ctx, a, true, foureyes.SwitchedOff, struct{}{}, func(tx *sql.Tx) (string, error) { return e.Name, d.fourOff(ctx, tx, a, a) })
}

// others tells whether somebody else could confirm that four eyes are switched off: whoever
// is left alone with the right must not be shut in.
func others(ctx context.Context, tx *sql.Tx, a role.Actor) (bool, error) {
	rows, err := tx.QueryContext(ctx, "SELECT DISTINCT r.role FROM operator_role r JOIN operator o ON o.id = r.operator WHERE o.ente = ? AND o.state = 'active' AND o.id <> ? AND o.code <> ?", a.Ente, a.Operator, a.Code)
	if err != nil {
		return false, err
	}
	roles, err := store.Strings(rows)
	return slices.ContainsFunc(roles, func(id string) bool { r := role.Get(id); return r != nil && r.Has(role.InfrastructureWrite) }), err
}

// fourOff switches four eyes off, as first has asked and second, another one, confirms.
func (d *Directory) fourOff(ctx context.Context, tx *sql.Tx, first, second role.Actor) error {
	if _, err := tx.ExecContext(ctx, "UPDATE ente SET four_eyes = ? WHERE code = ?", false, first.Ente); err != nil {
		return fmt.Errorf("ente: %w", err)
	}
	return d.Audit.WriteTx(ctx, tx, audit.Event{Ente: first.Ente, Kind: audit.EnteChanged, Detail: map[string]string{"four-eyes": fmt.Sprint(false)}, Personal: map[string]string{"asked-by": first.Code}}.By(second))
}

// FourOffAction is what four-eyes runs for themselves to be switched off.
func (d *Directory) FourOffAction() foureyes.Action {
	return foureyes.Action{Permission: role.InfrastructureWrite, Run: func(ctx context.Context, tx *sql.Tx, _ []byte, first, second role.Actor) error {
		return d.fourOff(ctx, tx, first, second)
	}}
}

// Place changes origin, idEnte and whether people get in. Who runs the server does it.
func (d *Directory) Place(ctx context.Context, a role.Actor, code, idEnte, origin string, active bool) error {
	if err := role.Check(a, "", role.SystemEnti); err != nil {
		return err
	}
	if err := (Ente{Code: code, IDEnte: idEnte, Name: "x"}).check(); err != nil {
		return err
	}
	if origin != "" {
		if _, err := authtoken.ParseOrigin(origin, d.Demo); err != nil {
			return fmt.Errorf("%w: %w", ErrInvalid, err)
		}
	}
	return d.change(ctx, a, code, map[string]string{"origin": origin, "active": fmt.Sprint(active), "idEnte": idEnte},
		"UPDATE ente SET id_ente = ?, origin = ?, active = ? WHERE code = ?", idEnte, origin, active, code)
}

// change runs one statement and logs it.
func (d *Directory) change(ctx context.Context, a role.Actor, code string, detail map[string]string, q string, args ...any) error {
	if err := d.Store.Tx(ctx, func(tx *sql.Tx) error { return d.changeTx(ctx, tx, a, code, detail, q, args...) }); err != nil {
		return fmt.Errorf("ente: %w", err)
	}
	return nil
}

func (d *Directory) changeTx(ctx context.Context, tx *sql.Tx, a role.Actor, code string, detail map[string]string, q string, args ...any) error {
	r, err := tx.ExecContext(ctx, q, args...)
	if store.IsUnique(err) {
		return fmt.Errorf("%w: %w", ErrExists, err)
	}
	if err != nil {
		return err
	}
	if n, err := r.RowsAffected(); err != nil || n == 0 {
		return errors.Join(err, ErrNotFound)
	}
	return d.Audit.WriteTx(ctx, tx, audit.Event{Ente: code, Kind: audit.EnteChanged, Detail: detail}.By(a))
}
