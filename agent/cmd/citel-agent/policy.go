package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/citel-pa/citel/installer/browser"
	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/pkcs/verify/command"
)

// policyCommand is for administrators: browsers are told which sites may reach the
// agent without asking each person.
func policyCommand(lang message.Lang) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "policy",
		Short: message.Text(lang, "installer.policy-short"),
		Long:  message.Text(lang, "installer.policy-long"),
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			sites, err := policySites()
			if err != nil {
				return exit(command.InputOutput, err)
			}
			if sites == nil {
				sites = []string{}
			}
			return json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]any{"sites": sites})
		},
	}
	cmd.AddCommand(policyApply(lang), policyRemove(lang))
	return cmd
}

func policyApply(lang message.Lang) *cobra.Command {
	var sites []string
	cmd := &cobra.Command{
		Use:     "apply --site URL...",
		Short:   message.Text(lang, "installer.policy-apply"),
		Example: "  sudo citel-agent policy apply --site https://sportello.comune.example",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(sites) == 0 {
				return exit(command.Usage, errors.New(message.Text(lang, "installer.policy-no-site")))
			}
			return changePolicy(cmd, lang, func(have []string) []string { return slices.Concat(have, sites) })
		},
	}
	cmd.Flags().StringArrayVar(&sites, "site", nil, message.Text(lang, "installer.policy-site"))
	return cmd
}

func policyRemove(lang message.Lang) *cobra.Command {
	var sites []string
	var all, quiet bool
	cmd := &cobra.Command{
		Use:   "remove --site URL... | --all",
		Short: message.Text(lang, "installer.policy-remove"),
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if all == (len(sites) > 0) {
				return exit(command.Usage, errors.New(message.Text(lang, "installer.policy-no-site")))
			}
			if quiet {
				cmd.SetOut(nowhere{})
			}
			return changePolicy(cmd, lang, func(have []string) []string {
				return slices.DeleteFunc(have, func(x string) bool { return all || slices.Contains(sites, x) })
			})
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&sites, "site", nil, message.Text(lang, "installer.policy-site"))
	f.BoolVar(&all, "all", false, message.Text(lang, "installer.policy-all"))
	f.BoolVar(&quiet, "quiet", false, message.Text(lang, "installer.quiet"))
	return cmd
}

type nowhere struct{}

func (nowhere) Write(p []byte) (int, error) { return len(p), nil }

func changePolicy(cmd *cobra.Command, lang message.Lang, change func([]string) []string) error {
	if !administrator() {
		return exit(command.Unavailable, errors.New(message.Text(lang, "installer.policy-root")))
	}
	have, err := policySites()
	if err != nil {
		return exit(command.InputOutput, err)
	}
	want := change(slices.Clone(have))
	conflicts, err := setPolicySites(cmd.Context(), want)
	switch {
	case errors.Is(err, browser.ErrSite):
		return exit(command.Usage, fmt.Errorf("%s (%w)", message.Text(lang, "installer.policy-bad-site"), err))
	case errors.Is(err, fs.ErrPermission):
		return exit(command.Unavailable, fmt.Errorf("%s (%w)", message.Text(lang, "installer.policy-root"), err))
	case err != nil:
		return exit(command.InputOutput, err)
	}
	for _, c := range conflicts {
		_, _ = fmt.Fprintln(cmd.ErrOrStderr(), message.Text(lang, "installer.policy-conflict", "browser", c.Browser, "file", c.File, "policy", browser.AllowedForURLs))
	}
	if want, err = policySites(); err != nil {
		return exit(command.InputOutput, err)
	}
	key := "installer.policy-now"
	if len(want) == 0 {
		key = "installer.policy-none"
	}
	_, _ = fmt.Fprintln(cmd.OutOrStdout(), message.Text(lang, key, "sites", strings.Join(want, ", ")))
	if len(conflicts) > 0 {
		return exit(command.Invalid, nil)
	}
	return nil
}
