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
// from lists and responses that came with a file, from the issuer's responder, and
// from its distribution point.
type Revocation struct {
	Store *Store
	// Fetch gets lists from distribution points; nil asks nobody.
	Fetch Source
	// Now tells the time; nil is time.Now.
	Now func() time.Time

	flight    singleflight.Group
	mu        sync.Mutex
	cache     map[string]*fetched
	responses map[string]*answered
}

// Source gets lists and responses from addresses: a Fetcher.
type Source interface {
	Get(ctx context.Context, address string, limit int64) ([]byte, error)
	Post(ctx context.Context, address, contentType string, body []byte, limit int64) ([]byte, error)
}

func (r *Revocation) now() time.Time {
	if r.Now != nil {
		return r.Now()
	}
	return time.Now()
}

// Question is about one certificate of a path that reached an anchor, whose issuer is
// the next in it.
type Question struct {
	Cert, Issuer *x509.Certificate
	// CRLs and OCSPs came with a file, as DER.
	CRLs, OCSPs [][]byte
	// Seen, where set, gets what the store and the network said, in order.
	Seen func(Evidence)
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

// About asks everything that knows about one certificate. It must be called only for a
// certificate whose path reached an anchor: no certificate makes us ask an address
// before that.
func (r *Revocation) About(ctx context.Context, q Question) []validation.RevocationFacts {
	cert, issuer := q.Cert, q.Issuer
	var out []validation.RevocationFacts
	fresh := false
	parts := joined{cert: cert}
	ask := func(l *CRL) {
		if l.speaksOf(cert) {
			f := l.about(cert.SerialNumber, cert, issuer)
			parts.add(l, f)
			f.Trusted = f.Trusted && f.Status != "unknown"
			fresh = fresh || f.Trusted && (f.NextUpdate == nil || f.NextUpdate.After(r.now()))
			out = append(out, f)
		}
	}
	r.Store.mu.RLock()
	lists := r.Store.crls
	r.Store.mu.RUnlock()
	for _, l := range lists {
		ask(l)
		q.sawList(l, l.Source, false, nil)
	}
	for _, der := range q.CRLs {
		if l, err := ParseCRL(der, "embedded"); err == nil {
			ask(l)
		}
	}
	out = parts.judge(out)
	for _, der := range q.OCSPs {
		if f := r.response(der, "embedded", q, nil); f != nil {
			fresh = fresh || r.isFresh(f)
			out = append(out, *f)
		}
	}
	if fresh || r.Fetch == nil {
		return out
	}
	if f := r.askResponder(ctx, q); f != nil {
		out = append(out, *f)
		r.sawResponse(q, f)
		if r.isFresh(f) {
			return out
		}
	}
	for i, address := range cert.CRLDistributionPoints {
		if i == maxPoints {
			break
		}
		l, err := r.get(ctx, address)
		q.sawList(l, address, true, err)
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
	now := r.now()
	if have != nil {
		if have.err != nil && now.Sub(have.at) < retryAfter {
			if have.crl != nil {
				return have.crl, nil
			}
			return nil, have.err
		}
		if have.err == nil && have.crl.list.NextUpdate.After(now) {
			return have.crl, nil
		}
	}
	ch := r.flight.DoChan(address, func() (any, error) {
		// The request outlives the caller that began it: others wait for it too.
		data, err := r.Fetch.Get(context.WithoutCancel(ctx), address, MaxCRL)
		f := &fetched{err: err, at: r.now()}
		if err == nil {
			f.crl, f.err = ParseCRL(data, address)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if old := r.cache[address]; f.err != nil && old != nil && old.crl != nil {
			// The last good list is kept while no newer one can be had; the policy says
			// how old it may be.
			f.crl = old.crl
		}
		if r.cache == nil || len(r.cache) >= maxCached {
			r.cache = map[string]*fetched{}
		}
		r.cache[address] = f
		if f.crl != nil {
			return f.crl, nil
		}
		return nil, f.err
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
