//go:build !windows

package main

import (
	"context"
	"os"

	"github.com/citel-pa/citel/installer/browser"
	"github.com/citel-pa/citel/installer/step"
)

func administrator() bool { return os.Geteuid() == 0 }

func policySites() ([]string, error) { return browser.Sites(step.Here()) }

func setPolicySites(ctx context.Context, sites []string) ([]browser.Conflict, error) {
	return browser.Set(ctx, step.Here(), sites)
}
