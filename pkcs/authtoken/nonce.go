package authtoken

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"sync"
	"time"
)

// NonceLife is how long a nonce is good.
const NonceLife = 5 * time.Minute

const (
	maxNonces     = 100_000 // in all; 200 bytes each or so
	maxPerBinding = 8       // of one browser session: tabs, and windows that were extended
)

// Nonces issues and takes back nonces: random, single use, bound to a browser's
// session and to an origin. It is safe for concurrent use.
type Nonces struct {
	// Now is the clock; nil is time.Now.
	Now func() time.Time

	mu    sync.Mutex
	all   map[string]*nonce
	bound map[string]int
	swept time.Time
}

type nonce struct {
	binding, origin string
	expires         time.Time
	used            bool
}

func (n *Nonces) now() time.Time {
	if n.Now != nil {
		return n.Now()
	}
	return time.Now()
}

// Issue makes a nonce for a session and an origin.
func (n *Nonces) Issue(binding, origin string) (value string, expires time.Time, err error) {
	var random [32]byte
	if _, err := rand.Read(random[:]); err != nil {
		return "", time.Time{}, err
	}
	value = base64.StdEncoding.EncodeToString(random[:])
	now := n.now()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.all == nil {
		n.all, n.bound = map[string]*nonce{}, map[string]int{}
	}
	if now.Sub(n.swept) > time.Minute || len(n.all) >= maxNonces {
		n.sweep(now)
	}
	if len(n.all) >= maxNonces {
		return "", time.Time{}, ErrNonceFull
	}
	if n.bound[binding] >= maxPerBinding {
		n.dropOldest(binding)
	}
	expires = now.Add(NonceLife)
	n.all[value] = &nonce{binding: binding, origin: origin, expires: expires}
	n.bound[binding]++
	return value, expires, nil
}

// Take uses a nonce up, whatever comes after: it is gone once it was read. The
// binding and origin it was issued for must be these.
func (n *Nonces) Take(value, binding, origin string) error {
	now := n.now()
	n.mu.Lock()
	defer n.mu.Unlock()
	x := n.all[value]
	if x == nil || subtle.ConstantTimeCompare([]byte(x.binding), []byte(binding)) != 1 {
		return ErrNonceUnknown
	}
	if x.used {
		return ErrNonceUsed
	}
	x.used = true // kept until it expires, to tell a replay from a guess
	switch {
	case now.After(x.expires):
		return ErrNonceExpired
	case x.origin != origin:
		return fmt.Errorf("%w: the nonce was issued for %s", ErrOtherOrigin, x.origin)
	}
	return nil
}

func (n *Nonces) drop(value string) {
	x := n.all[value]
	delete(n.all, value)
	if n.bound[x.binding]--; n.bound[x.binding] <= 0 {
		delete(n.bound, x.binding)
	}
}

func (n *Nonces) sweep(now time.Time) {
	n.swept = now
	for v, x := range n.all {
		if now.Sub(x.expires) > NonceLife {
			n.drop(v)
		}
	}
}

func (n *Nonces) dropOldest(binding string) {
	oldest := ""
	for v, x := range n.all {
		if x.binding == binding && (oldest == "" || x.expires.Before(n.all[oldest].expires)) {
			oldest = v
		}
	}
	if oldest != "" {
		n.drop(oldest)
	}
}
