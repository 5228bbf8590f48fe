package main

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/citel-pa/citel/agent/card"
	"github.com/citel-pa/citel/agent/signing"
	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/pkcs/verify/command"
)

// readerJSON is one reader of `cards --json`.
type readerJSON struct {
	Reader string `json:"reader"`
	// State: empty, present, or mute (a card that does not answer).
	State string `json:"state"`
	ATR   string `json:"atr,omitempty"`
	// Kind is cns, or unknown: then a vendor's module may know the card.
	Kind   string `json:"kind,omitempty"`
	Maker  string `json:"maker,omitempty"`
	Number string `json:"number,omitempty"`
	// Exclusive: another program holds the card for itself.
	Exclusive bool `json:"exclusive,omitempty"`
}

var stateNames = map[card.State]string{card.Empty: "empty", card.Present: "present", card.Mute: "mute"}

func cardsCommand(lang message.Lang) *cobra.Command {
	var c common
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "cards",
		Short: message.Text(lang, "command.cards-short"),
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			s, err := c.open()
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, s.Close()) }()
			found, err := card.NewNative(s.watcher).Cards(cmd.Context())
			if err != nil {
				return exit(command.Unavailable, errors.New(explain(lang, signing.ErrNoService)))
			}
			if err := printCards(cmd.OutOrStdout(), found, asJSON, lang); err != nil {
				return exit(command.InputOutput, err)
			}
			return nil
		},
	}
	c.register(cmd, lang)
	cmd.Flags().BoolVar(&asJSON, "json", false, message.Text(lang, "command.json"))
	return cmd
}

func printCards(w io.Writer, found []card.Found, asJSON bool, lang message.Lang) error {
	list := make([]readerJSON, len(found))
	for i, f := range found {
		list[i] = readerJSON{Reader: f.Name, State: stateNames[f.State], ATR: hex.EncodeToString(f.ATR), Kind: f.Kind, Maker: f.Maker, Number: f.Number, Exclusive: f.Exclusive}
	}
	if asJSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(map[string]any{"readers": list})
	}
	if len(list) == 0 {
		_, err := fmt.Fprintln(w, message.Text(lang, "wire.no-reader"))
		return err
	}
	for _, r := range list {
		if _, err := fmt.Fprintf(w, "%s: %s\n", r.Reader, message.Text(lang, "command.cards-"+r.State)); err != nil {
			return err
		}
		if r.State != "present" {
			continue
		}
		if _, err := fmt.Fprintf(w, "  %s\n  ATR %s\n", message.Text(lang, "command.cards-"+r.Kind, "number", r.Number, "maker", r.Maker), r.ATR); err != nil {
			return err
		}
	}
	return nil
}
