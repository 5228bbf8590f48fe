// Package role says who may do what at a desk: the 37 roles of the application
// "Console di gestione Ente" (roles.csv, the first system's list), what each may do
// (permissions.csv, with the reading beside it), and the one function that decides.
package role

import (
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/citel-pa/citel/pkcs/message"
)

// Permission is "module.action".
type Permission string

// The permissions. A module that the console does not have yet has one, "module.use",
// so that its roles keep their meaning.
const (
	RoutingRead  Permission = "routing.read"  // Instradamento: applications and their files
	RoutingWrite Permission = "routing.write" // assign and answer them
	SMSSend      Permission = "sms.send"

	UsersRead  Permission = "users.read"  // accounts that the own ente has to do with
	UsersLog   Permission = "users.log"   // their accesses
	UsersState Permission = "users.state" // suspend, resume, revoke a credential
	UsersReset Permission = "users.reset" // reset a password
	UsersCode  Permission = "users.code"  // change a codice fiscale, note a death

	EnvelopesRead    Permission = "envelopes.read"
	EnvelopesPrint   Permission = "envelopes.print"
	EnvelopesHandOut Permission = "envelopes.handout" // at the desk, and by post
	EnvelopesState   Permission = "envelopes.state"   // void, suspend, revoke

	OperatorsRead  Permission = "operators.read"
	OperatorsLog   Permission = "operators.log"
	OperatorsWrite Permission = "operators.write" // censimento
	OperatorsState Permission = "operators.state"
	OperatorsReset Permission = "operators.reset"

	RolesRead   Permission = "roles.read" // Profilazione
	RolesAssign Permission = "roles.assign"

	InfrastructureRead  Permission = "infrastructure.read" // ente, offices, calendar, mail
	InfrastructureWrite Permission = "infrastructure.write"

	PortalUse     Permission = "portal.use"
	ExternalUse   Permission = "external.use" // Applicazioni esterne
	TaxesUse      Permission = "taxes.use"
	RegistryRead  Permission = "registry.read" // Anagrafe
	RegistryWrite Permission = "registry.write"
	BuildingUse   Permission = "building.use"   // Edilizia
	PaymentsUse   Permission = "payments.use"   // Gestore Incassi: no role's description names it
	ThirdPartyUse Permission = "thirdparty.use" // Autorizzazioni enti terzi: likewise
	SchoolUse     Permission = "school.use"     // Istruzione
	TeachingUse   Permission = "teaching.use"   // class register
	StaffUse      Permission = "staff.use"
	ZTLUse        Permission = "ztl.use"
	AssistedFile  Permission = "assisted.file"

	// SystemEnti makes enti and their first operator. No role has it; who runs the
	// server does, and has nothing else.
	SystemEnti Permission = "system.enti"
)

// All permissions that roles can have.
var All = []Permission{
	RoutingRead, RoutingWrite, SMSSend, UsersRead, UsersLog, UsersState, UsersReset, UsersCode,
	EnvelopesRead, EnvelopesPrint, EnvelopesHandOut, EnvelopesState,
	OperatorsRead, OperatorsLog, OperatorsWrite, OperatorsState, OperatorsReset, RolesRead, RolesAssign,
	InfrastructureRead, InfrastructureWrite, PortalUse, ExternalUse, TaxesUse, RegistryRead, RegistryWrite, BuildingUse,
	PaymentsUse, ThirdPartyUse, SchoolUse, TeachingUse, StaffUse, ZTLUse, AssistedFile,
}

// Module is the part before the dot.
func (p Permission) Module() string { m, _, _ := strings.Cut(string(p), "."); return m }

// Application is what all roles belong to.
const Application = "Console di gestione Ente"

// Administrator is the role of an ente's first operator.
const Administrator = "R6"

// Role is one of the list.
type Role struct {
	ID, Name, Description, Note string
	Lettura, Reading            string // how the description was read, in Italian and English
	Permissions                 []Permission
}

// Read is how the description was read, for people.
func (r *Role) Read(l message.Lang) string {
	if l == message.English {
		return r.Reading
	}
	return r.Lettura
}

// Full is the role as people tell it from others: "R6 - Amministratore Ente".
func (r *Role) Full() string {
	switch {
	case r.Name != r.ID:
		return r.ID + " - " + r.Name
	case r.Description != r.ID:
		return r.ID + " - " + r.Description
	}
	return r.ID
}

// Has tells whether the role grants a permission.
func (r *Role) Has(p Permission) bool { return slices.Contains(r.Permissions, p) }

// OverOperators tells whether the role gives rights over operators: with four-eyes on,
// a second operator confirms that it is assigned.
func (r *Role) OverOperators() bool {
	return slices.ContainsFunc(r.Permissions, func(p Permission) bool { return p.Module() == "operators" || p.Module() == "roles" })
}

//go:embed roles.csv
var rolesCSV string

//go:embed permissions.csv
var permissionsCSV string

var list, byID = func() ([]*Role, map[string]*Role) {
	l, err := read(rolesCSV, permissionsCSV)
	if err != nil {
		panic(err) // embedded, and a test reads it
	}
	m := map[string]*Role{}
	for _, r := range l {
		m[r.ID] = r
	}
	return l, m
}()

// List gives the roles in the list's order.
func List() []*Role { return slices.Clone(list) }

// Get finds a role; nil without one.
func Get(id string) *Role { return byID[id] }

func read(roles, permissions string) ([]*Role, error) {
	rows, err := table(roles, 4)
	if err != nil {
		return nil, fmt.Errorf("role: roles.csv: %w", err)
	}
	var out []*Role
	index := map[string]*Role{}
	for _, r := range rows {
		x := &Role{ID: r[0], Name: r[1], Description: r[2], Note: r[3]}
		if index[x.ID] != nil {
			return nil, fmt.Errorf("role: roles.csv: %s is there twice", x.ID)
		}
		index[x.ID] = x
		out = append(out, x)
	}
	if rows, err = table(permissions, 4); err != nil {
		return nil, fmt.Errorf("role: permissions.csv: %w", err)
	}
	for _, r := range rows {
		x := index[r[0]]
		if x == nil || x.Permissions != nil || r[2] == "" || r[3] == "" {
			return nil, fmt.Errorf("role: permissions.csv: %s is unknown, there twice, or without its reading", r[0])
		}
		x.Lettura, x.Reading = r[2], r[3]
		if x.Permissions, err = expand(r[1]); err != nil {
			return nil, fmt.Errorf("role: permissions.csv: %s: %w", r[0], err)
		}
	}
	for _, x := range out {
		if len(x.Permissions) == 0 {
			return nil, fmt.Errorf("role: permissions.csv: %s has no line", x.ID)
		}
	}
	return out, nil
}

// table reads lines of columns between semicolons; the last column may hold some.
func table(data string, columns int) ([][]string, error) {
	var out [][]string
	for i, line := range strings.Split(strings.TrimSpace(data), "\n") {
		row := strings.SplitN(strings.TrimRight(line, "\r"), ";", columns)
		if len(row) != columns {
			return nil, fmt.Errorf("line %d has %d columns, not %d", i+1, len(row), columns)
		}
		out = append(out, row)
	}
	return out[1:], nil
}

// expand reads "users.read envelopes.*".
func expand(s string) ([]Permission, error) {
	got := map[Permission]bool{}
	for _, w := range strings.Fields(s) {
		n := len(got)
		for _, p := range All {
			if string(p) == w || w == p.Module()+".*" {
				got[p] = true
			}
		}
		if len(got) == n {
			return nil, fmt.Errorf("%s names no permission, or one twice", w)
		}
	}
	return slices.Sorted(maps.Keys(got)), nil
}

// Actor is who does something at a desk: an operator with the session's ente. Rooms get
// it as an argument and ask Can.
type Actor struct {
	Operator int64
	Ente     string // empty: who runs the server
	Code     string // codice fiscale
	Name     string
	Roles    []string // rights add up
	Address  string   // where the request comes from
	// Offices where the operator works. None is everywhere: a small town's counter sees to
	// all. Whoever is tied to some sees the applications of those and no others
	// (Regulation (EU) 2016/679, art. 5 par. 1 c and art. 25 par. 2).
	Offices []string
}

// System tells whether this is who runs the server.
func (a Actor) System() bool { return a.Operator != 0 && a.Ente == "" }

// ErrDenied means that the operator lacks the right.
var ErrDenied = errors.New("role: the operator may not do this")

// DeniedError says which right was missing.
type DeniedError struct {
	Permission Permission
	Ente       string
}

// Error names it.
func (e *DeniedError) Error() string {
	return fmt.Sprintf("%v: %s in %q", ErrDenied, e.Permission, e.Ente)
}

// Unwrap makes errors.Is(err, ErrDenied) hold.
func (e *DeniedError) Unwrap() error { return ErrDenied }

// Can is the one place that decides: whether an operator may do something in an ente.
// Rights hold in the operator's own ente and nowhere else; who runs the server makes
// enti and sees no citizen.
func Can(a Actor, ente string, p Permission) bool {
	if a.Operator == 0 {
		return false
	}
	if a.System() {
		return p == SystemEnti
	}
	if ente == "" || a.Ente != ente {
		return false
	}
	return slices.ContainsFunc(a.Roles, func(id string) bool { r := byID[id]; return r != nil && r.Has(p) })
}

// Check is Can with an error that names what was missing.
func Check(a Actor, ente string, p Permission) error {
	if Can(a, ente, p) {
		return nil
	}
	return &DeniedError{Permission: p, Ente: ente}
}

// Has tells whether any of the permissions is the actor's, in the own ente: what a menu
// shows.
func (a Actor) Has(ps ...Permission) bool {
	return slices.ContainsFunc(ps, func(p Permission) bool { return Can(a, a.Ente, p) })
}

// In tells whether the actor works in an office.
func (a Actor) In(office string) bool {
	return len(a.Offices) == 0 || slices.Contains(a.Offices, office)
}
