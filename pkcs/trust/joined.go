package trust

import (
	"crypto/x509"
	"math/big"

	"github.com/citel-pa/citel/pkcs/validation"
)

// joined puts together what several lists say of one certificate: lists for some
// reasons each, and delta lists on top of complete ones (RFC 5280, 6.3.3, (c), (d)).
type joined struct {
	cert    *x509.Certificate
	reasons uint16
	part    *validation.RevocationFacts // the last of those for some reasons
	deltas  []delta
	base    *big.Int // the highest number of a complete list that holds
}

type delta struct {
	list  *CRL
	facts validation.RevocationFacts
}

// add takes a list whose signature holds, with the reasons that it speaks for.
func (j *joined) add(l *CRL, f validation.RevocationFacts, reasons uint16) {
	switch {
	case l.base != nil:
		j.deltas = append(j.deltas, delta{l, f})
	case reasons&allReasons != allReasons:
		j.reasons |= reasons
		if f.Status != "revoked" {
			j.part = &f
		}
	default:
		if n := l.list.Number; n != nil && (j.base == nil || n.Cmp(j.base) > 0) {
			j.base = n
		}
	}
}

// judge adds what the parts say together.
func (j *joined) judge(out []validation.RevocationFacts) []validation.RevocationFacts {
	if j.part != nil && j.reasons&allReasons == allReasons {
		f := *j.part
		f.Trusted = true
		f.Status, f.Note = "good", "lists for some reasons cover all of them together"
		out = append(out, f)
	}
	for _, d := range j.deltas {
		// A delta list counts on top of a complete list that is not older than the one
		// it was made for.
		if j.base == nil || d.list.base.Cmp(j.base) > 0 {
			continue
		}
		e, listed := d.list.find(j.cert)
		if !listed || e.ReasonCode != 8 { // removeFromCRL
			continue // one that revokes says so by itself
		}
		for i := range out {
			if out[i].Status == "revoked" && out[i].Reason == reasonNames[6] {
				out[i].Status, out[i].Note = "good", "the hold was taken back by a delta list"
			}
		}
	}
	return out
}
