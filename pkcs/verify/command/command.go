// Package command is the `verify` command that citel-agent and citel-server
// share.
package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/citel-pa/citel/pkcs/bundle"
	"github.com/citel-pa/citel/pkcs/cades"
	"github.com/citel-pa/citel/pkcs/cms"
	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/pkcs/profile"
	"github.com/citel-pa/citel/pkcs/trust"
	"github.com/citel-pa/citel/pkcs/validation"
	"github.com/citel-pa/citel/pkcs/verify"
)

// Exit codes of the commands (design, The commands).
const (
	Done        = 0
	Invalid     = 1
	Undecided   = 2
	Usage       = 64
	Unavailable = 69
	InputOutput = 74
)

// ExitError carries an exit code through cobra. A nil Err says nothing more.
type ExitError struct {
	Code int
	Err  error
}

// Error is what is printed on standard error.
func (e *ExitError) Error() string {
	if e.Err == nil {
		return ""
	}
	return e.Err.Error()
}

// Unwrap gives the cause.
func (e *ExitError) Unwrap() error { return e.Err }

func exit(code int, format string, args ...any) error {
	return &ExitError{Code: code, Err: fmt.Errorf(format, args...)}
}

// worst orders exit codes from the worst (design: 64, 69, 74, 1, 2, 0).
var worst = []int{Usage, Unavailable, InputOutput, Invalid, Undecided, Done}

type flags struct {
	trust   []string
	crl     []string
	content []string
	at      string
	policy  string
	extract string
	offline bool
	json    bool
	force   bool
	save    string
	facts   bool
	lotl    lotlFlags
	report  string
	bundle  string
	without bool

	clock time.Time // of this run: everything is judged, and asked, as of one moment
}

// New makes the command. Sentences are in lang.
func New(lang message.Lang) *cobra.Command {
	var f flags
	c := &cobra.Command{
		Use:   "verify [flags] FILE...",
		Short: message.Text(lang, "command.verify-short"),
		Long:  message.Text(lang, "command.verify-long"),
		Example: `  citel-agent verify --trust ca.pem istanza.pdf.p7m
  citel-agent verify --trust cns=cns.pem --content istanza.pdf istanza.pdf.p7s --json
  citel-agent verify --trust ca.pem --report rapporto.pdf --bundle fascicolo.zip istanza.pdf.p7m
  citel-agent verify fascicolo.zip`,
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args, lang) },
	}
	x := c.Flags()
	x.StringArrayVar(&f.trust, "trust", nil, message.Text(lang, "command.verify-trust"))
	x.StringArrayVar(&f.crl, "crl", nil, message.Text(lang, "command.verify-crl"))
	f.lotl.add(x, lang)
	x.StringArrayVar(&f.content, "content", nil, message.Text(lang, "command.verify-content"))
	x.StringVar(&f.extract, "extract", "", message.Text(lang, "command.verify-extract"))
	x.StringVar(&f.at, "time", "", message.Text(lang, "command.verify-time"))
	x.BoolVar(&f.offline, "offline", false, message.Text(lang, "command.verify-offline"))
	x.StringVar(&f.policy, "policy", "", message.Text(lang, "command.verify-policy"))
	x.StringVar(&f.save, "save-facts", "", message.Text(lang, "command.verify-save-facts"))
	x.BoolVar(&f.facts, "facts", false, message.Text(lang, "command.verify-facts"))
	x.StringVar(&f.report, "report", "", message.Text(lang, "command.verify-report"))
	x.StringVar(&f.bundle, "bundle", "", message.Text(lang, "command.verify-bundle"))
	x.BoolVar(&f.without, "bundle-without-document", false, message.Text(lang, "command.verify-bundle-without"))
	x.BoolVar(&f.json, "json", false, message.Text(lang, "command.json"))
	x.BoolVar(&f.force, "force", false, message.Text(lang, "command.force"))
	return c
}

func (f *flags) run(cmd *cobra.Command, files []string, lang message.Lang) error {
	if len(files) == 0 {
		return exit(Usage, "%s", message.Text(lang, "command.no-file"))
	}
	if len(files) > 1 && (len(f.content) > 0 || f.extract != "" || f.save != "" || f.bundle != "") {
		return exit(Usage, "%s", message.Text(lang, "command.one-file"))
	}
	if err := f.checkOutputs(lang); err != nil {
		return err
	}
	f.clock = time.Now().UTC().Round(0)
	o, err := f.options(cmd.Context(), cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	code := Done
	var all []fileReport
	for _, name := range files {
		r, c := f.file(cmd.Context(), name, o, lang, cmd.ErrOrStderr())
		all = append(all, r)
		code = worse(code, c)
	}
	if err := f.print(cmd.OutOrStdout(), all, lang); err != nil {
		return exit(InputOutput, "%w", err)
	}
	if err := f.writeReport(all, o, lang); err != nil {
		return exit(InputOutput, "--report: %w", err)
	}
	if code != Done {
		return &ExitError{Code: code}
	}
	return nil
}

func worse(a, b int) int {
	for _, c := range worst {
		if a == c || b == c {
			return c
		}
	}
	return max(a, b)
}

// options reads what the flags name.
func (f *flags) options(ctx context.Context, stderr io.Writer) (verify.Options, error) {
	o := verify.Options{Store: trust.NewStore(trust.AllowTest())}
	for _, t := range f.trust {
		// A plain file is trusted for every profile: the person named it. PROFILE=FILE
		// lists it for one.
		profiles := profile.All
		file := t
		if name, rest, ok := strings.Cut(t, "="); ok && known(name) {
			profiles, file = []profile.Profile{profile.Profile(name)}, rest
		}
		text, err := os.ReadFile(file) //nolint:gosec // the person names the file
		if err != nil {
			return o, exit(InputOutput, "--trust: %w", err)
		}
		if _, err := o.Store.AddPEM(text, filepath.Base(file), profiles...); err != nil {
			return o, exit(Usage, "--trust: %w", err)
		}
	}
	for _, file := range f.crl {
		data, err := os.ReadFile(file) //nolint:gosec // the person names the file
		if err != nil {
			return o, exit(InputOutput, "--crl: %w", err)
		}
		if err := o.Store.AddCRL(data, filepath.Base(file)); err != nil {
			return o, exit(Usage, "--crl: %w", err)
		}
	}
	o.Revocation = &trust.Revocation{Store: o.Store, Now: func() time.Time { return f.clock }}
	if !f.offline {
		o.Revocation.Fetch = &trust.Fetcher{}
	}
	o.Time = f.clock
	if f.at != "" {
		t, err := time.Parse(time.RFC3339, f.at)
		if err != nil {
			return o, exit(Usage, "--time: %q is not like 2026-11-24T10:00:00Z", f.at)
		}
		o.Time = t
	}
	if err := f.lotl.load(ctx, o, f.offline, stderr); err != nil {
		return o, err
	}
	if f.policy != "" {
		text, err := os.ReadFile(f.policy)
		if err != nil {
			return o, exit(InputOutput, "--policy: %w", err)
		}
		if o.Policy, err = validation.ParsePolicy(text); err != nil {
			return o, exit(Usage, "--policy: %w", err)
		}
	}
	return o, nil
}

func known(name string) bool {
	for _, p := range profile.All {
		if string(p) == name {
			return true
		}
	}
	return false
}

type fileReport struct {
	File       string                 `json:"file"`
	Signatures []validation.Signature `json:"signatures"`
	Error      string                 `json:"error,omitempty"`

	judged judged // for reports and bundles
}

// file validates one file and gives its exit code.
func (f *flags) file(ctx context.Context, name string, o verify.Options, lang message.Lang, stderr io.Writer) (fileReport, int) {
	report := fileReport{File: name, Signatures: []validation.Signature{}, judged: judged{time: o.Time, policy: o.Policy, lang: lang}}
	fail := func(code int, err error) (fileReport, int) {
		report.Error = err.Error()
		_, _ = fmt.Fprintf(stderr, "%s: %v\n", name, err)
		return report, code
	}
	in, err := os.Open(name) //nolint:gosec // the person names the file
	if err != nil {
		return fail(InputOutput, err)
	}
	defer func() { _ = in.Close() }()
	for _, file := range f.content {
		content, err := os.Open(file) //nolint:gosec // the person names the file
		if err != nil {
			return fail(InputOutput, err)
		}
		defer func() { _ = content.Close() }()
		o.Content = content
		o.Contents = append(o.Contents, cades.Content{Name: file, Reader: content})
	}
	if len(o.Contents) == 1 {
		o.Contents = nil
	}
	if f.report != "" || f.bundle != "" {
		if report.judged.sha256, report.judged.bytes, err = sumOf(in); err != nil {
			return fail(InputOutput, err)
		}
	}
	keep, err := f.extractTo(&o)
	if err != nil {
		return fail(InputOutput, err)
	}
	results, err := f.results(ctx, in, &report, o, lang, stderr)
	switch {
	case errors.Is(err, errWrongUse), errors.Is(err, verify.ErrSaved):
		_ = keep(false) // nothing was kept, the error below is the one to tell
		return fail(Usage, err)
	case errors.Is(err, bundle.ErrLeftOut):
		_ = keep(false)
		return fail(Undecided, errors.New(message.Text(lang, "bundle.left-out")))
	case errors.Is(err, verify.ErrNoSignature):
		_ = keep(false)
		report.judged.noSignature = true
		return fail(Undecided, errors.New(message.Text(lang, "command.no-signature")))
	case errors.Is(err, cms.ErrMalformed), errors.Is(err, cms.ErrTooLarge), errors.Is(err, bundle.ErrMalformed):
		_ = keep(false)
		return fail(Invalid, err)
	case err != nil:
		_ = keep(false)
		return fail(InputOutput, err)
	}
	code := Done
	if len(results) == 0 {
		code = Undecided
	}
	if report.judged.changed {
		code = Invalid
	}
	report.judged.results = results
	for _, r := range results {
		report.Signatures = append(report.Signatures, r.Signature(report.judged.lang))
		switch r.Indication {
		case validation.TotalFailed:
			code = worse(code, Invalid)
		case validation.Indeterminate:
			code = worse(code, Undecided)
		}
	}
	if err := keep(code != Invalid); err != nil {
		return fail(InputOutput, err)
	}
	return report, code
}

// results judges a signed file, the evidence bundle of one, or facts that were saved.
func (f *flags) results(ctx context.Context, in *os.File, report *fileReport, o verify.Options, lang message.Lang, stderr io.Writer) ([]*validation.Result, error) {
	if f.facts {
		saved, err := verify.ReadSaved(in)
		if err != nil {
			return nil, err
		}
		at := time.Time{}
		if f.at != "" {
			at = o.Time
		}
		return saved.Judge(o.Policy, at), nil
	}
	if bundle.Is(in, sizeOf(in)) {
		return f.again(ctx, in, report, o, lang, stderr)
	}
	var seen []trust.Evidence
	if f.bundle != "" {
		o.Seen = func(e trust.Evidence) { seen = append(seen, e) }
	}
	results, err := verify.Reader(ctx, in, o)
	if err != nil {
		return results, err
	}
	if f.save != "" {
		data, err := verify.Save(filepath.Base(report.File), results)
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(f.save, data, 0o600); err != nil { //nolint:gosec // the person names the file
			return nil, err
		}
	}
	if f.bundle != "" {
		report.judged.results = results
		return results, f.writeBundle(report, seen, o, lang, stderr)
	}
	return results, nil
}

// extractTo writes the content beside its final name and moves it there only when
// the signature was not found wrong.
func (f *flags) extractTo(o *verify.Options) (func(bool) error, error) {
	if f.extract == "" {
		return func(bool) error { return nil }, nil
	}
	if _, err := os.Stat(f.extract); err == nil && !f.force {
		return nil, fmt.Errorf("%s exists (--force)", f.extract)
	}
	tmp, err := os.CreateTemp(filepath.Dir(f.extract), ".citel-*")
	if err != nil {
		return nil, err
	}
	o.Extract = tmp
	return func(good bool) error {
		err := tmp.Close()
		if good && err == nil {
			err = os.Rename(tmp.Name(), f.extract)
		}
		if !good || err != nil {
			_ = os.Remove(tmp.Name())
		}
		return err
	}, nil
}

func (f *flags) print(w io.Writer, all []fileReport, lang message.Lang) error {
	if f.json {
		var v any = map[string]any{"files": all}
		if len(all) == 1 {
			v = validation.Report{Signatures: all[0].Signatures}
		}
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		return e.Encode(v)
	}
	for _, r := range all {
		if err := Print(w, r.File, r.Signatures, lang); err != nil {
			return err
		}
	}
	return nil
}

// Print writes signatures for a person.
func Print(w io.Writer, file string, signatures []validation.Signature, lang message.Lang) error {
	var b strings.Builder
	for i, s := range signatures {
		fmt.Fprintf(&b, "%s, %s %d: %s", file, message.Text(lang, "command.signature"), i+1, message.Text(lang, "command."+string(s.Indication)))
		if s.SubIndication != "" {
			fmt.Fprintf(&b, " (%s)", s.SubIndication)
		}
		fmt.Fprintf(&b, "\n  %s %s, %s\n", s.Format, s.Level, s.Kind)
		fmt.Fprintf(&b, "  %s: %s %s\n", message.Text(lang, "command.signer"), printable(s.Signer.Subject), s.Signer.CodiceFiscale)
		if s.SigningTime != nil {
			fmt.Fprintf(&b, "  %s: %s\n", message.Text(lang, "command.signing-time"), s.SigningTime.Format(time.RFC3339))
		}
		if s.Content.File != "" {
			fmt.Fprintf(&b, "  %s: %s\n", message.Text(lang, "command.content"), printable(s.Content.File))
		}
		if p := s.PDF; p != nil {
			fmt.Fprintf(&b, "  %s\n", message.Text(lang, "pdf.place", "field", printable(p.Field), "n", p.Revision, "all", p.Revisions))
			if p.Certification > 0 {
				fmt.Fprintf(&b, "  %s\n", message.Text(lang, "pdf.certified-"+strconv.Itoa(p.Certification)))
			}
		}
		if s.Nested > 0 {
			fmt.Fprintf(&b, "  %s\n", message.Text(lang, "command.nested", "n", s.Nested))
		}
		printMessages(&b, "  ", s.Messages)
		for _, t := range s.Timestamps {
			fmt.Fprintf(&b, "  %s (%s) %s: %s %s\n", message.Text(lang, "command.timestamp"), t.Kind, t.Time.Format(time.RFC3339), message.Text(lang, "command."+string(t.Indication)), t.SubIndication)
			printMessages(&b, "    ", t.Messages)
		}
		for _, c := range s.Counter {
			fmt.Fprintf(&b, "  %s %s %s: %s %s\n", message.Text(lang, "command.counter-signature"), printable(c.Signer.Subject), c.Signer.CodiceFiscale, message.Text(lang, "command."+string(c.Indication)), c.SubIndication)
			printMessages(&b, "    ", c.Messages)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func printMessages(b *strings.Builder, indent string, messages []validation.Message) {
	for _, m := range messages {
		fmt.Fprintf(b, "%s%s %s: %s\n", indent, m.Level, m.Check, printable(m.Text))
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
