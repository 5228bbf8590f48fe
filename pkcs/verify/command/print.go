package command

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/pkcs/report"
	"github.com/citel-pa/citel/pkcs/validation"
)

// Print writes results for a person: of each signature the answer, why and what to do,
// then what was found.
func Print(w io.Writer, file string, results []*validation.Result, lang message.Lang) error {
	var b strings.Builder
	say := func(key string, args ...any) string { return message.Text(lang, "command."+key, args...) }
	for i, r := range results {
		s := r.Signature(lang)
		fmt.Fprintf(&b, "%s, %s %d: %s", printable(file), say("signature"), i+1, say(string(s.Indication)))
		if s.SubIndication != "" {
			fmt.Fprintf(&b, " (%s)", s.SubIndication)
		}
		b.WriteByte('\n')
		if !r.Passed() {
			fmt.Fprintf(&b, "  %s: %s.\n", message.Text(lang, "verify.why"), report.Why(s.SubIndication, lang))
			fmt.Fprintf(&b, "  %s: %s\n", message.Text(lang, "verify.remedy"), report.Remedy(s.SubIndication, lang))
		}
		if !r.Facts.Unread {
			fmt.Fprintf(&b, "  %s: %s\n", say("signer"), signer(r, lang))
			fmt.Fprintf(&b, "  %s: %s (%s %s)\n", message.Text(lang, "verify.kind"), message.Text(lang, "verify.kind-"+s.Kind), s.Format, s.Level)
		}
		if s.SigningTime != nil {
			fmt.Fprintf(&b, "  %s: %s\n", say("signing-time"), s.SigningTime.Format(time.RFC3339))
		}
		if s.Content.File != "" {
			fmt.Fprintf(&b, "  %s: %s\n", say("content"), printable(s.Content.File))
		}
		if p := s.PDF; p != nil {
			fmt.Fprintf(&b, "  %s\n", message.Text(lang, "pdf.place", "field", printable(p.Field), "n", p.Revision, "all", p.Revisions))
			if p.Certification > 0 {
				fmt.Fprintf(&b, "  %s\n", message.Text(lang, "pdf.certified-"+strconv.Itoa(p.Certification)))
			}
		}
		if s.Nested > 0 {
			fmt.Fprintf(&b, "  %s\n", say("nested", "n", s.Nested))
		}
		printMessages(&b, "  ", s.Messages, lang)
		for _, t := range s.Timestamps {
			fmt.Fprintf(&b, "  %s %s, %s: %s %s\n", say("timestamp"), message.Text(lang, "report.stamp-"+t.Kind), t.Time.Format(time.RFC3339), say(string(t.Indication)), t.SubIndication)
			printMessages(&b, "    ", t.Messages, lang)
		}
		for _, c := range r.Counter {
			fmt.Fprintf(&b, "  %s %s: %s %s\n", say("counter-signature"), signer(c, lang), say(string(c.Indication)), c.SubIndication)
			printMessages(&b, "    ", c.Signature(lang).Messages, lang)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// signer names who signed, with the codice fiscale where the signature proves it.
func signer(r *validation.Result, lang message.Lang) string {
	name := printable(report.Signer(r.Facts, lang))
	if cf := r.Facts.Identity.CodiceFiscale; cf != "" {
		name += ", " + message.Text(lang, "verify.cf", "cf", printable(cf))
	}
	return name
}

func printMessages(b *strings.Builder, indent string, messages []validation.Message, lang message.Lang) {
	for _, m := range messages {
		fmt.Fprintf(b, "%s- %s\n", indent, printable(message.Text(lang, "report.outcome-"+string(m.Level), "text", m.Text)))
	}
}

// printable keeps a stranger's text from moving the terminal's cursor.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return '?'
		}
		return r
	}, s)
}
