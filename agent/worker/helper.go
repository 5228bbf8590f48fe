package worker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"time"

	"github.com/citel-pa/citel/agent/signing"
)

// helper is one helper process, seen from the agent. One order is under way at a
// time; its user sees to that.
type helper struct {
	cmd             *exec.Cmd
	orders, answers *os.File
	n               uint64
	noise           *noise
	log             *slog.Logger
	tap             func(frame []byte, pin bool)

	killOnce sync.Once
	// gone is closed when it was decided that the process ends.
	gone chan struct{}
	// dead is closed when the process has ended and was waited for.
	dead chan struct{}
}

// errPINSent: the PIN was on its way when the helper failed.
var errPINSent = errors.New("worker: no answer after the PIN was sent")

// startHelper starts a process and lets it load the module, so that the first
// request finds it initialised.
func startHelper(ctx context.Context, cfg *Config, m Module) (*helper, error) {
	log := cfg.Log.With("module", m.Name)
	h := &helper{noise: &noise{log: log}, log: log, tap: cfg.tap, gone: make(chan struct{}), dead: make(chan struct{})}
	h.cmd = exec.Command(cfg.Exe[0], cfg.Exe[1:]...)
	h.cmd.Env = append(os.Environ(), m.Env...)
	// What the module prints goes here, whatever of the two it prints on.
	h.cmd.Stdout, h.cmd.Stderr = h.noise, h.noise
	// A process that the module left behind may hold the pipe of the noise open.
	h.cmd.WaitDelay = time.Second
	var err error
	if h.orders, h.answers, err = startProcess(h.cmd); err != nil {
		return nil, err
	}
	go func() {
		err := h.cmd.Wait()
		h.log.Debug("helper ended", "pid", h.cmd.Process.Pid, "error", err)
		_, _ = h.orders.Close(), h.answers.Close()
		close(h.dead)
	}()
	if _, err := h.ask(ctx, cfg.Timeout, order{Op: opStart, Module: m.Path}, nil); err != nil {
		h.kill()
		return nil, err
	}
	return h, nil
}

// kill ends the process at once. It may be called at any time, by anybody.
func (h *helper) kill() {
	h.killOnce.Do(func() {
		close(h.gone)
		_ = h.cmd.Process.Kill() // by its id; an error means that it ended already
	})
}

// stop lets the process finalise its module, for a little while.
func (h *helper) stop() {
	_ = h.orders.Close()
	select {
	case <-h.dead:
	case <-time.After(grace):
		h.kill()
	}
}

func (h *helper) alive() bool {
	select {
	case <-h.dead:
		return false
	default:
		return true
	}
}

// broken tells whether a helper was killed over an error: ask does that when no
// answer came.
func (h *helper) broken() bool {
	select {
	case <-h.gone:
		return true
	default:
		return !h.alive()
	}
}

// ask sends an order, with a PIN in a frame of its own when there is one, and
// waits for the answer until ctx ends or the limit is over. Whatever goes wrong
// here kills the helper: nobody knows what it would answer next. The answer's own
// failure is turned into an error too, and leaves the helper as it is.
//
// Errors wrap signing's; errPINSent is among them when the PIN (or the order to
// ask for it on the reader) had left.
func (h *helper) ask(ctx context.Context, limit time.Duration, o order, pin []byte) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var cut atomic.Bool
	stop := context.AfterFunc(ctx, func() {
		cut.Store(true)
		h.kill()
		// Nor does it wait for a pipe that something else holds open.
		past := time.Unix(1, 0)
		_, _ = h.orders.SetDeadline(past), h.answers.SetDeadline(past)
	})
	defer stop()
	a, sent, err := h.exchange(o, pin)
	if err != nil {
		h.kill()
		// The time limit is why, and the broken pipe only its effect.
		if cut.Load() {
			err = fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
		if sent {
			return answer{}, fmt.Errorf("%w: %w: %s: %w", signing.ErrPINUncertain, errPINSent, o.Op, err)
		}
		return answer{}, fmt.Errorf("%w: %s: %w", signing.ErrCardFailed, o.Op, err)
	}
	if a.Failure != "" {
		return a, a.err(o.Op)
	}
	return a, nil
}

func (h *helper) exchange(o order, pin []byte) (a answer, pinSent bool, err error) {
	h.n++
	o.N, o.PIN = h.n, pin != nil
	var frame bytes.Buffer
	if err := writeJSON(&frame, o); err != nil {
		return a, false, err
	}
	if h.tap != nil {
		h.tap(frame.Bytes()[4:], false)
	}
	if o.Op == opUnlock {
		// From here on the module's words are not logged: it may print what it is
		// given.
		h.noise.mute()
		// A pinpad asks as soon as the order is there; a helper that died before is
		// seen at the order, when the PIN has not left yet.
		pinSent = pin == nil
	}
	if !h.alive() {
		return a, false, errors.New("the helper ended")
	}
	if _, err := h.orders.Write(frame.Bytes()); err != nil {
		return a, pinSent, err
	}
	if pin != nil {
		pinSent = true
		if h.tap != nil {
			h.tap(pin, true)
		}
		if err := writeFrame(h.orders, pin); err != nil {
			return a, pinSent, err
		}
	}
	data, err := readFrame(h.answers, maxFrame)
	if err != nil {
		return a, pinSent, err
	}
	if h.tap != nil {
		h.tap(data, false)
	}
	a, err = parseAnswer(data, o)
	return a, pinSent, err
}

// noise takes what a module prints: a little for the log, the rest is counted.
type noise struct {
	log *slog.Logger

	mu     sync.Mutex
	muted  bool
	logged int
}

// maxNoise is how much of a helper's output is logged, in bytes.
const maxNoise = 4 << 10

func (n *noise) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if room := maxNoise - n.logged; !n.muted && room > 0 {
		some := p[:min(len(p), room)]
		n.logged += len(some)
		n.log.Debug("helper printed", "text", string(some))
	}
	return len(p), nil
}

func (n *noise) mute() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.muted = true
}
