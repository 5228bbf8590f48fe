//go:build !tester

package main

import (
	"github.com/spf13/cobra"

	"github.com/citel-pa/citel/agent/consent"
	"github.com/citel-pa/citel/pkcs/message"
)

// tester tells whether this build has the testers' commands and flags.
const tester = false

type testerFlags struct{}

func (*testerFlags) register(*cobra.Command) {}

func (*testerFlags) face() (consent.Asker, error) { return nil, nil }

func testerCommands(message.Lang) []*cobra.Command { return nil }
