package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/citel-pa/citel/pkcs/verify/command"
	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/keys"
)

func auditCommand() *cobra.Command {
	c := &cobra.Command{Use: "audit", Short: "the audit log"}
	var data, of string
	var quiet bool
	var onToken keys.Token
	check := &cobra.Command{
		Use: "verify", Short: "tell whether the audit log was changed, and where; name the releases in it", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			s, ring, err := openData(cmd.Context(), data, orNil(&onToken))
			if err != nil {
				return err
			}
			defer func() { _ = onToken.Close() }()
			defer func() { _ = s.Close() }()
			journal := &audit.Log{Store: s, Keys: ring}
			r, err := journal.Verify(cmd.Context())
			if err != nil {
				return exit(command.InputOutput, err)
			}
			out := cmd.OutOrStdout()
			var entries []audit.Entry
			for _, x := range r.Chains {
				if quiet || x.Ente == "" || of != "" && of != x.Ente {
					continue
				}
				got, err := journal.Read(cmd.Context(), audit.Filter{Ente: x.Ente, Limit: 10000, Kinds: []string{audit.EnvelopeHandedOut, audit.EnvelopeSent}})
				if err != nil {
					return exit(command.InputOutput, err)
				}
				entries = append(entries, got...)
			}
			if err := errors.Join(chains(out, r), releases(out, entries)); err != nil {
				return exit(command.InputOutput, err)
			}
			for _, p := range r.Problems {
				_, _ = fmt.Fprintln(cmd.ErrOrStderr(), "changed:", p)
			}
			if r.Err() != nil {
				return exit(command.Invalid, r.Err())
			}
			return nil
		},
	}
	tokenFlags(check.Flags(), &onToken)
	check.Flags().StringVar(&data, "data", "citel-data", "folder of the server's data")
	check.Flags().StringVar(&of, "ente", "", "name the releases of this ente alone")
	check.Flags().BoolVarP(&quiet, "quiet", "q", false, "do not name the releases")
	c.AddCommand(check)
	return c
}

func chains(w io.Writer, r *audit.Report) error {
	if r.Before > 0 {
		if _, err := fmt.Fprintf(w, "log of before: %d rows\n", r.Before); err != nil {
			return err
		}
	}
	for _, c := range r.Chains {
		name, sealed := c.Ente, "not signed yet"
		if name == "" {
			name = "(server)"
		}
		if c.Sealed != "" {
			sealed = "signed up to " + c.Sealed
		}
		if _, err := fmt.Fprintf(w, "%s: %d rows, %s, last %x\n", name, c.Rows, sealed, c.Last); err != nil {
			return err
		}
	}
	return nil
}

// releases names who gave which envelope to whom, against which document, and when.
func releases(out io.Writer, entries []audit.Entry) error {
	if len(entries) == 0 {
		return nil
	}
	slices.Reverse(entries)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "ente\trow\ttime\trelease\tenvelope\toperator\tholder\tdocument")
	for _, e := range entries {
		erased := func(keys ...string) string {
			text := ""
			for _, k := range keys {
				if v := e.Personal[k]; v != "" {
					text += v + " "
				}
			}
			if text == "" {
				return "(erased)"
			}
			return text
		}
		_, _ = fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\t%s\t%s\t%s\n", e.Ente, e.Seq, e.Time.UTC().Format(time.RFC3339), e.Kind, e.Detail["envelope"],
			fmt.Sprintf("#%d %s", e.Operator, erased("operator", "operator-name")), erased("person"), erased("document"))
	}
	return w.Flush()
}
