package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"github.com/citel-pa/citel/agent/config"
	"github.com/citel-pa/citel/agent/control"
	"github.com/citel-pa/citel/agent/nativehost"
	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/pkcs/verify/command"
)

// cleanupCommand takes out what the agent keeps for this user: settings, sites,
// history, the secret of the link, and what a portable copy registered.
func cleanupCommand(lang message.Lang) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "cleanup",
		Short: message.Text(lang, "installer.cleanup-short"),
		Long:  message.Text(lang, "installer.cleanup-long"),
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			list, err := usersFiles()
			if err != nil {
				return exit(command.InputOutput, err)
			}
			out := cmd.OutOrStdout()
			if len(list) == 0 {
				_, err := fmt.Fprintln(out, message.Text(lang, "installer.cleanup-none"))
				return err
			}
			for _, path := range list {
				_, _ = fmt.Fprintln(out, "  "+path)
			}
			if !yes && !confirm(cmd, message.Text(lang, "installer.cleanup-ask")) {
				return exit(command.Invalid, errors.New(message.Text(lang, "installer.not-done")))
			}
			// An agent that runs would write some of it again.
			if err := endAgent(cmd.Context()); err != nil {
				return exit(command.Unavailable, fmt.Errorf("%s (%w)", message.Text(lang, "installer.cleanup-runs"), err))
			}
			var errs []error
			if m, err := manifests(); err == nil {
				_, err = m.Off() // takes folders and registry keys that are empty then, too
				errs = append(errs, err)
			}
			for _, path := range list {
				errs = append(errs, os.RemoveAll(path))
			}
			if err := errors.Join(append(errs, forgetUser(cmd.Context()))...); err != nil {
				return exit(command.InputOutput, err)
			}
			_, err = fmt.Fprintln(out, message.Text(lang, "installer.cleanup-done"))
			return err
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, message.Text(lang, "installer.yes"))
	return cmd
}

// usersFiles are the files and folders of this user that are there.
func usersFiles() ([]string, error) {
	settings, err := config.DefaultDir()
	if err != nil {
		return nil, err
	}
	state, err := config.StateDir()
	if err != nil {
		return nil, err
	}
	list := []string{settings, state}
	if runtime.GOOS != "windows" {
		list = append(list, ownEntries()...)
	}
	// What `native on` told browsers: a manifest of another program is left alone.
	m, err := manifests()
	if err != nil {
		return nil, err
	}
	registered, err := m.Status()
	if err != nil {
		return nil, err
	}
	for _, r := range registered {
		if r.State == nativehost.On || r.State == nativehost.Stale {
			list = append(list, r.File)
		}
	}
	var there []string
	for _, path := range list {
		if !filepath.IsAbs(path) {
			continue
		}
		if _, err := os.Lstat(path); err == nil {
			there = append(there, path)
		}
	}
	return there, nil
}

// endAgent ends the agent that runs for this user, and waits for it.
func endAgent(ctx context.Context) error {
	path, err := control.Path("")
	if err != nil {
		return nil //nolint:nilerr // no place for a socket, no agent behind one
	}
	if _, err := control.Send(ctx, path, control.Request{Command: control.Quit}); errors.Is(err, control.ErrNotRunning) {
		return nil
	} else if err != nil {
		return err
	}
	for range 50 {
		if _, err := control.Send(ctx, path, control.Request{Command: control.Status}); errors.Is(err, control.ErrNotRunning) {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return errors.New("it does not end")
}
