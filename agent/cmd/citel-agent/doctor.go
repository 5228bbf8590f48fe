package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/citel-pa/citel/agent/card"
	"github.com/citel-pa/citel/agent/doctor"
	"github.com/citel-pa/citel/agent/wire"
	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/pkcs/verify/command"
	"github.com/citel-pa/citel/pkcs/version"
)

// settle is how long a bus of readers may take to be seen.
const settle = 500 * time.Millisecond

func doctorCommand(lang message.Lang) *cobra.Command {
	var c common
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: message.Text(lang, "command.doctor-short"),
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			s, err := c.open()
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, s.Close()) }()
			<-s.watcher.Ready()
			time.Sleep(settle)
			native := card.NewNative(s.watcher)
			p := &doctor.Patient{Cards: native.Cards, Holders: card.Holders, Ports: wire.Ports, Window: windowProgram(), Root: os.DirFS("/")}
			checks := p.Examine(cmd.Context())
			bad := false
			for _, x := range checks {
				bad = bad || x.State == doctor.Bad
			}
			if asJSON {
				err = json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]any{"version": version.Version, "checks": checks})
			} else {
				for _, x := range checks {
					var args []any
					for k, v := range x.Args {
						args = append(args, k, v)
					}
					if _, err = fmt.Fprintf(cmd.OutOrStdout(), "%-14s %s\n", message.Text(c.lang, "doctor."+string(x.State)), message.Text(c.lang, "doctor."+x.ID+"-"+string(x.State), args...)); err != nil {
						break
					}
				}
			}
			switch {
			case err != nil:
				return exit(command.InputOutput, err)
			case bad:
				return exit(command.Unavailable, errors.New(message.Text(c.lang, "command.doctor-bad")))
			}
			return nil
		},
	}
	c.register(cmd, lang)
	cmd.Flags().BoolVar(&asJSON, "json", false, message.Text(lang, "command.json"))
	return cmd
}
