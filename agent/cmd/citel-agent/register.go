package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/citel-pa/citel/installer"
	"github.com/citel-pa/citel/installer/step"
	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/pkcs/verify/command"
)

// registerCommand makes a portable copy start with the session and answer citel:
// links, for this user alone; packages do it for everybody.
func registerCommand(lang message.Lang) *cobra.Command {
	var remove bool
	cmd := &cobra.Command{
		Use:   "register",
		Short: message.Text(lang, "installer.register-short"),
		Long:  message.Text(lang, "installer.register-long"),
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			exe, err := os.Executable()
			if err != nil {
				return exit(command.InputOutput, err)
			}
			if runtime.GOOS != "windows" && filepath.Dir(exe) == "/usr/bin" {
				return exit(command.Usage, errors.New(message.Text(lang, "installer.register-package")))
			}
			steps, err := userSteps(exe)
			if err == nil && remove {
				err = step.Remove(cmd.Context(), step.Here(), steps)
			} else if err == nil {
				err = step.Apply(cmd.Context(), step.Here(), steps)
			}
			if err != nil {
				return exit(command.InputOutput, err)
			}
			key := "installer.register-done"
			if remove {
				key = "installer.register-removed"
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), message.Text(lang, key, "program", exe))
			return err
		},
	}
	cmd.Flags().BoolVar(&remove, "remove", false, message.Text(lang, "installer.register-remove"))
	return cmd
}

// entries are the files of a user's own desktop: the menu with the scheme, the
// session's start, the icon. XDG Base Directory Specification.
func entries(exe string) ([]step.Step, []string) {
	home, err := os.UserHomeDir()
	if err != nil {
		return nil, nil
	}
	data, conf := os.Getenv("XDG_DATA_HOME"), os.Getenv("XDG_CONFIG_HOME")
	if !filepath.IsAbs(data) {
		data = filepath.Join(home, ".local", "share")
	}
	if !filepath.IsAbs(conf) {
		conf = filepath.Join(home, ".config")
	}
	paths := []string{
		filepath.Join(data, "applications", installer.AppID+".desktop"),
		filepath.Join(conf, "autostart", installer.AppID+".desktop"),
		filepath.Join(data, "icons", "hicolor", "scalable", "apps", installer.AppID+".svg"),
	}
	return []step.Step{
		step.File(paths[0], []byte(installer.DesktopEntry(exe)), 0o644),
		step.File(paths[1], []byte(installer.AutostartEntry(exe)), 0o644),
		step.File(paths[2], []byte(installer.Icon()), 0o644),
	}, paths
}

// ownEntries are those files, whoever wrote them: they bear this program's name.
func ownEntries() []string {
	_, paths := entries("")
	return paths
}

// schemeStep makes the desktop ask us about citel: links; without xdg-utils the entry
// alone has to do.
func schemeStep() step.Step {
	const kind = "x-scheme-handler/" + installer.Scheme
	return step.Step{
		Name: kind,
		Check: func(ctx context.Context, s *step.System) (bool, error) {
			if _, err := exec.LookPath("xdg-mime"); err != nil {
				return true, nil //nolint:nilerr // nothing to do it with
			}
			out, err := s.Run(ctx, "xdg-mime", "query", "default", kind)
			return err == nil && string(out) == installer.AppID+".desktop\n", nil
		},
		Do: func(ctx context.Context, s *step.System) error {
			if out, err := s.Run(ctx, "xdg-mime", "default", installer.AppID+".desktop", kind); err != nil {
				return fmt.Errorf("xdg-mime: %w: %s", err, out)
			}
			return nil
		},
		Undo: func(context.Context, *step.System) error { return nil }, // goes with the entry
	}
}
