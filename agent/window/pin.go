package window

import (
	"bytes"
	"net/http"

	"github.com/citel-pa/citel/agent/consent"
	"github.com/citel-pa/citel/agent/consent/frame"
	"github.com/citel-pa/citel/pkcs/message"
)

// pinPage asks for PIN or PUK and a new PIN.
type pinPage struct {
	V        frame.View
	Heading  string
	Script   string
	Deadline int64
	Card     consent.PINCard
	Title    string
	Unblock  bool
	Where    string // the PUK is
	Last     string // try
	Tries    string
	Digits   string
	Yes      string
	Fields   []pinField
}

type pinField struct {
	ID, Label string
	Max       int
}

func (w *Window) pinPage(lang message.Lang) pinPage {
	r := w.View.NewPIN
	if r == nil {
		r = &consent.PINRequest{}
	}
	text := func(key string, args ...any) string { return message.Text(lang, "care."+key, args...) }
	p := pinPage{V: w.View, Script: "pin", Heading: text("heading-" + string(r.Care)), Card: r.Card, Unblock: r.Care == consent.CareUnblock,
		Title: text("card-"+r.Card.Kind, "number", r.Card.Number), Yes: text("yes-" + string(r.Care)), Digits: text("digits-range", "least", r.Card.MinDigits, "most", r.Card.MaxDigits)}
	if r.Card.MinDigits == r.Card.MaxDigits {
		p.Digits = text("digits-exact", "least", r.Card.MinDigits)
	}
	if !w.View.Deadline.IsZero() {
		p.Deadline = w.View.Deadline.UnixMilli()
	}
	first, last := "pin-now", "last-pin"
	if p.Unblock {
		first, last = "puk", "last-puk"
		p.Where = text("where-puk-" + r.Card.Kind)
	}
	switch {
	case r.Card.TriesLeft == 1:
		p.Last = text(last)
	case r.Card.TriesLeft > 1:
		p.Tries = message.Text(lang, "consent.tries-left", "n", r.Card.TriesLeft)
	}
	p.Fields = []pinField{{"secret", text(first), r.Card.MaxDigits}, {"fresh", text("new"), r.Card.MaxDigits}, {"again", text("again"), r.Card.MaxDigits}}
	return p
}

// secrets takes PIN or PUK, the new PIN and the new PIN again: the request's body,
// three lines, and nothing else is.
func (w *Window) secrets(lang message.Lang) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		body := make([]byte, 3*frame.MaxPIN+1)
		consent.Lock(body)
		defer clear(body)
		n := 0
		for n < len(body) {
			k, err := r.Body.Read(body[n:])
			n += k
			if err != nil {
				break
			}
		}
		parts := bytes.SplitN(body[:n], []byte{'\n'}, 4)
		ask := w.View.NewPIN
		if ask == nil || !w.ready() || n == len(body) || len(parts) != 3 {
			http.Error(rw, message.Text(lang, "window.bad-answer"), http.StatusConflict)
			return
		}
		if why := ask.Unfit(parts[0], parts[1], parts[2]); why != "" {
			http.Error(rw, message.Text(lang, why), http.StatusUnprocessableEntity)
			return
		}
		if w.tell(frame.Message{Type: frame.Secrets}, parts[0], parts[1]) != nil {
			http.Error(rw, message.Text(lang, "window.bad-answer"), http.StatusConflict)
			return
		}
		go w.End() // the secrets' window ends once they are handed over
	}
}
