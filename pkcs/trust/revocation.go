package trust

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
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
	// Fetch asks responders and gets lists from distribution points; nil asks nobody.
	Fetch Source
	// Keep holds answers over restarts; nil keeps them in memory alone.
	Keep *Kept
	// Now tells the time; nil is time.Now.
	Now func() time.Time

	flight    singleflight.Group
	mu        sync.Mutex
	lists     map[string]*fetched
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
	// Path is the way from Cert to its anchor, both included; nil: Issuer is the anchor.
	Path []*x509.Certificate
	// Helpers, CRLs and OCSPs came with a file (the last two as DER).
	Helpers     []*x509.Certificate
	CRLs, OCSPs [][]byte
	// Seen, where set, gets what the store and the network said, in order.
	Seen func(Evidence)

	// asking are the certificates that this question is asked for: none of them can
	// vouch for it.
	asking []*x509.Certificate
}

const (
	// retryAfter is how long a failed address is left alone.
	retryAfter = time.Minute
	// patience is how long a new answer is waited for while an older one is there that
	// the policy may take.
	patience = 2 * time.Second
	// maxCached bounds the addresses remembered; they come from certificates.
	maxCached = 256
	// maxPoints bounds the addresses asked for one certificate.
	maxPoints = 3
)

// About asks everything that knows about one certificate. It must be called only for a
// certificate whose path reached an anchor: no certificate makes us ask an address
// before that. Where somebody else than the issuer signed an answer, what is known of
// that signer's certificate follows.
func (r *Revocation) About(ctx context.Context, q Question) []validation.RevocationFacts {
	if q.Path == nil {
		q.Path = []*x509.Certificate{q.Cert, q.Issuer}
	}
	a := asked{r: r, ctx: ctx, q: q, points: points{cert: q.Cert}, parts: joined{cert: q.Cert}}
	r.Store.mu.RLock()
	lists := r.Store.crls
	r.Store.mu.RUnlock()
	for _, l := range lists {
		a.list(l)
		q.sawList(l, &a.points, l.Source, false, nil)
	}
	for _, der := range q.CRLs {
		if l, err := ParseCRL(der, "embedded"); err == nil {
			a.list(l)
		}
	}
	for _, der := range q.OCSPs {
		a.response(r.response(der, "embedded", q, nil))
	}
	if !a.fresh && r.Fetch != nil {
		f, by := r.askResponder(ctx, q)
		if f != nil {
			r.sawResponse(q, f)
		}
		a.response(f, by)
		if !a.fresh {
			a.fetch()
		}
	}
	return append(a.parts.judge(a.out), a.signers...)
}

// asked is a question on its way round.
type asked struct {
	r      *Revocation
	ctx    context.Context //nolint:containedctx // lives as long as one call
	q      Question
	points points
	parts  joined
	out    []validation.RevocationFacts
	fresh  bool // an answer that counts came
	// signers is what is known of those who signed the answers.
	signers []validation.RevocationFacts
}

func (a *asked) list(l *CRL) {
	if !l.speaksOf(&a.points) {
		return
	}
	f, reasons := l.about(&a.points)
	if reasons == 0 {
		a.out = append(a.out, f)
		return
	}
	by, why := a.r.listSigner(l, a.q, &f)
	if why != "" {
		f.Note = why
		a.out = append(a.out, f)
		return
	}
	l.tell(&f, a.q.Cert, reasons)
	a.parts.add(l, f, reasons)
	f.Trusted = f.Status != "unknown"
	a.fresh = a.fresh || f.Trusted && f.NextUpdate == nil
	a.take(f, by)
}

func (a *asked) response(f *validation.RevocationFacts, by []*x509.Certificate) {
	if f != nil {
		a.take(*f, by)
	}
}

// take keeps an answer, and asks about who signed it.
func (a *asked) take(f validation.RevocationFacts, by []*x509.Certificate) {
	a.out = append(a.out, f)
	a.fresh = a.fresh || a.r.isFresh(&f)
	a.signers = append(a.signers, a.r.aboutSigner(a.ctx, by, a.q)...)
}

func (a *asked) fetch() {
	for i, address := range a.q.Cert.CRLDistributionPoints {
		if i == maxPoints {
			break
		}
		l, err := a.r.get(a.ctx, address, a.counts)
		a.q.sawList(l, &a.points, address, true, err)
		if err != nil {
			sum := sha256.Sum256(a.q.Cert.Raw)
			a.out = append(a.out, validation.RevocationFacts{Subject: sum[:], Kind: "crl", Source: address, Status: "unknown", Note: err.Error()})
			continue
		}
		a.list(l)
		break
	}
}

// counts says why a list is no answer to the question, whoever gave it: what comes over
// the network takes no older answer's place before that is known.
func (a *asked) counts(l *CRL) error {
	if !l.speaksOf(&a.points) {
		return fmt.Errorf("%w: it is of another authority", ErrCRL)
	}
	f, reasons := l.about(&a.points)
	if reasons == 0 {
		return fmt.Errorf("%w: %s", ErrCRL, f.Note)
	}
	if _, why := a.r.listSigner(l, a.q, &f); why != "" {
		return fmt.Errorf("%w: %s", ErrCRL, why)
	}
	return nil
}
