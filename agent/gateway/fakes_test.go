package gateway

import (
	"context"
	"sync"
	"time"
)

// clock is a clock that a test moves.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock(t time.Time) *clock { return &clock{t: t} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// fakeCards is a reader in which a card comes and goes.
type fakeCards struct {
	mu      sync.Mutex
	present bool
	changes chan bool
}

func (f *fakeCards) Present(context.Context) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.present, nil
}

func (f *fakeCards) Watch(ctx context.Context, changed func(bool)) error {
	for {
		select {
		case present := <-f.changes:
			f.mu.Lock()
			f.present = present
			f.mu.Unlock()
			changed(present)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
