package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/citel-pa/citel/agent/control"
	"github.com/citel-pa/citel/agent/update"
	"github.com/citel-pa/citel/pkcs/message"
)

// linkCommand is what a page's citel: link starts. Anybody can write such a link, so
// that nothing in it counts: it starts the agent, or does nothing where one runs.
func linkCommand(lang message.Lang) *cobra.Command {
	return &cobra.Command{
		Use:   "link [ADDRESS]",
		Short: message.Text(lang, "installer.link-short"),
		Long:  message.Text(lang, "installer.link-long"),
		Args:  cobra.ArbitraryArgs,
		// Not even a flag of ours is taken from a link.
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 && args[0] == "--help" { // no citel: link
				return cmd.Help()
			}
			run := runCommand(lang)
			run.SetContext(cmd.Context())
			run.SetArgs([]string{"--session", "--asked"})
			run.SilenceUsage, run.SilenceErrors = true, true
			return run.Execute()
		},
	}
}

// runs tells whether an agent of this user and these settings runs: what the session
// or a link starts steps back then.
func (c *common) runs(ctx context.Context) bool {
	path, err := control.Path(c.dir)
	if err != nil {
		return false
	}
	_, err = control.Send(ctx, path, control.Request{Command: control.Status})
	return err == nil
}

// Times of the look for a new release: not while the session starts, then daily.
const (
	firstLook = 5 * time.Minute
	nextLook  = 24 * time.Hour
)

// lookForUpdates remembers what there is; the doctor and the settings' page say it.
// It fetches the list and nothing else.
func lookForUpdates(ctx context.Context, s *setup) {
	checker, err := newChecker(s.store)
	if err != nil {
		return
	}
	wait := firstLook
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		wait = nextLook
		if on, err := updatesOn(s.store); err != nil || !on {
			continue
		}
		if seen, err := s.store.UpdateSeen(); err == nil && time.Since(seen.Checked) < nextLook/2 && time.Since(seen.Checked) >= 0 {
			continue
		}
		offer, err := checker.Check(ctx)
		switch {
		case err != nil:
			s.log.Warn("no news of releases", "error", err)
		case offer != nil:
			_, _ = fmt.Fprintln(os.Stderr, message.Text(language(), "installer.update-there", "version", offer.Version))
		}
	}
}

var _ update.Memory = memory{}
