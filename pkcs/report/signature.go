package report

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/citel-pa/citel/pkcs/profile"
	"github.com/citel-pa/citel/pkcs/validation"
	"github.com/citel-pa/citel/pkcs/version"
)

// maxCounter bounds how deep counter-signatures of counter-signatures are told.
const maxCounter = 4

// file writes what is below a file's answer.
func (r *Report) file(f *File, level int, answer string) {
	if f.Problem != "" {
		r.add(Block{Text: clean(f.Problem, maxValue)})
	}
	if f.Warning != "" {
		r.add(Block{Note: clean(f.Warning, maxValue)})
	}
	for i, x := range f.Results {
		inner := level
		if len(f.Results) > 1 {
			name := r.t("signature-n", "n", i+1)
			if x.Facts.Nested > 0 {
				name += ", " + r.t("nested", "n", x.Facts.Nested)
			}
			r.heading(level, name)
			inner++
		}
		r.signature(x, inner, answer, 0)
	}
	r.about(f, level)
}

// signature tells of one signature: answer, why, evidence.
func (r *Report) signature(x *validation.Result, level int, told string, depth int) {
	if answer, tone := r.answer(x); answer != told {
		r.add(Block{Answer: answer, Tone: tone})
	}
	r.reasons(x, level)
	f := x.Facts
	if f.Unread {
		r.checks(x, level)
		return
	}
	r.heading(level, r.t("section-who"))
	cf := f.Identity.CodiceFiscale
	if cf == "" {
		cf = r.t("cf-none")
	}
	kind := r.t("kind-" + x.Kind())
	if !x.Passed() {
		kind = r.t("kind-unsure", "kind", kind)
	}
	who := []Field{{r.t("name"), r.who(f)}, {r.t("cf"), clean(cf, maxName)}, {r.t("kind"), kind}, {r.t("format"), f.Format + ", " + f.Level},
		{r.t("subject"), clean(f.Identity.Subject, maxValue)}, {r.t("cert-serial"), clean(f.Identity.Serial, maxName)}}
	if c := f.SignerX509(); c != nil {
		who = append(who, Field{r.t("cert-issuer"), clean(profile.DistinguishedName(c.Issuer), maxValue)})
	}
	r.fields(who...)
	r.heading(level, r.t("section-when"))
	claimed := r.t("no-claim")
	if t := f.Attribute.SigningTime; t != nil {
		claimed = r.moment(*t)
	}
	r.fields(Field{r.t("claimed"), claimed}, Field{r.t("proved"), r.proved(x)})
	r.content(f, level)
	r.chain(&f.Chain, level)
	r.revocation(f, level)
	r.stamps(x, level)
	r.heading(level, r.t("section-algorithms"))
	r.fields(Field{r.t("alg-digest"), named(f.Value.DigestName, f.Value.DigestAlgorithm)}, Field{r.t("alg-key"), key(f.Value.KeyName, f.Value.KeyBits)})
	r.checks(x, level)
	for i, c := range x.Counter {
		if depth < maxCounter {
			r.heading(level, r.t("counter-n", "n", i+1))
			r.signature(c, level+1, "", depth+1)
		}
	}
}

// reasons are the findings that decided, with what to do, and the notes.
func (r *Report) reasons(x *validation.Result, level int) {
	r.heading(level, r.t("section-why"))
	var why, notes []string
	for _, d := range validation.Deciding(x.Findings) {
		why = append(why, clean(d.Text(r.Lang), maxValue))
	}
	for _, d := range x.Findings {
		if d.Level != validation.Fail {
			notes = append(notes, clean(d.Text(r.Lang), maxValue))
		}
	}
	switch {
	case x.Passed():
		text := r.t("what-passed") + " " + r.t(r.revocationKnown(x.Facts), "time", r.moment(x.BestSignatureTime))
		if len(notes) > 0 {
			text += " " + r.t("what-passed-warned")
		}
		r.add(Block{Text: text})
	case len(why) == 0:
		r.add(Block{Text: upper(r.why(x.SubIndication)) + "."})
	default:
		r.add(Block{List: why})
	}
	if !x.Passed() {
		r.heading(level, r.t("section-do"))
		r.add(Block{Text: r.ofSub("remedy-", x.SubIndication)})
	}
	if len(notes) > 0 {
		r.heading(level, r.t("section-notes"))
		r.add(Block{List: slices.Compact(notes)})
	}
	r.fields(Field{r.t("about-verdict"), strings.TrimSpace(string(x.Indication) + " " + string(x.SubIndication))})
}

// revocationKnown is what may be said of a valid signature's certificate: no more than
// somebody who counts has said.
func (r *Report) revocationKnown(f *validation.Facts) string {
	if f.Identity.NoRevocation {
		return "what-passed-short"
	}
	sum := sha256.Sum256(f.Signer.Certificate)
	for _, a := range f.Revocation {
		if a.Trusted && bytes.Equal(a.Subject, sum[:]) {
			return "what-passed-good"
		}
	}
	return "what-passed-unknown"
}

func upper(s string) string {
	for i, c := range s {
		return strings.ToUpper(string(c)) + s[i+len(string(c)):]
	}
	return s
}

// proved says since when the signature certainly existed, and by what.
func (r *Report) proved(x *validation.Result) string {
	at := x.BestSignatureTime
	if !at.Before(x.Facts.Time) {
		return r.t("proved-now", "time", r.moment(at))
	}
	for _, t := range x.Timestamps {
		if t.Indication == validation.TotalPassed && t.Facts.GenTime.Equal(at) && t.Facts.Kind != "content" {
			return r.t("proved-stamp", "time", r.moment(at), "by", r.authority(t.Facts))
		}
	}
	return r.t("proved-register", "time", r.moment(at))
}

func (r *Report) authority(t *validation.TimestampFacts) string {
	if t.Token == nil {
		return "-"
	}
	return r.who(t.Token)
}

func (r *Report) content(f *validation.Facts, level int) {
	r.heading(level, r.t("section-content"))
	sum, length := r.t("content-none"), "-"
	if f.Content.Found {
		sum, length = hex.EncodeToString(f.Content.SHA256), r.t("bytes-n", "n", f.Content.Bytes)
	}
	r.fields(Field{r.t("sha256"), sum}, Field{r.t("bytes"), length}, Field{r.t("detached"), r.yes(f.Content.Detached)})
	if p := f.PDF; p != nil {
		fields := []Field{{r.t("pdf-field"), clean(p.Field, maxName)}, {r.t("pdf-revision"), r.t("pdf-revision-n", "n", p.Revision, "all", p.Revisions)}, {r.t("pdf-whole"), r.yes(p.Whole)}}
		for _, c := range p.Changes {
			fields = append(fields, Field{r.t("pdf-changes"), clean(c.Text, maxValue)})
		}
		r.heading(level, r.t("section-pdf"))
		r.fields(fields...)
	}
}

func (r *Report) yes(b bool) string {
	if b {
		return r.t("yes")
	}
	return r.t("no")
}

// chain lists the certificates, signer first.
func (r *Report) chain(c *validation.ChainFacts, level int) {
	r.heading(level, r.t("section-chain"))
	if !c.Found {
		r.add(Block{Text: r.t("no-chain") + " " + clean(c.Note, maxValue)})
	}
	for i, l := range c.Links {
		role := r.t("cert-ca")
		switch {
		case i == len(c.Links)-1:
			role = r.t("cert-anchor")
		case i == 0:
			role = r.t("cert-signer")
		}
		fields := []Field{{r.t("cert-n", "n", i+1), role}}
		if cert, err := x509.ParseCertificate(l.Certificate); err == nil {
			fields = append(fields, Field{r.t("subject"), clean(profile.DistinguishedName(cert.Subject), maxValue)},
				Field{r.t("cert-issuer"), clean(profile.DistinguishedName(cert.Issuer), maxValue)}, Field{r.t("cert-serial"), fmt.Sprintf("%x", cert.SerialNumber)})
		}
		fields = append(fields, Field{r.t("cert-valid"), r.t("from-to", "from", r.moment(l.NotBefore), "to", r.moment(l.NotAfter))},
			Field{r.t("cert-key"), key(l.KeyName, l.KeyBits)}, Field{r.t("cert-sha"), shaOf(l.Certificate)})
		if a := c.Anchor; a != nil && i == len(c.Links)-1 {
			fields = append(fields, Field{r.t("cert-source"), clean(a.Source, maxValue)})
			if s := a.Service; s != nil {
				fields = append(fields, Field{r.t("service"), clean(strings.Join([]string{s.Provider, s.Name, s.Territory, s.Status}, ", "), maxValue)})
			}
		}
		r.fields(fields...)
	}
}

func shaOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func key(name string, bits int) string {
	if name == "" {
		return "-"
	}
	return fmt.Sprintf("%s, %d bit", clean(name, maxName), bits)
}

func named(name, oid string) string {
	if name == "" {
		return clean(oid, maxName)
	}
	return clean(name, maxName)
}

// revocation lists the answers about each certificate of the path.
func (r *Report) revocation(f *validation.Facts, level int) {
	r.heading(level, r.t("section-revocation"))
	fields := r.answers(f)
	if len(fields) == 0 {
		r.add(Block{Text: r.t("rev-none")})
		return
	}
	r.fields(fields...)
}

func (r *Report) answers(f *validation.Facts) (out []Field) {
	names := map[string]string{}
	for _, l := range f.Chain.Links {
		if c, err := x509.ParseCertificate(l.Certificate); err == nil {
			name := c.Subject.CommonName
			if name == "" {
				name = profile.DistinguishedName(c.Subject)
			}
			names[shaOf(l.Certificate)] = clean(name, maxName)
		}
	}
	for _, x := range f.Revocation {
		out = append(out, Field{names[hex.EncodeToString(x.Subject)], r.revocationLine(&x)})
	}
	return out
}

func (r *Report) revocationLine(x *validation.RevocationFacts) string {
	source := clean(x.Source, maxName)
	if source == "embedded" {
		source = r.t("source-embedded")
	}
	note := ""
	if x.Note != "" {
		note = " (" + clean(x.Note, maxValue) + ")"
	}
	kind := r.t("rev-crl")
	if x.Kind == "ocsp" {
		kind = r.t("rev-ocsp")
	}
	if x.Object == "" && x.ThisUpdate.IsZero() {
		return r.t("rev-line-none", "kind", kind, "source", source, "note", note)
	}
	status := r.t("rev-unknown")
	switch {
	case !x.Trusted:
		status = r.t("rev-untrusted")
	case x.Status == "good":
		status = r.t("rev-good")
	case x.Status == "revoked":
		at := time.Time{}
		if x.RevokedAt != nil {
			at = *x.RevokedAt
		}
		status = r.t("rev-revoked", "time", r.moment(at), "reason", clean(x.Reason, maxName))
	}
	next := ""
	if x.NextUpdate != nil {
		next = r.t("rev-next", "time", r.moment(*x.NextUpdate))
	}
	return r.t("rev-line", "kind", kind, "source", source, "time", r.moment(x.ThisUpdate), "next", next, "status", status, "note", note)
}

func (r *Report) stamps(x *validation.Result, level int) {
	r.heading(level, r.t("section-stamps"))
	if len(x.Timestamps) == 0 {
		r.add(Block{Text: r.t("stamps-none")})
	}
	for i := range x.Timestamps {
		t := &x.Timestamps[i]
		verdict := r.t("stamp-" + string(t.Indication))
		if t.SubIndication != "" {
			verdict += " (" + string(t.SubIndication) + ")"
		}
		fields := []Field{{r.t("stamp-n", "n", i+1), r.t("stamp-line", "kind", r.t("stamp-"+t.Facts.Kind), "time", r.moment(t.Facts.GenTime), "by", r.authority(t.Facts), "answer", verdict)}}
		for _, d := range t.Findings {
			fields = append(fields, Field{r.label(d.Check), clean(d.Text(r.Lang), maxValue)})
		}
		if k := t.Facts.Token; k != nil {
			for _, l := range k.Chain.Links {
				if c, err := x509.ParseCertificate(l.Certificate); err == nil {
					fields = append(fields, Field{r.t("cert-ca"), clean(profile.DistinguishedName(c.Subject), maxValue) + ", " + fmt.Sprintf("%x", c.SerialNumber) + ", " +
						r.t("from-to", "from", r.moment(l.NotBefore), "to", r.moment(l.NotAfter))})
				}
			}
			fields = append(fields, r.answers(k)...)
		}
		r.fields(fields...)
	}
}

func (r *Report) label(check string) string {
	if key := "check-" + check; r.t(key) != "report."+key {
		return r.t(key)
	}
	return check
}

// checks is the table of every check with its clause and outcome.
func (r *Report) checks(x *validation.Result, level int) {
	r.heading(level, r.t("section-checks"))
	t := &Table{Header: []string{r.t("checks-head-check"), r.t("checks-head-clause"), r.t("checks-head-outcome")}}
	rows := func(prefix string, outcomes []validation.Outcome) {
		for _, o := range outcomes {
			clause := o.Clause
			if clause == "" {
				clause = "-"
			}
			outcome := r.outcome(&o)
			if strings.HasPrefix(o.Check, "pdf-") && x.Facts.PDF == nil {
				outcome = r.t("outcome-elsewhere")
			}
			t.Rows = append(t.Rows, []string{prefix + r.label(o.Check), clause, outcome})
		}
	}
	rows("", x.Outcomes(r.policy))
	for i := range x.Timestamps {
		rows(r.t("stamp-n", "n", i+1)+": ", x.Timestamps[i].Outcomes(r.policy))
	}
	r.add(Block{Text: r.t("checks-clause-note")})
	r.add(Block{Table: t})
}

func (r *Report) outcome(o *validation.Outcome) string {
	if o.Level == validation.Ignore {
		return r.t("outcome-ignored")
	}
	if len(o.Findings) == 0 {
		return r.t("outcome-passed")
	}
	var out []string
	for _, f := range o.Findings {
		out = append(out, r.t("outcome-"+string(f.Level), "text", clean(f.Text(r.Lang), maxValue)))
	}
	return strings.Join(slices.Compact(out), " ")
}

// about says what was verified, when, by what rules.
func (r *Report) about(f *File, level int) {
	r.heading(level, r.t("section-about"))
	sum := "-"
	if f.SHA256 != nil {
		sum = hex.EncodeToString(f.SHA256)
	}
	r.fields(Field{r.t("about-file"), clean(f.Name, maxName)}, Field{r.t("about-file-sha"), sum}, Field{r.t("about-time"), r.moment(r.time)},
		Field{r.t("about-policy"), clean(r.policy.Name, maxName)}, Field{r.t("about-policy-sha"), PolicySHA256(r.policy)},
		Field{r.t("about-method"), r.t("about-method-text")}, Field{r.t("about-program"), "CiTel " + version.Version})
}
