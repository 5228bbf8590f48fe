package portal

import (
	"slices"

	"github.com/citel-pa/citel/server/session"
)

// route is one address. The mux is made from the table and from nothing else, so that the
// test of who gets where knows them all.
type route struct {
	pattern string
	// level is the least that the ente of the address must have of the visitor. Addresses
	// that name a draft or an application ask besides that it is the visitor's, and for
	// the level that its service has (request.enough).
	level session.Level
	do    func(*Portal, *request) error
	// always: answers for enti that are not active too.
	always bool
}

// routes are all addresses of citizens, below each ente's place. Each part has its table
// beside what it does.
var routes = slices.Concat(general, formRoutes, fileRoutes, mandateRoutes, recordRoutes, rankingRoutes, townRoutes) //nolint:gochecknoglobals // a table

var general = []route{ //nolint:gochecknoglobals // a table
	{"GET /{$}", session.None, (*Portal).home, false},
	{"GET /enti", session.None, (*Portal).enti, true},
	{"GET /credenziali", session.None, (*Portal).credentials, false},
	{"GET /stemma.png", session.None, (*Portal).arms, true},
	{"GET /ente.css", session.None, (*Portal).colour, true},
	{"GET /scarica", session.None, (*Portal).downloads, true},
	{"GET /scarica/{name}", session.None, (*Portal).downloadFile, true},

	{"GET /accedi", session.None, (*Portal).loginPage, false},
	{"POST /accedi", session.None, (*Portal).loginSent, false},
	{"POST /esci", session.None, (*Portal).logout, true},
	{"POST /api/login/nonce", session.None, (*Portal).apiNonce, false},
	{"POST /api/login/token", session.None, (*Portal).apiToken, false},
	{"GET /api/sessione", session.None, (*Portal).apiSession, true},
	{"POST /api/sessione", session.None, (*Portal).apiExtend, true},

	{"GET /registrazione", session.None, (*Portal).registerPage, false},
	{"POST /registrazione", session.None, (*Portal).registerSent, false},
	{"GET /registrazione/conferma", session.None, (*Portal).confirmPage, false},
	{"POST /registrazione/conferma", session.None, (*Portal).confirmSent, false},
	{"GET /password", session.None, (*Portal).forgotPage, false},
	{"POST /password", session.None, (*Portal).forgotSent, false},
	{"GET /password/nuova", session.None, (*Portal).renewPage, false},
	{"POST /password/nuova", session.None, (*Portal).renewSent, false},
	{"GET /password/prima", session.None, (*Portal).firstPage, false},
	{"POST /password/prima", session.None, (*Portal).firstSent, false},
	{"GET /busta", session.None, (*Portal).envelopePage, false},
	{"POST /busta", session.None, (*Portal).envelopeSent, false},
	{"GET /unisci", session.Media, (*Portal).joinPage, false},
	{"POST /unisci", session.Media, (*Portal).joinSent, false},

	{"GET /area", session.Debole, (*Portal).area, false},
	{"GET /area/messaggi", session.Debole, (*Portal).areaMessages, false},
	{"GET /area/accessi", session.Debole, (*Portal).areaAccesses, false},
	{"GET /area/password", session.Debole, (*Portal).passwordPage, false},
	{"POST /area/password", session.Debole, (*Portal).passwordSent, false},
	{"GET /area/credenziali/{id}/password", session.Forte, (*Portal).resetPage, false},
	{"POST /area/credenziali/{id}/password", session.Forte, (*Portal).resetSent, false},

	// What was sent before services were data (archive.go).
	{"GET /bozze/{rest...}", session.None, (*Portal).oldDraft, false},
	{"GET /domande", session.Media, (*Portal).list, false},
	{"GET /domande/{id}", session.Forte, (*Portal).receipt, false},
	{"GET /domande/{id}/ricevuta.pdf", session.Forte, (*Portal).receiptPDF, false},
	{"GET /domande/{id}/istanza.pdf", session.Forte, (*Portal).contentPDF, false},
	{"GET /domande/{id}/istanza.pdf.p7m", session.Forte, (*Portal).signedFile, false},
	{"GET /domande/{id}/rapporto.json", session.Forte, (*Portal).report, false},

	// Addresses of the first system (old.go).
	{"GET /citel", session.None, (*Portal).old, true},
	{"GET /citel/{rest...}", session.None, (*Portal).old, true},
	{"GET /consolle", session.None, (*Portal).old, true},
	{"GET /consolle/{rest...}", session.None, (*Portal).old, true},

	{"/", session.None, func(*Portal, *request) error { return errNotFound }, true},
}
