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
	"github.com/spf13/pflag"

	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/pkcs/verify/command"
	"github.com/citel-pa/citel/pkcs/version"
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
	root.AddCommand(serveCommand(), command.New(message.ParseLang(os.Getenv("LANG"))), auditCommand(), keysCommand(), apiKeyCommand(), setupCommand(), backupCommand(), restoreCommand(), versionCommand)
	return root
}

func keysCommand() *cobra.Command {
	c := &cobra.Command{Use: "keys", Short: "the server's own keys"}
	var data string
	var onToken keys.Token
	rotate := &cobra.Command{
		Use: "rotate", Short: "make new keys for seals and log; old ones still verify (restart the server)", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ring, err := keys.Open(data, orNil(&onToken))
			if err != nil {
				return exit(command.InputOutput, err)
			}
			return errors.Join(ring.Rotate(timeNow()), onToken.Close())
		},
	}
	tokenFlags(rotate.Flags(), &onToken)
	rotate.Flags().StringVar(&data, "data", "citel-data", "folder of the server's data")
	c.AddCommand(rotate)
	return c
}

// tokenFlags name the PKCS#11 token with the server's own keys.
func tokenFlags(f *pflag.FlagSet, t *keys.Token) {
	f.StringVar(&t.Module, "keys-module", "", "PKCS#11 module with the server's own RSA key; without it keys are in a file")
	f.StringVar(&t.PINFile, "keys-pin-file", "", "file with that token's PIN (mode 600)")
	f.StringToStringVar(&t.Seals, "keys-seal", nil, "ENTE=SHA-256 of the certificate on that token whose key seals the ente's receipts and registers (else the server's own key)")
	f.StringVar(&t.Certificate, "keys-cert", "", "SHA-256 of the certificate whose key is used, where the token has several")
}

// orNil: no module, no token.
func orNil(t *keys.Token) *keys.Token {
	if t.Module == "" {
		return nil
	}
	return t
}

// openStore opens the database: PostgreSQL where DATABASE_URL names one, else the
// embedded one in the folder.
func openStore(ctx context.Context, dir string) (*store.Store, error) {
	s, err := store.OpenURL(ctx, os.Getenv("DATABASE_URL"), dir)
	if err != nil {
		return nil, exit(command.InputOutput, err)
	}
	return s, nil
}

// openData opens what is there already; it makes nothing.
func openData(ctx context.Context, dir string, t *keys.Token) (*store.Store, *keys.Ring, error) {
	if _, err := os.Stat(filepath.Join(dir, "keys.json")); err != nil {
		return nil, nil, exit(command.InputOutput, fmt.Errorf("%w (--data: is this the server's folder?)", err))
	}
	if _, err := os.Stat(filepath.Join(dir, "citel.db")); err != nil && os.Getenv("DATABASE_URL") == "" {
		return nil, nil, exit(command.InputOutput, err)
	}
	s, err := openStore(ctx, dir)
	if err != nil {
		return nil, nil, err
	}
	ring, err := keys.Open(dir, t)
	if err != nil {
		return nil, nil, exit(command.InputOutput, errors.Join(err, s.Close()))
	}
	return s, ring, nil
}
