package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/citel-pa/citel/agent/gateway"
	"github.com/citel-pa/citel/agent/wire"
	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/pkcs/verify/command"
	"github.com/citel-pa/citel/pkcs/version"
)

func runCommand(lang message.Lang) *cobra.Command {
	var c common
	var developer, onTerminal, noTray, session, asked bool
	var ports []int
	cmd := &cobra.Command{
		Use:   "run",
		Short: message.Text(lang, "command.run-short"),
		Long:  message.Text(lang, "command.run-long"),
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if session && c.runs(cmd.Context()) {
				return nil
			}
			s, err := c.open()
			if err != nil {
				return err
			}
			defer func() { _ = s.Close() }()
			if session && !asked {
				// The session's own entry can be switched off by the person (their desktop
				// knows how); this is the administrator's switch.
				if p, err := s.store.Policy(); err != nil {
					return exit(command.InputOutput, err)
				} else if p.Autostart != nil && !*p.Autostart {
					return nil
				}
			}
			program := windowProgram()
			if onTerminal {
				program = ""
			}
			if err := c.face(s, program); err != nil {
				return err
			}
			go lookForUpdates(cmd.Context(), s)
			return c.serve(cmd.Context(), s, ports, developer, !noTray && !onTerminal)
		},
	}
	c.register(cmd, lang)
	cmd.Flags().BoolVar(&developer, "developer", false, message.Text(lang, "command.developer"))
	cmd.Flags().BoolVar(&onTerminal, "terminal", false, message.Text(lang, "command.terminal"))
	cmd.Flags().BoolVar(&session, "session", false, message.Text(lang, "installer.session"))
	cmd.Flags().BoolVar(&asked, "asked", false, "")
	_ = cmd.Flags().MarkHidden("asked")
	cmd.Flags().BoolVar(&noTray, "no-tray", false, message.Text(lang, "hand.run-no-tray"))
	cmd.Flags().IntSliceVar(&ports, "port", wire.Ports, message.Text(lang, "command.port"))
	return cmd
}

func (c *common) serve(ctx context.Context, s *setup, ports []int, developer, tray bool) error {
	listeners, err := gateway.Listen(ctx, ports)
	if err != nil {
		if errors.Is(err, gateway.ErrPortsTaken) {
			return exit(command.Unavailable, errors.New(message.Text(c.lang, "command.ports-taken", "ports", strings.Trim(fmt.Sprint(ports), "[]"))))
		}
		return exit(command.InputOutput, err)
	}
	g := gateway.New(gateway.Config{
		Signer: s.ceremony, Sites: s.store, Silence: s.store, Turn: s.store.Turn, Secret: s.store.Secret, Version: version.Version,
		Cards: &cards{setup: s}, Developer: developer,
		Limits: gateway.Limits{MaxTotal: s.settings.MaxTotal}, Log: s.log,
	})
	_, _ = fmt.Fprintln(os.Stderr, message.Text(c.lang, "command.listening", "address", listeners[0].Addr()))
	if developer {
		_, _ = fmt.Fprintln(os.Stderr, message.Text(c.lang, "consent.developer"))
	}
	// What the person has at hand comes once pages can reach us.
	ctx, quit := context.WithCancel(ctx)
	defer quit()
	if a, ok := listeners[0].Addr().(*net.TCPAddr); ok && !slices.Contains(ports, a.Port) {
		ports = []int{a.Port} // a tester's --port 0
	}
	go c.atHand(ctx, s, c.hand(s, ports, listeners[0].Addr().String(), quit), tray, quit)
	if err := g.Serve(ctx, listeners); err != nil {
		return exit(command.InputOutput, err)
	}
	return nil
}

// cards joins what the native drivers, the modules and PC/SC say. PC/SC tells when
// to look again.
type cards struct{ setup *setup }

// Present tells whether a card is there; what it is, is found out when it is needed.
func (c *cards) Present(ctx context.Context) (bool, error) { return c.setup.present(ctx) }

// Watch tells changes.
func (c *cards) Watch(ctx context.Context, changed func(bool)) error {
	for {
		_, next := c.setup.watcher.Snapshot()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-next:
		}
		present, err := c.Present(ctx)
		if err == nil || present {
			changed(present)
		}
	}
}
