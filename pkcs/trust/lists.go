package trust

import (
	"context"
	"time"
)

// fetched is a list from a distribution point. It stays while no newer one can be had;
// the policy says how old it may be.
type fetched struct {
	crl *CRL
	err error
	// until is how long the address is not asked again.
	until time.Time
}

// get gives the list that is kept for an address while it is current, else fetches it;
// callers that want the same list wait for one request. counts says why a list is no
// answer.
func (r *Revocation) get(ctx context.Context, address string, counts func(*CRL) error) (*CRL, error) {
	r.mu.Lock()
	have := r.lists[address]
	r.mu.Unlock()
	now := r.now()
	if have != nil && now.Before(have.until) {
		if have.crl != nil {
			return have.crl, nil
		}
		return nil, have.err
	}
	ch := r.flight.DoChan(address, func() (any, error) {
		// The request outlives the caller that began it: others wait for it too.
		f := r.fetch(context.WithoutCancel(ctx), address, counts)
		if f.crl != nil {
			return f.crl, nil
		}
		return nil, f.err
	})
	var enough <-chan time.Time
	if have != nil && have.crl != nil {
		t := time.NewTimer(patience)
		defer t.Stop()
		enough = t.C
	}
	select {
	case res := <-ch:
		if res.Err != nil {
			return nil, res.Err
		}
		return res.Val.(*CRL), nil
	case <-enough:
		return have.crl, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// fetch takes the list from the folder, and from its address when that one is not
// current. A list that is older than the one that is there never takes its place.
func (r *Revocation) fetch(ctx context.Context, address string, counts func(*CRL) error) *fetched {
	r.mu.Lock()
	old := r.lists[address]
	r.mu.Unlock()
	if old == nil {
		old = &fetched{}
		if data := r.Keep.load("crl "+address, MaxCRL); data != nil {
			if l, err := ParseCRL(data, address); err == nil && counts(l) == nil {
				old.crl, old.until = l, l.list.NextUpdate
				r.remember(address, old)
				if r.now().Before(old.until) {
					return old
				}
			}
		}
	}
	f := &fetched{crl: old.crl, until: r.now().Add(retryAfter)}
	data, err := r.Fetch.Get(ctx, address, MaxCRL)
	if err == nil {
		var l *CRL
		if l, err = ParseCRL(data, address); err == nil {
			err = counts(l)
		}
		if err == nil && (old.crl == nil || !l.list.ThisUpdate.Before(old.crl.list.ThisUpdate)) {
			f.crl = l
			if l.list.NextUpdate.After(f.until) {
				f.until = l.list.NextUpdate
			}
			_ = r.Keep.save("crl "+address, data) // a full disk costs the next start a request
		}
	}
	f.err = err
	r.remember(address, f)
	return f
}

func (r *Revocation) remember(address string, f *fetched) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lists == nil || len(r.lists) >= maxCached {
		r.lists = map[string]*fetched{}
	}
	r.lists[address] = f
}
