package gateway

import (
	"context"
	"sync"

	"github.com/citel-pa/citel/agent/wire"
)

// queue lets one request at a time have the person's attention. Windows never
// stack: while one is open, one request of each origin and eight in all may wait.
type queue struct {
	window chan struct{} // holds one token: who has it may ask

	mu      sync.Mutex
	waiting map[string]int // admitted and not asking, by origin
	total   int
}

func newQueue() *queue {
	q := &queue{window: make(chan struct{}, 1), waiting: make(map[string]int)}
	q.window <- struct{}{}
	return q
}

// admit takes a place for a request, from its first message to its last; false
// means busy.
func (q *queue) admit(origin string) (*place, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.waiting[origin] >= 1 || q.total >= wire.MaxWaiting {
		return nil, false
	}
	q.add(origin, 1)
	return &place{q: q, origin: origin}, true
}

func (q *queue) add(origin string, n int) {
	q.total += n
	if q.waiting[origin] += n; q.waiting[origin] == 0 {
		delete(q.waiting, origin)
	}
}

// place is one request's place. It is used by one goroutine.
type place struct {
	q      *queue
	origin string
	asking bool
	left   bool
}

// ask waits for the window; waiting is called when it is not free at once.
func (p *place) ask(ctx context.Context, waiting func()) error {
	select {
	case <-p.q.window:
	default:
		waiting()
		select {
		case <-p.q.window:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	p.q.mu.Lock()
	defer p.q.mu.Unlock()
	p.asking = true
	p.q.add(p.origin, -1)
	return nil
}

// done gives the window to the next; the request may go on without it.
func (p *place) done() {
	if !p.asking {
		return
	}
	p.asking = false
	p.q.mu.Lock()
	p.q.add(p.origin, 1)
	p.q.mu.Unlock()
	p.q.window <- struct{}{}
}

// leave ends the request.
func (p *place) leave() {
	if p.left {
		return
	}
	p.left = true
	p.done()
	p.q.mu.Lock()
	defer p.q.mu.Unlock()
	p.q.add(p.origin, -1)
}
