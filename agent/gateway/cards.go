package gateway

import (
	"context"
	"sync"
	"time"

	"github.com/citel-pa/citel/agent/wire"
)

// presentTime bounds one question about the card; hello does not wait longer.
const presentTime = 2 * time.Second

// card is what a page that may know is told at hello; empty when it cannot be
// said.
func (k *socket) card() string {
	if k.s.cfg.Cards == nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(k.ctx, presentTime)
	defer cancel()
	present, err := k.s.cfg.Cards.Present(ctx)
	if err != nil {
		k.log.Debug("no word about the card", "error", err)
		return ""
	}
	return cardState(present)
}

func cardState(present bool) string {
	if present {
		return wire.CardPresent
	}
	return wire.CardAbsent
}

// watch sends card events to this page until its socket ends, beginning with the
// present state where it is not what the page was told. A page that is slow gets
// the last state, not every one.
func (k *socket) watch(told string) {
	if k.s.cfg.Cards == nil {
		return
	}
	k.watching.Do(func() {
		changes := k.s.watchers.join(k.s.cfg.Cards, k.s.log)
		k.work.Add(1)
		go func() {
			defer k.work.Done()
			defer k.s.watchers.leave(changes)
			for state := k.card(); ; {
				if state != "" && state != told {
					told = state
					if k.send.json(wire.Event{Head: wire.Head{Type: wire.TypeEvent}, Event: wire.EventCard, Card: state}) != nil {
						return
					}
				}
				select {
				case present := <-changes:
					state = cardState(present)
				case <-k.ctx.Done():
					return
				}
			}
		}()
	})
}

// watchers share one watch over the cards, which runs only while somebody looks.
type watchers struct {
	mu   sync.Mutex
	all  map[chan bool]struct{}
	stop context.CancelFunc
}

type errorLog interface{ Error(msg string, args ...any) }

func (w *watchers) join(cards Cards, log errorLog) chan bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	ch := make(chan bool, 1)
	if w.all == nil {
		w.all = make(map[chan bool]struct{})
	}
	w.all[ch] = struct{}{}
	if w.stop == nil {
		ctx, cancel := context.WithCancel(context.Background())
		w.stop = cancel
		go func() {
			if err := cards.Watch(ctx, w.tell); err != nil && ctx.Err() == nil {
				log.Error("the cards cannot be watched", "error", err)
			}
		}()
	}
	return ch
}

func (w *watchers) leave(ch chan bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.all, ch)
	if len(w.all) == 0 && w.stop != nil {
		w.stop()
		w.stop = nil
	}
}

// tell leaves the newest state with everybody.
func (w *watchers) tell(present bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for ch := range w.all {
		select {
		case <-ch:
		default:
		}
		ch <- present
	}
}
