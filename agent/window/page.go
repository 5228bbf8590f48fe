package window

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/citel-pa/citel/agent/consent"
	"github.com/citel-pa/citel/agent/consent/frame"
	"github.com/citel-pa/citel/pkcs/message"
)

// page is what the template writes.
type page struct {
	V         frame.View
	Heading   string
	Script    string
	Deadline  int64 // ms since 1970
	Punycode  bool
	Count     string
	Documents []document
	Cards     []cardView
	Single    bool
	PIN       bool   // the card's PIN is asked
	Hash      string // lower-case hex, with its function before it
}

type document struct {
	frame.DocumentInfo
	Number   int
	Prefix   string
	Kind     string // text, pdf, image, or empty: not shown
	Text     string
	Warnings []string
	// Signed: the file is signed already, Signers are the names it claims; what is
	// shown is its content.
	Signed  bool
	Signers string
}

type cardView struct {
	ID, Title, Unfit string
	Lines            []string
	Hints            []hint
	Digits           int
	Pinpad, Chosen   bool
}

type hint struct{ Class, Text string }

func (w *Window) question(lang message.Lang, text func(string, ...any) string) page {
	v := w.View
	p := page{V: v, Script: "window", Punycode: strings.Contains(v.Caller.Origin, "xn--")}
	switch v.Mode {
	case frame.Review:
		p.Heading, p.Script = text("heading-review"), "review"
	case frame.Status:
		p.Heading = text("heading-status")
	default:
		p.Heading = text("heading-" + string(v.Purpose))
	}
	if !v.Deadline.IsZero() {
		p.Deadline = v.Deadline.UnixMilli()
	}
	p.Count = text("what-sign", "n", len(v.Documents))
	if len(v.Documents) == 1 {
		p.Count = text("what-sign-one")
	}
	for i, d := range v.Documents {
		p.Documents = append(p.Documents, w.documentView(i, d))
	}
	p.PIN = v.Purpose.UsesKey()
	if v.Hash != nil {
		p.Hash = fmt.Sprintf("%s %x", v.Hash.Function, v.Hash.Value)
	}
	fit := 0
	for _, c := range v.Certificates {
		p.Cards = append(p.Cards, cardOf(c, fit == 0, lang, text))
		if c.Unfit == "" {
			fit++
		}
	}
	p.Single = len(p.Cards) == 1
	return p
}

func (w *Window) documentView(i int, d frame.DocumentInfo) document {
	out := document{DocumentInfo: d, Number: i + 1, Prefix: d.SHA256[:min(16, len(d.SHA256))], Warnings: []string{"scripts", "files", "layers", "xfa", "external"}}
	if i >= len(w.documents) || w.documents[i] == nil {
		return out
	}
	data := w.documents[i]
	if names, ok := w.signers[i]; ok {
		out.Signed, out.Signers = true, strings.Join(names, ", ")
	}
	switch {
	case strings.HasPrefix(string(data[:min(5, len(data))]), "%PDF-"):
		out.Kind = "pdf"
	case http.DetectContentType(data) == "image/png", http.DetectContentType(data) == "image/jpeg":
		out.Kind = "image"
	case (strings.HasPrefix(d.MediaType, "text/") || strings.HasSuffix(d.MediaType, "/json") || strings.HasSuffix(d.MediaType, "/xml")) && readable(data):
		// The source is shown, whatever a browser would make of it.
		out.Kind, out.Text = "text", string(data)
	}
	return out
}

func cardOf(c consent.Certificate, first bool, lang message.Lang, text func(string, ...any) string) cardView {
	v := cardView{ID: c.ID, Title: strings.TrimSpace(c.Name + " " + c.CodiceFiscale), Digits: c.PIN.Digits, Pinpad: c.PIN.Pinpad, Chosen: first && c.Unfit == ""}
	if c.AfterPIN {
		v.Title = message.Text(lang, "consent.card-"+c.Kind, "number", c.Number)
		v.Lines = append(v.Lines, text("after-pin"))
	} else {
		v.Lines = append(v.Lines, text("issued", "issuer", c.Issuer, "date", c.NotAfter.In(time.Local).Format("02/01/2006")))
	}
	v.Lines = append(v.Lines, text("in", "source", c.Source))
	if c.Unfit != "" {
		v.Unfit = message.Text(lang, c.Unfit)
		v.Lines = append(v.Lines, v.Unfit)
		return v
	}
	switch {
	case c.PIN.FinalTry || c.PIN.TriesLeft == 1:
		v.Hints = append(v.Hints, hint{"alert alert-danger", text("last-try")})
	case c.PIN.TriesLeft > 1:
		v.Hints = append(v.Hints, hint{"mb-1", text("tries", "n", c.PIN.TriesLeft)})
	case c.PIN.CountLow:
		v.Hints = append(v.Hints, hint{"alert alert-warning", text("count-low")})
	default:
		v.Hints = append(v.Hints, hint{"mb-1", text("tries-unknown")})
	}
	if c.PIN.Pinpad {
		v.Hints = append(v.Hints, hint{"alert alert-info", text("pinpad")})
	} else if c.PIN.Digits > 0 {
		v.Hints = append(v.Hints, hint{"mb-1", text("pin-digits", "n", c.PIN.Digits)})
	}
	return v
}

func stateJSON(version int, deadline time.Time, finished *frame.Message, page string) []byte {
	s := struct {
		Version  int    `json:"version"`
		Deadline int64  `json:"deadline"`
		Finished bool   `json:"finished"`
		Good     bool   `json:"good"`
		Text     string `json:"text"`
		Page     string `json:"page"`
	}{Version: version, Page: page}
	if !deadline.IsZero() {
		s.Deadline = deadline.UnixMilli()
	}
	if finished != nil {
		s.Finished, s.Good, s.Text = true, finished.Good, finished.Text
	}
	data, err := json.Marshal(s)
	if err != nil {
		return []byte("{}") // numbers and text always marshal
	}
	return data
}
