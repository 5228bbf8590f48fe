package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/citel-pa/citel/pkcs/verify/command"
	"github.com/citel-pa/citel/server/store"
)

// backupCommand writes everything into one file, while the server runs.
func backupCommand() *cobra.Command {
	var data string
	var withoutKeys bool
	c := &cobra.Command{
		Use: "backup FILE", Short: "write database, documents and keys into one file, while the server runs", Args: cobra.ExactArgs(1),
		Long: "backup writes database, documents and keys into one .tar.gz (- is standard output). Whoever has the file has what the server has:\n" +
			"keep it as safe. --without-keys leaves keys.json out, which must then be kept elsewhere: without it the log cannot be verified and nobody logs in with a password.",
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			s, err := openStore(cmd.Context(), data)
			if err != nil {
				return err
			}
			defer func() { _ = s.Close() }()
			var ring []byte
			if !withoutKeys {
				if ring, err = os.ReadFile(filepath.Join(data, "keys.json")); err != nil {
					return exit(command.InputOutput, err)
				}
			}
			if args[0] == "-" {
				if err := s.Backup(cmd.Context(), cmd.OutOrStdout(), ring, timeNow()); err != nil {
					return exit(command.InputOutput, err)
				}
				return nil
			}
			// Beside its name first: a backup that breaks off replaces none that is whole.
			f, err := os.CreateTemp(filepath.Dir(args[0]), ".citel-backup-*") // 0600
			if err != nil {
				return exit(command.InputOutput, err)
			}
			err = errors.Join(s.Backup(cmd.Context(), f, ring, timeNow()), f.Sync(), f.Close())
			if err == nil {
				err = os.Rename(f.Name(), args[0])
			}
			if err != nil {
				return exit(command.InputOutput, errors.Join(err, os.Remove(f.Name())))
			}
			return nil
		},
	}
	c.Flags().StringVar(&data, "data", "citel-data", "folder of the server's data")
	c.Flags().BoolVar(&withoutKeys, "without-keys", false, "leave keys.json out")
	return c
}

// restoreCommand reads a backup into an empty folder or an empty PostgreSQL database.
func restoreCommand() *cobra.Command {
	var data string
	c := &cobra.Command{
		Use: "restore FILE", Short: "read a backup into an empty folder, or an empty PostgreSQL database (DATABASE_URL)", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in := cmd.InOrStdin()
			if args[0] != "-" {
				f, err := os.Open(args[0])
				if err != nil {
					return exit(command.InputOutput, err)
				}
				defer func() { _ = f.Close() }()
				in = f
			}
			keyFile := filepath.Join(data, "keys.json")
			if _, err := os.Stat(keyFile); err == nil {
				return exit(command.InputOutput, fmt.Errorf("%s is there already: restore into a new folder", keyFile))
			}
			ring, err := store.Restore(cmd.Context(), in, os.Getenv("DATABASE_URL"), data)
			if err != nil {
				return exit(command.InputOutput, err)
			}
			if ring == nil {
				_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "the backup has no keys: put the keys.json that belongs to it at %s\n", keyFile)
				return nil
			}
			if err := os.WriteFile(keyFile, ring, 0o600); err != nil {
				return exit(command.InputOutput, err)
			}
			return nil
		},
	}
	c.Flags().StringVar(&data, "data", "citel-data", "folder of the server's data")
	return c
}
