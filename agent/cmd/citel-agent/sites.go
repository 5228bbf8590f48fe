package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/citel-pa/citel/agent/config"
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
			if asJSON {
				if list == nil {
					list = []config.Site{}
				}
				return json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]any{"sites": list})
			}
			if len(list) == 0 {
				_, err := fmt.Fprintln(cmd.OutOrStdout(), message.Text(lang, "command.sites-none"))
				return err
			}
			for _, x := range list {
				if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%s  %s  %s\n", x.Since.Local().Format(time.DateOnly), x.Origin, message.Text(lang, "command.sites-"+string(x.Decision))); err != nil {
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
