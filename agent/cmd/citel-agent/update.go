package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/citel-pa/citel/agent/config"
	"github.com/citel-pa/citel/agent/update"
	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/pkcs/verify/command"
)

// memory keeps what was seen of releases beside the user's settings.
type memory struct{ *config.Store }

// UpdateSeen implements update.Memory.
func (m memory) UpdateSeen() (update.Seen, error) { return m.Store.UpdateSeen() }

// SetUpdateSeen implements update.Memory.
func (m memory) SetUpdateSeen(s update.Seen) error { return m.Store.SetUpdateSeen(s) }

func newChecker(s *config.Store) (*update.Checker, error) { return update.New(memory{s}) }

// updatesOn: nobody switched it off.
func updatesOn(s *config.Store) (bool, error) {
	v, err := s.Settings()
	return v.Updates != config.UpdatesOff, err
}

func updateCommand(lang message.Lang) *cobra.Command {
	var only, yes, asJSON bool
	var dir, folder string
	cmd := &cobra.Command{
		Use:   "update",
		Short: message.Text(lang, "installer.update-short"),
		Long:  message.Text(lang, "installer.update-long"),
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := openStore(dir)
			if err != nil {
				return err
			}
			on, err := updatesOn(s)
			if err != nil {
				return exit(command.InputOutput, err)
			}
			checker, err := newChecker(s)
			if err == nil && !on {
				err = update.ErrOff
			}
			if err != nil {
				return updateError(lang, err)
			}
			offer, err := checker.Check(cmd.Context())
			if err != nil {
				return updateError(lang, err)
			}
			out := cmd.OutOrStdout()
			if asJSON {
				v := map[string]any{"running": checker.Number, "available": nil}
				if offer != nil {
					v["available"] = offer.Version
				}
				return json.NewEncoder(out).Encode(v)
			}
			if offer == nil {
				_, err := fmt.Fprintln(out, message.Text(lang, "installer.update-none", "version", checker.Number))
				return err
			}
			_, _ = fmt.Fprintln(out, message.Text(lang, "installer.update-there", "version", offer.Version))
			if only {
				return nil
			}
			if !yes && !confirm(cmd, message.Text(lang, "installer.update-ask", "file", offer.File.Name, "size", fmt.Sprintf("%.1f MB", float64(offer.File.Size)/1e6))) {
				return exit(command.Invalid, errors.New(message.Text(lang, "installer.not-done")))
			}
			if folder == "" {
				if folder, err = downloads(); err != nil {
					return exit(command.InputOutput, err)
				}
			}
			path, err := checker.Download(cmd.Context(), offer, folder)
			if err != nil {
				return updateError(lang, err)
			}
			_, err = fmt.Fprintln(out, message.Text(lang, "installer.update-got", "path", path, "command", installWith(offer.File.Kind, path)))
			return err
		},
	}
	f := cmd.Flags()
	f.BoolVar(&only, "check", false, message.Text(lang, "installer.update-check"))
	f.BoolVar(&yes, "yes", false, message.Text(lang, "installer.yes"))
	f.BoolVar(&asJSON, "json", false, message.Text(lang, "command.json"))
	f.StringVar(&dir, "config", "", message.Text(lang, "command.config"))
	f.StringVar(&folder, "to", "", message.Text(lang, "installer.update-to"))
	return cmd
}

func openStore(dir string) (*config.Store, error) {
	if dir == "" {
		d, err := config.DefaultDir()
		if err != nil {
			return nil, exit(command.InputOutput, err)
		}
		dir = d
	}
	return config.Open(dir), nil
}

// updateError: a person hears what happened, a program gets its code.
func updateError(lang message.Lang, err error) error {
	for key, kind := range map[string]error{
		"off": update.ErrOff, "signature": update.ErrSignature, "older": update.ErrOlder, "expired": update.ErrExpired,
		"changed": update.ErrChanged, "no-file": update.ErrNone,
	} {
		if errors.Is(err, kind) {
			code := command.Invalid
			if key == "off" || key == "no-file" {
				code = command.Unavailable
			}
			return exit(code, errors.New(message.Text(lang, "installer.update-"+key)))
		}
	}
	if errors.Is(err, update.ErrUnreachable) {
		return exit(command.InputOutput, errors.New(message.Text(lang, "installer.update-unreachable", "reason", err)))
	}
	return exit(command.InputOutput, err)
}

// installWith is what installs a file, for the person to type: nothing is installed
// by the agent.
func installWith(kind, path string) string {
	switch kind {
	case "deb":
		return "sudo apt install " + quote(path)
	case "rpm":
		return "sudo dnf install " + quote(path)
	case "msi":
		return `msiexec /i "` + path + `"`
	}
	return path
}

// quote keeps a folder's name from being more than a name in the shell that the line
// is typed into (POSIX.1-2017, XCU 2.2.2 Single-Quotes).
func quote(path string) string {
	if strings.Trim(path, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/.-_+") == "" {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}

// confirm asks on the terminal; whatever is not a clear yes is a no.
func confirm(cmd *cobra.Command, question string) bool {
	_, _ = fmt.Fprint(cmd.OutOrStdout(), question+" ")
	line, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
	if err != nil {
		return false
	}
	switch strings.ToLower(strings.TrimSpace(line)) {
	case "s", "si", "sì", "y", "yes":
		return true
	}
	return false
}
