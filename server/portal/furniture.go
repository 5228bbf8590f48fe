package portal

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/runes"
	"golang.org/x/text/transform"
	"golang.org/x/text/unicode/norm"

	"github.com/citel-pa/citel/server/ente"
	"github.com/citel-pa/citel/server/service"
	"github.com/citel-pa/citel/server/session"
)

// What every page of a town has around it: crumbs, contacts, the search of services.

// crumb is a step of the way to a page.
type crumb struct{ Link, Text string }

// sections are what pages are below, by the first part of their address.
var sections = map[string]crumb{ //nolint:gochecknoglobals // a table
	"servizi": {"/servizi", "modulo.services-title"}, "pratiche": {"/pratiche", "pratica.list-title"}, "domande": {"/area", "portal.area-title"},
	"deleghe": {"/area", "portal.area-title"}, "area": {"/area", "portal.area-title"}, "scarica": {"/aiuto", "portal.help-title"}, "accessibilita": {"/accessibilita", "portal.accessibility-title"}, "graduatorie": {"/graduatorie", "graduatoria.list-title"},
}

// Crumbs lead from the portal's first page to this one, which is the last and no link;
// empty on the first page.
func (v *view) Crumbs() []crumb {
	if v.Path == "/" {
		return nil
	}
	out := []crumb{{v.base + "/", v.T("modulo.home")}}
	first, _, _ := strings.Cut(strings.TrimPrefix(v.Path, "/"), "/")
	if s, ok := sections[first]; ok && s.Link != v.Path {
		out = append(out, crumb{v.base + s.Link, v.T(s.Text)})
	}
	if first == "deleghe" && v.Path != "/deleghe" {
		out = append(out, crumb{v.base + "/deleghe", v.T("mandate.title")})
	}
	here := v.Title
	if c, ok := v.D["Crumb"].(string); ok { // a step's title names the step and the service, which the heading has already
		here = c
	}
	return append(out, crumb{"", here})
}

// Nav tells which item of the main navigation a page is in.
func (v *view) Nav(first string) bool {
	at, _, _ := strings.Cut(strings.TrimPrefix(v.Path, "/"), "/")
	switch first {
	case "servizi":
		return at == "servizi"
	case "aiuto":
		return at == "aiuto" || at == "scarica"
	}
	return at == first
}

// Public is what the ente says of itself in header and footer. A page is shown without it
// when it cannot be read.
func (v *view) Public() *ente.Public {
	if v.public == nil {
		p, err := v.p.Rooms.Enti.Public(v.ctx(), v.ente.Code)
		if err != nil {
			v.p.Log.Warn("the ente's contacts cannot be read", "error", err)
			p = &ente.Public{}
		}
		v.public = p
	}
	return v.public
}

// Site is the ente's own.
func (v *view) Site() string { return v.ente.Site }

// Declaration is where the accessibility declaration is: what the ente set, else the page
// that explains.
func (v *view) Declaration() string {
	if d := v.Public().Declaration; d != "" {
		return d
	}
	return v.base + "/accessibilita"
}

// stars are the twelve of the Union's emblem in a field of 810 x 540: on a circle of a
// third of the height, each in a circle of an eighteenth, one point up.
func stars() (out []string) {
	for i := range 12 {
		a := float64(i) * math.Pi / 6
		x, y := 405+180*math.Sin(a), 270-180*math.Cos(a)
		var b strings.Builder
		for k := range 10 {
			r := 30.0
			if k%2 == 1 {
				r *= 0.381966 // of a pentagram: (3 - sqrt 5) / 2
			}
			t := float64(k) * math.Pi / 5
			fmt.Fprintf(&b, "%.1f,%.1f ", x+r*math.Sin(t), y-r*math.Cos(t))
		}
		out = append(out, strings.TrimSpace(b.String()))
	}
	return out
}

var emblem = stars() //nolint:gochecknoglobals // drawn once

// plain is a text as people search it: without accents and capitals.
func plain(s string) string {
	t := transform.Chain(norm.NFD, runes.Remove(runes.In(unicode.Mn)), norm.NFC)
	out, _, err := transform.String(t, s)
	if err != nil {
		out = s
	}
	return strings.ToLower(out)
}

// maxSearch bounds what is searched for, in characters.
const maxSearch = 100

// searched are the topics with the services that have every word: in title, help, topic,
// or what is asked in them.
func (r *request) searched(topics []topic, query string) (out []topic) {
	words := strings.Fields(plain(query))
	for _, t := range topics {
		kept := t
		kept.Services = nil
		for _, s := range t.Services {
			var b strings.Builder
			for _, w := range []service.Words{s.Title, s.Help} {
				b.WriteString(w.It + " " + w.En + " ")
			}
			for _, x := range s.Sections {
				b.WriteString(x.Title.It + " " + x.Title.En + " ")
			}
			text := plain(b.String() + t.Name)
			if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(text, w) }) {
				kept.Services = append(kept.Services, s)
			}
		}
		if len(kept.Services) > 0 {
			out = append(out, kept)
		}
	}
	return out
}

// home is the welcome, the services by topic, and the search. Where one origin has several
// enti the page leads to the others too.
func (p *Portal) home(r *request) error {
	all, err := p.Rooms.Enti.List(r.ctx(), true)
	if err != nil {
		return err
	}
	topics, err := r.topics()
	if err != nil {
		return err
	}
	query := strings.TrimSpace(r.r.URL.Query().Get("cerca"))
	if q := []rune(query); len(q) > maxSearch {
		query = string(q[:maxSearch])
	}
	d := map[string]any{"Others": len(all) > 1, "Query": query, "In": r.level > session.None}
	found := 0
	if query != "" {
		topics = r.searched(topics, query)
	}
	for _, t := range topics {
		found += len(t.Services)
	}
	d["Topics"], d["Found"] = topics, found
	return r.render("home", "portal.home-title", d)
}
