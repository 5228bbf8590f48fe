package ente_test

import (
	"net/url"
	"testing"

	"github.com/citel-pa/citel/server/ente"
)

func TestOldAddresses(t *testing.T) {
	for address, want := range map[string]ente.Old{
		"/citel/Init.do?idEnte=COPI":               {Place: ente.Home, IDEnte: "COPI"},
		"/citel/Init.do?idente=copi&x=y":           {Place: ente.Home, IDEnte: "COPI"},
		"/citel/Init.do":                           {Place: ente.Home},
		"/citel/Init.do?idEnte=%2f%2fevil.example": {Place: ente.Home},
		"/citel/Init.do?idEnte=":                   {Place: ente.Home},
		"/consolleente":                            {Place: ente.ConsoleHome},
		"/consolleente/":                           {Place: ente.ConsoleHome},
		"/consolle/Init.do?idSessione=0123456789ABCDEF&idEnte=DEMO": {Place: ente.ConsoleHome, IDEnte: "DEMO"},
		"/citel/help/mod-persone.pdf":                               {Place: ente.RequestPerson},
		"/citel/help/mod-giuridico.pdf":                             {Place: ente.RequestCompany},
	} {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := ente.ParseOld(u.Path, u.Query()); !ok || got != want {
			t.Errorf("%s: %+v, %v", address, got, ok)
		}
	}
	for _, address := range []string{"/", "/accedi", "/citel/help/", "/citel/help/../Init.do", "/citel/Init.doc"} {
		if got, ok := ente.ParseOld(address, nil); ok {
			t.Errorf("%s: %+v", address, got)
		}
	}
}
