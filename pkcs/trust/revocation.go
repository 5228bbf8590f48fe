package trust

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/citel-pa/citel/pkcs/validation"
)

// Revocation answers whether a certificate was revoked, from the store's lists,
// from lists that came with a file, and from the issuer's distribution point.
type Revocation struct {
	Store *Store
	// Fetch gets lists from distribution points; nil asks nobody.
	Fetch *Fetcher

	flight singleflight.Group
	mu     sync.Mutex
	cache  map[string]*fetched
}

type fetched struct {
	crl *CRL
	err error
	at  time.Time
}

const (
	// retryAfter is how long a failed address is left alone.
	retryAfter = time.Minute
	// maxCached bounds the addresses remembered; they come from certificates.
	maxCached = 256
	// maxPoints bounds the addresses asked for one certificate.
	maxPoints = 3
)

// About asks everything that knows about one certificate of a path, whose issuer
// is the next in it. It must be called only for a certificate whose path reached
// an anchor: no certificate makes us ask an address before that.
func (r *Revocation) About(ctx context.Context, cert, issuer *x509.Certificate, embedded [][]byte) []validation.RevocationFacts {
	var out []validation.RevocationFacts
	fresh := false
	parts := joined{cert: cert}
	ask := func(l *CRL) {
		if l.speaksOf(cert) {
			f := l.about(cert.SerialNumber, cert, issuer)
			parts.add(l, f)
			f.Trusted = f.Trusted && f.Status != "unknown"
			fresh = fresh || f.Trusted && (f.NextUpdate == nil || f.NextUpdate.After(time.Now()))
			out = append(out, f)
		}
	}
	r.Store.mu.RLock()
	lists := r.Store.crls
	r.Store.mu.RUnlock()
	for _, l := range lists {
		ask(l)
	}
	for _, der := range embedded {
		if l, err := ParseCRL(der, "embedded"); err == nil {
			ask(l)
		}
	}
	out = parts.judge(out)
	if fresh || r.Fetch == nil {
		return out
	}
	for i, address := range cert.CRLDistributionPoints {
		if i == maxPoints {
			break
		}
		l, err := r.get(ctx, address)
		if err != nil {
			sum := sha256.Sum256(cert.Raw)
			out = append(out, validation.RevocationFacts{Subject: sum[:], Kind: "crl", Source: address, Status: "unknown", Note: err.Error()})
			continue
		}
		ask(l)
		break
	}
	return out
}

// get gives the cached list while it is current, else fetches; callers that want
// the same list wait for one request.
func (r *Revocation) get(ctx context.Context, address string) (*CRL, error) {
	r.mu.Lock()
	have := r.cache[address]
	r.mu.Unlock()
	now := time.Now()
	if have != nil {
		if have.err != nil && now.Sub(have.at) < retryAfter {
			return nil, have.err
		}
		if have.err == nil && have.crl.list.NextUpdate.After(now) {
			return have.crl, nil
		}
	}
	ch := r.flight.DoChan(address, func() (any, error) {
		// The request outlives the caller that began it: others wait for it too.
		data, err := r.Fetch.Get(context.WithoutCancel(ctx), address, MaxCRL)
		f := &fetched{err: err, at: time.Now()}
		if err == nil {
			f.crl, f.err = ParseCRL(data, address)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.cache == nil || len(r.cache) >= maxCached {
			r.cache = map[string]*fetched{}
		}
		r.cache[address] = f
		return f.crl, f.err
	})
	select {
	case res := <-ch:
		if res.Err != nil {
			return nil, res.Err
		}
		return res.Val.(*CRL), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
