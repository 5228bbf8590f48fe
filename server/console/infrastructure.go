package console

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/citel-pa/citel/server/ente"
	"github.com/citel-pa/citel/server/foureyes"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/role"
)

// Infrastruttura: the ente, its offices, calendar and mail, which credentials it lets in,
// and whose envelopes it accepts.

// mayWrite tells whether the operator changes what the page shows.
func (r *request) mayWrite() bool { return r.actor().Has(role.InfrastructureWrite) }

// stay shows a page again with a sentence when a room says that a value cannot be.
func stay(err error, page func(status int, wrong bool) error) (bool, error) {
	if errors.Is(err, ente.ErrInvalid) {
		return true, page(http.StatusUnprocessableEntity, true)
	}
	return false, err
}

func (r *request) sentence(wrong bool, key string) string {
	if wrong {
		return r.T(key)
	}
	return ""
}

func (c *Console) entePage(r *request) error {
	e, err := c.Rooms.Enti.Get(r.ctx(), r.operator.Ente)
	if err != nil {
		return err
	}
	return c.askEnte(r, *e, http.StatusOK, "")
}

func (c *Console) askEnte(r *request, e ente.Ente, status int, wrong string) error {
	facts := r.facts("f-ente-code", e.Code, "f-idEnte", e.IDEnte, "f-origin", e.Origin, "f-active", r.yesNo(e.Active), "f-scanner", r.yesNo(c.Rooms.Applications.Scanner != nil))
	d := data{"Facts": facts, "Wrong": wrong, "Intro": r.T("console.ente-intro")}
	if !r.mayWrite() {
		d["Facts"] = append(facts, r.facts("f-ente-name", e.Name, "f-color", e.Color, "f-ipa", e.IPA, "f-aoo", e.AOO, "f-fiscal", e.Fiscal, "f-domicile", e.Domicile, "f-site", e.Site, "f-secondFactor", r.yesNo(e.SecondFactor), "f-fourEyes", r.yesNo(e.FourEyes))...)
		return r.page(status, "show", r.T("console.m-ente"), d)
	}
	waits, err := c.waits(r, foureyes.SwitchedOff, func(foureyes.Pending) bool { return true })
	if err != nil {
		return err
	}
	d["News"], d["Links"] = r.sentence(waits, "foureyes.here"), r.waitingLink(waits)
	b := builder{request: r}
	d["Acts"] = []act{
		{Title: r.T("console.ente-data"), Action: Prefix + "/infrastruttura/ente", Button: r.T("console.save"), Fields: []field{
			b.add("ente-name*", "text", e.Name), b.add("color", "text", e.Color), b.add("ipa", "text", e.IPA), b.add("aoo", "text", e.AOO), b.add("fiscal", "text", e.Fiscal), b.add("domicile", "email", e.Domicile), b.add("site", "url", e.Site),
			b.add("secondFactor", "check", yes(e.SecondFactor)), b.add("fourEyes", "check", yes(e.FourEyes)),
		}},
		{Title: r.T("console.arms"), Intro: r.T("console.arms-intro"), Action: Prefix + "/infrastruttura/stemma", Button: r.T("console.arms-send"), Multipart: true, Fields: []field{b.add("arms*", "file", "")}},
	}
	return r.page(status, "show", r.T("console.m-ente"), d)
}

func (c *Console) enteSave(r *request) error {
	e, err := c.Rooms.Enti.Get(r.ctx(), r.operator.Ente)
	if err != nil {
		return err
	}
	n := *e
	n.Name, n.Color, n.IPA, n.AOO, n.Site = r.value("ente-name"), r.value("color"), r.value("ipa"), r.value("aoo"), r.value("site")
	n.Fiscal, n.Domicile = r.value("fiscal"), r.value("domicile")
	n.SecondFactor, n.FourEyes = r.value("secondFactor") != "", r.value("fourEyes") != ""
	err = c.Rooms.Enti.Update(r.ctx(), r.actor(), n)
	if errors.Is(err, foureyes.ErrPending) {
		return r.done(Prefix+"/infrastruttura/ente", "pending")
	}
	if shown, err := stay(err, func(status int, _ bool) error { return c.askEnte(r, n, status, r.T("console.ente-invalid")) }); shown || err != nil {
		return err
	}
	return r.done(Prefix+"/infrastruttura/ente", "saved")
}

func (c *Console) enteArms(r *request) error {
	file, _, err := r.r.FormFile("arms")
	var picture []byte
	if err == nil {
		defer func() { _ = file.Close() }()
		if picture, err = io.ReadAll(io.LimitReader(file, ente.MaxArms+1)); err != nil {
			return errBadForm
		}
	}
	err = c.Rooms.Enti.SetArms(r.ctx(), r.actor(), r.operator.Ente, picture)
	if errors.Is(err, ente.ErrInvalid) {
		e, err := c.Rooms.Enti.Get(r.ctx(), r.operator.Ente)
		if err != nil {
			return err
		}
		return c.askEnte(r, *e, http.StatusUnprocessableEntity, r.T("console.arms-invalid"))
	}
	if err != nil {
		return err
	}
	return r.done(Prefix+"/infrastruttura/ente", "saved")
}

func (c *Console) offices(r *request) error {
	list, err := c.Rooms.Enti.Offices(r.ctx(), r.operator.Ente)
	if err != nil {
		return err
	}
	t := &table{ID: "offices", Caption: r.T("console.m-offices"), Empty: r.T("console.none"), Head: r.heads("f-office", "f-residence", "f-phone", "f-email", "f-hours", "actions")}
	for _, o := range list {
		row := []cell{{Text: o.Name}, {Text: o.Address}, {Text: o.Phone}, {Text: o.Email}, {Text: o.Hours}}
		if r.mayWrite() {
			path := Prefix + "/infrastruttura/uffici/" + strconv.FormatInt(o.ID, 10)
			row = append(row, cell{Text: r.T("console.change-name", "name", o.Name), Link: path}, cell{Act: &act{Action: path + "/elimina", Button: r.T("console.delete"), Title: o.Name, Danger: true}})
		}
		t.Rows = append(t.Rows, row)
	}
	d := data{"Table": t}
	if r.mayWrite() {
		d["Links"] = []nextStep{{r.T("console.office-new"), Prefix + "/infrastruttura/uffici/nuovo"}}
	}
	return r.page(http.StatusOK, "list", r.T("console.m-offices"), d)
}

// officeOf finds an office of the own ente; "nuovo" is one to be.
func (c *Console) officeOf(r *request) (ente.Office, error) {
	name := r.r.PathValue("office")
	if name == "nuovo" {
		return ente.Office{}, nil
	}
	list, err := c.Rooms.Enti.Offices(r.ctx(), r.operator.Ente)
	if err != nil {
		return ente.Office{}, err
	}
	i := slices.IndexFunc(list, func(o ente.Office) bool { return strconv.FormatInt(o.ID, 10) == name })
	if i < 0 {
		return ente.Office{}, errNotFound
	}
	return list[i], nil
}

func (c *Console) office(r *request) error {
	o, err := c.officeOf(r)
	if err != nil {
		return err
	}
	return c.askOffice(r, o, http.StatusOK, false)
}

func (c *Console) askOffice(r *request, o ente.Office, status int, wrong bool) error {
	b := builder{request: r}
	name := "nuovo"
	if o.ID != 0 {
		name = strconv.FormatInt(o.ID, 10)
	}
	f := &form{Action: Prefix + "/infrastruttura/uffici/" + name, Cancel: Prefix + "/infrastruttura/uffici", Submit: r.T("console.save"), Sections: []section{{"", []field{
		rename2(b.add("office*", "text", o.Name), "name"), rename(b.add("residence", "text", o.Address), "address"), b.add("phone", "tel", o.Phone), b.add("email", "email", o.Email),
		b.add("hours", "text", o.Hours), b.add("place", "number", strconv.Itoa(o.Place)),
	}}}}
	return r.page(status, "form", r.T("console.office-title"), data{"Form": f, "Wrong": r.sentence(wrong, "console.office-invalid")})
}

func rename2(f field, name string) field {
	f.Name = name
	return f
}

func (c *Console) officeSave(r *request) error {
	old, err := c.officeOf(r)
	if err != nil {
		return err
	}
	place, _ := strconv.Atoi(r.value("place"))
	o := ente.Office{ID: old.ID, Name: r.value("name"), Address: r.value("address"), Phone: r.value("phone"), Email: r.value("email"), Hours: r.value("hours"), Place: place}
	err = c.Rooms.Enti.SaveOffice(r.ctx(), r.actor(), r.operator.Ente, o)
	if shown, err := stay(err, func(status int, wrong bool) error { return c.askOffice(r, o, status, wrong) }); shown || err != nil {
		return err
	}
	return r.done(Prefix+"/infrastruttura/uffici", "saved")
}

func (c *Console) officeDelete(r *request) error {
	o, err := c.officeOf(r)
	if err != nil {
		return err
	}
	if err := c.Rooms.Enti.DeleteOffice(r.ctx(), r.actor(), r.operator.Ente, o.ID); err != nil {
		return err
	}
	return r.done(Prefix+"/infrastruttura/uffici", "saved")
}

func (c *Console) calendar(r *request) error { return c.showCalendar(r, http.StatusOK, false) }

func (c *Console) showCalendar(r *request, status int, wrong bool) error {
	days, err := c.Rooms.Enti.Calendar(r.ctx(), r.operator.Ente, c.now())
	if err != nil {
		return err
	}
	t := &table{ID: "calendar", Caption: r.T("console.closed-days"), Empty: r.T("console.none"), Head: r.heads("f-day", "f-why", "actions")}
	for _, x := range days {
		row := []cell{{Text: x.Day.Format("02/01/2006")}, {Text: x.Reason}}
		if r.mayWrite() {
			row = append(row, cell{Act: &act{Action: Prefix + "/infrastruttura/calendario", Button: r.T("console.open-day"), Title: x.Day.Format("02/01/2006"), Hidden: map[string]string{"day": x.Day.Format(person.BornLayout)}}})
		}
		t.Rows = append(t.Rows, row)
	}
	d := data{"Table": t, "Intro": r.T("console.calendar-intro"), "Wrong": r.sentence(wrong, "console.calendar-invalid")}
	if r.mayWrite() {
		b := builder{request: r}
		d["Acts"] = []act{{Title: r.T("console.close-day"), Action: Prefix + "/infrastruttura/calendario", Button: r.T("console.close-day"),
			Fields: []field{b.add("day*", "text", r.value("day")), b.add("why*", "text", r.value("why"))}, Hidden: map[string]string{"close": "yes"}}}
	}
	return r.page(status, "list", r.T("console.m-calendar"), d)
}

func (c *Console) calendarSet(r *request) error {
	day, err := time.Parse(person.BornLayout, bornTyped(r.value("day")))
	why := r.value("why")
	if err != nil || r.value("close") != "" && why == "" {
		return c.showCalendar(r, http.StatusUnprocessableEntity, true)
	}
	if r.value("close") == "" {
		why = ""
	}
	err = c.Rooms.Enti.SetClosed(r.ctx(), r.actor(), r.operator.Ente, day, why)
	if shown, err := stay(err, func(status int, wrong bool) error { return c.showCalendar(r, status, wrong) }); shown || err != nil {
		return err
	}
	return r.done(Prefix+"/infrastruttura/calendario", "saved")
}

func (c *Console) mailPage(r *request) error {
	m, err := c.Rooms.Enti.Mail(r.ctx(), r.operator.Ente)
	if errors.Is(err, ente.ErrNoMail) {
		m, err = &ente.Mail{Security: "starttls"}, nil
	}
	if err != nil {
		return err
	}
	return c.askMail(r, *m, http.StatusOK, false)
}

func (c *Console) askMail(r *request, m ente.Mail, status int, wrong bool) error {
	waiting, sent, failed, err := c.Rooms.Postman.Status(r.ctx(), r.operator.Ente)
	if err != nil {
		return err
	}
	d := data{"Intro": r.T("console.mail-intro"), "Wrong": r.sentence(wrong, "console.mail-invalid"),
		"Facts": r.facts("f-waiting", strconv.Itoa(waiting), "f-sent", strconv.Itoa(sent), "f-failed", strconv.Itoa(failed))}
	if !r.mayWrite() {
		d["Facts"] = append(d["Facts"].([]fact), r.facts("f-from", m.From, "f-fromName", m.FromName, "f-host", m.Host, "f-security", m.Security)...) //nolint:forcetypeassert // set above
		return r.page(status, "show", r.T("console.m-mail"), d)
	}
	b := builder{request: r}
	password := b.add("mail-password", "password", "")
	password.Autocomplete = "new-password" // the browser's own password is not this one
	d["Acts"] = []act{{Title: r.T("console.mail-server"), Action: Prefix + "/infrastruttura/posta", Button: r.T("console.save"), Fields: []field{
		b.add("from*", "email", m.From), b.add("fromName", "text", m.FromName), b.add("host*", "text", m.Host),
		b.add("security*", "choice", m.Security, option{"starttls", "STARTTLS"}, option{"tls", "TLS"}, option{"none", r.T("console.security-none")}),
		b.add("mail-user", "text", m.Username), password,
	}}}
	return r.page(status, "show", r.T("console.m-mail"), d)
}

func (c *Console) mailSave(r *request) error {
	m := ente.Mail{From: r.value("from"), FromName: r.value("fromName"), Host: r.value("host"), Security: r.value("security"), Username: r.value("mail-user"), Password: r.r.PostFormValue("mail-password")}
	err := c.Rooms.Enti.SetMail(r.ctx(), r.actor(), r.operator.Ente, m)
	if shown, err := stay(err, func(status int, wrong bool) error { return c.askMail(r, m, status, wrong) }); shown || err != nil {
		return err
	}
	return r.done(Prefix+"/infrastruttura/posta", "saved")
}

// switches: the law of today for debole and media, per kind of person.
func (c *Console) switches(r *request) error { return c.showSwitches(r, http.StatusOK, false) }

func (c *Console) showSwitches(r *request, status int, wrong bool) error {
	all, err := c.Rooms.Enti.Switches(r.ctx(), r.operator.Ente)
	if err != nil {
		return err
	}
	t := &table{ID: "switches", Caption: r.T("console.m-switches"), Head: r.heads("f-credential", "f-category", "f-enabled", "f-why", "f-since")}
	for _, s := range all {
		since := ""
		if !s.Since.IsZero() {
			since = moment(s.Since)
		}
		t.Rows = append(t.Rows, []cell{{Text: r.T("console.credential-" + s.Credential)}, {Text: r.T("console.category-" + string(s.Category))}, {Text: r.onOff(s.Enabled)}, {Text: r.switchReason(s.Reason)}, {Text: since}})
	}
	d := data{"Table": t, "Intro": r.T("console.switches-intro"), "Wrong": r.sentence(wrong, "console.switch-invalid")}
	if r.mayWrite() {
		b := builder{request: r}
		var credentials, categories []option
		for _, x := range ente.SwitchedCredentials {
			credentials = append(credentials, option{x, r.T("console.credential-" + x)})
		}
		for _, x := range ente.Categories {
			categories = append(categories, option{string(x), r.T("console.category-" + string(x))})
		}
		d["Acts"] = []act{{Title: r.T("console.switch-set"), Action: Prefix + "/infrastruttura/credenziali", Button: r.T("console.switch-set"), Fields: []field{
			b.add("credential*", "choice", r.value("credential"), credentials...), b.add("category*", "choice", r.value("category"), categories...),
			b.add("enabled*", "radio", r.value("enabled"), option{"on", r.onOff(true)}, option{"off", r.onOff(false)}), b.add("why*", "long", r.value("why")),
		}}}
	}
	return r.page(status, "list", r.T("console.m-switches"), d)
}

func (r *request) onOff(on bool) string {
	if on {
		return r.T("console.on")
	}
	return r.T("console.off")
}

// switchReason is a sentence for the reasons that the server itself gave.
func (r *request) switchReason(reason string) string {
	switch reason {
	case ente.ReasonLaw, ente.ReasonDemo:
		return r.T("console.reason-" + reason)
	}
	return reason
}

func (c *Console) switchSet(r *request) error {
	on := r.value("enabled")
	if on != "on" && on != "off" {
		return c.showSwitches(r, http.StatusUnprocessableEntity, true)
	}
	err := c.Rooms.Enti.SetSwitch(r.ctx(), r.actor(), r.operator.Ente, ente.Switch{Credential: r.value("credential"), Category: ente.Category(r.value("category")), Enabled: on == "on", Reason: r.value("why")})
	if shown, err := stay(err, func(status int, wrong bool) error { return c.showSwitches(r, status, wrong) }); shown || err != nil {
		return err
	}
	return r.done(Prefix+"/infrastruttura/credenziali", "saved")
}

// accepted: whose envelopes open this ente's data.
func (c *Console) accepted(r *request) error {
	all, err := c.Rooms.Enti.Accepted(r.ctx(), r.operator.Ente)
	if err != nil {
		return err
	}
	list, err := c.Rooms.Enti.List(r.ctx(), false)
	if err != nil {
		return err
	}
	t := &table{ID: "accepted", Caption: r.T("console.m-accepted"), Head: r.heads("f-ente-name", "f-ente-code", "actions")}
	free := []option{{"", r.T("console.choose-one")}}
	for _, e := range list {
		own := e.Code == r.operator.Ente
		switch {
		case !slices.Contains(all, e.Code):
			free = append(free, option{e.Code, e.Name})
			continue
		case own:
			t.Rows = append(t.Rows, []cell{{Text: e.Name}, {Text: e.Code}, {Text: r.T("console.always")}})
		default:
			row := []cell{{Text: e.Name}, {Text: e.Code}}
			if r.mayWrite() {
				row = append(row, cell{Act: &act{Action: Prefix + "/infrastruttura/accettati", Button: r.T("console.accept-no-more"), Title: e.Name, Danger: true, Hidden: map[string]string{"ente": e.Code}}})
			}
			t.Rows = append(t.Rows, row)
		}
	}
	d := data{"Table": t, "Intro": r.T("console.accepted-intro")}
	if r.mayWrite() {
		b := builder{request: r}
		d["Acts"] = []act{{Title: r.T("console.accept"), Action: Prefix + "/infrastruttura/accettati", Button: r.T("console.accept"), Hidden: map[string]string{"accept": "yes"}, Fields: []field{rename2(b.add("accept-ente*", "choice", "", free...), "ente")}}}
	}
	return r.page(http.StatusOK, "list", r.T("console.m-accepted"), d)
}

func (c *Console) acceptedSet(r *request) error {
	err := c.Rooms.Enti.SetAccepts(r.ctx(), r.actor(), r.operator.Ente, r.value("ente"), r.value("accept") != "")
	if errors.Is(err, ente.ErrInvalid) {
		return errBadForm
	}
	if err != nil {
		return err
	}
	return r.done(Prefix+"/infrastruttura/accettati", "saved")
}
