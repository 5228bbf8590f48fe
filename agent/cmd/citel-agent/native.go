package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/citel-pa/citel/agent/config"
	"github.com/citel-pa/citel/agent/consent"
	"github.com/citel-pa/citel/agent/nativehost"
	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/pkcs/verify/command"
)

const nativeHostCommand = "native-host"

// nativeHost serves one command of the Web eID extension. Standard output is the
// browser's: nothing else in this process gets it.
func nativeHost(lang message.Lang) *cobra.Command {
	var c common
	cmd := &cobra.Command{
		Use:   nativeHostCommand,
		Short: message.Text(lang, "native.host-short"),
		Long:  message.Text(lang, "native.host-long"),
		RunE: func(cmd *cobra.Command, args []string) error {
			out := os.Stdout
			os.Stdout = os.Stderr
			store, err := c.store()
			if err != nil {
				return err
			}
			h := &nativehost.Host{Args: args, Store: store, Log: c.logger(), Open: c.session, Gone: nobodyReads(out)}
			if err := h.Serve(cmd.Context(), os.Stdin, out); err != nil {
				return exit(command.Invalid, err)
			}
			return nil
		},
	}
	c.register(cmd, lang)
	// Chrome on Windows says above which of its windows ours should be.
	cmd.Flags().String("parent-window", "", "")
	_ = cmd.Flags().MarkHidden("parent-window") // it was defined a line above
	return cmd
}

func (c *common) store() (*config.Store, error) {
	dir := c.dir
	if dir == "" {
		var err error
		if dir, err = config.DefaultDir(); err != nil {
			return nil, exit(command.InputOutput, err)
		}
	}
	return config.Open(dir), nil
}

// session finds the cards and a face for one command of the extension.
func (c *common) session(lang string) (*nativehost.Session, error) {
	s, err := c.open()
	if err != nil {
		return nil, err
	}
	if lang != "" && s.settings.Language == "" {
		c.lang = message.ParseLang(lang)
	}
	if err := c.face(s, windowProgram()); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	session := &nativehost.Session{Signer: s.ceremony, Close: s.Close}
	if s.windows != nil {
		d := s.windows.Face
		session.Tell = func(ctx context.Context, purpose consent.Purpose, err error) {
			d.Outcome(ctx, &consent.Request{Purpose: purpose}, err)
			d.Wait(ctx)
		}
	}
	return session, nil
}

// nativeCommand registers this program with the browsers, as the user.
func nativeCommand(lang message.Lang) *cobra.Command {
	var asJSON bool
	run := func(do func(*nativehost.Manifests) ([]nativehost.Registration, error)) func(*cobra.Command, []string) error {
		return func(cmd *cobra.Command, _ []string) error {
			m, err := manifests()
			if err != nil {
				return exit(command.InputOutput, err)
			}
			list, failed := do(m)
			if err := printRegistrations(cmd, lang, list, asJSON); err != nil {
				return exit(command.InputOutput, err)
			}
			switch {
			case errors.Is(failed, nativehost.ErrOther):
				return exit(command.Invalid, errors.New(message.Text(lang, "native.other-remedy")))
			case failed != nil:
				return exit(command.InputOutput, failed)
			}
			return nil
		}
	}
	status := run((*nativehost.Manifests).Status)
	cmd := &cobra.Command{
		Use:   "native",
		Short: message.Text(lang, "native.short"),
		Long:  message.Text(lang, "native.long"),
		Args:  cobra.NoArgs,
		RunE:  status,
	}
	cmd.PersistentFlags().BoolVar(&asJSON, "json", false, message.Text(lang, "command.json"))
	cmd.AddCommand(
		&cobra.Command{Use: "on", Short: message.Text(lang, "native.on-short"), Args: cobra.NoArgs, RunE: run((*nativehost.Manifests).On)},
		&cobra.Command{Use: "off", Short: message.Text(lang, "native.off-short"), Args: cobra.NoArgs, RunE: run((*nativehost.Manifests).Off)},
		&cobra.Command{Use: "status", Short: message.Text(lang, "native.status-short"), Args: cobra.NoArgs, RunE: status},
	)
	return cmd
}

func manifests() (*nativehost.Manifests, error) {
	exe, err1 := os.Executable()
	home, err2 := os.UserHomeDir()
	settings, err3 := os.UserConfigDir()
	own, err4 := config.DefaultDir()
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return nil, err
	}
	return &nativehost.Manifests{Program: exe, Home: home, Config: settings, Root: string(filepath.Separator), Files: filepath.Join(own, "native")}, nil
}

func printRegistrations(cmd *cobra.Command, lang message.Lang, list []nativehost.Registration, asJSON bool) error {
	out := cmd.OutOrStdout()
	if asJSON {
		return json.NewEncoder(out).Encode(map[string]any{"protocol": nativehost.ProtocolVersion, "browsers": list})
	}
	for _, r := range list {
		if _, err := fmt.Fprintf(out, "%-9s %s\n          %s\n", r.Browser, message.Text(lang, "native.state-"+string(r.State), "program", r.Program), r.File); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(out, message.Text(lang, "native.sandboxes"))
	return err
}
