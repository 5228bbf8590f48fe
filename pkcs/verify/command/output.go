package command

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/citel-pa/citel/pkcs/bundle"
	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/pkcs/profile"
	"github.com/citel-pa/citel/pkcs/report"
	"github.com/citel-pa/citel/pkcs/trust"
	"github.com/citel-pa/citel/pkcs/validation"
	"github.com/citel-pa/citel/pkcs/verify"
	"github.com/citel-pa/citel/pkcs/version"
)

// judged is what reports and bundles need beside the machine's report.
type judged struct {
	name        string // of the signed file
	results     []*validation.Result
	sha256      []byte
	bytes       int64
	time        time.Time
	policy      *validation.Policy
	lang        message.Lang
	noSignature bool
	changed     bool // a bundle that is not as it was made
}

// errWrongUse is a flag that does not go with what the file is.
var errWrongUse = errors.New("verify")

// checkOutputs refuses, before any work, names that cannot be written.
func (f *flags) checkOutputs(lang message.Lang) error {
	if ext := strings.ToLower(filepath.Ext(f.report)); f.report != "" && ext != ".html" && ext != ".pdf" {
		return exit(Usage, "%s", message.Text(lang, "command.verify-report-kind", "file", f.report))
	}
	if f.bundle != "" && f.facts {
		return exit(Usage, "%s", message.Text(lang, "command.verify-bundle-facts"))
	}
	if f.bundle != "" && len(f.content) > 1 {
		return exit(Usage, "%s", message.Text(lang, "command.verify-bundle-content"))
	}
	for _, name := range []string{f.save, f.report, f.bundle} {
		if name == "" {
			continue
		}
		if _, err := os.Lstat(name); err == nil && !f.force {
			return exit(InputOutput, "%s: %s", name, message.Text(lang, "command.exists"))
		}
	}
	return nil
}

// sumOf hashes a file and goes back to its start.
func sumOf(in *os.File) ([]byte, int64, error) {
	sum := sha256.New()
	n, err := io.Copy(sum, in)
	if err == nil {
		_, err = in.Seek(0, io.SeekStart)
	}
	return sum.Sum(nil), n, err
}

func sizeOf(in *os.File) int64 {
	st, err := in.Stat()
	if err != nil || !st.Mode().IsRegular() {
		return 0
	}
	return st.Size()
}

// atomically writes a file beside its name and moves it there when it is whole.
func atomically(name string, write func(io.Writer) error) error {
	tmp, err := os.CreateTemp(filepath.Dir(name), ".citel-*")
	if err != nil {
		return err
	}
	if err = errors.Join(write(tmp), tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), name)
	}
	if err != nil {
		_ = os.Remove(tmp.Name())
	}
	return err
}

// writeReport writes the report of all files for people.
func (f *flags) writeReport(all []fileReport, o verify.Options, lang message.Lang) error {
	if f.report == "" {
		return nil
	}
	var files []report.File
	options := report.Options{Lang: lang, Policy: o.Policy, Time: o.Time}
	for _, r := range all {
		files = append(files, reported(&r))
		if len(all) == 1 {
			options.Policy, options.Time = r.judged.policy, r.judged.time
		}
	}
	made := report.New(files, options)
	return atomically(f.report, func(w io.Writer) error {
		if strings.EqualFold(filepath.Ext(f.report), ".pdf") {
			return made.PDF(w)
		}
		return made.HTML(w)
	})
}

func reported(r *fileReport) report.File {
	name := r.judged.name
	if name == "" {
		name = filepath.Base(r.File)
	}
	out := report.File{Name: name, SHA256: r.judged.sha256, Results: r.judged.results, NoSignature: r.judged.noSignature}
	switch {
	case out.NoSignature:
	case len(out.Results) > 0:
		out.Warning = r.Error
	default:
		out.Problem = r.Error
	}
	return out
}

// writeBundle keeps the evidence of one file.
func (f *flags) writeBundle(r *fileReport, seen []trust.Evidence, o verify.Options, lang message.Lang, stderr io.Writer) error {
	policy := o.Policy
	if policy == nil {
		policy = validation.Default()
	}
	b := &bundle.Bundle{Lang: lang, LeaveOut: f.without, Results: r.judged.results, Policy: policy, Time: o.Time, Clock: f.clock, Evidence: seen, Store: o.Store}
	var err error
	if b.Report, err = bundle.ReportJSON(b.Results, lang); err != nil {
		return err
	}
	var page bytes.Buffer
	if err := report.New([]report.File{reported(r)}, report.Options{Lang: lang, Policy: policy, Time: o.Time}).HTML(&page); err != nil {
		return err
	}
	b.HTML = page.Bytes()
	in, err := os.Open(r.File)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	b.Signed = bundle.Document{Name: filepath.Base(r.File), Reader: in, SHA256: r.judged.sha256, Bytes: r.judged.bytes}
	if len(f.content) == 1 {
		file := f.content[0]
		content, err := os.Open(file) //nolint:gosec // the person names the file
		if err != nil {
			return err
		}
		defer func() { _ = content.Close() }()
		b.Content = &bundle.Document{Name: filepath.Base(file), Reader: content}
		if b.Content.SHA256, b.Content.Bytes, err = sumOf(content); err != nil {
			return err
		}
		for _, x := range b.Results {
			if c := x.Facts.Content; c.Found && c.Detached && c.SHA256 != nil && !bytes.Equal(c.SHA256, b.Content.SHA256) {
				return fmt.Errorf("%s changed while it was verified", file)
			}
		}
	}
	sum := ""
	if err := atomically(f.bundle, func(w io.Writer) (err error) {
		sum, err = bundle.Write(w, b)
		return err
	}); err != nil {
		return err
	}
	_, err = fmt.Fprintln(stderr, message.Text(lang, "bundle.made", "file", f.bundle, "sum", sum))
	return err
}

// again judges an evidence bundle from what is in it.
func (f *flags) again(ctx context.Context, in *os.File, r *fileReport, o verify.Options, lang message.Lang, stderr io.Writer) ([]*validation.Result, error) {
	tell := func(key string, args ...any) {
		_, _ = fmt.Fprintln(stderr, printable(message.Text(lang, "bundle."+key, args...)))
	}
	if f.at != "" {
		return nil, fmt.Errorf("%w: %s", errWrongUse, message.Text(lang, "bundle.time"))
	}
	if f.bundle != "" || f.save != "" {
		return nil, fmt.Errorf("%w: --bundle, --save-facts: %s", errWrongUse, r.File)
	}
	a, err := bundle.Read(in, sizeOf(in))
	if err != nil {
		return nil, err
	}
	options := bundle.JudgeOptions{Policy: o.Policy, Document: o.Content, Extract: o.Extract}
	if len(f.trust) > 0 {
		options.Trust = o.Store
	}
	j, err := a.Judge(ctx, options)
	if err != nil {
		return nil, err
	}
	if page, program := a.Page(); page != nil && program == "CiTel "+version.Version && options.Trust == nil && options.Policy == nil {
		var again bytes.Buffer
		if err := report.New([]report.File{{Name: j.File, SHA256: j.SHA256, Results: j.Results}}, report.Options{Lang: j.Lang, Policy: j.Policy, Time: j.Time}).HTML(&again); err != nil {
			return nil, err
		}
		if !bytes.Equal(again.Bytes(), page) && len(j.Changed) == 0 {
			j.Changed = append(j.Changed, "report.html says other than what is found again")
		}
	}
	r.judged.name, r.judged.sha256 = j.File, j.SHA256
	r.judged.policy, r.judged.time, r.judged.lang, r.judged.changed = j.Policy, j.Time, j.Lang, len(j.Changed) > 0
	when := j.Time.UTC().Format(time.RFC3339)
	switch {
	case len(j.Changed) > 0:
		r.Error = message.Text(lang, "bundle.changed", "what", strings.Join(j.Changed, "; "))
		_, _ = fmt.Fprintln(stderr, printable(r.Error))
	case j.Same:
		tell("same", "time", when, "sum", a.Fingerprint)
	default:
		tell("other", "time", when, "sum", a.Fingerprint)
	}
	if options.Trust == nil {
		for _, c := range j.Anchors {
			sum := sha256.Sum256(c.Raw)
			tell("anchor", "name", profile.DistinguishedName(c.Subject), "sum", hex.EncodeToString(sum[:]))
		}
	}
	if j.OwnPolicy && o.Policy == nil {
		tell("policy", "name", j.Policy.Name)
	}
	return j.Results, nil
}
