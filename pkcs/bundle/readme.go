package bundle

import (
	"bytes"
	"encoding/asn1"
	"fmt"
	"path"
	"strings"

	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/pkcs/validation"
)

// step is what is checked by hand for one signature.
type step struct {
	signature int
	signer    string // entry
	facts     *validation.Facts
	stamps    []stampStep
}

type stampStep struct{ kind, token, data string }

// signedForm is how the signed file is written.
type signedForm int

const (
	derForm signedForm = iota
	pemForm
	base64Form
	pdfForm
)

func formOf(head []byte) signedForm {
	text := bytes.TrimLeft(head, " \t\r\n")
	switch {
	case bytes.Contains(head, []byte("%PDF-")):
		return pdfForm
	case bytes.HasPrefix(text, []byte("-----BEGIN")):
		return pemForm
	case len(head) > 0 && head[0] != 0x30:
		return base64Form
	}
	return derForm
}

// readme is the text for people, with the commands that check the bundle without us.
func (w *writer) readme(b *Bundle) string {
	var s strings.Builder
	t := func(key string, args ...any) string { return message.Text(b.Lang, "bundle."+key, args...) }
	line := func(format string, args ...any) { fmt.Fprintf(&s, format+"\n", args...) }
	line("%s\n", t("readme-title"))
	line("%s\n", t("readme-what", "file", tame(w.index.Signed.Name), "time", w.index.Time.Format("2006-01-02 15:04:05 MST")))
	line("%s", t("readme-parts"))
	line("\n%s\n\n    citel-agent verify %s\n", t("readme-again"), t("readme-file"))
	line("%s\n\n    sha256sum -c %s", t("readme-sums"), sumsName)
	signed := w.index.Signed.Entry
	if signed == "" {
		line("\n%s", t("readme-left-out", "sha", w.index.Signed.SHA256))
		signed = "signed" + extension(w.index.Signed.Name)
	}
	content := ""
	if c := w.index.Content; c != nil {
		if content = c.Entry; content == "" {
			line("\n%s", t("readme-left-out", "sha", c.SHA256))
			content = "content.bin"
		}
	}
	at := w.index.Time.Unix()
	line("\n%s\n", t("readme-openssl"))
	trusted := fmt.Sprintf("-partial_chain -attime %d", at)
	in, inform := signed, "DER"
	switch w.form {
	case pemForm:
		inform = "PEM"
	case base64Form:
		in = "signed.der"
		line("    openssl base64 -d -A -in %s -out %s || base64 -d %s > %s", signed, in, signed, in)
	}
	for _, x := range w.shell {
		if len(w.shell) > 1 {
			line("  # %s", t("readme-signature", "n", x.signature))
		}
		if x.facts.Unread {
			line("  # %s", t("readme-unread"))
			continue
		}
		switch p := x.facts.PDF; {
		case p != nil && len(p.ByteRange) == 4:
			// ISO 32000-2, 12.8.1: Contents is what the ByteRange leaves out, in hexadecimal.
			r := p.ByteRange
			in, content, inform = fmt.Sprintf("signature-%d.p7s", x.signature), fmt.Sprintf("covered-%d.bin", x.signature), "DER"
			line("    (head -c %d %s; tail -c +%d %s | head -c %d) > %s", r[0]+r[1], signed, r[2]+1, signed, r[3], content)
			line("    tail -c +%d %s | head -c %d | tr -cd '0-9A-Fa-f' | tr a-f A-F | basenc --base16 -d > %s", r[0]+r[1]+1, signed, r[2]-r[0]-r[1], in)
		case x.facts.Nested > 0:
			line("  # %s", t("readme-nested", "n", x.facts.Nested))
			continue
		}
		detached := ""
		if content != "" {
			detached = " -content " + content
		}
		line("    openssl cms -verify -binary -inform %s -in %s%s -certfile certificates/all.pem -CAfile anchors/all.pem -purpose any %s -out document-%d.bin", inform, in, detached, trusted, x.signature)
		if x.signer != "" {
			line("    openssl verify %s -purpose any -CAfile anchors/all.pem -untrusted certificates/all.pem%s %s", trusted, w.lists(), x.signer)
		}
		for _, st := range x.stamps {
			if st.token != "" && st.data != "" {
				line("    openssl ts -verify -token_in -in %s -data %s -CAfile anchors/all.pem -untrusted certificates/all.pem -partial_chain", st.token, st.data)
			}
			if st.token != "" {
				line("    openssl ts -reply -token_in -in %s -text", st.token)
			}
		}
	}
	for i := range w.count["crls"] {
		line("    openssl crl -inform DER -in crls/%02d.crl -noout -issuer -lastupdate -nextupdate", i+1)
	}
	for i := range w.count["ocsp"] {
		line("    openssl ocsp -respin ocsp/%02d.der -noverify -text", i+1)
	}
	line("\n%s", t("readme-expect", "result", t("readme-see", "report", htmlName)))
	line("\n%s", t("readme-trust"))
	return s.String()
}

// lists are the revocation lists for openssl verify, which takes them in DER as well.
func (w *writer) lists() string {
	var b strings.Builder
	for i := range w.count["crls"] {
		fmt.Fprintf(&b, " -CRLfile crls/%02d.crl", i+1)
	}
	if b.Len() > 0 {
		return " -crl_check" + b.String()
	}
	return ""
}

// tame keeps a file's name to what a text file can show.
func tame(name string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f || r > 0x24f {
			return '_'
		}
		return r
	}, path.Base(name)[:min(len(path.Base(name)), 200)])
}

// wrapOCSP makes of a BasicOCSPResponse, which is what signatures carry, the
// OCSPResponse that openssl reads (RFC 6960, 4.2.1).
func wrapOCSP(basic []byte) []byte {
	var outer struct {
		Status asn1.Enumerated
		Bytes  asn1.RawValue `asn1:"optional"`
	}
	if rest, err := asn1.Unmarshal(basic, &outer); err == nil && len(rest) == 0 {
		return basic // one already
	}
	type responseBytes struct {
		Type     asn1.ObjectIdentifier
		Response []byte
	}
	out, err := asn1.Marshal(struct {
		Status asn1.Enumerated
		Bytes  responseBytes `asn1:"explicit,tag:0"`
	}{0, responseBytes{asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 1}, basic}})
	if err != nil {
		return nil
	}
	return out
}
