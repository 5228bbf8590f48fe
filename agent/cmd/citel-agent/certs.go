package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/citel-pa/citel/agent/signing"
	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/pkcs/profile"
	"github.com/citel-pa/citel/pkcs/verify/command"
	"github.com/citel-pa/citel/pkcs/version"
)

// listed is one certificate of `certs --json`.
type listed struct {
	SHA256        string    `json:"sha256"`
	Subject       string    `json:"subject"`
	Issuer        string    `json:"issuer"`
	Serial        string    `json:"serial"`
	CodiceFiscale string    `json:"codiceFiscale"` // claimed
	NotBefore     time.Time `json:"notBefore,omitzero"`
	NotAfter      time.Time `json:"notAfter,omitzero"`
	Purposes      []string  `json:"purposes"`
	Source        string    `json:"source"`
	TriesLeft     int       `json:"triesLeft"` // -1: not known
	// AfterPIN: the card gives its certificate after the PIN only; Card names it.
	AfterPIN bool   `json:"afterPIN,omitempty"`
	Card     string `json:"card,omitempty"`
}

func certsCommand(lang message.Lang) *cobra.Command {
	var c common
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "certs",
		Short: message.Text(lang, "command.certs-short"),
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			s, err := c.open()
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, s.Close()) }()
			list, failures := certificates(cmd.Context(), s)
			if len(list) == 0 {
				return c.ended(errors.Join(append([]error{signing.ErrNoCertificate}, failures...)...))
			}
			if err := printCertificates(cmd.OutOrStdout(), list, asJSON, lang); err != nil {
				return exit(command.InputOutput, err)
			}
			return nil
		},
	}
	c.register(cmd, lang)
	cmd.Flags().BoolVar(&asJSON, "json", false, message.Text(lang, "command.json"))
	return cmd
}

func certificates(ctx context.Context, s *setup) (list []listed, failures []error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	sources, err := s.sources(ctx)
	if err != nil {
		return nil, []error{err}
	}
	for _, src := range sources {
		ids, err := src.Identities(ctx)
		if err != nil {
			failures = append(failures, err)
			continue
		}
		for _, id := range ids {
			if id.Certificate == nil {
				list = append(list, listed{Purposes: []string{}, Source: id.Source, TriesLeft: id.PIN.TriesLeft, AfterPIN: true, Card: id.Kind + " " + id.Number})
				continue
			}
			d := signing.Describe(id.Certificate)
			l := listed{
				SHA256: d.SHA256, Subject: d.Subject, Issuer: d.Issuer, Serial: d.Serial, CodiceFiscale: d.CodiceFiscale,
				NotBefore: id.Certificate.NotBefore, NotAfter: d.NotAfter, Purposes: []string{}, Source: id.Source, TriesLeft: id.PIN.TriesLeft,
			}
			for _, p := range profile.Purposes(id.Certificate) {
				l.Purposes = append(l.Purposes, string(p))
			}
			list = append(list, l)
		}
	}
	return list, failures
}

func printCertificates(w io.Writer, list []listed, asJSON bool, lang message.Lang) error {
	if asJSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		return e.Encode(map[string]any{"certificates": list})
	}
	for _, l := range list {
		if l.AfterPIN {
			if _, err := fmt.Fprintf(w, "%s\n  %s\n", l.Card, message.Text(lang, "command.certs-after-pin")); err != nil {
				return err
			}
			continue
		}
		if _, err := fmt.Fprintf(w, "%s\n  %s\n  %s  %s\n  %v\n  SHA-256 %s\n", l.Subject, l.Issuer, l.CodiceFiscale, l.NotAfter.Format(time.DateOnly), l.Purposes, l.SHA256); err != nil {
			return err
		}
	}
	return nil
}

func versionCommand(lang message.Lang) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: message.Text(lang, "command.version-short"),
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]any{"version": version.Version, "tester": tester})
			}
			kind := ""
			if tester {
				kind = " (tester)"
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "citel-agent %s%s\n", version.Version, kind)
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, message.Text(lang, "command.json"))
	return cmd
}
