package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/pkcs/verify/command"
	"github.com/citel-pa/citel/server/ente"
	"github.com/citel-pa/citel/server/keys"
	"github.com/citel-pa/citel/server/operator"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/rooms"
)

// setupCommand makes the first ente and a one-time link for its Operatore Gestione Ente,
// or for whoever runs the server. Running it again gives a new link as long as the first
// was not used.
func setupCommand() *cobra.Command {
	var data, origin, code, idEnte, name string
	var system, demo bool
	var onToken keys.Token
	var f person.Form
	c := &cobra.Command{
		Use: "setup", Short: "make the first ente and a one-time link for its administrator", Args: cobra.NoArgs,
		Example: `  citel-server setup --origin https://sportello.comune.example --ente esempio --name "Comune di Esempio" \
    --code CTTPRV80A10G702C --family Cittadino --given Prova --born 10-01-1980 --birth-place Pisa --sex M
  citel-server setup --system --origin https://sportello.comune.example --code ... (who creates enti and sees no citizen)`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			s, err := openStore(ctx, data)
			if err != nil {
				return err
			}
			defer func() { _ = s.Close() }()
			ring, err := keys.Open(data, orNil(&onToken))
			if err != nil {
				return exit(command.InputOutput, err)
			}
			defer func() { _ = onToken.Close() }()
			r := rooms.New(rooms.Options{Store: s, Keys: ring, Origin: origin, Demo: demo, Log: slog.New(slog.DiscardHandler)})
			if err := r.CheckKeys(ctx); err != nil {
				return exit(command.InputOutput, err)
			}
			of := ""
			if !system {
				e := ente.Ente{Code: code, IDEnte: idEnte, Name: name, Origin: origin}
				if err := e.Check(demo); err != nil {
					return exit(command.Usage, err)
				}
				if _, err := r.Enti.Ensure(ctx, e); err != nil {
					return exit(command.InputOutput, err)
				}
				of = code
			}
			if err := r.Enti.FillCatalogue(ctx); err != nil {
				return exit(command.InputOutput, err)
			}
			inv, err := first(ctx, r, of, f)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s%s\n", origin, inv.Link)
			_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "one-time link for %s, good until %s; give it to nobody else\n", inv.Operator.Name(), inv.Expires.Format(time.RFC3339))
			return err
		},
	}
	x := c.Flags()
	tokenFlags(x, &onToken)
	x.StringVar(&data, "data", "citel-data", "folder of the server's data")
	x.StringVar(&origin, "origin", "", "where the pages are, as a browser writes it: https://host[:port]")
	x.StringVar(&code, "ente", "comune", "short code of the municipality")
	x.StringVar(&idEnte, "id-ente", "", "the first system's idEnte, where it had one")
	x.StringVar(&name, "name", "Comune", "name of the municipality, for people")
	x.BoolVar(&system, "system", false, "an operator who makes enti and sees no citizen, instead of an ente's")
	x.BoolVar(&demo, "demo", false, "http on loopback is an origin too")
	x.StringVar(&f.Code, "code", "", "the operator's codice fiscale")
	x.StringVar(&f.Family, "family", "", "family name")
	x.StringVar(&f.Given, "given", "", "given name")
	x.StringVar(&f.Born, "born", "", "date of birth, gg-mm-aaaa")
	x.StringVar(&f.BirthPlace, "birth-place", "", "municipality of birth")
	x.StringVar(&f.BirthState, "birth-state", "", "foreign state of birth")
	x.StringVar(&f.Sex, "sex", "", "M or F")
	x.StringVar(&f.Email, "email", "", "e-mail, for later messages")
	x.StringVar(&f.Reason, "reason", "", "why the codice fiscale does not fit the data and is right all the same")
	_ = c.MarkFlagRequired("code")
	_ = c.MarkFlagRequired("origin")
	return c
}

func first(ctx context.Context, r *rooms.Rooms, of string, f person.Form) (*operator.Invitation, error) {
	inv, err := r.Operators.First(ctx, role.Actor{}, of, f)
	var wrong *operator.FormError
	switch {
	case errors.As(err, &wrong):
		var text []string
		for _, field := range slices.Sorted(maps.Keys(wrong.Errs)) {
			text = append(text, field+": "+message.Text(message.English, "desk."+wrong.Errs[field]))
		}
		for _, w := range wrong.Warnings {
			text = append(text, message.Text(message.English, "desk."+w))
		}
		return nil, exit(command.Usage, errors.New(strings.Join(text, "\n")))
	case errors.Is(err, operator.ErrExists):
		return nil, exit(command.Usage, fmt.Errorf("%w, and has used its link: another administrator resets the password", err))
	case err != nil:
		return nil, exit(command.InputOutput, err)
	}
	return inv, nil
}
