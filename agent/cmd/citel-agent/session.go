package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/citel-pa/citel/agent/control"
	"github.com/citel-pa/citel/agent/update"
	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/pkcs/verify/command"
	"github.com/citel-pa/citel/pkcs/version"
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

// errRuns ends a start that nobody typed, without a word.
var errRuns = errors.New("another agent runs")

// alone makes this agent the one of its user and settings, and lets others end it.
// One that the session or a link starts steps back where one runs.
func (c *common) alone(ctx context.Context, session bool) (_ context.Context, free func(), err error) {
	path, err := control.Path(c.dir)
	if err != nil {
		return nil, nil, exit(command.InputOutput, err)
	}
	server, err := control.Listen(path)
	switch {
	case errors.Is(err, control.ErrRuns) && session:
		return nil, nil, errRuns
	case errors.Is(err, control.ErrRuns):
		return ctx, func() {}, nil // who typed it wants it
	case err != nil && session:
		return nil, nil, exit(command.InputOutput, err)
	case err != nil:
		c.logger().Warn("no control socket", "error", err)
		return ctx, func() {}, nil
	}
	ctx, quit := context.WithCancel(ctx)
	go server.Serve(ctx, func(_ context.Context, r control.Request) control.Answer {
		switch r.Command {
		case control.Status:
		case control.Quit:
			time.AfterFunc(100*time.Millisecond, quit) // the answer goes out first
		default:
			return control.Answer{Error: "unknown command"}
		}
		return control.Answer{Version: version.Version}
	})
	return ctx, func() {
		quit()
		_ = server.Close()
	}, nil
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
