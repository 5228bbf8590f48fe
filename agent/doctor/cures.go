package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/citel-pa/citel/agent/config"
)

// IDs of cures; the sentences are doctor.cure-ID (what it is called) and
// doctor.cure-ID-changes (what it will change).
const (
	CureStartService  = "start-service"
	CureEndScdaemon   = "end-scdaemon"
	CureSetTime       = "set-time"
	CureDropModules   = "drop-modules"
	CureResetSettings = "reset-settings"
)

// Cure is something that the doctor can do about a finding, once the person was told
// what it changes and said yes.
type Cure struct {
	ID string
	// Check tells whether it can be done here.
	Check func() bool
	// Do does it; before is what Undo needs.
	Do func(ctx context.Context) (before string, err error)
	// Undo puts back what was before; nil where nothing has to be.
	Undo func(ctx context.Context, before string) error
}

// cureTime bounds one cure; a person may have to type an administrator's password.
const cureTime = 2 * time.Minute

// Bench is where cures work: programs are run by Run, settings are in Store.
type Bench struct {
	Store *config.Store
	// Dir keeps what Undo needs.
	Dir string
	Run func(ctx context.Context, name string, args ...string) error
}

// ErrCure is a cure that is not there, or cannot be undone.
var ErrCure = errors.New("doctor: no such cure")

// Run starts a program by its name and waits for it.
func Run(ctx context.Context, name string, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, cureTime)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput() //nolint:gosec // names and arguments are those below
	if err != nil {
		return fmt.Errorf("doctor: %s: %w: %s", name, err, strings.TrimSpace(string(out[:min(len(out), 300)])))
	}
	return nil
}

func there(name string) func() bool {
	return func() bool {
		_, err := exec.LookPath(name)
		return err == nil
	}
}

// Cures are all there are.
func (b *Bench) Cures() []Cure {
	return []Cure{
		{ID: CureStartService, Check: there("systemctl"),
			// systemd asks for the administrator's password by itself.
			Do: func(ctx context.Context) (string, error) { return "", b.Run(ctx, "systemctl", "start", "pcscd.socket") },
			Undo: func(ctx context.Context, _ string) error {
				return b.Run(ctx, "systemctl", "stop", "pcscd.socket", "pcscd.service")
			}},
		{ID: CureEndScdaemon, Check: there("gpgconf"),
			// GnuPG starts it again when it needs a card.
			Do: func(ctx context.Context) (string, error) { return "", b.Run(ctx, "gpgconf", "--kill", "scdaemon") }},
		{ID: CureSetTime, Check: there("timedatectl"),
			Do:   func(ctx context.Context) (string, error) { return "", b.Run(ctx, "timedatectl", "set-ntp", "true") },
			Undo: func(ctx context.Context, _ string) error { return b.Run(ctx, "timedatectl", "set-ntp", "false") }},
		{ID: CureDropModules, Check: func() bool { return true }, Do: b.dropModules, Undo: b.restoreModules},
		{ID: CureResetSettings, Check: func() bool { return true }, Do: b.resetSettings, Undo: b.restoreSettings},
	}
}

// dropModules takes modules that are gone out of the settings.
func (b *Bench) dropModules(context.Context) (string, error) {
	var gone []config.Module
	err := b.Store.Change(func(v *config.Settings) {
		kept := v.Modules[:0:0]
		for _, m := range v.Modules {
			if _, err := os.Stat(m.Path); errors.Is(err, os.ErrNotExist) {
				gone = append(gone, m)
			} else {
				kept = append(kept, m)
			}
		}
		v.Modules = kept
	})
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(gone)
	return string(text), err
}

func (b *Bench) restoreModules(_ context.Context, before string) error {
	var gone []config.Module
	if err := json.Unmarshal([]byte(before), &gone); err != nil {
		return fmt.Errorf("doctor: %w", err)
	}
	return b.Store.Change(func(v *config.Settings) { v.Modules = append(v.Modules, gone...) })
}

// resetSettings puts a file that cannot be read aside; nothing of it is lost.
func (b *Bench) resetSettings(context.Context) (string, error) {
	file := b.Store.SettingsFile()
	aside := file + time.Now().UTC().Format(".20060102-150405")
	return aside, os.Rename(file, aside)
}

func (b *Bench) restoreSettings(_ context.Context, before string) error {
	file := b.Store.SettingsFile()
	if filepath.Dir(before) != filepath.Dir(file) {
		return fmt.Errorf("%w: %s", ErrCure, before)
	}
	return os.Rename(before, file)
}

// find gives a cure that can be done here.
func (b *Bench) find(id string) (Cure, error) {
	for _, c := range b.Cures() {
		if c.ID == id && c.Check() {
			return c, nil
		}
	}
	return Cure{}, fmt.Errorf("%w: %s", ErrCure, id)
}

// Offered tells whether a cure can be done here.
func (b *Bench) Offered(id string) bool {
	_, err := b.find(id)
	return err == nil
}

// Cure does one, and keeps what Undo needs.
func (b *Bench) Cure(ctx context.Context, id string) error {
	c, err := b.find(id)
	if err != nil {
		return err
	}
	before, err := c.Do(ctx)
	if err != nil || c.Undo == nil {
		return err
	}
	done, err := b.Done()
	if err != nil {
		return err
	}
	done[id] = before
	return b.keep(done)
}

// Undo puts back what a cure changed.
func (b *Bench) Undo(ctx context.Context, id string) error {
	c, err := b.find(id)
	if err != nil {
		return err
	}
	done, err := b.Done()
	if err != nil {
		return err
	}
	before, ok := done[id]
	if !ok || c.Undo == nil {
		return fmt.Errorf("%w: nothing to undo: %s", ErrCure, id)
	}
	if err := c.Undo(ctx, before); err != nil {
		return err
	}
	delete(done, id)
	return b.keep(done)
}

const doneFile = "cures.json"

// Done are the cures that can be undone, with what they need for it.
func (b *Bench) Done() (map[string]string, error) {
	done := map[string]string{}
	text, err := os.ReadFile(filepath.Join(b.Dir, doneFile))
	if errors.Is(err, os.ErrNotExist) {
		return done, nil
	}
	if err != nil {
		return nil, fmt.Errorf("doctor: %w", err)
	}
	if err := json.Unmarshal(text, &done); err != nil {
		return nil, fmt.Errorf("doctor: %s: %w", doneFile, err)
	}
	return done, nil
}

func (b *Bench) keep(done map[string]string) error {
	text, err := json.Marshal(done)
	if err != nil {
		return fmt.Errorf("doctor: %w", err)
	}
	if err := os.MkdirAll(b.Dir, 0o700); err != nil {
		return fmt.Errorf("doctor: %w", err)
	}
	return os.WriteFile(filepath.Join(b.Dir, doneFile), text, 0o600)
}
