package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/citel-pa/citel/agent/autostart"
	"github.com/citel-pa/citel/agent/card"
	"github.com/citel-pa/citel/agent/care"
	"github.com/citel-pa/citel/agent/consent"
	"github.com/citel-pa/citel/agent/consent/desktop"
	"github.com/citel-pa/citel/agent/control"
	"github.com/citel-pa/citel/agent/doctor"
	"github.com/citel-pa/citel/agent/hand"
	"github.com/citel-pa/citel/agent/hand/pages"
	"github.com/citel-pa/citel/agent/tray"
	"github.com/citel-pa/citel/agent/wire"
	"github.com/citel-pa/citel/agent/worker"
	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/pkcs/verify/command"
	"github.com/citel-pa/citel/pkcs/version"
)

// speak is the language now: the settings may change while the agent runs.
func (s *setup) speak(otherwise message.Lang) func() message.Lang {
	return func() message.Lang {
		if v, err := s.store.Settings(); err == nil && v.Language != "" {
			return message.ParseLang(v.Language)
		}
		return otherwise
	}
}

// desktop is the face in windows.
func (s *setup) desktop(lang message.Lang, program string) *desktop.Face {
	d := &desktop.Face{Program: program, Lang: lang, Log: s.log, Explain: explain, Speak: func() (message.Lang, bool) {
		v, err := s.store.Settings()
		return s.speak(lang)(), err == nil && v.Language != ""
	}}
	s.close = append(s.close, d.Close)
	return d
}

// inTurn lets questions of sites and of the person's own come one after the other:
// windows never stack.
type inTurn struct {
	*desktop.Face
	turn chan struct{}
}

func (s *setup) turns(d *desktop.Face) *inTurn {
	t := &inTurn{Face: d, turn: make(chan struct{}, 1)}
	s.windows = t
	return t
}

func (t *inTurn) take(ctx context.Context) (release func(), err error) {
	select {
	case t.turn <- struct{}{}:
		return func() { <-t.turn }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (t *inTurn) Ask(ctx context.Context, r *consent.Request) (consent.Answer, error) {
	release, err := t.take(ctx)
	if err != nil {
		return consent.Answer{}, err
	}
	defer release()
	return t.Face.Ask(ctx, r)
}

func (t *inTurn) AskPIN(ctx context.Context, r *consent.PINRequest) (consent.PINAnswer, error) {
	release, err := t.take(ctx)
	if err != nil {
		return consent.PINAnswer{}, err
	}
	defer release()
	return t.Face.AskPIN(ctx, r)
}

var (
	_ consent.Asker    = (*inTurn)(nil)
	_ consent.PINAsker = (*inTurn)(nil)
)

// hand makes the agent's own pages and their window; nil without a window.
func (c *common) hand(s *setup, ports []int, address string, quit func()) *desktop.Hand {
	program := windowProgram()
	if program == "" {
		return nil
	}
	face := s.windows
	if face == nil { // a tester's face answers sites; pages have their own
		face = s.turns(s.desktop(c.lang, program))
	}
	lang := s.speak(language())
	native := s.native
	if native == nil {
		native = card.NewNative(s.watcher)
	}
	h := hand.New()
	w := &desktop.Hand{Face: face.Face, Handler: h}
	s.close = append(s.close, w.Close)
	h.Lang, h.Cards, h.History, h.Store, h.Reminders = lang, native, s.history, s.store, s.reminders()
	h.Patient = func() *doctor.Patient {
		p := s.patient(ports)
		p.Clock.Now = c.tester.now(p.Clock.Now)
		return p
	}
	h.Bench = s.bench()
	h.Care = s.care(face, lang)
	h.Care.Cards = native
	h.KnownModules = func() []string {
		var names []string
		for _, m := range installedModules(knownModules[runtime.GOOS], os.Stat) {
			names = append(names, m.Name+": "+m.Path)
		}
		return names
	}
	h.CheckModule = s.checkModule
	h.About = func(lang message.Lang) string {
		about := message.Text(lang, "hand.about-alone")
		if address != "" {
			about = message.Text(lang, "hand.about-listening", "address", address)
		}
		return message.Text(lang, "hand.about", "version", version.Version, "address", about)
	}
	h.Quit, h.Downloads, h.Changed = quit, downloads, w.Changed
	return w
}

func (s *setup) reminders() *care.Reminders { return &care.Reminders{Dir: s.state} }

// checkModule starts a module in a helper of its own and asks it once.
func (s *setup) checkModule(ctx context.Context, path string) error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	pool, err := worker.New(worker.Config{Exe: []string{exe, workerCommand}, Modules: []worker.Module{{Name: filepath.Base(path), Path: path}}, Log: s.log})
	if err != nil {
		return err
	}
	_, err = pool.Present(ctx)
	return errors.Join(err, pool.Close())
}

// downloads is the person's folder for files that come from elsewhere
// (xdg-user-dirs), or their home.
func downloads() (string, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return "", err
	}
	if dir, err := os.UserConfigDir(); err == nil {
		if f, err := os.Open(filepath.Join(dir, "user-dirs.dirs")); err == nil { //nolint:gosec // the person's own
			defer func() { _ = f.Close() }()
			for lines := bufio.NewScanner(f); lines.Scan(); {
				if name, ok := strings.CutPrefix(lines.Text(), `XDG_DOWNLOAD_DIR="$HOME/`); ok {
					name = filepath.Join(home, strings.TrimSuffix(name, `"`))
					if st, err := os.Stat(name); err == nil && st.IsDir() {
						return name, nil
					}
				}
			}
		}
	}
	if name := filepath.Join(home, "Downloads"); runtime.GOOS == "windows" {
		if st, err := os.Stat(name); err == nil && st.IsDir() {
			return name, nil
		}
	}
	return home, nil
}

// atHand is what runs beside the gateway: the control socket, the tray, reminders. None
// of it is needed for a signature, and none of it failing ends the agent.
func (c *common) atHand(ctx context.Context, s *setup, w *desktop.Hand, withTray bool, quit func()) {
	if p, err := s.store.Policy(); err == nil && p.Autostart != nil {
		if on, err := autostart.On(); err == nil && on != *p.Autostart {
			if err := autostart.Set(*p.Autostart); err != nil {
				s.log.Warn("autostart", "error", err)
			}
		}
	}
	var group sync.WaitGroup
	group.Go(func() { c.listenControl(ctx, s, w, quit) })
	group.Go(func() { s.remind(ctx, s.speak(language())) })
	states := make(chan tray.State, 1)
	group.Go(func() { s.follow(ctx, w, states) })
	if withTray && w != nil {
		t := &tray.Tray{Lang: s.speak(language()), Quit: quit, States: states, Open: func(page string) { s.show(ctx, w, page) }}
		go t.Run(ctx) // its library has no end
	}
	group.Wait()
}

// show opens a page, and says in the log why it cannot.
func (s *setup) show(ctx context.Context, w *desktop.Hand, page string) {
	if w == nil {
		return
	}
	if _, err := w.Open(ctx, page); err != nil {
		s.log.Warn("the window did not open", "error", err)
	}
}

func (c *common) listenControl(ctx context.Context, s *setup, w *desktop.Hand, quit func()) {
	path, err := control.Path(c.dir)
	if err != nil {
		s.log.Warn("no control socket", "error", err)
		return
	}
	server, err := control.Listen(path)
	if errors.Is(err, control.ErrRuns) {
		s.log.Info("another agent of this user runs; `open` goes to that one")
		return
	}
	if err != nil {
		s.log.Warn("no control socket", "error", err)
		return
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	server.Serve(ctx, func(ctx context.Context, r control.Request) control.Answer {
		a := control.Answer{Version: version.Version}
		switch r.Command {
		case control.Status:
		case control.Quit:
			time.AfterFunc(100*time.Millisecond, quit)
		case control.Open:
			if w == nil {
				a.Error = message.Text(s.speak(language())(), "hand.open-no-window")
			} else if _, err := w.Open(ctx, r.Page); err != nil {
				a.Error = err.Error()
			}
		default:
			a.Error = "unknown command"
		}
		return a
	})
}

// follow tells window and tray what PC/SC tells.
func (s *setup) follow(ctx context.Context, w *desktop.Hand, states chan tray.State) {
	for {
		now, next := s.watcher.Snapshot()
		state := tray.NoService
		switch {
		case now.Card():
			state = tray.Card
		case now.Service && len(now.Readers) > 0:
			state = tray.NoCard
		case now.Service:
			state = tray.NoReader
		}
		select { // only the last counts
		case <-states:
		default:
		}
		states <- state
		if w != nil {
			w.Changed()
		}
		select {
		case <-ctx.Done():
			return
		case <-next:
		}
	}
}

// remindEvery is how often the ends of certificates are looked at, besides the start.
const remindEvery = 12 * time.Hour

// remind tells of certificates that end soon, once at each distance; where there are
// no notifications the hand's first page has it.
func (s *setup) remind(ctx context.Context, lang func() message.Lang) {
	r := s.reminders()
	for {
		due, err := r.Due(time.Now())
		if err != nil {
			s.log.Warn("reminders", "error", err)
		}
		for _, d := range due {
			if err := tray.Notify(message.Text(lang(), "care.expires-title"), hand.ReminderText(lang(), d)); err != nil {
				s.log.Log(ctx, slog.LevelDebug, "no notification", "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(remindEvery):
		}
	}
}

// startTime is how long an agent that `open` starts may take to be there.
const startTime = 10 * time.Second

// openCommand shows a page without a tray: in the agent that runs, in one that it
// starts, or, where none can listen, by itself.
func openCommand(lang message.Lang) *cobra.Command {
	var c common
	cmd := &cobra.Command{
		Use:       "open [PAGE]",
		Short:     message.Text(lang, "hand.open-short"),
		Args:      cobra.MaximumNArgs(1),
		ValidArgs: pages.All,
		RunE: func(cmd *cobra.Command, args []string) error {
			page := pages.Home
			if len(args) == 1 {
				page = args[0]
			}
			if !slices.Contains(pages.All, page) {
				return exit(command.Usage, errors.New(message.Text(lang, "hand.open-page", "page", page, "list", strings.Join(pages.All, ", "))))
			}
			return c.openPage(cmd.Context(), page)
		},
	}
	c.register(cmd, lang)
	return cmd
}

func (c *common) openPage(ctx context.Context, page string) error {
	if c.dir != "" {
		abs, err := filepath.Abs(c.dir)
		if err != nil {
			return exit(command.InputOutput, err)
		}
		c.dir = abs
	}
	path, err := control.Path(c.dir)
	if err != nil {
		return exit(command.InputOutput, err)
	}
	a, err := control.Send(ctx, path, control.Request{Command: control.Open, Page: page})
	if errors.Is(err, control.ErrNotRunning) {
		if windowProgram() == "" {
			return exit(command.Unavailable, errors.New(message.Text(c.lang, "hand.open-no-window")))
		}
		if a, err = c.startAndOpen(ctx, path, page); errors.Is(err, control.ErrNotRunning) {
			return c.alone(ctx, page)
		}
	}
	switch {
	case err != nil:
		return exit(command.InputOutput, err)
	case a.Error != "":
		return exit(command.Unavailable, errors.New(a.Error))
	}
	return nil
}

// startAndOpen starts the agent in a session of its own.
func (c *common) startAndOpen(ctx context.Context, path, page string) (control.Answer, error) {
	exe, err := os.Executable()
	if err != nil {
		return control.Answer{}, err
	}
	args := []string{"run"}
	if c.dir != "" {
		args = append(args, "--config", c.dir)
	}
	for _, m := range c.modules {
		args = append(args, "--module", m)
	}
	agent := exec.Command(exe, args...) //nolint:gosec,noctx // ourselves; it outlives this command
	detach(agent)
	if err := agent.Start(); err != nil {
		return control.Answer{}, err
	}
	ended := make(chan struct{})
	go func() { _ = agent.Wait(); close(ended) }()
	deadline := time.Now().Add(startTime)
	for {
		a, err := control.Send(ctx, path, control.Request{Command: control.Open, Page: page})
		if !errors.Is(err, control.ErrNotRunning) || time.Now().After(deadline) {
			return a, err
		}
		select {
		case <-ended: // no port is free, or the settings are broken
			return a, err
		case <-ctx.Done():
			return a, ctx.Err()
		case <-time.After(30 * time.Millisecond):
		}
	}
}

// alone shows the page without an agent, until the window is closed: what keeps the
// agent from running is what the doctor is for.
func (c *common) alone(ctx context.Context, page string) (err error) {
	s, err := c.openAnyway()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	ctx, quit := context.WithCancel(ctx)
	defer quit()
	w := c.hand(s, wire.Ports, "", quit)
	if w == nil {
		return exit(command.Unavailable, errors.New(message.Text(c.lang, "hand.open-no-window")))
	}
	closed, err := w.Open(ctx, page)
	if err != nil {
		return exit(command.Unavailable, fmt.Errorf("%w", err))
	}
	states := make(chan tray.State, 1)
	go s.follow(ctx, w, states)
	select {
	case <-closed:
	case <-ctx.Done():
	}
	return nil
}
