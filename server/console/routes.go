package console

import (
	"net/http"

	"github.com/citel-pa/citel/server/attachment"
	"github.com/citel-pa/citel/server/role"
)

const (
	get  = http.MethodGet
	post = http.MethodPost
)

// routes are all addresses of the console and who reaches each: the one table from which
// the router is made, and the tests' table of every address with every role.
var routes []Route

func anybody(method, path string, run func(*Console, *request) error) {
	routes = append(routes, Route{Method: method, Pattern: path, Access: Anybody, run: call(run)})
}

func operators(method, path string, run func(*Console, *request) error) {
	routes = append(routes, Route{Method: method, Pattern: Prefix + path, Access: Operator, run: call(run)})
}

func permitted(method, path string, run func(*Console, *request) error, any ...role.Permission) {
	routes = append(routes, Route{Method: method, Pattern: Prefix + path, Access: Permitted, Permissions: any, run: call(run)})
}

// uploads is a POST that takes a file as big as attachments may be.
func uploads(path string, run func(*Console, *request) error, any ...role.Permission) {
	routes = append(routes, Route{Method: post, Pattern: Prefix + path, Access: Permitted, Permissions: any, Upload: attachment.DefaultBytes + maxForm, run: call(run)})
}

// The functions are methods and the table is read by some of them: it is filled here, and
// by the same function beside each module.
func init() {
	anybody(get, Prefix, (*Console).entry)
	anybody(get, Prefix+"/accedi", (*Console).loginPage)
	anybody(post, Prefix+"/accedi", (*Console).login)
	anybody(get, Prefix+"/codice", waiting((*Console).codePage))
	anybody(post, Prefix+"/codice", waiting((*Console).code))
	anybody(get, Prefix+"/carta", waiting((*Console).cardPage))
	anybody(get, Prefix+"/fattore", waiting((*Console).factorPage))
	anybody(post, Prefix+"/fattore", waiting((*Console).factor))
	anybody(post, Prefix+"/api/nonce", (*Console).apiNonce)
	anybody(post, Prefix+"/api/carta/{step}", (*Console).apiCard)
	anybody(get, Prefix+"/attiva", (*Console).activatePage)
	anybody(post, Prefix+"/attiva", (*Console).activate)
	anybody(post, Prefix+"/esci", (*Console).logout)

	operators(get, "/{$}", (*Console).home)
	operators(get, "/stemma.png", (*Console).arms)
	operators(post, "/ruolo", (*Console).chooseRole)
	operators(get, "/password", (*Console).passwordPage)
	operators(post, "/password", (*Console).password)
	operators(get, "/registrazione", (*Console).ownPage)
	operators(post, "/registrazione", (*Console).own)
	operators(get, "/api/sessione", (*Console).sessionLeft)
	operators(post, "/api/sessione", (*Console).sessionExtend)
	operators(post, "/sessione", (*Console).sessionExtend)

	permitted(get, "/rilascio/{kind}", (*Console).releasePage, role.EnvelopesHandOut)
	permitted(post, "/rilascio/{kind}", (*Console).release, role.EnvelopesHandOut)
	permitted(get, "/buste", (*Console).envelopes, role.EnvelopesRead)
	permitted(get, "/buste/{code}", (*Console).envelope, role.EnvelopesRead)
	permitted(post, "/buste/{code}/stato", (*Console).envelopeState, role.EnvelopesState)
	permitted(get, "/lotti", (*Console).batches, role.EnvelopesPrint)
	permitted(post, "/lotti", (*Console).printBatch, role.EnvelopesPrint)
	permitted(post, "/lotti/{batch}/conferma", (*Console).confirmBatch, role.EnvelopesPrint)
	permitted(post, "/lotti/annulla", (*Console).voidBatch, role.EnvelopesPrint)

	permitted(get, "/utenti", (*Console).users, role.UsersRead)
	permitted(get, "/utenti/{id}", (*Console).user, role.UsersRead)
	permitted(get, "/utenti/{id}/log", (*Console).userLog, role.UsersLog)
	permitted(post, "/utenti/{id}/codice", (*Console).userCode, role.UsersCode)
	permitted(post, "/utenti/{id}/decesso", (*Console).userDead, role.UsersCode)
	permitted(get, "/credenziali/{credential}", (*Console).credential, role.UsersRead)
	permitted(post, "/credenziali/{credential}/stato", (*Console).credentialState, role.UsersState)
	permitted(post, "/credenziali/{credential}/reset", (*Console).credentialReset, role.UsersReset)
	permitted(post, "/credenziali/{credential}/foglio", (*Console).credentialSheet, role.UsersReset)

	permitted(get, "/operatori", (*Console).operators, role.OperatorsRead)
	permitted(get, "/operatori/nuovo", (*Console).operatorNew, role.OperatorsWrite)
	permitted(post, "/operatori/nuovo", (*Console).operatorMake, role.OperatorsWrite)
	permitted(get, "/operatori/{id}", (*Console).operator, role.OperatorsRead)
	permitted(get, "/operatori/{id}/log", (*Console).operatorLog, role.OperatorsLog)
	permitted(post, "/operatori/{id}/stato", (*Console).operatorState, role.OperatorsState)
	permitted(post, "/operatori/{id}/reset", (*Console).operatorReset, role.OperatorsReset)

	permitted(get, "/ruoli", (*Console).roles, role.RolesRead)
	permitted(get, "/profilazione", (*Console).profiles, role.RolesRead)
	permitted(get, "/profilazione/{id}", (*Console).profile, role.RolesRead)
	permitted(post, "/profilazione/{id}/assegna", (*Console).roleAssign, role.RolesAssign)
	permitted(post, "/profilazione/{id}/modifica", (*Console).roleReplace, role.RolesAssign)
	permitted(post, "/profilazione/{id}/togli", (*Console).roleRemove, role.RolesAssign)

	permitted(get, "/infrastruttura/ente", (*Console).entePage, role.InfrastructureRead)
	permitted(post, "/infrastruttura/ente", (*Console).enteSave, role.InfrastructureWrite)
	permitted(post, "/infrastruttura/stemma", (*Console).enteArms, role.InfrastructureWrite)
	permitted(get, "/infrastruttura/uffici", (*Console).offices, role.InfrastructureRead)
	permitted(get, "/infrastruttura/uffici/{office}", (*Console).office, role.InfrastructureRead)
	permitted(post, "/infrastruttura/uffici/{office}", (*Console).officeSave, role.InfrastructureWrite)
	permitted(post, "/infrastruttura/uffici/{office}/elimina", (*Console).officeDelete, role.InfrastructureWrite)
	permitted(get, "/infrastruttura/calendario", (*Console).calendar, role.InfrastructureRead)
	permitted(post, "/infrastruttura/calendario", (*Console).calendarSet, role.InfrastructureWrite)
	permitted(get, "/infrastruttura/posta", (*Console).mailPage, role.InfrastructureRead)
	permitted(post, "/infrastruttura/posta", (*Console).mailSave, role.InfrastructureWrite)
	permitted(get, "/infrastruttura/credenziali", (*Console).switches, role.InfrastructureRead)
	permitted(post, "/infrastruttura/credenziali", (*Console).switchSet, role.InfrastructureWrite)
	permitted(get, "/infrastruttura/accettati", (*Console).accepted, role.InfrastructureRead)
	permitted(post, "/infrastruttura/accettati", (*Console).acceptedSet, role.InfrastructureWrite)

	permitted(get, "/enti", (*Console).enti, role.SystemEnti)
	permitted(get, "/nuovo-ente", (*Console).enteNew, role.SystemEnti)
	permitted(post, "/nuovo-ente", (*Console).enteMake, role.SystemEnti)
	permitted(get, "/enti/{ente}", (*Console).enteOf, role.SystemEnti)
	permitted(post, "/enti/{ente}", (*Console).entePlace, role.SystemEnti)
	permitted(get, "/enti/{ente}/operatore", (*Console).firstPage, role.SystemEnti)
	permitted(post, "/enti/{ente}/operatore", (*Console).first, role.SystemEnti)
}

func call(run func(*Console, *request) error) func(*request) error {
	return func(r *request) error { return run(r.c, r) }
}
