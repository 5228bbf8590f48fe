package command

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/pflag"

	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/pkcs/trust"
	"github.com/citel-pa/citel/pkcs/trust/lists"
	"github.com/citel-pa/citel/pkcs/verify"
)

// lotlFlags name a list of lists and who signs it.
type lotlFlags struct {
	source      string
	signer      []string
	territories []string
}

func (f *lotlFlags) add(x *pflag.FlagSet, lang message.Lang) {
	x.StringVar(&f.source, "lotl", "", message.Text(lang, "command.verify-lotl"))
	x.StringArrayVar(&f.signer, "lotl-signer", nil, message.Text(lang, "command.verify-lotl-signer"))
	x.StringSliceVar(&f.territories, "territory", nil, message.Text(lang, "command.verify-territory"))
}

// load brings the lists' services into the store. Lists from the network are kept in the
// person's cache, so that the next run does not fetch them again.
func (f *lotlFlags) load(ctx context.Context, o verify.Options, offline bool, stderr io.Writer) error {
	if f.source == "" {
		if len(f.signer)+len(f.territories) > 0 {
			return exit(Usage, "--lotl-signer, --territory: --lotl is missing")
		}
		return nil
	}
	l := &lists.Loader{Store: o.Store, Source: f.source, Territories: f.territories, Signers: lists.Official(at(o.Time))}
	if len(f.signer) > 0 {
		signers, err := ReadSigners(f.signer)
		if err != nil {
			return err
		}
		l.Signers = signers
	}
	if _, err := os.Stat(f.source); err != nil {
		if cache, err := os.UserCacheDir(); err == nil {
			l.Dir = filepath.Join(cache, "citel", "trusted-lists")
		}
	}
	refresh := l.Load
	if !offline {
		l.Fetch = &trust.Fetcher{Timeout: time.Minute}
		refresh = l.Refresh
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	err := refresh(ctx)
	services := 0
	for _, s := range l.States() {
		services += s.Services
	}
	switch {
	case err != nil && services == 0:
		return exit(InputOutput, "--lotl: %w", err)
	case err != nil:
		_, _ = fmt.Fprintf(stderr, "--lotl: %v\n", err)
	}
	return nil
}

func at(t time.Time) time.Time {
	if t.IsZero() {
		return time.Now()
	}
	return t
}

// ReadSigners reads files with the certificates of a LOTL's signers, or their SHA-256.
func ReadSigners(files []string) (lists.Signers, error) {
	all := lists.Signers{}
	for _, name := range files {
		text, err := os.ReadFile(name) //nolint:gosec // the person names the file
		if err != nil {
			return nil, exit(InputOutput, "--lotl-signer: %w", err)
		}
		signers, err := lists.ParseSigners(text)
		if err != nil {
			return nil, exit(Usage, "--lotl-signer: %s: %w", name, err)
		}
		for s := range signers {
			all[s] = true
		}
	}
	return all, nil
}
