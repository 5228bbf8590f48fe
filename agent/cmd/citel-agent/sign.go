package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"mime"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/citel-pa/citel/agent/consent"
	"github.com/citel-pa/citel/agent/signing"
	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/pkcs/verify"
	"github.com/citel-pa/citel/pkcs/verify/command"
)

type signFlags struct {
	common
	cert, format, level, out string
	tsa, field, reason       string
	trust, private, crl      []string
	detached, force          bool
}

func signCommand(lang message.Lang) *cobra.Command {
	var f signFlags
	cmd := &cobra.Command{
		Use:   "sign [flags] FILE...",
		Short: message.Text(lang, "command.sign-short"),
		Long:  message.Text(lang, "command.sign-long"),
		Example: `  citel-agent sign istanza.pdf
  citel-agent sign --cert PRVMRA80A01H501Z --detached --out firmati/ a.pdf b.pdf`,
		RunE: func(cmd *cobra.Command, files []string) error { return f.run(cmd.Context(), files) },
	}
	f.register(cmd, lang)
	x := cmd.Flags()
	x.StringVar(&f.cert, "cert", "", message.Text(lang, "command.cert"))
	x.StringVar(&f.format, "format", signing.FormatCAdES, message.Text(lang, "command.format"))
	x.StringVar(&f.level, "level", "B", message.Text(lang, "command.level"))
	x.StringVar(&f.tsa, "tsa", "", message.Text(lang, "command.tsa"))
	x.StringArrayVar(&f.private, "allow-network", nil, message.Text(lang, "command.allow-network"))
	x.StringVar(&f.field, "field", "", message.Text(lang, "sign.field-flag"))
	x.StringVar(&f.reason, "reason", "", message.Text(lang, "sign.reason-flag"))
	x.StringArrayVar(&f.trust, "trust", nil, message.Text(lang, "sign.trust-flag"))
	x.StringArrayVar(&f.crl, "crl", nil, message.Text(lang, "sign.crl-flag"))
	x.StringVar(&f.out, "out", "", message.Text(lang, "command.out"))
	x.BoolVar(&f.detached, "detached", false, message.Text(lang, "command.detached"))
	x.BoolVar(&f.force, "force", false, message.Text(lang, "command.force"))
	return cmd
}

func (f *signFlags) run(ctx context.Context, files []string) (err error) {
	switch {
	case len(files) == 0:
		return exit(command.Usage, errors.New(message.Text(f.lang, "command.no-file")))
	case !slices.Contains(signing.Formats, f.format):
		return exit(command.Usage, fmt.Errorf("--format %q: %s", f.format, message.Text(f.lang, "command.possible", "list", strings.Join(signing.Formats, ", "))))
	case !slices.Contains(levels, f.level):
		return exit(command.Usage, fmt.Errorf("--level %q: %s", f.level, message.Text(f.lang, "command.possible", "list", strings.Join(levels, ", "))))
	case f.format == signing.FormatPAdES && f.detached:
		return exit(command.Usage, errors.New(message.Text(f.lang, "sign.not-detached")))
	case f.format == signing.FormatPAdES && f.level == levelLT && len(f.trust) == 0:
		return exit(command.Usage, errors.New(message.Text(f.lang, "sign.lt-trust")))
	case f.format != signing.FormatPAdES && f.field+f.reason != "":
		return exit(command.Usage, errors.New(message.Text(f.lang, "sign.only-pades")))
	case (f.level != "B") != (f.tsa != ""):
		return exit(command.Usage, errors.New(message.Text(f.lang, "command.tsa-level")))
	}
	later, err := f.augmenter()
	if err != nil {
		return err
	}
	inPDF, err := f.evidence()
	if err != nil {
		return err
	}
	outs, err := f.outputs(files)
	if err != nil {
		return err
	}
	docs := make([]consent.Document, 0, len(files))
	for _, name := range files {
		d, err := document(name)
		if err != nil {
			return exit(command.InputOutput, err)
		}
		docs = append(docs, d)
	}
	s, err := f.open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := f.face(s, ""); err != nil {
		return err
	}
	made := &results{names: outs, force: f.force}
	defer made.discard()
	req := signing.SignRequest{
		Caller:    signing.Caller{Caller: consent.Caller{CommandLine: true}, Allowed: true},
		Documents: docs, Format: f.format, Detached: f.detached, Field: f.field, Reason: f.reason,
		Choice: signing.Choice{Filter: signing.Filter(f.cert)}, Output: made.open,
	}
	if f.tsa != "" && f.format == signing.FormatPAdES {
		req.Stamp = authority(f.tsa) // it goes into the room that was kept in the PDF
	}
	values := make([][]byte, len(files))
	req.Value = func(i int, cms []byte) { values[i] = cms }
	if _, err = s.ceremony.Sign(ctx, req); err != nil {
		if errors.Is(err, errAuthority) {
			return exit(command.Unavailable, err)
		}
		return f.ended(err)
	}
	if f.level != "B" && f.format == signing.FormatCAdES {
		if err := later.augment(ctx, made); err != nil {
			if errors.Is(err, verify.ErrIncomplete) {
				err = fmt.Errorf("%w\n%s", err, message.Text(f.lang, "sign.lt-incomplete"))
			}
			return exit(command.Unavailable, err)
		}
	}
	if f.level == levelLT && f.format == signing.FormatPAdES {
		if err := made.extend(ctx, s.documents, values, inPDF); err != nil {
			return exit(command.Unavailable, err)
		}
	}
	if err := made.keep(); err != nil {
		return exit(command.InputOutput, err)
	}
	for _, name := range outs {
		_, _ = fmt.Fprintln(os.Stderr, name)
	}
	return nil
}

// outputs names the results and refuses before the card is touched.
func (f *signFlags) outputs(files []string) ([]string, error) {
	folder := len(files) > 1 || strings.HasSuffix(f.out, string(os.PathSeparator))
	if st, err := os.Stat(f.out); f.out != "" && err == nil && st.IsDir() {
		folder = true
	}
	seen := map[string]bool{}
	outs := make([]string, 0, len(files))
	for _, name := range files {
		out := signing.SignedName(name, f.format, f.detached)
		switch {
		case f.out != "" && folder:
			out = filepath.Join(f.out, filepath.Base(out))
		case f.out != "":
			out = f.out
		}
		if seen[out] {
			return nil, exit(command.Usage, fmt.Errorf("%s: %s", out, message.Text(f.lang, "command.same-output")))
		}
		seen[out] = true
		if _, err := os.Lstat(out); err == nil && !f.force {
			return nil, exit(command.Usage, fmt.Errorf("%s: %s", out, message.Text(f.lang, "command.exists")))
		}
		outs = append(outs, out)
	}
	if f.out != "" && folder {
		if err := os.MkdirAll(f.out, 0o755); err != nil { //nolint:gosec // a folder for results, as mkdir would make it
			return nil, exit(command.InputOutput, err)
		}
	}
	return outs, nil
}

// document hashes a file; the ceremony compares what it signs with this.
func document(name string) (consent.Document, error) {
	in, err := os.Open(name) //nolint:gosec // the person names the file
	if err != nil {
		return consent.Document{}, err
	}
	defer func() { _ = in.Close() }()
	st, err := in.Stat()
	if err != nil {
		return consent.Document{}, err
	}
	if !st.Mode().IsRegular() {
		return consent.Document{}, fmt.Errorf("%s: not a regular file", name)
	}
	h := sha256.New()
	n, err := io.Copy(h, in)
	if err != nil {
		return consent.Document{}, err
	}
	kind := mime.TypeByExtension(filepath.Ext(name))
	if kind == "" {
		kind = "application/octet-stream"
	}
	return consent.Document{
		Name: filepath.Base(name), MediaType: kind, Size: n, SHA256: [32]byte(h.Sum(nil)),
		Open: func() (io.ReadSeekCloser, error) { return os.Open(name) }, //nolint:gosec // see above
	}, nil
}

// results are written beside their names and put in place only when all of them
// were made.
type results struct {
	names []string
	force bool
	temps []*os.File
}

func (r *results) open(i int) (io.WriteCloser, error) {
	f, err := os.CreateTemp(filepath.Dir(r.names[i]), ".citel-*")
	if err != nil {
		return nil, err
	}
	r.temps = append(r.temps, f)
	return f, nil
}

func (r *results) keep() error {
	for i, f := range r.temps {
		if !r.force {
			// Link fails where the name was taken meanwhile; Rename would not.
			if err := os.Link(f.Name(), r.names[i]); err == nil {
				continue
			} else if errors.Is(err, os.ErrExist) {
				return err
			}
		}
		if err := os.Rename(f.Name(), r.names[i]); err != nil {
			return err
		}
	}
	return nil
}

func (r *results) discard() {
	for _, f := range r.temps {
		_ = os.Remove(f.Name())
	}
}
