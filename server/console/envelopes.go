package console

import (
	"bytes"
	"errors"
	"net/http"
	"net/url"
	"strconv"

	"github.com/citel-pa/citel/server/envelope"
	"github.com/citel-pa/citel/server/pdf"
	"github.com/citel-pa/citel/server/role"
)

func (r *request) query(name string) string { return r.r.URL.Query().Get(name) }

// envelopes is "Elenco credenziali in busta".
func (c *Console) envelopes(r *request) error {
	if typed := r.query("codice"); typed != "" {
		e, err := c.Rooms.Envelopes.Open(r.ctx(), r.actor(), typed)
		if err == nil {
			r.redirect(Prefix + "/buste/" + e.Code)
			return nil
		}
		return c.listEnvelopes(r, err)
	}
	return c.listEnvelopes(r, nil)
}

func (c *Console) listEnvelopes(r *request, wrong error) error {
	q := envelope.Query{State: envelope.State(r.query("stato")), Batch: r.query("lotto"), After: r.query("dopo")}
	list, err := c.Rooms.Envelopes.List(r.ctx(), r.actor(), q)
	if err != nil {
		return err
	}
	t := &table{ID: "envelopes", Caption: r.T("console.m-envelopes"), Empty: r.T("console.none"), Head: r.heads("f-envelope", "f-state", "f-batch", "f-changed", "f-handed-at")}
	for _, e := range list {
		handed := ""
		if !e.Handed.IsZero() {
			handed = moment(e.Handed)
		}
		t.Rows = append(t.Rows, []cell{{Text: envelope.FormatCode(e.Code), Link: Prefix + "/buste/" + e.Code, Mono: true}, {Text: r.T("desk.state-" + string(e.State))}, {Text: e.Batch, Mono: true},
			{Text: moment(e.Changed)}, {Text: handed}})
	}
	b := builder{request: r}
	states := []option{{"", r.T("console.all")}}
	for _, s := range envelope.States {
		states = append(states, option{string(s), r.T("desk.state-" + string(s))})
	}
	d := data{"Table": t, "Filter": []field{rename(b.add("envelope", "text", r.query("codice")), "codice"), rename(b.add("state", "choice", string(q.State), states...), "stato")}, "FilterAction": Prefix + "/buste"}
	if len(list) == envelope.PageSize {
		d["More"] = Prefix + "/buste?" + url.Values{"stato": {string(q.State)}, "lotto": {q.Batch}, "dopo": {list[len(list)-1].Code}}.Encode()
	}
	status := http.StatusOK
	if wrong != nil {
		name := envelope.Code(wrong)
		if name == "internal" {
			return wrong
		}
		d["Wrong"], status = r.T("desk.envelope-"+name), http.StatusNotFound
		r.note(status, name)
	}
	return r.page(status, "list", r.T("console.m-envelopes"), d)
}

func rename(f field, name string) field {
	f.Name, f.Required = name, false
	return f
}

func (c *Console) envelope(r *request) error {
	e, err := c.Rooms.Envelopes.Open(r.ctx(), r.actor(), r.r.PathValue("code"))
	if err != nil {
		return c.envelopeFailed(r, err)
	}
	return c.showEnvelope(r, e, http.StatusOK, "")
}

// envelopeFailed: an envelope that is not there, another ente's, or mistyped, is the
// list's page with its sentence and nothing more.
func (c *Console) envelopeFailed(r *request, err error) error {
	if errors.Is(err, envelope.ErrNotFound) || errors.Is(err, envelope.ErrOtherEnte) || errors.Is(err, envelope.ErrMistyped) {
		return c.listEnvelopes(r, err)
	}
	return err
}

func (c *Console) showEnvelope(r *request, e *envelope.Envelope, status int, wrong string) error {
	facts := []fact{{Label: r.T("console.f-envelope"), Value: envelope.FormatCode(e.Code), Mono: true}}
	facts = append(facts, r.facts("f-state", r.T("desk.state-"+string(e.State)), "f-batch", e.Batch, "f-printed-well", r.yesNo(e.Confirmed), "f-printed-by", c.operatorName(r, e.PrintedBy))...)
	if !e.Handed.IsZero() {
		facts = append(facts, r.facts("f-handed-at", moment(e.Handed), "f-handed-by", c.operatorName(r, e.HandedBy),
			"f-document", r.T("desk.document-"+e.Document.Kind)+" "+e.Document.Number+", "+e.Document.Issuer, "f-title", e.Title)...)
	}
	if !e.Activated.IsZero() {
		facts = append(facts, r.facts("f-activated-at", moment(e.Activated))...)
	} else if !e.Expires.IsZero() {
		facts = append(facts, r.facts("f-expires-at", moment(e.Expires))...)
	}
	facts = append(facts, r.facts("f-failures", strconv.Itoa(e.Failures), "f-reason-last", e.Reason, "f-changed", moment(e.Changed))...)
	if e.Person != 0 && r.actor().Has(role.UsersRead) {
		facts = append(facts, fact{Label: r.T("console.f-holder"), Value: r.T("console.open-user"), Link: Prefix + "/utenti/" + strconv.FormatInt(e.Person, 10)})
	}
	d := data{"Facts": facts, "Wrong": wrong}
	if r.actor().Has(role.EnvelopesState) {
		var to []option
		for _, s := range []envelope.State{envelope.Void, envelope.Suspended, envelope.Active, envelope.Revoked} {
			if s != e.State && envelope.Can(e.State, s) && (s != envelope.Active || e.State == envelope.Suspended) {
				to = append(to, option{string(s), r.T("console.to-" + string(s))})
			}
		}
		if len(to) > 0 {
			d["Acts"] = []act{r.stateAct(Prefix+"/buste/"+e.Code+"/stato", to)}
		}
	}
	if e.State == envelope.Printed && e.Confirmed && r.actor().Has(role.EnvelopesHandOut) {
		d["Links"] = []nextStep{{r.T("console.m-release-person"), Prefix + "/rilascio/persona?busta=" + e.Code}, {r.T("console.m-release-company"), Prefix + "/rilascio/azienda?busta=" + e.Code}}
	}
	return r.page(status, "show", r.T("console.envelope-title"), d)
}

// stateAct is the small form that changes a state, with a reason.
func (r *request) stateAct(action string, to []option) act {
	b := builder{request: r}
	return act{Title: r.T("console.change-state"), Intro: r.T("console.change-state-intro"), Action: action, Button: r.T("console.change-state"), Danger: true,
		Fields: []field{b.add("to*", "choice", "", append([]option{{"", r.T("console.choose-one")}}, to...)...), b.add("why*", "long", "")}}
}

func (c *Console) envelopeState(r *request) error {
	code := r.r.PathValue("code")
	err := c.Rooms.Envelopes.Change(r.ctx(), r.actor(), code, envelope.State(r.value("to")), r.value("why"))
	switch {
	case err == nil:
		return r.done(Prefix+"/buste/"+url.PathEscape(code), "state")
	case errors.Is(err, envelope.ErrReason), errors.Is(err, envelope.ErrState):
		e, open := c.Rooms.Envelopes.Open(r.ctx(), r.actor(), code)
		if open != nil {
			return c.envelopeFailed(r, open)
		}
		return c.showEnvelope(r, e, http.StatusUnprocessableEntity, r.T("desk.envelope-"+envelope.Code(err)))
	}
	return c.envelopeFailed(r, err)
}

// operatorName is a colleague's, who works here or did.
func (c *Console) operatorName(r *request, id int64) string {
	if id == 0 {
		return ""
	}
	if n, err := c.Rooms.Operators.NameOf(r.ctx(), r.actor(), id); err == nil {
		return n
	}
	return "#" + strconv.FormatInt(id, 10)
}

func (r *request) yesNo(b bool) string {
	if b {
		return r.T("console.yes")
	}
	return r.T("console.no")
}

// batches: print, confirm, void.
func (c *Console) batches(r *request) error { return c.listBatches(r, http.StatusOK, "") }

func (c *Console) listBatches(r *request, status int, wrong string) error {
	list, err := c.Rooms.Envelopes.Batches(r.ctx(), r.actor())
	if err != nil {
		return err
	}
	t := &table{ID: "batches", Caption: r.T("console.m-batches"), Empty: r.T("console.none"), Head: r.heads("f-batch", "f-size", "f-left", "f-printed-at", "f-printed-by", "f-state", "actions")}
	voidable := []option{{"", r.T("console.choose-one")}}
	for _, b := range list {
		state, acts := r.T("console.batch-open"), []cell{}
		path := Prefix + "/lotti/" + b.ID
		confirm := cell{Act: &act{Action: path + "/conferma", Button: r.T("console.batch-confirm")}}
		switch {
		case !b.Voided.IsZero():
			state = r.T("console.batch-voided")
		case !b.Confirmed.IsZero():
			state = r.T("console.batch-confirmed")
			if b.Left > 0 {
				voidable = append(voidable, option{b.ID, b.ID})
			}
		default:
			acts = append(acts, confirm)
			voidable = append(voidable, option{b.ID, b.ID})
		}
		row := []cell{{Text: b.ID, Link: Prefix + "/buste?lotto=" + url.QueryEscape(b.ID), Mono: true}, {Text: strconv.Itoa(b.Size)}, {Text: strconv.Itoa(b.Left)}, {Text: moment(b.Printed)},
			{Text: c.operatorName(r, b.PrintedBy)}, {Text: state}}
		t.Rows = append(t.Rows, append(row, acts...))
	}
	b := builder{request: r}
	print := act{Title: r.T("console.batch-print"), Intro: r.T("console.batch-print-intro"), Action: Prefix + "/lotti", Button: r.T("console.batch-print"), Fields: []field{b.add("size*", "number", "10")}}
	acts := []act{print}
	if len(voidable) > 1 {
		acts = append(acts, act{Title: r.T("console.batch-void"), Intro: r.T("console.batch-void-intro"), Action: Prefix + "/lotti/annulla", Button: r.T("console.batch-void"), Danger: true,
			Fields: []field{b.add("batch*", "choice", "", voidable...), b.add("why*", "long", "")}})
	}
	d := data{"Table": t, "Intro": r.T("console.batches-intro"), "Wrong": wrong, "Acts": acts}
	return r.page(status, "list", r.T("console.m-batches"), d)
}

// printBatch streams the PDF, once: what is inside the envelopes is kept nowhere.
func (c *Console) printBatch(r *request) error {
	n, err := strconv.Atoi(r.value("size"))
	if err != nil {
		n = 0
	}
	e, err := c.Rooms.Enti.Get(r.ctx(), r.operator.Ente)
	if err != nil {
		return err
	}
	batch, sheets, err := c.Rooms.Envelopes.Print(r.ctx(), r.actor(), n)
	if errors.Is(err, envelope.ErrSize) {
		return c.listBatches(r, http.StatusUnprocessableEntity, r.T("desk.envelope-size"))
	}
	if err != nil {
		return err
	}
	var b bytes.Buffer
	all := make([]pdf.Envelope, len(sheets))
	for i, x := range sheets {
		all[i] = pdf.Envelope{Code: x.Code, Shown: envelope.FormatCode(x.Code), Username: x.Username, PIN: x.PIN}
	}
	origin := e.Origin
	if origin == "" {
		origin = c.Origin
	}
	if err := pdf.Envelopes(&b, e.Name, origin, all, c.now()); err != nil {
		return errors.Join(err, c.Rooms.Envelopes.VoidBatch(r.ctx(), r.actor(), batch.ID, "print failed"))
	}
	return r.download("lotto-"+batch.ID+".pdf", &b)
}

func (c *Console) confirmBatch(r *request) error {
	return c.batchDone(r, c.Rooms.Envelopes.Confirm(r.ctx(), r.actor(), r.r.PathValue("batch")), "batch-confirmed")
}

func (c *Console) voidBatch(r *request) error {
	return c.batchDone(r, c.Rooms.Envelopes.VoidBatch(r.ctx(), r.actor(), r.value("batch"), r.value("why")), "batch-voided")
}

func (c *Console) batchDone(r *request, err error, what string) error {
	switch {
	case err == nil:
		return r.done(Prefix+"/lotti", what)
	case errors.Is(err, envelope.ErrNotFound):
		return errNotFound
	case errors.Is(err, envelope.ErrReason):
		return c.listBatches(r, http.StatusUnprocessableEntity, r.T("desk.envelope-reason"))
	case errors.Is(err, envelope.ErrState):
		return c.listBatches(r, http.StatusConflict, r.T("desk.envelope-state"))
	}
	return err
}
