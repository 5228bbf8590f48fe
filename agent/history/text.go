package history

import (
	"strings"

	"github.com/citel-pa/citel/pkcs/message"
)

// What says what was done, in words.
func (e *Entry) What(lang message.Lang) string {
	return message.Text(lang, "hand.kind-"+e.Kind, "n", e.Documents)
}

// Who says who asked for it.
func (e *Entry) Who(lang message.Lang) string {
	if e.Origin == "" {
		return message.Text(lang, "hand.by-"+e.By)
	}
	if e.By == BySite {
		return e.Origin
	}
	return e.Origin + ", " + message.Text(lang, "hand.by-"+e.By)
}

// CardName is the card with its kind in capitals.
func (e *Entry) CardName() string {
	kind, rest, _ := strings.Cut(e.Card, " ")
	return strings.TrimSpace(strings.ToUpper(kind) + " " + rest)
}

// Ended says how it ended.
func (e *Entry) Ended(lang message.Lang) string {
	if e.Outcome == Done {
		return message.Text(lang, "hand.outcome-done")
	}
	return message.Text(lang, "wire."+e.Outcome)
}
