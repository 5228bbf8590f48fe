package gateway

import (
	"strconv"
	"sync"
	"time"

	"github.com/citel-pa/citel/agent/wire"
)

// Limits bound what one page and all pages together can make the agent do. The
// zero value of a field stands for its default.
type Limits struct {
	// Sockets open at once, of one origin and of all.
	SocketsPerOrigin, Sockets int
	// Connects, Requests and Messages are bursts; they refill within Window.
	// Connects and Requests (login, sign) count per origin, Messages per socket.
	Connects, Requests, Messages int
	Window                       time.Duration
	// MaxTotal is the limit for the documents of one request, in bytes.
	MaxTotal int64
	// WriteTime is what a page has to take one frame.
	WriteTime time.Duration
	// UploadStall and NonceWait as in agent/wire.
	UploadStall, NonceWait time.Duration
}

func (l Limits) withDefaults() Limits {
	set(&l.SocketsPerOrigin, 16)
	set(&l.Sockets, 64)
	set(&l.Connects, 60)
	set(&l.Requests, 20)
	set(&l.Messages, 60)
	set(&l.Window, 10*time.Second)
	set(&l.MaxTotal, int64(wire.MaxTotal))
	set(&l.WriteTime, 15*time.Second)
	set(&l.UploadStall, wire.UploadStall)
	set(&l.NonceWait, wire.NonceWait)
	return l
}

func set[T int | int64 | time.Duration](v *T, def T) {
	if *v <= 0 {
		*v = def
	}
}

// bucket lets a burst through and refills within window.
type bucket struct {
	burst  int
	window time.Duration
	left   float64
	at     time.Time
}

func (b *bucket) take(now time.Time) bool {
	if b.at.IsZero() {
		b.left = float64(b.burst)
	} else if passed := now.Sub(b.at); passed > 0 {
		b.left = min(float64(b.burst), b.left+float64(b.burst)*passed.Seconds()/b.window.Seconds())
	}
	b.at = now
	if b.left < 1 {
		return false
	}
	b.left--
	return true
}

func (b *bucket) full(now time.Time) bool {
	return b.at.IsZero() || now.Sub(b.at) >= b.window
}

// limits counts per origin. An origin that does nothing for a while is forgotten.
type limits struct {
	Limits
	now func() time.Time

	mu      sync.Mutex
	origins map[string]*usage
	sockets int
}

type usage struct {
	connects, requests bucket
	sockets            int
}

// maxOrigins bounds the table; when it is full of busy origins, new ones wait.
const maxOrigins = 1000

func newLimits(l Limits, now func() time.Time) *limits {
	return &limits{Limits: l.withDefaults(), now: now, origins: make(map[string]*usage)}
}

func (l *limits) usage(origin string, now time.Time) *usage {
	u := l.origins[origin]
	if u != nil {
		return u
	}
	if len(l.origins) >= maxOrigins {
		for o, u := range l.origins {
			if u.sockets == 0 && u.connects.full(now) && u.requests.full(now) {
				delete(l.origins, o)
			}
		}
		if len(l.origins) >= maxOrigins {
			return nil
		}
	}
	u = &usage{
		connects: bucket{burst: l.Connects, window: l.Window},
		// Requests open windows: their burst refills six times slower.
		requests: bucket{burst: l.Requests, window: 6 * l.Window},
	}
	l.origins[origin] = u
	return u
}

// connect counts a handshake.
func (l *limits) connect(origin string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	u := l.usage(origin, now)
	return u != nil && u.connects.take(now)
}

// request counts a login or a signature.
func (l *limits) request(origin string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	u := l.usage(origin, now)
	return u != nil && u.requests.take(now)
}

// approved gives an origin its burst back: the person wants what it does.
func (l *limits) approved(origin string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if u := l.origins[origin]; u != nil {
		u.requests.at = time.Time{}
	}
}

// open takes a place for a socket; the caller gives it back with close.
func (l *limits) open(origin string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	u := l.usage(origin, l.now())
	if u == nil || l.sockets >= l.Sockets || u.sockets >= l.SocketsPerOrigin {
		return false
	}
	l.sockets++
	u.sockets++
	return true
}

func (l *limits) close(origin string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sockets--
	if u := l.origins[origin]; u != nil {
		u.sockets--
	}
}

// memory counts refusals where no Silence was given: after wire.SilentAfter in a row
// an origin is silent for wire.SilentFor. It outlives the socket, not the agent.
type memory struct {
	mu      sync.Mutex
	origins map[string]*refusals
}

type refusals struct {
	count int
	last  time.Time
}

// Refused counts one.
func (s *memory) Refused(origin string, now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.origins == nil {
		s.origins = make(map[string]*refusals)
	}
	for o, r := range s.origins { // the table holds only what still matters
		if now.Sub(r.last) >= wire.SilentFor {
			delete(s.origins, o)
		}
	}
	r := s.origins[origin]
	if r == nil {
		r = &refusals{}
		s.origins[origin] = r
	}
	r.count++
	r.last = now
	return nil
}

// Approved forgets them.
func (s *memory) Approved(origin string, _ time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.origins, origin)
	return nil
}

// Silent tells whether there were too many.
func (s *memory) Silent(origin string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.origins[origin]
	return r != nil && r.count >= wire.SilentAfter && now.Sub(r.last) < wire.SilentFor
}

func itoa(n int) string { return strconv.Itoa(n) }
