package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/citel-pa/citel/pkcs/timestamp"
	"github.com/citel-pa/citel/pkcs/trust"
	"github.com/citel-pa/citel/pkcs/verify/command"
	"github.com/citel-pa/citel/server/attachment"
	"github.com/citel-pa/citel/server/deposit"
	"github.com/citel-pa/citel/server/register/outside"
	"github.com/citel-pa/citel/server/seal"
	"github.com/citel-pa/citel/server/submission"
)

// aroundFlags name what the server works with around it: the scanner of attachments, the
// time-stamping authority, where packages for conservazione go, protocol systems.
type aroundFlags struct {
	scanner, tsa, deposit    string
	tsaTrust                 []string
	protocol, protocolSecret []string
	bounds                   submission.Bounds
}

func (f *aroundFlags) add(x *pflag.FlagSet) {
	x.StringVar(&f.scanner, "scanner", "", "scanner of attachments, icap://host:1344/service or icaps://; without it attachments are not scanned")
	x.StringVar(&f.tsa, "tsa", "", "address of a time-stamping authority (RFC 3161) for receipts and daily registers")
	x.StringArrayVar(&f.tsaTrust, "tsa-trust", nil, "FILE: issuers of the authority's certificate in PEM; without it the trusted lists (--lotl) name them (repeatable)")
	x.StringVar(&f.deposit, "deposit", "", "folder for the packages for conservazione, the same for all processes of a server (else conservazione below --data)")
	x.StringArrayVar(&f.protocol, "protocol", nil, "ENTE=https://...: the ente's own protocol system, in place of the register here (repeatable)")
	x.StringArrayVar(&f.protocolSecret, "protocol-token", nil, "ENTE=FILE: bearer token for --protocol (mode 600, repeatable)")
	x.IntVar(&f.bounds.Messages, "messages-a-day", submission.DefaultBounds.Messages, "messages that a person may write to an ente in 24 hours; 0: as many as wanted")
	x.IntVar(&f.bounds.Drafts, "draft-days", submission.DefaultBounds.Drafts, "days that a draft is kept after its last change, where its service sets no other number")
}

// connect gives the rooms what they want of whoever wires them.
func (s *server) connect(revocation *trust.Revocation) error {
	f := &s.flags.around
	if err := f.bounds.Check(); err != nil {
		return exit(command.Usage, fmt.Errorf("--messages-a-day, --draft-days: %w", err))
	}
	s.rooms.Applications.Bounds = f.bounds
	if f.scanner == "" {
		s.log.Warn("attachments are NOT scanned for malware: name a scanner with --scanner")
	} else {
		scanner, err := attachment.NewICAP(f.scanner)
		if err != nil {
			return exit(command.Usage, fmt.Errorf("--scanner: %w", err))
		}
		s.rooms.Applications.Scanner, s.rooms.Mandates.Scanner = scanner, scanner
	}
	to := f.deposit
	if to == "" {
		to = filepath.Join(s.flags.data, "conservazione")
	}
	s.rooms.Deposits.To = deposit.Folder(to)
	if err := s.stamps(revocation); err != nil {
		return err
	}
	return s.protocols()
}

// stamps sets the time-stamping authority.
func (s *server) stamps(revocation *trust.Revocation) error {
	f := &s.flags.around
	switch {
	case f.tsa == "" && len(f.tsaTrust) > 0:
		return exit(command.Usage, errors.New("--tsa-trust goes with --tsa"))
	case f.tsa == "":
		return nil
	case !isAddress(f.tsa):
		return exit(command.Usage, fmt.Errorf("--tsa %q: write http(s)://...", f.tsa))
	case len(f.tsaTrust) == 0 && s.lists == nil:
		return exit(command.Usage, errors.New("--tsa: name its issuers with --tsa-trust FILE, or use --lotl"))
	}
	a := &seal.Authority{Client: &timestamp.Client{URL: f.tsa, Post: s.fetcher}, Trust: s.trust, Revocation: revocation}
	if len(f.tsaTrust) > 0 {
		var options []trust.Option
		if s.flags.demo {
			options = append(options, trust.AllowTest())
		}
		a.Trust, a.Revocation = trust.NewStore(options...), nil
		for _, file := range f.tsaTrust {
			text, err := os.ReadFile(file) //nolint:gosec // the operator names it
			if err != nil {
				return exit(command.InputOutput, err)
			}
			if n, err := a.Trust.AddPEM(text, filepath.Base(file)); err != nil || n == 0 {
				return exit(command.Usage, fmt.Errorf("--tsa-trust %s: no issuer in it: %w", file, err))
			}
		}
	}
	s.rooms.Seals.Stamp = a.Stamp
	return nil
}

// protocols sets the outside protocol systems.
func (s *server) protocols() error {
	f := &s.flags.around
	addresses, err1 := byEnte("--protocol", f.protocol)
	files, err2 := byEnte("--protocol-token", f.protocolSecret)
	if err := errors.Join(err1, err2); err != nil {
		return exit(command.Usage, err)
	}
	for code := range files {
		if addresses[code] == "" {
			return exit(command.Usage, fmt.Errorf("--protocol-token %s: there is no --protocol for it", code))
		}
	}
	systems := map[string]submission.Outside{}
	for code, address := range addresses {
		if files[code] == "" {
			return exit(command.Usage, fmt.Errorf("--protocol %s: name its token with --protocol-token %s=FILE", code, code))
		}
		system, err := outside.New(address, files[code], s.fetcher)
		if err != nil {
			return exit(command.Usage, fmt.Errorf("--protocol %s: %w", code, err))
		}
		systems[code] = system
	}
	s.rooms.Applications.Outside = systems
	return nil
}

// byEnte reads ENTE=VALUE.
func byEnte(flag string, all []string) (map[string]string, error) {
	out := map[string]string{}
	for _, x := range all {
		code, value, ok := strings.Cut(x, "=")
		if !ok || code == "" || value == "" || out[code] != "" {
			return nil, fmt.Errorf("%s %q: write ENTE=VALUE, each ente once", flag, x)
		}
		out[code] = value
	}
	return out, nil
}

// How often outside protocol systems are asked for missing numbers: soon, and less often
// while one is down.
const (
	followEvery = 5 * time.Second
	followMost  = 2 * time.Minute
)

// follow runs until the server ends. With no outside system there is nothing to do.
func (s *server) follow(ctx context.Context) {
	if len(s.rooms.Applications.Outside) == 0 {
		return
	}
	wait := followEvery
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		if err := s.rooms.Applications.Follow(ctx); err != nil {
			if wait == followEvery {
				s.log.Warn("protocol numbers are missing; the outside system is asked again", "error", err)
			}
			wait = min(2*wait, followMost)
			continue
		}
		wait = followEvery
	}
}
