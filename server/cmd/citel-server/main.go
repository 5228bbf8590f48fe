// Command citel-server is the municipality's side: it issues challenges, verifies
// what comes back, grants the level, and takes applications in. It wires packages
// together and does nothing by itself.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	_ "time/tzdata" // Europe/Rome on machines without a time zone database

	"github.com/spf13/cobra"

	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/pkcs/verify/command"
	"github.com/citel-pa/citel/pkcs/version"
	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/keys"
	"github.com/citel-pa/citel/server/store"
)

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := newRoot()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return command.Done
	}
	var exit *command.ExitError
	if errors.As(err, &exit) {
		if exit.Err != nil {
			fmt.Fprintln(os.Stderr, "citel-server:", exit.Err)
		}
		return exit.Code
	}
	fmt.Fprintln(os.Stderr, "citel-server:", err)
	return command.Usage
}

func exit(code int, err error) error { return &command.ExitError{Code: code, Err: err} }

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use: "citel-server", Short: "the municipality's telematic counter",
		SilenceUsage: true, SilenceErrors: true,
	}
	versionCommand := &cobra.Command{
		Use: "version", Short: "this program's version", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "citel-server %s\n", version.Version)
			return err
		},
	}
	root.AddCommand(serveCommand(), command.New(message.ParseLang(os.Getenv("LANG"))), auditCommand(), keysCommand(), versionCommand)
	return root
}

func auditCommand() *cobra.Command {
	c := &cobra.Command{Use: "audit", Short: "the audit log"}
	var data string
	check := &cobra.Command{
		Use: "verify", Short: "tell whether the audit log was changed", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, ring, err := openData(cmd.Context(), data)
			if err != nil {
				return err
			}
			defer func() { _ = s.Close() }()
			rows, last, err := (&audit.Log{Store: s, Keys: ring}).Verify(cmd.Context())
			switch {
			case errors.Is(err, audit.ErrChanged):
				return exit(command.Invalid, err)
			case err != nil:
				return exit(command.InputOutput, err)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d rows, last %x\n", rows, last)
			return err
		},
	}
	check.Flags().StringVar(&data, "data", "citel-data", "folder of the server's data")
	c.AddCommand(check)
	return c
}

func keysCommand() *cobra.Command {
	c := &cobra.Command{Use: "keys", Short: "the server's own keys"}
	var data string
	rotate := &cobra.Command{
		Use: "rotate", Short: "make new keys for seals and log; old ones still verify (restart the server)", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ring, err := keys.Open(data)
			if err != nil {
				return exit(command.InputOutput, err)
			}
			return ring.Rotate(timeNow())
		},
	}
	rotate.Flags().StringVar(&data, "data", "citel-data", "folder of the server's data")
	c.AddCommand(rotate)
	return c
}

// openData opens what is there already; it makes nothing.
func openData(ctx context.Context, dir string) (*store.Store, *keys.Ring, error) {
	if _, err := os.Stat(filepath.Join(dir, "citel.db")); err != nil {
		return nil, nil, exit(command.InputOutput, err)
	}
	s, err := store.Open(ctx, dir)
	if err != nil {
		return nil, nil, exit(command.InputOutput, err)
	}
	ring, err := keys.Open(dir)
	if err != nil {
		return nil, nil, exit(command.InputOutput, errors.Join(err, s.Close()))
	}
	return s, ring, nil
}
