package console

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/server/credential"
	"github.com/citel-pa/citel/server/ente"
	"github.com/citel-pa/citel/server/envelope"
	"github.com/citel-pa/citel/server/foureyes"
	"github.com/citel-pa/citel/server/operator"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/register"
	"github.com/citel-pa/citel/server/submission"
)

// Every sentence that a page of the console or a room names is in the catalogue, in both
// languages.
func TestSentences(t *testing.T) {
	need := map[string]string{}
	literal := regexp.MustCompile(`"((?:console|desk|portal|login|foureyes|audit|office|protocol|application)\.[A-Za-z0-9-]*[A-Za-z0-9])"`)
	own := regexp.MustCompile(`(?:b|d|of|builder\{request: r\})\.add\("([A-Za-z-]+)\*?"`)
	areas := regexp.MustCompile(`r\.words\("([a-z]+)"((?:, "[a-z-]+")+)\)`)
	facts := regexp.MustCompile(`r\.(office|protocol)Facts\(([^\n]*)`)
	first := regexp.MustCompile(`"([a-z][a-z-]+)"`)
	pair := regexp.MustCompile(`r\.(?:facts|heads)\(([^\n]*)`)
	done := regexp.MustCompile(`(?:r\.done|c\.batchDone)\([^\n]*"([a-z-]+)"\)`)
	keys := regexp.MustCompile(`"((?:[fs])-[A-Za-z-]+)"`)
	for _, pattern := range []string{"*.go", "templates/*.html"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatal(pattern, err)
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range literal.FindAllStringSubmatch(string(text), -1) {
				need[m[1]] = name
			}
			for _, m := range own.FindAllStringSubmatch(string(text), -1) {
				need["console.f-"+m[1]] = name
			}
			for _, m := range areas.FindAllStringSubmatch(string(text), -1) {
				for _, k := range first.FindAllStringSubmatch(m[2], -1) {
					need[m[1]+"."+k[1]] = name
				}
			}
			for _, m := range facts.FindAllStringSubmatch(string(text), -1) {
				for i, k := range first.FindAllStringSubmatch(m[2], -1) {
					if i == 0 {
						need[m[1]+"."+k[1]] = name
					}
				}
			}
			for _, m := range pair.FindAllStringSubmatch(string(text), -1) {
				for _, k := range keys.FindAllStringSubmatch(m[1], -1) {
					need["console."+k[1]] = name
				}
			}
			for _, m := range done.FindAllStringSubmatch(string(text), -1) {
				need["console.done-"+m[1]] = name
			}
		}
	}
	for _, p := range menu {
		need[p.Title] = "menu"
		for _, m := range p.Modules {
			need[m.Title] = "menu"
			for _, g := range m.Groups {
				if g.Title != "" {
					need[g.Title] = "menu"
				}
				for _, l := range g.Links {
					need[l.Title] = "menu"
				}
			}
		}
	}
	for _, code := range []string{"not-found", "forbidden", "csrf", "bad-form", "too-soon", "self", "state", "reason", "same", "error"} {
		need["console."+code+"-title"], need["console."+code+"-body"] = "errors", "errors"
	}
	// What the rooms say by a code.
	rooms, err := filepath.Glob("../*/*.go")
	if err != nil || len(rooms) == 0 {
		t.Fatal(err)
	}
	errorCode := regexp.MustCompile(`(?:errs|of|Errs)\[[^\]]+\] = "([a-z-]+)"|person\.Errors\{"[A-Za-z]+": "([a-z-]+)"|"(warn-[a-z-]+)"`)
	for _, name := range rooms {
		if strings.HasSuffix(name, "_test.go") || !regexp.MustCompile(`^\.\./(person|operator|credential|envelope|console)/`).MatchString(name) {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range errorCode.FindAllStringSubmatch(string(text), -1) {
			need["desk."+m[1]+m[2]+m[3]] = name
		}
	}
	for _, err := range []error{envelope.ErrMistyped, envelope.ErrNotFound, envelope.ErrOtherEnte, envelope.ErrNotConfirmed, envelope.ErrVoid, envelope.ErrUsed, envelope.ErrPrinter, envelope.ErrSelf,
		envelope.ErrDead, envelope.ErrHasMedia, envelope.ErrState, envelope.ErrReason, envelope.ErrSize, envelope.ErrRefused} {
		if envelope.Code(err) == "internal" {
			t.Errorf("%v has no code", err)
		}
		need["desk.envelope-"+envelope.Code(err)] = "envelope"
	}
	for _, k := range envelope.DocumentKinds {
		need["desk.document-"+k] = "envelope"
	}
	for _, s := range envelope.States {
		need["desk.state-"+string(s)] = "envelope"
	}
	for _, s := range []credential.State{credential.Pending, credential.Active, credential.Suspended, credential.Revoked, credential.Expired} {
		need["desk.state-"+string(s)] = "credential"
	}
	for _, s := range []operator.State{operator.Invited, operator.Active, operator.Suspended, operator.Revoked} {
		need["desk.state-"+string(s)] = "operator"
	}
	for _, k := range []operator.Factor{operator.TOTP, operator.Card, operator.NoFactor} {
		need["console.factor-"+string(k)] = "operator"
	}
	for _, k := range []person.Kind{person.Natural, person.Corporate} {
		need["console.kind-"+string(k)] = "person"
	}
	for _, k := range []credential.Kind{credential.Debole, credential.Media, credential.Forte} {
		need["console.credential-"+string(k)] = "credential"
	}
	for _, k := range ente.Categories {
		need["console.category-"+string(k)] = "ente"
	}
	for _, k := range foureyes.Kinds {
		need["foureyes."+string(k)] = "foureyes"
	}
	// The log's kinds, as its source lists them.
	source, err := os.ReadFile("../audit/audit.go")
	if err != nil {
		t.Fatal(err)
	}
	kinds := regexp.MustCompile(`(?m)^\t[A-Z]\w+\s+= "([a-z-]+)"`).FindAllStringSubmatch(string(source), -1)
	if len(kinds) < 30 {
		t.Fatalf("%d kinds of events", len(kinds))
	}
	for _, m := range kinds {
		need["audit."+m[1]] = "audit"
	}
	for _, d := range deeds {
		for _, k := range []string{"step-", "do-", "words-"} {
			need["office."+k+d.Kind] = "deeds"
		}
		need["office.do-"+d.Kind+"-intro"], need["console.done-application-"+d.Kind] = "deeds", "deeds"
	}
	for _, s := range submission.States {
		need["application.state-"+string(s)] = "states"
	}
	for _, s := range []register.DayState{register.DayGood, register.DayMissing, register.DayData, register.DayEntries, register.DaySeal} {
		need["protocol.day-"+string(s)] = "days"
	}
	for key, from := range need {
		if !message.Has(key) {
			t.Errorf("%s: no sentence %q", from, key)
		}
	}
	if len(need) < 300 {
		t.Errorf("only %d sentences were looked for", len(need))
	}
}
