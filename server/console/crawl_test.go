package console_test

import (
	"fmt"
	"html"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/citel-pa/citel/server/assets"
	"github.com/citel-pa/citel/server/console"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/store"
	"github.com/citel-pa/citel/server/store/storetest"
	"github.com/citel-pa/citel/testdata/town"
)

var (
	consoleLink = regexp.MustCompile(`(?:href|src)="([^"]*)"`)
	getForm     = regexp.MustCompile(`<form method="get" action="([^"]*)"`)
	consoleKey  = regexp.MustCompile(`>\s*(?:answer|application|assisted|attachment|audit|console|definition|delega|desk|ente|feedback|form|foureyes|mandate|office|protocol|ranking|rating|register|registry|schema|school|service|services|submission)\.[a-z0-9-]+\s*<`)
)

// Every link that an operator of each role is shown leads to a page that the role may see,
// in a town where there is something of everything.
func TestEveryLinkOfEveryRole(t *testing.T) {
	w := town.New(t, storetest.New(t, store.SQLite))
	h := pages(t, w)
	r := ready(t, w)
	r.counter(t, w)
	reached := 0
	for i, x := range role.List() {
		t.Run(x.ID, func(t *testing.T) {
			b := as(t, w, h, w.Operator("prova", 100+i, x.ID), fmt.Sprintf("192.0.2.%d:1", i))
			b.t = t
			if i%2 == 1 {
				b.get(console.Prefix + "/?lingua=en")
			}
			done := map[string]bool{}
			for queue := []string{path + "/"}; len(queue) > 0 && len(done) < 250; queue = queue[1:] {
				at := queue[0]
				if done[at] {
					continue
				}
				done[at] = true
				b.get(at)
				switch {
				case b.status == http.StatusSeeOther:
					queue = append(queue, b.header.Get("Location"))
					continue
				case b.status != http.StatusOK:
					t.Errorf("%s: %d", at, b.status)
					continue
				case !strings.HasPrefix(b.header.Get("Content-Type"), "text/html"):
					continue
				}
				reached++
				if k := consoleKey.FindString(b.body); k != "" {
					t.Errorf("%s: the key %q stands on the page", at, k)
				}
				for _, m := range slices.Concat(consoleLink.FindAllStringSubmatch(b.body, -1), getForm.FindAllStringSubmatch(b.body, -1)) {
					to, fragment, _ := strings.Cut(html.UnescapeString(m[1]), "#")
					switch {
					case strings.Contains(to, "lingua="), strings.HasPrefix(to, assets.Prefix), strings.HasPrefix(to, "mailto:"), strings.HasPrefix(to, "https://"):
					case to == "" && fragment != "" && !strings.Contains(b.body, `id="`+fragment+`"`):
						t.Errorf("%s: nothing has the id %q", at, fragment)
					case strings.HasPrefix(to, "?"):
						here, _, _ := strings.Cut(at, "?")
						queue = append(queue, here+to)
					case strings.HasPrefix(to, console.Prefix):
						queue = append(queue, to)
					}
				}
			}
		})
	}
	if reached < 300 {
		t.Errorf("%d pages alone were reached", reached)
	}
}
