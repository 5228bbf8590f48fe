package main

import (
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/citel-pa/citel/agent/config"
	"github.com/citel-pa/citel/agent/hand"
	"github.com/citel-pa/citel/agent/history"
	"github.com/citel-pa/citel/agent/signing"
	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/pkcs/verify/command"
)

// stateDir is where the agent writes: with the settings where those were named.
func stateDir(named string) (string, error) {
	if named != "" {
		return filepath.Abs(named)
	}
	return config.StateDir()
}

// used writes one use into the history. A history that cannot be written is told in
// the log: it does not take a signature away that was made.
func (s *setup) used(u signing.Use) {
	e := history.Entry{At: u.At, By: history.BySite, Origin: u.Caller.Origin, Kind: string(u.Purpose), Documents: u.Documents, Card: shortCard(u.Kind, u.Number), Outcome: outcome(u.Err)}
	switch {
	case u.Caller.CommandLine:
		e.By = history.ByCommandLine
	case u.Caller.Extension:
		e.By = history.ByExtension
	}
	if u.Certificate != nil {
		e.Certificate = signing.Describe(u.Certificate).SHA256[:16]
		if err := s.reminders().See(u.Certificate, hand.CardName(u.Kind, u.Number)); err != nil {
			s.log.Warn("the certificate's end was not remembered", "error", err)
		}
	}
	for _, d := range u.Digests {
		e.Digests = append(e.Digests, hex.EncodeToString(d))
	}
	if err := s.history.Append(e); err != nil {
		s.log.Warn("the history was not written", "error", err)
	}
}

func outcome(err error) string {
	if err == nil {
		return history.Done
	}
	code, _ := signing.Code(err)
	return string(code)
}

// shortCard names a card without its whole number.
func shortCard(kind, number string) string {
	if kind == "" {
		return ""
	}
	return kind + " …" + number[max(0, len(number)-4):]
}

func historyCommand(lang message.Lang) *cobra.Command {
	var dir, out string
	var asJSON, asCSV bool
	store := func() (*history.Store, error) {
		d, err := stateDir(dir)
		if err != nil {
			return nil, exit(command.InputOutput, err)
		}
		return history.Open(d), nil
	}
	cmd := &cobra.Command{
		Use:   "history",
		Short: message.Text(lang, "hand.history-short"),
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := store()
			if err != nil {
				return err
			}
			log, err := s.Read()
			if err != nil {
				return exit(command.InputOutput, err)
			}
			if out != "" {
				err = exportTo(out, log)
			} else {
				err = printHistory(cmd.OutOrStdout(), lang, log, asJSON, asCSV)
			}
			switch {
			case err != nil:
				return exit(command.InputOutput, err)
			case len(log.Gaps) > 0:
				return exit(command.Invalid, fmt.Errorf("%s", message.Text(lang, "hand.history-gaps")))
			}
			return nil
		},
	}
	clearAll := &cobra.Command{
		Use:   "clear",
		Short: message.Text(lang, "hand.history-clear-short"),
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			s, err := store()
			if err != nil {
				return err
			}
			if err := s.Clear(); err != nil {
				return exit(command.InputOutput, err)
			}
			return nil
		},
	}
	cmd.PersistentFlags().StringVar(&dir, "config", "", message.Text(lang, "command.config"))
	cmd.Flags().BoolVar(&asJSON, "json", false, message.Text(lang, "command.json"))
	cmd.Flags().BoolVar(&asCSV, "csv", false, message.Text(lang, "hand.history-csv"))
	cmd.Flags().StringVar(&out, "out", "", message.Text(lang, "hand.history-out"))
	cmd.MarkFlagsMutuallyExclusive("json", "csv", "out")
	cmd.AddCommand(clearAll)
	return cmd
}

// exportTo writes a new file, in the form that its name says.
func exportTo(name string, log history.Log) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // the person names it
	if err != nil {
		return err
	}
	write := log.JSON
	if strings.EqualFold(filepath.Ext(name), ".csv") {
		write = log.CSV
	}
	if err := write(f); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}

func printHistory(w io.Writer, lang message.Lang, log history.Log, asJSON, asCSV bool) error {
	switch {
	case asJSON:
		return log.JSON(w)
	case asCSV:
		return log.CSV(w)
	}
	if len(log.Entries) == 0 {
		_, err := fmt.Fprintln(w, message.Text(lang, "hand.history-none"))
		return err
	}
	gaps := map[int]bool{}
	for _, g := range log.Gaps {
		gaps[g.N] = true
	}
	for _, e := range log.Entries {
		if gaps[e.N] {
			if _, err := fmt.Fprintln(w, "!!", message.Text(lang, "hand.history-gap")); err != nil {
				return err
			}
		}
		if _, err := fmt.Fprintf(w, "%s  %s  %s\n", e.At.Local().Format("2006-01-02 15:04"), strings.Join(slices.DeleteFunc([]string{e.What(lang), e.Who(lang), e.CardName()}, func(s string) bool { return s == "" }), ", "), e.Ended(lang)); err != nil {
			return err
		}
	}
	if gaps[0] {
		if _, err := fmt.Fprintln(w, "!!", message.Text(lang, "hand.history-gap-end")); err != nil {
			return err
		}
	}
	return nil
}
