package ranking

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
)

// Place is where seats are counted: a school, and the hours where they count apart.
type Place struct{ School, Hours string }

// Tie is a value that decides between equal points; its text compares as the value does.
// An empty one comes last whichever way the order goes.
type Tie struct {
	Value string
	High  bool // the highest comes first
}

// Applicant is an application as the order sees it: nothing that says who it is.
type Applicant struct {
	Application string
	Code        string
	Points      int
	Ties        []Tie
	Lot         string
	Hours       string
	Wishes      []string // schools, the most wanted first
}

// Lot draws a lot: SHA-256 of the call's seed, a colon and the code, in hexadecimal; the
// lowest comes first. Whoever has the published list draws it again:
// printf '%s:%s' SEED CODE | sha256sum.
func Lot(seed, code string) string {
	sum := sha256.Sum256([]byte(seed + ":" + code))
	return hex.EncodeToString(sum[:])
}

// Commitment is what is published of a seed before it is: who runs the call cannot choose
// another afterwards.
func Commitment(seed string) string {
	sum := sha256.Sum256([]byte(seed))
	return hex.EncodeToString(sum[:])
}

// Compare puts two applicants in order, the one with the better right first. It is never 0
// for two applications.
func Compare(a, b Applicant) int {
	if c := cmp.Compare(b.Points, a.Points); c != 0 {
		return c
	}
	for i := range min(len(a.Ties), len(b.Ties)) {
		x, y := a.Ties[i], b.Ties[i]
		switch {
		case x.Value == y.Value:
		case x.Value == "":
			return 1
		case y.Value == "":
			return -1
		case x.High:
			return strings.Compare(y.Value, x.Value)
		default:
			return strings.Compare(x.Value, y.Value)
		}
	}
	return cmp.Or(strings.Compare(a.Lot, b.Lot), strings.Compare(a.Code, b.Code), strings.Compare(a.Application, b.Application))
}

// Sort puts applicants in order.
func Sort(all []Applicant) { slices.SortFunc(all, Compare) }

// State of an offer.
type State string

// The states. A place belongs to whoever was offered it until the answer, and to whoever
// has accepted it.
const (
	Offered   State = "offered"
	Accepted  State = "accepted"
	Renounced State = "renounced"
	Expired   State = "expired" // the term is over without an answer
	Moved     State = "moved"   // accepted a better one
	Ended     State = "ended"   // excluded, or the application was withdrawn
)

// Live tells whether the place is held.
func (s State) Live() bool { return s == Offered || s == Accepted }

// Held is a place that was offered to an application, as far as the order needs it.
type Held struct {
	Application string
	Place       Place
	State       State
}

// Offers tells what is offered next: applicants in their order, each the most wanted school
// with a free seat that is better than what it holds. Whoever has renounced, or let a term
// go by, gets no other; whoever has accepted waits on for the schools named before the one
// accepted. The same input gives the same offers.
//
// Each takes the best that is left when it is its turn, so that nobody envies a seat of
// somebody who comes later in the order, and naming schools in the true order is best.
func Offers(order []Applicant, seats map[Place]int, past []Held) (out []Held) {
	free := map[Place]int{}
	for p, n := range seats {
		free[p] = n
	}
	had := map[string][]Held{}
	for _, h := range past {
		had[h.Application] = append(had[h.Application], h)
		if h.State.Live() {
			free[h.Place]--
		}
	}
	for _, a := range order {
		better, out1 := len(a.Wishes), false
		for _, h := range had[a.Application] {
			if h.State == Renounced || h.State == Expired || h.State == Ended {
				out1 = true
			}
			if i := slices.Index(a.Wishes, h.Place.School); h.State.Live() && i >= 0 {
				better = min(better, i)
			}
		}
		if out1 {
			continue
		}
		for _, school := range a.Wishes[:better] {
			p := Place{school, a.Hours}
			if free[p] > 0 {
				free[p]--
				out = append(out, Held{a.Application, p, Offered})
				break
			}
		}
	}
	return out
}
