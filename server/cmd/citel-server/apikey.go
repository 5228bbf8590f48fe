package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/citel-pa/citel/pkcs/verify/command"
	"github.com/citel-pa/citel/server/apikey"
	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/keys"
)

// apiKeyCommand makes, lists and revokes the keys of the HTTP interface.
func apiKeyCommand() *cobra.Command {
	var data, code, label string
	var onToken keys.Token
	c := &cobra.Command{Use: "api-key", Short: "keys by which portals use the HTTP interface (/api/v1/openapi.json)"}
	in := func(cmd *cobra.Command, do func(context.Context, *apikey.Room) error) error {
		s, ring, err := openData(cmd.Context(), data, orNil(&onToken))
		if err != nil {
			return err
		}
		defer func() { _ = onToken.Close() }()
		defer func() { _ = s.Close() }()
		err = do(cmd.Context(), &apikey.Room{Store: s, Ente: code, Audit: &audit.Log{Store: s, Keys: ring}})
		switch {
		case errors.Is(err, apikey.ErrUnknown), errors.Is(err, apikey.ErrLabel):
			return exit(command.Usage, err)
		case err != nil:
			return exit(command.InputOutput, err)
		}
		return nil
	}
	add := &cobra.Command{
		Use: "add --label NAME", Short: "make a key; it is shown once, on standard output", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return in(cmd, func(ctx context.Context, r *apikey.Room) error {
				text, key, err := r.Add(ctx, label)
				if err != nil {
					return err
				}
				_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "key %s for %q of %s; what follows is shown this once:\n", key.ID, key.Label, key.Ente)
				_, err = fmt.Fprintln(cmd.OutOrStdout(), text)
				return err
			})
		},
	}
	add.Flags().StringVar(&label, "label", "", "who uses the key")
	_ = add.MarkFlagRequired("label") // the flag is there
	list := &cobra.Command{
		Use: "list", Short: "list the keys, without their secrets", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return in(cmd, func(ctx context.Context, r *apikey.Room) error {
				all, err := r.List(ctx)
				for _, k := range all {
					state := "in use"
					if !k.Revoked.IsZero() {
						state = "revoked " + k.Revoked.Format(time.RFC3339)
					}
					_, _ = fmt.Fprintf(cmd.OutOrStdout(), "%s  %s  %s  %s\n", k.ID, k.Created.Format(time.RFC3339), state, k.Label)
				}
				return err
			})
		},
	}
	revoke := &cobra.Command{
		Use: "revoke ID", Short: "end a key at once, also for a server that runs", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return in(cmd, func(ctx context.Context, r *apikey.Room) error { return r.Revoke(ctx, args[0]) })
		},
	}
	for _, x := range []*cobra.Command{add, list, revoke} {
		tokenFlags(x.Flags(), &onToken)
		x.Flags().StringVar(&data, "data", "citel-data", "folder of the server's data")
		x.Flags().StringVar(&code, "ente", "comune", "short code of the municipality")
		c.AddCommand(x)
	}
	return c
}
