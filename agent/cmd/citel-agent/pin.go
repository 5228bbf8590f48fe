package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/citel-pa/citel/agent/care"
	"github.com/citel-pa/citel/agent/consent"
	"github.com/citel-pa/citel/agent/consent/terminal"
	"github.com/citel-pa/citel/agent/history"
	"github.com/citel-pa/citel/agent/signing"
	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/pkcs/verify/command"
)

// pinCommand is card care on a terminal.
func pinCommand(lang message.Lang) *cobra.Command {
	cmd := &cobra.Command{Use: "pin", Short: message.Text(lang, "care.pin-short")}
	for _, what := range []consent.Care{consent.CareChange, consent.CareUnblock} {
		var c common
		var reader string
		sub := &cobra.Command{
			Use:   string(what),
			Short: message.Text(lang, "care."+string(what)+"-short"),
			Args:  cobra.NoArgs,
			RunE:  func(cmd *cobra.Command, _ []string) error { return c.pin(cmd.Context(), what, reader) },
		}
		c.register(sub, lang)
		sub.Flags().StringVar(&reader, "reader", "", message.Text(lang, "care.reader"))
		cmd.AddCommand(sub)
	}
	return cmd
}

func (c *common) pin(ctx context.Context, what consent.Care, reader string) (err error) {
	s, err := c.open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if s.native == nil {
		return exit(command.Usage, errors.New(message.Text(c.lang, "care.no-native")))
	}
	terminal.Explain = explain
	face, err := terminal.Open(c.lang)
	if err != nil {
		return exit(command.Unavailable, errors.New(message.Text(c.lang, "command.no-terminal")))
	}
	s.close = append(s.close, face.Close)
	k := s.care(face, func() message.Lang { return c.lang })
	id, err := s.pick(ctx, k, reader)
	if err != nil {
		if errors.Is(err, signing.ErrCardUnknown) {
			err = errors.New(message.Text(c.lang, "care.no-native"))
		} else {
			err = errors.New(care.Explain(c.lang, what, err))
		}
		return exit(command.Unavailable, err)
	}
	if err := k.Run(ctx, what, id); err != nil {
		status := command.Invalid
		if code, _ := signing.Code(err); code == "card-removed" || code == "card-busy" || code == "card-failed" {
			status = command.Unavailable
		}
		return exit(status, nil) // the sentence is on the terminal
	}
	return nil
}

// pick finds the card, by its reader where one is named. A virtual or slow reader
// gets a moment to be seen.
func (s *setup) pick(ctx context.Context, k *care.Care, reader string) (signing.Identity, error) {
	if reader == "" {
		return k.Find(ctx, "")
	}
	list, err := s.native.Identities(ctx)
	if err != nil {
		return signing.Identity{}, err
	}
	for _, id := range list {
		if strings.Contains(strings.ToLower(id.Source), strings.ToLower(reader)) {
			return id, nil
		}
	}
	return signing.Identity{}, signing.ErrNoReader
}

func (s *setup) care(face consent.PINAsker, lang func() message.Lang) *care.Care {
	return &care.Care{Cards: s.native, Asker: face, Lang: lang, Used: func(what consent.Care, id signing.Identity, err error) {
		e := history.Entry{At: time.Now(), By: history.ByPerson, Kind: "pin-" + string(what), Card: shortCard(id.Kind, id.Number), Outcome: outcome(err)}
		if err := s.history.Append(e); err != nil {
			s.log.Warn("the history was not written", "error", err)
		}
	}}
}
