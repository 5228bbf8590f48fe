package console

import (
	"strings"

	"github.com/citel-pa/citel/server/role"
)

// The menu: what works and what the roles have. A module that is not there yet is not
// shown.
type menuPart struct {
	Title   string
	Modules []menuModule
}

type menuModule struct {
	Title  string
	Open   bool // the page is in it
	Groups []menuGroup
}

type menuGroup struct {
	Title string
	Links []menuLink
}

type menuLink struct {
	Title, Path string
	Any         []role.Permission
}

func link(title, path string, any ...role.Permission) menuLink {
	return menuLink{Title: "console.m-" + title, Path: Prefix + path, Any: any}
}

// menu lists the modules in the first system's order and words.
var menu = []menuPart{
	{"console.m-applications", []menuModule{routingModule, portalModule, registryModule, schoolModule, assistedModule, mandateModule, protocolModule}},
	{"console.m-system", []menuModule{
		{Title: "console.m-recognition", Groups: []menuGroup{
			{"console.m-users", []menuLink{
				link("release-person", "/rilascio/persona", role.EnvelopesHandOut),
				link("release-company", "/rilascio/azienda", role.EnvelopesHandOut),
				link("user-state", "/utenti?fare=stato", role.UsersRead),
				link("credential-state", "/utenti?fare=credenziale", role.UsersRead),
				link("envelopes", "/buste", role.EnvelopesRead),
				link("batches", "/lotti", role.EnvelopesPrint),
				link("user-log", "/utenti?fare=log", role.UsersLog),
				link("denied", "/accessi-negati", role.UsersLog, role.OperatorsLog),
				link("credential-change", "/utenti?fare=modifica", role.UsersState),
				link("users-list", "/utenti", role.UsersRead),
				link("user-reset", "/utenti?fare=reset", role.UsersReset),
			}},
			{"console.m-operators", []menuLink{
				link("operator-new", "/operatori/nuovo", role.OperatorsWrite),
				link("operator-state", "/operatori?fare=stato", role.OperatorsRead),
				link("operators-list", "/operatori", role.OperatorsRead),
				link("operator-credential", "/operatori?fare=credenziale", role.OperatorsRead),
				link("operator-log", "/operatori?fare=log", role.OperatorsLog),
				link("operator-change", "/operatori?fare=modifica", role.OperatorsState),
				link("operator-reset", "/operatori?fare=reset", role.OperatorsReset),
			}},
			{"console.m-second", []menuLink{link("waiting", "/conferme", confirming...)}},
		}},
		{Title: "console.m-infrastructure", Groups: []menuGroup{{"", []menuLink{
			link("ente", "/infrastruttura/ente", role.InfrastructureRead),
			link("offices", "/infrastruttura/uffici", role.InfrastructureRead),
			link("calendar", "/infrastruttura/calendario", role.InfrastructureRead),
			link("mail", "/infrastruttura/posta", role.InfrastructureRead),
			link("switches", "/infrastruttura/credenziali", role.InfrastructureRead),
			link("accepted", "/infrastruttura/accettati", role.InfrastructureRead),
		}}}},
		{Title: "console.m-profiles", Groups: []menuGroup{{"", []menuLink{
			link("role-assign", "/profilazione", role.RolesRead),
			link("roles", "/ruoli", role.RolesRead),
		}}}},
		{Title: "console.m-enti", Groups: []menuGroup{{"", []menuLink{
			link("enti-list", "/enti", role.SystemEnti),
			link("ente-new", "/nuovo-ente", role.SystemEnti),
		}}}},
	}},
}

// Menu is what the operator sees of it.
func (v *view) Menu() (out []menuPart) {
	if v.operator == nil || v.operator.MustChange {
		return nil
	}
	a := v.actor()
	for _, p := range menu {
		part := menuPart{Title: p.Title}
		for _, m := range p.Modules {
			module := menuModule{Title: m.Title}
			for _, g := range m.Groups {
				group := menuGroup{Title: g.Title}
				for _, l := range g.Links {
					if !a.Has(l.Any...) {
						continue
					}
					path, _, _ := strings.Cut(l.Path, "?")
					module.Open = module.Open || v.r.URL.Path == path || strings.HasPrefix(v.r.URL.Path, path+"/")
					group.Links = append(group.Links, l)
				}
				if len(group.Links) > 0 {
					module.Groups = append(module.Groups, group)
				}
			}
			if len(module.Groups) > 0 {
				part.Modules = append(part.Modules, module)
			}
		}
		if len(part.Modules) > 0 {
			out = append(out, part)
		}
	}
	return out
}

// Here is the page's address with the query that the menu tells apart.
func (v *view) Here() string {
	if do := v.r.URL.Query().Get("fare"); do != "" {
		return v.r.URL.Path + "?fare=" + do
	}
	return v.r.URL.Path
}

// HasArms tells whether the frame shows the ente's arms.
func (v *view) HasArms() bool {
	if v.operator == nil || v.operator.Ente == "" {
		return false
	}
	e, err := v.c.Rooms.Enti.Get(v.ctx(), v.operator.Ente)
	return err == nil && e.HasArms
}
