package desktop

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/citel-pa/citel/agent/consent"
	"github.com/citel-pa/citel/agent/consent/frame"
)

// maxCalls bounds the calls of a window that are answered at a time.
const maxCalls = 4

// Handler answers a window's calls: data for a page, or something done. The error's
// text is shown to the person.
type Handler interface {
	Call(ctx context.Context, name string, args map[string]string) (any, error)
}

// Hand is the window with the agent's own pages. One is open at a time.
type Hand struct {
	Face    *Face
	Handler Handler

	opening sync.Mutex // one at a time
	mu      sync.Mutex
	window  *process
	closed  chan struct{} // of the window that is open
}

// Open shows a page: in the window that is open, or in a new one. It returns once the
// window is on the screen; closed is closed when it has ended.
func (h *Hand) Open(ctx context.Context, page string) (closed <-chan struct{}, err error) {
	h.opening.Lock()
	defer h.opening.Unlock()
	h.mu.Lock()
	open, last := h.window, h.closed
	h.mu.Unlock()
	if open != nil && open.send(frame.Message{Type: frame.Page, Name: page}) == nil {
		return last, nil
	}
	p, err := h.Face.start(frame.View{Mode: frame.Hand, Lang: string(h.Face.lang(&consent.Request{})), Page: page}, nil)
	if err != nil {
		return nil, err
	}
	painted, done := make(chan struct{}), make(chan struct{})
	h.mu.Lock()
	h.window, h.closed = p, done
	h.mu.Unlock()
	go h.serve(p, painted, done)
	select {
	case <-painted:
		return done, nil
	case <-done:
		return nil, fmt.Errorf("%w: %s", errNotPainted, p.noise())
	case <-ctx.Done():
		p.end()
		return nil, context.Cause(ctx)
	case <-time.After(paintTime):
		p.end()
		return nil, errNotPainted
	}
}

// Changed tells the window that is open to look again.
func (h *Hand) Changed() {
	h.mu.Lock()
	p := h.window
	h.mu.Unlock()
	if p != nil {
		_ = p.send(frame.Message{Type: frame.Changed}) // a window that is gone needs it no more
	}
}

// Close takes the window away, and waits for its end.
func (h *Hand) Close() error {
	h.mu.Lock()
	p := h.window
	h.window = nil
	h.mu.Unlock()
	if p != nil {
		p.end()
		<-p.ended // endTime at most
	}
	return nil
}

// serve answers one window until it ends.
func (h *Hand) serve(p *process, painted, done chan struct{}) {
	ctx, cancel := context.WithCancel(context.Background())
	defer close(done)
	defer cancel()
	defer p.end()
	defer func() {
		h.mu.Lock()
		if h.window == p {
			h.window = nil
		}
		h.mu.Unlock()
	}()
	slots := make(chan struct{}, maxCalls)
	var once sync.Once
	for m := range p.messages {
		m.wipe() // a hand has no business with PINs
		switch m.Type {
		case frame.Painted:
			once.Do(func() { close(painted) })
		case frame.Call:
			slots <- struct{}{}
			go func() {
				defer func() { <-slots }()
				_ = p.send(h.reply(ctx, m.Message))
			}()
		case frame.Refuse:
			return
		}
	}
}

func (h *Hand) reply(ctx context.Context, m frame.Message) frame.Message {
	out := frame.Message{Type: frame.Reply, ID: m.ID}
	v, err := h.Handler.Call(ctx, m.Name, m.Args)
	out.Name = string(h.Face.lang(&consent.Request{})) // it may be another one now
	if err == nil {
		out.Data, err = json.Marshal(v)
	}
	if err == nil && len(out.Data) > frame.MaxJSON/2 {
		err = errors.New("desktop: too much for one page")
	}
	if err != nil {
		out.Data, out.Text = nil, err.Error()
	}
	return out
}
