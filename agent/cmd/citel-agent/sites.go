package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/citel-pa/citel/agent/config"
	"github.com/citel-pa/citel/agent/doctor"
	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/pkcs/verify/command"
)

// sitesCommand shows what the person decided about sites, and takes it back.
func sitesCommand(lang message.Lang) *cobra.Command {
	var dir string
	var asJSON bool
	store := func() (*config.Store, error) {
		if dir != "" {
			return config.Open(dir), nil
		}
		d, err := config.DefaultDir()
		if err != nil {
			return nil, exit(command.InputOutput, err)
		}
		return config.Open(d), nil
	}
	cmd := &cobra.Command{
		Use:   "sites",
		Short: message.Text(lang, "command.sites-short"),
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := store()
			if err != nil {
				return err
			}
			list, err := s.Sites()
			if err != nil {
				return exit(command.InputOutput, err)
			}
			browsers, err := doctor.BrowserPolicies(os.DirFS("/"))
			if err != nil {
				_, _ = fmt.Fprintln(cmd.ErrOrStderr(), err) // what could be read is shown
			}
			if asJSON {
				if list == nil {
					list = []config.Site{}
				}
				return json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]any{"sites": list, "browserPolicies": browsers})
			}
			if len(list) == 0 {
				if _, err := fmt.Fprintln(cmd.OutOrStdout(), message.Text(lang, "command.sites-none")); err != nil {
					return err
				}
			}
			for _, x := range list {
				if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%s  %s  %s\n", x.Since.Local().Format(time.DateOnly), x.Origin, message.Text(lang, "command.sites-"+string(x.Decision))); err != nil {
					return err
				}
			}
			for _, b := range browsers {
				if _, err := fmt.Fprintln(cmd.OutOrStdout(), message.Text(lang, "command.sites-policy", "browser", b.Browser, "file", b.File,
					"allowed", strings.Join(b.Allowed, ", "), "blocked", strings.Join(b.Blocked, ", "))); err != nil {
					return err
				}
			}
			return nil
		},
	}
	forget := &cobra.Command{
		Use:   "forget ORIGIN",
		Short: message.Text(lang, "command.sites-forget"),
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			s, err := store()
			if err != nil {
				return err
			}
			switch d, err := s.Site(args[0]); {
			case err != nil:
				return exit(command.InputOutput, err)
			case d == config.Unknown:
				return exit(command.Invalid, errors.New(message.Text(lang, "command.sites-unknown", "origin", args[0])))
			}
			if err := s.SetSite(args[0], config.Unknown, time.Now()); err != nil {
				return exit(command.InputOutput, err)
			}
			return nil
		},
	}
	cmd.PersistentFlags().StringVar(&dir, "config", "", message.Text(lang, "command.config"))
	cmd.Flags().BoolVar(&asJSON, "json", false, message.Text(lang, "command.json"))
	cmd.AddCommand(forget)
	return cmd
}
