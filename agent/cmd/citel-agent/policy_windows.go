package main

import (
	"context"

	"golang.org/x/sys/windows"

	"github.com/citel-pa/citel/installer/browser"
)

func administrator() bool { return windows.GetCurrentProcessToken().IsElevated() }

func policySites() ([]string, error) { return browser.SitesIn(browser.Machine{}) }

func setPolicySites(ctx context.Context, sites []string) ([]browser.Conflict, error) {
	return nil, browser.SetIn(ctx, browser.Machine{}, sites)
}
