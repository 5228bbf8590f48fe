package person

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/citel-pa/citel/pkcs/profile"
	"github.com/citel-pa/citel/server/role"
)

// Party is somebody as an operator writes the person down at a desk, without the whole
// Censimento.
type Party struct {
	Kind          Kind
	Code          string
	Given, Family string // a company's name is Family
	// Checked: names that do not fit the code are right all the same, by the document.
	Checked bool
}

// Check cleans a party and tells what is wrong with it: fields "code", "family", "given".
func (p Party) Check() (clean Party, errs Errors) {
	errs = Errors{}
	p.Given, p.Family = tidy(p.Given), tidy(p.Family)
	if p.Kind == Corporate {
		p.Given = ""
	}
	cf, err := profile.ParseCodiceFiscale(tidy(p.Code))
	switch {
	case strings.TrimSpace(p.Code) == "":
		errs["code"] = "required"
	case err != nil:
		errs["code"] = "codice-fiscale"
	default:
		p.Code = string(cf)
	}
	if p.Family == "" && (p.Given == "" || p.Kind == Corporate) {
		errs["family"] = "required"
	}
	for name, v := range map[string]string{"family": p.Family, "given": p.Given} {
		if utf8.RuneCountInString(v) > 150 {
			errs[name] = "long"
		}
	}
	if len(errs) > 0 || p.Kind == Corporate || p.Checked || cf.Provisional() {
		return p, errs
	}
	family, given := cf.Names()
	if p.Family != "" && profile.FamilyCode(p.Family) != family && profile.FamilyCode(written(p.Family)) != family {
		errs["family"] = "warn-family"
	}
	if p.Given != "" && profile.GivenCode(p.Given) != given && profile.GivenCode(written(p.Given)) != given {
		errs["given"] = "warn-given"
	}
	return p, errs
}

// AtDesk finds the party's account or makes it. An account that is there keeps its names:
// they may come from a card, which knows better than a desk.
func AtDesk(ctx context.Context, tx *sql.Tx, p Party, now time.Time) (*Person, error) {
	found, err := ByCode(ctx, tx, p.Kind, p.Code)
	if errors.Is(err, ErrNotFound) {
		return EnsureAccount(ctx, tx, p.Kind, p.Code, p.Given, p.Family, now)
	}
	if err == nil && found.Given+found.Family == "" {
		return EnsureAccount(ctx, tx, p.Kind, p.Code, p.Given, p.Family, now)
	}
	return found, err
}

// Stand is AtDesk for whoever an operator helps to file. The log is the application's.
func (d *Desk) Stand(ctx context.Context, a role.Actor, p Party) (out *Person, err error) {
	if err := role.Check(a, a.Ente, role.AssistedFile); err != nil {
		return nil, err
	}
	err = d.Store.Tx(ctx, func(tx *sql.Tx) (err error) {
		out, err = AtDesk(ctx, tx, p, d.now())
		return err
	})
	return out, err
}
