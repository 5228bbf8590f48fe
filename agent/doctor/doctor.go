package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strconv"
	"strings"
	"syscall"

	"github.com/citel-pa/citel/agent/card"
	"github.com/citel-pa/citel/agent/signing"
)

// Check is one thing that was looked at. It holds no personal data: a report goes
// to a help desk.
type Check struct {
	// ID is stable; the sentences of the catalogue are doctor.ID-STATE.
	ID    string `json:"id"`
	State State  `json:"state"`
	// Args fill the sentence.
	Args map[string]string `json:"args,omitempty"`
}

// State of a check.
type State string

// States.
const (
	Good State = "good"
	Bad  State = "bad"  // and what to do about it
	Note State = "note" // worth knowing
)

// Patient is what is looked at.
type Patient struct {
	// Cards lists readers and what is in them (card.Native).
	Cards func(ctx context.Context) ([]card.Found, error)
	// Holders are other programs that use PC/SC.
	Holders func() []string
	Ports   []int
	// Window is citel-window's path, empty without one.
	Window string
	Root   fs.FS
}

// Examine looks at everything, in the order in which a card reaches a page.
func (p *Patient) Examine(ctx context.Context) []Check {
	list := p.readers(ctx)
	if names := p.Holders(); len(names) > 0 {
		list = append(list, Check{ID: "others", State: Note, Args: map[string]string{"programs": strings.Join(names, ", ")}})
	}
	list = append(list, p.ports(ctx))
	window := Check{ID: "window", State: Good}
	if p.Window == "" {
		window.State = Note
	}
	return append(append(list, window), p.browsers()...)
}

func (p *Patient) readers(ctx context.Context) []Check {
	found, err := p.Cards(ctx)
	if errors.Is(err, signing.ErrNoService) {
		return []Check{{ID: "service", State: Bad}}
	}
	list := []Check{{ID: "service", State: Good}}
	if len(found) == 0 {
		return append(list, Check{ID: "reader", State: Bad})
	}
	for _, f := range found {
		c := Check{ID: "card", State: Good, Args: map[string]string{"reader": f.Name, "kind": strings.ToUpper(f.Kind)}}
		switch {
		case f.Exclusive:
			c.ID, c.State = "card-held", Bad
		case f.State == card.Empty:
			c.ID, c.State = "card-none", Note
		case f.State == card.Mute:
			c.ID, c.State = "card-mute", Bad
		case f.Kind == card.KindUnknown:
			c.ID, c.State = "card-unknown", Note
		}
		list = append(list, c)
	}
	return list
}

// ports tells whether an agent could listen, or one does already.
func (p *Patient) ports(ctx context.Context) Check {
	free, taken := 0, []string{}
	for _, port := range p.Ports {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		switch {
		case err == nil:
			free++
			_ = l.Close()
		case errors.Is(err, syscall.EADDRINUSE):
			taken = append(taken, strconv.Itoa(port))
		}
	}
	c := Check{ID: "ports", State: Good, Args: map[string]string{"free": strconv.Itoa(free), "taken": strings.Join(taken, ", ")}}
	switch {
	case free == 0:
		c.State = Bad
	case len(taken) > 0:
		c.State = Note // an agent that runs, or another program
	}
	return c
}

func (p *Patient) browsers() []Check {
	policies, err := BrowserPolicies(p.Root)
	var list []Check
	if err != nil {
		list = append(list, Check{ID: "policy-unread", State: Note, Args: map[string]string{"error": fmt.Sprint(err)}})
	}
	for _, b := range policies {
		c := Check{ID: "policy", State: Note, Args: map[string]string{"browser": b.Browser, "file": b.File, "allowed": strings.Join(b.Allowed, ", "), "blocked": strings.Join(b.Blocked, ", ")}}
		if len(b.Blocked) > 0 {
			c.State = Bad
		}
		list = append(list, c)
	}
	return list
}
