package verify

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/citel-pa/citel/pkcs/cades"
	"github.com/citel-pa/citel/pkcs/pades"
	"github.com/citel-pa/citel/pkcs/trust"
	"github.com/citel-pa/citel/pkcs/validation"
)

// ErrEvidence means that there is not enough to prove a signature later.
var ErrEvidence = errors.New("verify: not enough evidence for B-LT")

// Collect gathers what proves later that a signature and its time-stamps were good
// (B-LT): the certificates of their paths, and an answer about each of them that somebody
// revokes. lists are those that were added to the store, as DER or PEM.
func Collect(ctx context.Context, f *validation.Facts, o Options, lists ...[]byte) (*pades.Evidence, error) {
	c := &collection{kinds: map[string]string{}, bodies: map[string][]byte{}}
	for _, l := range lists {
		if block, _ := pem.Decode(l); block != nil {
			l = block.Bytes
		}
		c.keep(l)
	}
	var fetch trust.Source = &trust.Fetcher{}
	if o.Revocation != nil && o.Revocation.Fetch != nil {
		fetch = o.Revocation.Fetch
	}
	o.Revocation = &trust.Revocation{Store: o.Store, Fetch: fetch}
	seen := o.Seen
	o.Seen = func(e trust.Evidence) {
		if e.DER != nil {
			c.keep(e.DER)
		}
		if seen != nil {
			seen(e)
		}
	}
	Complete(ctx, f, o)
	if err := c.take(f); err != nil {
		return nil, err
	}
	for _, t := range f.Timestamps {
		if t.Token == nil {
			return nil, fmt.Errorf("%w: a time-stamp cannot be read", ErrEvidence)
		}
		if err := c.take(t.Token); err != nil {
			return nil, fmt.Errorf("time-stamp: %w", err)
		}
	}
	return &c.out, nil
}

type collection struct {
	mu     sync.Mutex
	bodies map[string][]byte // by the ObjectID that facts name
	kinds  map[string]string
	out    pades.Evidence
}

func (c *collection) keep(body []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if basic := cades.BasicResponse(body); basic != nil && !bytes.Equal(basic, body) {
		c.bodies[validation.ObjectID(basic)], c.kinds[validation.ObjectID(basic)] = body, "ocsp"
		return
	}
	c.bodies[validation.ObjectID(body)], c.kinds[validation.ObjectID(body)] = body, "crl"
}

func (c *collection) take(f *validation.Facts) error {
	if !f.Chain.Found {
		return fmt.Errorf("%w: %s has no way to a recognised authority (--trust)", ErrEvidence, f.Identity.Subject)
	}
	links := f.Chain.Links
	for i, l := range links {
		add(&c.out.Certificates, l.Certificate)
		if i == len(links)-1 || (i == 0 && f.Identity.NoRevocation) {
			continue
		}
		if err := c.answer(f, l.Certificate); err != nil {
			return err
		}
	}
	return nil
}

// answer takes the first answer about a certificate that counts.
func (c *collection) answer(f *validation.Facts, cert []byte) error {
	sum := sha256.Sum256(cert)
	for _, x := range f.Revocation {
		if !bytes.Equal(x.Subject, sum[:]) || !x.Trusted {
			continue
		}
		if x.Status == "revoked" {
			return fmt.Errorf("%w: a certificate is revoked", ErrEvidence)
		}
		body := c.bodies[x.Object]
		if x.Status != "good" || body == nil {
			continue
		}
		if c.kinds[x.Object] == "ocsp" {
			add(&c.out.OCSPs, body)
		} else {
			add(&c.out.CRLs, body)
		}
		if x.By != nil {
			for _, l := range x.By.Links {
				add(&c.out.Certificates, l.Certificate)
			}
		}
		return nil
	}
	return fmt.Errorf("%w: no answer about the revocation of a certificate of %s", ErrEvidence, f.Identity.Subject)
}

func add(set *[][]byte, der []byte) {
	if !slices.ContainsFunc(*set, func(x []byte) bool { return bytes.Equal(x, der) }) {
		*set = append(*set, der)
	}
}
