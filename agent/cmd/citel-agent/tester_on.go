//go:build tester

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/citel-pa/citel/agent/consent"
	"github.com/citel-pa/citel/agent/consent/unattended"
	"github.com/citel-pa/citel/agent/signing"
	"github.com/citel-pa/citel/pkcs/authtoken"
	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/pkcs/verify/command"
)

// tester tells whether this build has the testers' commands and flags.
const tester = true

// testerFlags take the place of a person. They are in builds for testers alone.
type testerFlags struct {
	pinFile  string
	pinFD    int
	origin   string
	remember bool
	clock    string
}

func (t *testerFlags) register(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&t.pinFile, "pin-file", "", "TESTER: say yes to everything, with the PIN in this file")
	f.IntVar(&t.pinFD, "pin-fd", -1, "TESTER: say yes to everything, with the PIN from this descriptor")
	f.StringVar(&t.origin, "pin-origin", "", "TESTER: say yes to this site only")
	f.StringVar(&t.clock, "clock", "", "TESTER: the doctor takes this for the time (RFC 3339)")
	f.BoolVar(&t.remember, "pin-remember", false, "TESTER: remember the site")
}

func (t *testerFlags) now(f func() time.Time) func() time.Time {
	if at, err := time.Parse(time.RFC3339, t.clock); err == nil {
		return func() time.Time { return at }
	}
	return f
}

func (t *testerFlags) face() (consent.Asker, error) {
	if t.pinFile == "" && t.pinFD < 0 {
		return nil, nil
	}
	if t.pinFile != "" && t.pinFD >= 0 {
		return nil, errors.New("--pin-file and --pin-fd exclude each other")
	}
	face := &unattended.Face{Origin: t.origin, Remember: t.remember, Log: os.Stderr}
	if t.pinFile != "" {
		if _, err := os.Stat(t.pinFile); err != nil {
			return nil, err
		}
		face.PIN = unattended.FromFile(t.pinFile)
	} else {
		pin, err := unattended.FromDescriptor(t.pinFD)
		if err != nil {
			return nil, err
		}
		face.PIN = pin
	}
	_, _ = fmt.Fprintln(os.Stderr, "WARNING: UNATTENDED (tester): nobody is asked, every request is said yes to")
	return face, nil
}

func testerCommands(lang message.Lang) []*cobra.Command {
	return []*cobra.Command{loginCommand(lang), virtualCardCommand()}
}

func loginCommand(lang message.Lang) *cobra.Command {
	var c common
	var cert, origin, nonce string
	cmd := &cobra.Command{
		Use:   "login --origin URL --nonce NONCE",
		Short: "TESTER: make a login token",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.login(cmd, origin, nonce, cert)
		},
	}
	c.register(cmd, lang)
	f := cmd.Flags()
	f.StringVar(&origin, "origin", "", "the site that the token is for")
	f.StringVar(&nonce, "nonce", "", "the site's nonce, base64")
	f.StringVar(&cert, "cert", "", message.Text(lang, "command.cert"))
	return cmd
}

func (c *common) login(cmd *cobra.Command, origin, nonce, cert string) (err error) {
	if _, err := authtoken.ParseOrigin(origin, true); err != nil {
		return exit(command.Usage, err)
	}
	if err := authtoken.CheckNonce(nonce); err != nil {
		return exit(command.Usage, err)
	}
	s, err := c.open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := c.face(s, ""); err != nil {
		return err
	}
	ctx := cmd.Context()
	if ctx == nil {
		ctx = context.Background()
	}
	r, err := s.ceremony.Login(ctx, signing.LoginRequest{
		Caller: signing.Caller{Caller: consent.Caller{CommandLine: true, Origin: origin}, Allowed: true},
		Nonce:  nonce, Choice: signing.Choice{Filter: signing.Filter(cert)},
	})
	if err != nil {
		return c.ended(err)
	}
	if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%s\n", r.Token); err != nil {
		return exit(command.InputOutput, err)
	}
	return nil
}
