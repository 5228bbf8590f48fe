package card

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/ebfe/scard"
)

// pnp is the pseudo reader whose state changes when a reader is plugged in or
// out (pcsc-lite and Windows both have it).
const pnp = `\\?PnP?\Notification`

// retryMin and retryMax bound the wait before PC/SC is asked again after it
// went away. Nothing announces its return, so this one wait is a poll.
const (
	retryMin = 250 * time.Millisecond
	retryMax = 5 * time.Second
)

// State of one reader.
type State int

const (
	// Empty is a reader without a card.
	Empty State = iota
	// Present is a card that answered its reset.
	Present
	// Mute is a card that does not answer, e.g. put in the wrong way round.
	Mute
)

// Reader is one reader as last seen.
type Reader struct {
	Name  string
	State State
	// ATR is the card's answer to reset (ISO/IEC 7816-3), nil without a card.
	ATR []byte
	// Exclusive: another program holds the card for itself.
	Exclusive bool
	// Insertion counts the card events of this reader, so that a card that was
	// swapped between two looks is not taken for the old one.
	Insertion uint32
}

// Snapshot is everything at one moment.
type Snapshot struct {
	// Service is false while PC/SC does not answer; Readers is empty then.
	Service bool
	Readers []Reader
}

// Card tells whether any reader holds a card that answers.
func (s Snapshot) Card() bool {
	return slices.ContainsFunc(s.Readers, func(r Reader) bool { return r.State == Present })
}

// Watcher follows readers and cards. Changes are waited for inside PC/SC
// (SCardGetStatusChange), not asked for again and again.
type Watcher struct {
	mu       sync.Mutex
	last     Snapshot
	changed  chan struct{} // closed and replaced at each change
	finished chan struct{}
	first    chan struct{} // closed once the first look is done
	once     sync.Once
}

// Watch starts a watcher that lives until ctx is done.
func Watch(ctx context.Context) *Watcher {
	w := &Watcher{changed: make(chan struct{}), finished: make(chan struct{}), first: make(chan struct{})}
	go w.run(ctx)
	return w
}

// Snapshot gives the last state and a channel that is closed at the next change.
func (w *Watcher) Snapshot() (Snapshot, <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last, w.changed
}

// Ready is closed once the first look at PC/SC is done, well or badly.
func (w *Watcher) Ready() <-chan struct{} { return w.first }

// Done is closed when the watcher has ended and let go of PC/SC.
func (w *Watcher) Done() <-chan struct{} { return w.finished }

func (w *Watcher) set(s Snapshot) {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer w.once.Do(func() { close(w.first) })
	if w.last.Service == s.Service && slices.EqualFunc(w.last.Readers, s.Readers, sameReader) {
		return
	}
	w.last = s
	close(w.changed)
	w.changed = make(chan struct{})
}

func sameReader(a, b Reader) bool {
	return a.Name == b.Name && a.State == b.State && a.Exclusive == b.Exclusive &&
		a.Insertion == b.Insertion && slices.Equal(a.ATR, b.ATR)
}

func (w *Watcher) run(ctx context.Context) {
	defer close(w.finished)
	wait := retryMin
	for ctx.Err() == nil {
		started := time.Now()
		w.follow(ctx)
		if ctx.Err() != nil {
			return
		}
		w.set(Snapshot{})
		if time.Since(started) > retryMax {
			wait = retryMin // it had worked for a while: the service was restarted
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
			wait = min(2*wait, retryMax)
		}
	}
}

// follow watches over one PC/SC context until it fails or ctx is done.
func (w *Watcher) follow(ctx context.Context) {
	pc, err := scard.EstablishContext()
	if err != nil {
		return
	}
	stop := make(chan struct{})
	var helper sync.WaitGroup
	helper.Go(func() { cancelWhenDone(ctx, pc, stop) })
	defer func() {
		close(stop)
		helper.Wait()
		_ = pc.Release() // nothing to be done about a context that cannot be let go
	}()

	var states []scard.ReaderState
	for ctx.Err() == nil {
		states, err = refresh(pc, states)
		if err != nil {
			return
		}
		w.set(snapshot(states))
		for i := range states {
			states[i].CurrentState = states[i].EventState
		}
		err = pc.GetStatusChange(states, -1)
		switch {
		case err == nil, errors.Is(err, scard.ErrTimeout), errors.Is(err, scard.ErrUnknownReader),
			errors.Is(err, scard.ErrReaderUnavailable):
			// A reader that vanished shows in the next list.
		default:
			return
		}
	}
}

// cancelWhenDone ends a waiting GetStatusChange. A cancel that comes between two
// waits is lost, so it is repeated until the loop has seen ctx.
func cancelWhenDone(ctx context.Context, pc *scard.Context, stop <-chan struct{}) {
	select {
	case <-stop:
		return
	case <-ctx.Done():
	}
	for {
		_ = pc.Cancel()
		select {
		case <-stop:
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// refresh lists the readers and asks each new one for its state at once; known
// ones keep what GetStatusChange said.
func refresh(pc *scard.Context, old []scard.ReaderState) ([]scard.ReaderState, error) {
	names, err := pc.ListReaders()
	if err != nil && !errors.Is(err, scard.ErrNoReadersAvailable) {
		return nil, err
	}
	states := make([]scard.ReaderState, 0, len(names)+1)
	fresh := false
	for _, name := range append(names, pnp) {
		i := slices.IndexFunc(old, func(s scard.ReaderState) bool { return s.Reader == name })
		if i >= 0 && old[i].EventState&(scard.StateUnknown|scard.StateIgnore) == 0 {
			states = append(states, old[i])
			continue
		}
		states = append(states, scard.ReaderState{Reader: name, CurrentState: scard.StateUnaware})
		fresh = true
	}
	if !fresh {
		return states, nil
	}
	err = pc.GetStatusChange(states, 0)
	if err != nil && !errors.Is(err, scard.ErrTimeout) && !errors.Is(err, scard.ErrUnknownReader) {
		return nil, err
	}
	return states, nil
}

func snapshot(states []scard.ReaderState) Snapshot {
	s := Snapshot{Service: true}
	for _, st := range states {
		if st.Reader == pnp || st.EventState&(scard.StateUnknown|scard.StateUnavailable) != 0 {
			continue
		}
		r := Reader{Name: st.Reader, Insertion: uint32(st.EventState) >> 16}
		switch {
		case st.EventState&scard.StatePresent == 0:
		case st.EventState&scard.StateMute != 0 || len(st.Atr) == 0:
			// Some readers say "present" before the card has answered its reset.
			r.State = Mute
		default:
			r.State = Present
			r.ATR = slices.Clone(st.Atr)
		}
		r.Exclusive = st.EventState&scard.StateExclusive != 0
		s.Readers = append(s.Readers, r)
	}
	return s
}
