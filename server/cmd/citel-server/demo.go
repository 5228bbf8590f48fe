package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/citel-pa/citel/server/credential"
	"github.com/citel-pa/citel/server/operator"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/role"
)

// demoMark is in the record of the demo's operators, who are nobody: their codes are
// computed from the word "Dimostrazione".
const demoMark = "demo: invented person"

// demoPeople are the demo's operators: one makes roles, one prints envelopes, another hands
// them out, because who prints must not; one answers applications, one fills in for people
// at the desk.
var demoPeople = []struct {
	code, given, role string
	born              string
}{
	{"DMSMNS80A10G702B", "Amministra", role.Administrator, "10-01-1980"},
	{"DMSSMP81A10G702D", "Stampa", "R8", "10-01-1981"},
	{"DMSSRT82A10G702Y", "Sportello", "R16", "10-01-1982"},
	{"DMSRPN83A10G702N", "Risponde", "R20", "10-01-1983"},
	{"DMSSST83A10G702D", "Assiste", "R-PAAS", "10-01-1983"},
}

// demoOperators gives the demo's ente its operators, each time with new passwords, which
// only standard output has. Without --demo those that a demo has left in the database are
// suspended, and no password opens them.
func (s *server) demoOperators(ctx context.Context, out io.Writer, code string) error {
	// The server itself acts here, as no request can: no account has this number.
	a := role.Actor{Operator: -1, Ente: code, Name: "citel-server --demo", Roles: []string{role.Administrator}}
	if !s.flags.demo {
		return s.suspendDemo(ctx, a)
	}
	_, _ = fmt.Fprintf(out, "\nThe console: %s/consolleente (operators are invented, their passwords new at each start)\n\n", s.flags.origin)
	e, err := s.rooms.Enti.Get(ctx, code)
	if err != nil {
		return err
	}
	if e.SecondFactor { // a reader of the demo has a password alone
		e.SecondFactor = false
		if err := s.rooms.Enti.Update(ctx, a, *e); err != nil {
			return err
		}
	}
	for i, p := range demoPeople {
		password, err := s.demoOperator(ctx, a, i)
		if err != nil {
			return err
		}
		if password == "" {
			continue
		}
		_, _ = fmt.Fprintf(out, "  %s  password %s  %-4s %s\n", p.code, password, p.role, role.Get(p.role).Description)
	}
	return nil
}

func (s *server) demoOperator(ctx context.Context, a role.Actor, i int) (password string, err error) {
	p, d := demoPeople[i], s.rooms.Operators
	inv, err := d.Register(ctx, a, person.Form{Code: p.code, Family: "Dimostrazione", Given: p.given, Born: p.born, BirthPlace: "Pisa", Sex: "M", Reason: demoMark})
	if errors.Is(err, operator.ErrExists) {
		var o *operator.Operator
		if o, err = s.demoFind(ctx, a, p.code); err != nil || o == nil {
			return "", err // somebody real has this code: nothing is touched
		}
		if o.State == operator.Suspended {
			if err := d.SetState(ctx, a, o.ID, operator.Active, demoMark); err != nil {
				return "", err
			}
		}
		inv, err = d.Reset(ctx, a, o.ID)
	}
	if err != nil {
		return "", err
	}
	if err := d.Assign(ctx, a, inv.Operator.ID, p.role); err != nil {
		return "", err
	}
	password = credential.Random(12)
	_, err = d.Activate(ctx, operator.Activation{Link: inv.Link[len(operator.ActivatePath):], Password: []byte(password)})
	return password, err
}

// demoFind finds an operator that a demo has made.
func (s *server) demoFind(ctx context.Context, a role.Actor, code string) (*operator.Operator, error) {
	list, err := s.rooms.Operators.List(ctx, a, operator.Query{Text: code})
	if err != nil || len(list) == 0 || list[0].Form.Reason != demoMark || list[0].State == operator.Revoked {
		return nil, err
	}
	return list[0], nil
}

func (s *server) suspendDemo(ctx context.Context, a role.Actor) error {
	found := false
	for _, p := range demoPeople {
		o, err := s.demoFind(ctx, a, p.code)
		if err != nil {
			return err
		}
		if o == nil || o.State == operator.Suspended {
			continue
		}
		found = true
		to := operator.Suspended
		if o.State == operator.Invited {
			to = operator.Revoked
		}
		if err := s.rooms.Operators.SetState(ctx, a, o.ID, to, "the server runs without --demo"); err != nil {
			return err
		}
	}
	if !found {
		return nil
	}
	e, err := s.rooms.Enti.Get(ctx, a.Ente)
	if err != nil {
		return err
	}
	e.SecondFactor = true // which the demo had switched off
	return s.rooms.Enti.Update(ctx, a, *e)
}
