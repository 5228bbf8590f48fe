//go:build !tester

package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/citel-pa/citel/agent/consent"
	"github.com/citel-pa/citel/pkcs/message"
)

// tester tells whether this build has the testers' commands and flags.
const tester = false

type testerFlags struct{}

func (*testerFlags) register(*cobra.Command) {}

func (*testerFlags) face() (consent.Asker, error) { return nil, nil }

func (*testerFlags) now(f func() time.Time) func() time.Time { return f }

func testerCommands(message.Lang) []*cobra.Command { return nil }
