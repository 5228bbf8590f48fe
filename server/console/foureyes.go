package console

import (
	"errors"
	"net/http"
	"slices"

	"github.com/citel-pa/citel/server/credential"
	"github.com/citel-pa/citel/server/foureyes"
	"github.com/citel-pa/citel/server/mandate"
	"github.com/citel-pa/citel/server/operator"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/register"
	"github.com/citel-pa/citel/server/role"
)

// What waits for a second operator.

// confirming are the rights to the acts that wait; the list has those of the operator's own.
var confirming = []role.Permission{role.RolesAssign, role.UsersCode, role.UsersReset, mandate.Needs, role.InfrastructureWrite}

const pendingPath = Prefix + "/conferme"

func init() {
	permitted(get, "/conferme", (*Console).pending, confirming...)
	permitted(post, "/conferme/{pending}", (*Console).decide, confirming...)
}

func (c *Console) pending(r *request) error { return c.showPending(r, http.StatusOK, "") }

func (c *Console) showPending(r *request, status int, wrong string) error {
	list, err := c.Rooms.Four.List(r.ctx(), r.actor())
	if err != nil {
		return err
	}
	t := &table{ID: "pending", Caption: r.T("console.m-waiting"), Empty: r.T("console.nothing-waits"), Head: r.heads("f-what", "f-about", "f-asked-by", "f-when", "actions")}
	for _, p := range list {
		path := pendingPath + "/" + p.ID
		row := []cell{{Text: r.T("foureyes." + string(p.Kind))}, {Text: p.Subject}, {Text: p.AskedBy.Name}, {Text: moment(p.Asked)}}
		if p.AskedBy.Operator != r.operator.ID {
			row = append(row, cell{Act: &act{Action: path, Button: r.T("console.grant"), Title: p.Subject, Hidden: map[string]string{"grant": "yes"}}})
		}
		t.Rows = append(t.Rows, append(row, cell{Act: &act{Action: path, Button: r.T("console.refuse"), Title: p.Subject, Danger: true}}))
	}
	return r.page(status, "list", r.T("console.m-waiting"), data{"Table": t, "Intro": r.T("console.waiting-intro"), "Wrong": wrong})
}

func (c *Console) decide(r *request) error {
	grant := r.value("grant") != ""
	err := c.Rooms.Four.Decide(r.ctx(), r.actor(), r.r.PathValue("pending"), grant)
	if why := r.notGranted(err); why != "" {
		return c.showPending(r, http.StatusConflict, r.T("foureyes.not-now")+" "+why)
	}
	switch {
	case errors.Is(err, mandate.ErrSelf):
		return person.ErrSelf
	case err != nil:
		return err
	case grant:
		return r.done(pendingPath, "granted")
	}
	return r.done(pendingPath, "refused")
}

// notGranted is the sentence of an act that has become impossible while it waited; empty for
// other errors.
func (r *request) notGranted(err error) string {
	var invalid *mandate.InvalidError
	switch {
	case errors.As(err, &invalid):
		return r.T("delega.invalid-" + invalid.Code)
	case errors.Is(err, mandate.ErrState), errors.Is(err, mandate.ErrNotFound):
		return r.T("delega.state")
	case errors.Is(err, register.ErrCancelled):
		return r.T("protocol.cancelled-before")
	case errors.Is(err, person.ErrCodeTaken):
		return r.T("console.code-taken")
	case errors.Is(err, operator.ErrState), errors.Is(err, credential.ErrState):
		return r.T("console.state-body")
	}
	return ""
}

// waits tells whether an act that the page offers waits already.
func (c *Console) waits(r *request, k foureyes.Kind, about func(foureyes.Pending) bool) (bool, error) {
	list, err := c.Rooms.Four.List(r.ctx(), r.actor())
	return slices.ContainsFunc(list, func(p foureyes.Pending) bool { return p.Kind == k && about(p) }), err
}

func (r *request) waitingLink(waits bool) []nextStep {
	if !waits {
		return nil
	}
	return []nextStep{{r.T("console.m-waiting"), pendingPath}}
}
