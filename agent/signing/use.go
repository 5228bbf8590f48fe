package signing

import (
	"crypto/x509"
	"time"

	"github.com/citel-pa/citel/agent/consent"
)

// Use is one request that a person was asked about, and how it ended: what a history
// keeps. It holds no PIN and no content.
type Use struct {
	At      time.Time
	Caller  consent.Caller
	Purpose consent.Purpose
	// Documents is how many were asked about; Digests are their SHA-256, for a login
	// that of the token that was made, for a hash the hash.
	Documents int
	Digests   [][]byte
	// Certificate is nil where none was chosen, or a CIE's is not known; Kind and
	// Number are the card's.
	Certificate  *x509.Certificate
	Kind, Number string
	// Err is how it ended; nil went well.
	Err error
}

// used tells the history of a request that was asked about.
func (c *Ceremony) used(at time.Time, r *consent.Request, with *candidate, err error, digests ...[]byte) {
	if c.Used == nil {
		return
	}
	u := Use{At: at, Caller: r.Caller, Purpose: r.Purpose, Documents: len(r.Documents), Digests: digests, Err: err}
	for _, d := range r.Documents {
		u.Digests = append(u.Digests, d.SHA256[:])
	}
	if r.Hash != nil {
		u.Digests = append(u.Digests, r.Hash.Value)
	}
	if with != nil {
		u.Certificate, u.Kind, u.Number = with.id.Certificate, with.id.Kind, with.id.Number
	}
	c.Used(u)
}
