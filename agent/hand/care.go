package hand

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/citel-pa/citel/agent/card"
	"github.com/citel-pa/citel/agent/care"
	"github.com/citel-pa/citel/agent/consent"
	"github.com/citel-pa/citel/agent/hand/pages"
	"github.com/citel-pa/citel/agent/signing"
	"github.com/citel-pa/citel/pkcs/message"
)

// cards is the page about what is in the readers: certificate, end, PIN.
func (h *Hand) cards(ctx context.Context) (*pages.CardData, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	d := &pages.CardData{Cards: []pages.CardInfo{}}
	ids, err := h.Cards.Identities(ctx)
	if err != nil {
		d.None, _, _ = h.state(ctx)
		if errors.Is(err, signing.ErrCardUnknown) {
			d.None += " " + message.Text(h.Lang(), "care.no-native")
		}
		return d, nil //nolint:nilerr // said in words
	}
	for _, id := range ids {
		d.Cards = append(d.Cards, h.card(ctx, id))
	}
	return d, nil
}

func (h *Hand) card(ctx context.Context, id signing.Identity) pages.CardInfo {
	c := pages.CardInfo{ID: care.ID(id), Title: h.text("card-" + id.Kind), Care: true, Rows: []pages.Row{}}
	if card.Second(id) {
		c.Title = h.text("card-second", "card", c.Title)
	}
	row := func(key, value string) {
		if value != "" {
			c.Rows = append(c.Rows, pages.Row{Name: h.text("row-" + key), Value: value})
		}
	}
	const day = "02/01/2006"
	cert := id.Certificate
	if cert != nil {
		about := signing.Describe(cert)
		row("holder", signing.HolderName(cert))
		row("cf", about.CodiceFiscale)
		if p, err := h.Cards.Personal(ctx, id); err == nil {
			row("birth", strings.TrimSpace(p.Born+" "+p.BirthTown))
			row("residence", strings.TrimSpace(p.Town+" "+p.Address))
		}
		row("issuer", signing.IssuerName(cert))
		row("serial", about.Serial)
		row("from", cert.NotBefore.Local().Format(day))
		row("until", cert.NotAfter.Local().Format(day))
		days := int(time.Until(cert.NotAfter).Hours() / 24)
		switch {
		case time.Now().After(cert.NotAfter):
			c.Ended, c.Expiry = true, h.text("ended", "date", cert.NotAfter.Local().Format(day))
		case days <= care.Days[0]:
			c.Expiry = h.text("ends-soon", "n", strconv.Itoa(days), "date", cert.NotAfter.Local().Format(day))
		}
		_ = h.Reminders.See(cert, CardName(id.Kind, id.Number)) // the page is shown without it
	} else {
		c.Note = h.text("after-pin")
		row("holder", c.Note)
	}
	row("number", id.Number)
	row("reader", id.Source)
	switch {
	case id.PIN.Locked || id.PIN.TriesLeft == 0:
		c.Locked = true
	case id.PIN.TriesLeft > 0:
		c.Tries = message.Text(h.Lang(), "consent.tries-left", "n", id.PIN.TriesLeft)
	default:
		c.Tries = h.text("tries-unknown")
	}
	return c
}

// pin opens the question about a card's PIN in a window of its own and waits for its
// end. One at a time.
func (h *Hand) pin(what consent.Care) func(context.Context, map[string]string) (pages.Done, error) {
	return func(ctx context.Context, args map[string]string) (pages.Done, error) {
		select {
		case <-h.asking:
		default:
			return pages.Done{}, h.say("busy")
		}
		release := func() { h.asking <- struct{}{} }
		id, err := h.Care.Find(ctx, args["card"])
		if err != nil {
			release()
			return pages.Done{}, errors.New(care.Explain(h.Lang(), what, err))
		}
		// The page does not wait: the person is at the other window, for minutes perhaps.
		go func() {
			defer h.Changed() // once another question may be asked
			defer release()
			_ = h.Care.Run(context.WithoutCancel(ctx), what, id) // told in its own window
		}()
		return pages.Done{Text: h.text("pin-open")}, nil
	}
}
