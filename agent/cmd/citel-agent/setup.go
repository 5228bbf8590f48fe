package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/citel-pa/citel/agent/card"
	"github.com/citel-pa/citel/agent/config"
	"github.com/citel-pa/citel/agent/consent"
	"github.com/citel-pa/citel/agent/consent/terminal"
	"github.com/citel-pa/citel/agent/history"
	"github.com/citel-pa/citel/agent/signing"
	"github.com/citel-pa/citel/agent/wire"
	"github.com/citel-pa/citel/agent/worker"
	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/pkcs/verify/command"
)

// common are the flags of every command that uses a card.
type common struct {
	lang    message.Lang
	modules []string
	dir     string
	verbose bool
	tester  testerFlags
}

func (c *common) register(cmd *cobra.Command, lang message.Lang) {
	c.lang = lang
	f := cmd.Flags()
	f.StringArrayVar(&c.modules, "module", nil, message.Text(lang, "command.module"))
	f.StringVar(&c.dir, "config", "", message.Text(lang, "command.config"))
	f.BoolVarP(&c.verbose, "verbose", "v", false, message.Text(lang, "command.verbose"))
	c.tester.register(cmd)
}

// setup is what the commands work with.
type setup struct {
	store    *config.Store
	settings config.Settings
	// settingsErr is why they could not be read.
	settingsErr error
	state       string // the folder for what is written by itself
	history     *history.Store
	// modules starts the PKCS#11 modules' helpers, once. fallback: they are those
	// known by default, for cards that CiTel does not read by itself; they are not
	// started before there is one, and leave the others alone.
	modules  func() (*worker.Pool, error)
	fallback bool
	watcher  *card.Watcher
	native   *card.Native // nil: the person named a module
	ceremony *signing.Ceremony
	windows  *inTurn // nil where no window can be shown
	log      *slog.Logger
	close    []func() error
	// documents makes PDFs ready, in a process of its own.
	documents *worker.Preparer
}

func (s *setup) Close() error {
	var errs []error
	for i := len(s.close) - 1; i >= 0; i-- {
		errs = append(errs, s.close[i]())
	}
	return errors.Join(errs...)
}

// open reads the settings and starts to watch the readers.
func (c *common) open() (*setup, error) {
	s, err := c.openAnyway()
	if err == nil && s.settingsErr != nil {
		err = exit(command.InputOutput, errors.Join(s.settingsErr, s.Close()))
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// openAnyway goes on without settings that cannot be read: the doctor has to.
func (c *common) openAnyway() (_ *setup, err error) {
	s := &setup{log: c.logger()}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	dir := c.dir
	if dir == "" {
		if dir, err = config.DefaultDir(); err != nil {
			return nil, exit(command.InputOutput, err)
		}
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, exit(command.InputOutput, err)
	}
	if c.dir != "" {
		c.dir = dir // named: the control socket goes with it
	}
	s.store = config.Open(dir)
	s.settings, s.settingsErr = s.store.Settings()
	if s.settings.Language != "" {
		c.lang = message.ParseLang(s.settings.Language)
	}
	modules, err := c.moduleList(s.settings)
	if err != nil {
		return nil, err
	}
	exe, err := os.Executable()
	if err != nil {
		return nil, exit(command.InputOutput, err)
	}
	s.fallback = len(c.modules) == 0 && len(s.settings.Modules) == 0
	var mu sync.Mutex
	var pool *worker.Pool
	s.modules = func() (_ *worker.Pool, err error) {
		mu.Lock()
		defer mu.Unlock()
		if pool == nil {
			pool, err = worker.New(worker.Config{Exe: []string{exe, workerCommand}, Modules: modules, Log: s.log})
		}
		return pool, err
	}
	s.close = append(s.close, func() error {
		mu.Lock()
		defer mu.Unlock()
		if pool == nil {
			return nil // none was needed
		}
		return pool.Close()
	})
	if !s.fallback {
		if _, err := s.modules(); err != nil {
			return nil, exit(command.Usage, err)
		}
	}
	watching, stop := context.WithCancel(context.Background())
	s.watcher = card.Watch(watching)
	s.close = append(s.close, func() error {
		stop()
		<-s.watcher.Done()
		return nil
	})
	if len(c.modules) == 0 {
		s.native = card.NewNative(s.watcher)
		if s.native.Roots, err = countrySigners(s.settings.CountrySigners); err != nil {
			return nil, exit(command.InputOutput, err)
		}
	}
	if s.state, err = stateDir(c.dir); err != nil {
		return nil, exit(command.InputOutput, err)
	}
	s.history = history.Open(s.state)
	s.documents = &worker.Preparer{Exe: []string{exe, documentCommand}, Log: s.log}
	s.ceremony = &signing.Ceremony{
		Sources: s.sources,
		Prepare: s.documents.Prepare,
		Log:     s.log,
		Used:    s.used,
	}
	return s, nil
}

// countrySigners reads the State's certificates; no file, no demand.
func countrySigners(name string) (*x509.CertPool, error) {
	if name == "" {
		return nil, nil //nolint:nilnil // that is how Native says it
	}
	text, err := os.ReadFile(name) //nolint:gosec // the person's own setting
	if err != nil {
		return nil, fmt.Errorf("settings: countrySigners: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("settings: countrySigners: no certificate in %s", name)
	}
	return pool, nil
}

// sources are where keys may be: cards that CiTel reads by itself come first, so
// that a card that a module knows too is read natively.
func (s *setup) sources(ctx context.Context) ([]signing.Source, error) {
	var list []signing.Source
	if s.native != nil {
		list = append(list, s.native)
	}
	if s.fallback && !s.native.Unread(ctx) {
		return list, nil
	}
	pool, err := s.modules()
	if err != nil {
		return nil, err
	}
	return append(list, pool.Sources()...), nil
}

// present tells whether there is a card. What it is, is found out when it is
// needed: a page hears of it as soon as PC/SC knows.
func (s *setup) present(ctx context.Context) (bool, error) {
	if s.native != nil {
		if now, _ := s.watcher.Snapshot(); now.Card() || s.fallback {
			return now.Card(), nil
		}
	}
	pool, err := s.modules()
	if err != nil {
		return false, err
	}
	return pool.Present(ctx)
}

// windowProgram is citel-window beside this program, where a window can be shown;
// empty where it cannot.
func windowProgram() string {
	if runtime.GOOS == "linux" && os.Getenv("DISPLAY") == "" && os.Getenv("WAYLAND_DISPLAY") == "" {
		return ""
	}
	exe, err := os.Executable()
	if err != nil {
		return ""
	}
	name := filepath.Join(filepath.Dir(exe), "citel-window")
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	// Beside the program in a build folder and on Windows; packages of Linux keep it off
	// the PATH.
	for _, path := range []string{name, "/usr/libexec/citel/citel-window"} {
		if st, err := os.Stat(path); err == nil && st.Mode().IsRegular() {
			return path
		}
	}
	return ""
}

// face finds somebody to ask: in windows where program is given, else on the
// terminal.
func (c *common) face(s *setup, program string) error {
	face, err := c.tester.face()
	if err != nil {
		return exit(command.Usage, err)
	}
	if face == nil && program != "" {
		face = s.turns(s.desktop(c.lang, program))
	}
	if face == nil {
		terminal.Explain = explain
		t, err := terminal.Open(c.lang)
		if err != nil {
			return exit(command.Unavailable, errors.New(message.Text(c.lang, "command.no-terminal")))
		}
		s.close = append(s.close, t.Close)
		face = t
	}
	s.ceremony.Asker = face
	return nil
}

// logger writes to standard error. Nothing secret is logged anywhere.
func (c *common) logger() *slog.Logger {
	level := slog.LevelWarn
	if c.verbose {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
}

// moduleList: those named on the command line, else those of the settings, else
// those that are known and installed.
func (c *common) moduleList(s config.Settings) ([]worker.Module, error) {
	var list []worker.Module
	for _, m := range c.modules {
		abs, err := filepath.Abs(m)
		if err != nil {
			return nil, exit(command.Usage, err)
		}
		if _, err := os.Stat(abs); err != nil {
			return nil, exit(command.Unavailable, fmt.Errorf("--module: %w", err))
		}
		list = append(list, worker.Module{Name: filepath.Base(abs), Path: abs})
	}
	if list != nil {
		return list, nil
	}
	for _, m := range s.Modules {
		name := m.Name
		if name == "" {
			name = filepath.Base(m.Path)
		}
		list = append(list, worker.Module{Name: name, Path: m.Path, Env: m.Env})
	}
	if list != nil {
		return list, nil
	}
	return installedModules(knownModules[runtime.GOOS], os.Stat), nil
}

func exit(code int, err error) error { return &command.ExitError{Code: code, Err: err} }

// explain is the sentence for an error of the ceremony.
func explain(lang message.Lang, err error) string {
	if unfit, ok := errors.AsType[*signing.DocumentError](err); ok {
		return message.Text(lang, "sign."+string(unfit.Reason), "name", unfit.Name)
	}
	code, tries := signing.Code(err)
	if code == wire.CodeInternal {
		return err.Error()
	}
	text := message.Text(lang, "wire."+string(code))
	var held interface{ Holders() []string }
	if errors.As(err, &held) && len(held.Holders()) > 0 {
		text += " " + message.Text(lang, "command.card-held-by", "programs", strings.Join(held.Holders(), ", "))
	}
	if tries != nil {
		text += " " + message.Text(lang, "consent.tries-left", "n", *tries)
	}
	return text
}

// ended turns an error of the ceremony into an exit code and a sentence.
func (c *common) ended(err error) error {
	if err == nil {
		return nil
	}
	code, _ := signing.Code(err)
	status := command.InputOutput
	switch code {
	case wire.CodeRefused, wire.CodeTimedOut, wire.CodePINWrong, wire.CodePINLocked, wire.CodePINUncertain, wire.CodeCertificateUnfit, wire.CodeCancelled, wire.CodeDocumentUnfit:
		status = command.Invalid
	case wire.CodeNoService, wire.CodeNoReader, wire.CodeNoCard, wire.CodeCardUnknown, wire.CodeNoCertificate, wire.CodeCardRemoved, wire.CodeCardBusy, wire.CodeCardFailed:
		status = command.Unavailable
	case wire.CodeNonceInvalid, wire.CodeFormatUnsupported, wire.CodeOriginRefused:
		status = command.Usage
	}
	if c.verbose {
		return exit(status, fmt.Errorf("%s (%w)", explain(c.lang, err), err))
	}
	return exit(status, errors.New(explain(c.lang, err)))
}

var _ consent.Asker = (*terminal.Face)(nil)
