package service_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/server/service"
)

// The reference names what the reader of texts knows, each key with a sentence, and no
// sentence is of a key that is not there.
func TestReference(t *testing.T) {
	used := map[string]bool{}
	all := service.Reference()
	for _, k := range all {
		for _, key := range []string{k.Words(), "type-" + k.Type} {
			used[key] = true
			if !message.Has("schema." + key) {
				t.Errorf("%s has no sentence schema.%s", k.Path, key)
			}
		}
	}
	for _, key := range message.Keys("schema") {
		if !used[key] {
			t.Errorf("schema.%s explains nothing", key)
		}
	}
	// What the reference says can be written is taken, what it does not say is refused.
	i := slices.IndexFunc(all, func(k service.Key) bool { return k.Path == "sections[].fields[].kind" })
	if i < 0 || len(all[i].Values) < 12 {
		t.Fatal(all)
	}
	text := string(service.Defaults["instradamento"])
	for _, kind := range all[i].Values {
		extra := ""
		if strings.HasPrefix(kind, "choice") {
			extra = ", options: [{value: a, label: {it: a, en: a}}]"
		}
		more := fmt.Sprintf("%s\n  - id: added\n    title: {it: x, en: x}\n    fields:\n      - {id: added-field, kind: %s, label: {it: x, en: x}%s}\n", strings.TrimRight(text, "\n"), kind, extra)
		if _, err := service.Parse([]byte(more)); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
}
