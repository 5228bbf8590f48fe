package ente

import (
	"net/url"
	"strings"
)

// Place is where an address of the first system leads.
type Place string

// The places.
const (
	Home           Place = "home"
	ConsoleHome    Place = "console"
	RequestPerson  Place = "request-person"  // mod-persone.pdf
	RequestCompany Place = "request-company" // mod-giuridico.pdf
)

// Old is what an address of the first system means.
type Old struct {
	Place  Place
	IDEnte string // empty where it names none, or nothing that can be one
}

// ParseOld reads an address of the first system (path and query); ok is false for any
// other. Of the query only idEnte counts: idSessione, which /consolle/Init.do carried, is
// ignored and never adopted.
func ParseOld(path string, query url.Values) (old Old, ok bool) {
	switch strings.ToLower(strings.TrimSuffix(path, "/")) {
	case "/citel", "/citel/init.do":
		old.Place = Home
	case "/consolleente", "/consolleente/init.do", "/consolle", "/consolle/init.do":
		old.Place = ConsoleHome
	case "/citel/help/mod-persone.pdf":
		old.Place = RequestPerson
	case "/citel/help/mod-giuridico.pdf":
		old.Place = RequestCompany
	default:
		return Old{}, false
	}
	for k, v := range query {
		if strings.EqualFold(k, "idEnte") && len(v) > 0 && idEnte.MatchString(strings.ToUpper(v[0])) {
			old.IDEnte = strings.ToUpper(v[0])
		}
	}
	return old, true
}
