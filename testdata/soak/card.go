package main

import (
	"context"
	"fmt"
	"time"

	"github.com/citel-pa/citel/agent/card/virtual"
	"github.com/citel-pa/citel/testdata/pcscd"
	"github.com/citel-pa/citel/testdata/pki"
	"github.com/citel-pa/citel/testdata/stack"
)

const pinCIE = "13572468"

// card is put in before and taken out after each round.
type card struct {
	agent stack.AgentOptions
	in    func() error
	out   func()
	stop  func()
}

// look is how long pcscd may take to see a change in its virtual reader.
const look = time.Second

// newCard makes a virtual card; for no kind, a SoftHSM token that stays in.
func newCard(ctx context.Context, s *stack.Stack, kind string) (*card, error) {
	c := &card{agent: stack.AgentOptions{PIN: pin}, in: func() error { return nil }, out: func() {}, stop: func() {}}
	if kind == "" {
		return c, nil
	}
	var v virtual.Card
	var err error
	switch kind {
	case "cns":
		v, err = s.VirtualCNS(pki.Citizens[0], pin)
	case "cie":
		c.agent.PIN = pinCIE
		v, err = s.VirtualCIE(pki.Citizens[0], pinCIE)
	default:
		err = fmt.Errorf("-card %s is not there; possible: cns, cie", kind)
	}
	if err != nil {
		return nil, err
	}
	service, err := pcscd.Start(ctx, 1)
	if err != nil {
		return nil, err
	}
	c.agent.Native, c.agent.Env = true, service.Env()
	c.stop = service.Stop
	c.out = service.Readers[0].Remove
	c.in = func() error {
		if err := service.Readers[0].Insert(ctx, v, nil); err != nil {
			return err
		}
		time.Sleep(look)
		return nil
	}
	return c, nil
}
