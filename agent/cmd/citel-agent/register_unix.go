//go:build !windows

package main

import (
	"context"

	"github.com/citel-pa/citel/installer/step"
)

func userSteps(exe string) ([]step.Step, error) {
	steps, _ := entries(exe)
	return append(steps, schemeStep()), nil
}

// forgetUser: everything was files.
func forgetUser(context.Context) error { return nil }
