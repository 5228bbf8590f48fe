// Package limit bounds how often one caller may do something: a bucket for each, in
// memory, of a bounded number.
package limit

import (
	"math"
	"sync"
	"time"
)

// maxCallers bounds the buckets.
const maxCallers = 50_000

// Limiter lets each caller do Burst things at once, and PerSecond in the long run. It is
// safe for concurrent use.
type Limiter struct {
	Burst, PerSecond float64
	Now              func() time.Time // nil is time.Now

	mu   sync.Mutex
	seen map[string]*bucket
}

type bucket struct {
	left float64
	at   time.Time
}

// Allow takes one from a caller's bucket. When there is none, wait is how long it takes
// until there is.
func (l *Limiter) Allow(caller string) (ok bool, wait time.Duration) {
	now := time.Now()
	if l.Now != nil {
		now = l.Now()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.seen == nil {
		l.seen = map[string]*bucket{}
	}
	b := l.seen[caller]
	if b == nil {
		if len(l.seen) >= maxCallers {
			clear(l.seen) // forgetting is better than growing
		}
		b = &bucket{left: l.Burst, at: now}
		l.seen[caller] = b
	}
	b.left = min(l.Burst, b.left+now.Sub(b.at).Seconds()*l.PerSecond)
	b.at = now
	if b.left < 1 {
		return false, time.Duration(math.Ceil((1-b.left)/l.PerSecond)) * time.Second
	}
	b.left--
	return true, 0
}
