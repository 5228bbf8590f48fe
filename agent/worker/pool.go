// Package worker runs the PKCS#11 modules of vendors in helper processes: the
// same program with a hidden command (Main), one process for each module. A
// module that crashes, hangs, prints or lies costs the request it was asked for,
// never the agent.
//
// A helper is kept warm, with its module initialised, until it gets a PIN. After
// the request with the PIN it is replaced, because nobody can wipe what a module
// and its binding keep of it (ARCHITECTURE.md, the data's way).
package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/citel-pa/citel/agent/signing"
)

// Module is one entry of the settings.
type Module struct {
	// Name is for people.
	Name string
	// Path of the library, absolute.
	Path string
	// Env is added to the helper's environment, as NAME=value.
	Env []string
}

// Config is what a pool needs.
type Config struct {
	// Exe is the program and its arguments that run Main; the program is absolute.
	Exe     []string
	Modules []Module
	// Timeout is for what needs no PIN: starting, listing, opening; 0: 20 seconds.
	Timeout time.Duration
	// SignTimeout is for a PIN and for a signature; 0: one minute. A PIN typed on
	// the reader has 90 seconds at least.
	SignTimeout time.Duration
	Log         *slog.Logger

	// tap sees every frame, in tests.
	tap func(frame []byte, pin bool)
}

const pinpadTime = 90 * time.Second

// errClosed: the pool was closed.
var errClosed = fmt.Errorf("%w: the pool is closed", signing.ErrCardFailed)

// Pool holds the modules and their helpers.
type Pool struct {
	cfg     Config
	ctx     context.Context
	cancel  context.CancelFunc
	sources []*source

	mu      sync.Mutex
	closed  bool
	helpers map[*helper]struct{}
	wg      sync.WaitGroup
}

// New starts a helper for each module in the background. A module that does not
// load is an error of its source, not of the pool.
func New(cfg Config) (*Pool, error) {
	if len(cfg.Exe) == 0 || !filepath.IsAbs(cfg.Exe[0]) {
		return nil, errors.New("worker: the helper's program has to be an absolute path")
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = 20 * time.Second
	}
	if cfg.SignTimeout <= 0 {
		cfg.SignTimeout = time.Minute
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	for _, m := range cfg.Modules {
		if !filepath.IsAbs(m.Path) {
			return nil, fmt.Errorf("worker: the module %q: the path %q is not absolute", m.Name, m.Path)
		}
	}
	p := &Pool{cfg: cfg, helpers: map[*helper]struct{}{}}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	for _, m := range cfg.Modules {
		s := &source{pool: p, module: m, lease: make(chan struct{}, 1)}
		s.lease <- struct{}{}
		p.sources = append(p.sources, s)
		s.warm()
	}
	return p, nil
}

// Sources gives one source for each module, in the order of the settings.
func (p *Pool) Sources() []signing.Source {
	list := make([]signing.Source, len(p.sources))
	for i, s := range p.sources {
		list[i] = s
	}
	return list
}

// Present tells whether a card is in a reader of any module. An error is there
// only when no module saw one and one of them failed.
func (p *Pool) Present(ctx context.Context) (card bool, err error) {
	type result struct {
		card bool
		err  error
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan result, len(p.sources))
	for _, s := range p.sources {
		go func() {
			card, err := s.present(ctx)
			results <- result{card, err}
		}()
	}
	// All are waited for: to leave early would cut off a module that is at work,
	// and cost its warm helper.
	for range p.sources {
		r := <-results
		card = card || r.card
		err = errors.Join(err, r.err)
	}
	if card {
		return true, nil
	}
	return false, err
}

// Close ends all helpers and waits for it.
func (p *Pool) Close() error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil
	}
	p.closed = true
	var all []*helper
	for h := range p.helpers {
		all = append(all, h)
	}
	p.mu.Unlock()
	p.cancel()
	for _, h := range all {
		p.wg.Go(h.stop)
	}
	p.wg.Wait()
	return nil
}

// start starts a helper that the pool knows of until it is dead.
func (p *Pool) start(m Module) (*helper, error) {
	h, err := startHelper(p.ctx, &p.cfg, m)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		h.kill()
		return nil, errClosed
	}
	p.helpers[h] = struct{}{}
	p.wg.Go(func() {
		<-h.dead
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.helpers, h)
	})
	return h, nil
}

// background runs f unless the pool is closed; Close waits for it.
func (p *Pool) background(f func()) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.wg.Go(f)
	return true
}
