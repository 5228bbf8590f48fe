package ranking_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/citel-pa/citel/server/ranking"
)

// Who comes first of two, and why.
func TestCompare(t *testing.T) {
	base := ranking.Applicant{Application: "a", Code: "AAAAA-AAAAA", Points: 10, Ties: []ranking.Tie{{Value: "000000100000"}, {Value: "2024-05-01"}}, Lot: "5"}
	with := func(f func(*ranking.Applicant)) ranking.Applicant {
		x := base
		x.Application, x.Code, x.Ties = "b", "BBBBB-BBBBB", slices.Clone(base.Ties)
		f(&x)
		return x
	}
	for name, c := range map[string]struct {
		other ranking.Applicant
		want  int
	}{
		"more points":             {with(func(x *ranking.Applicant) { x.Points = 11; x.Lot = "9" }), 1},
		"fewer points, lower tie": {with(func(x *ranking.Applicant) { x.Points = 9; x.Ties[0].Value = "000000000001" }), -1},
		"lower ISEE":              {with(func(x *ranking.Applicant) { x.Ties[0].Value = "000000099999" }), 1},
		"without ISEE":            {with(func(x *ranking.Applicant) { x.Ties[0].Value = "" }), -1},
		"younger":                 {with(func(x *ranking.Applicant) { x.Ties[1].Value = "2024-05-02" }), -1},
		"older":                   {with(func(x *ranking.Applicant) { x.Ties[1].Value = "2024-04-30" }), 1},
		"lot":                     {with(func(x *ranking.Applicant) { x.Lot = "4" }), 1},
		"same lot":                {with(func(*ranking.Applicant) {}), -1},
	} {
		if got := ranking.Compare(base, c.other); got != c.want || ranking.Compare(c.other, base) != -c.want {
			t.Errorf("%s: %d, %d", name, got, ranking.Compare(c.other, base))
		}
	}
	high := with(func(x *ranking.Applicant) { x.Ties = []ranking.Tie{{Value: "1", High: true}} })
	higher := high
	higher.Ties = []ranking.Tie{{Value: "2", High: true}}
	none := high
	none.Ties = []ranking.Tie{{High: true}}
	if ranking.Compare(higher, high) != -1 || ranking.Compare(high, none) != -1 || ranking.Compare(none, higher) != 1 {
		t.Error("the highest does not come first, or nothing does not come last")
	}
}

// A lot is drawn again with a tool that everybody has.
func TestLotsAreDrawnAgain(t *testing.T) {
	out, err := exec.Command("sh", "-c", `printf '%s:%s' 0011 ABCDE-FGHJK | sha256sum`).Output()
	if err != nil {
		t.Fatal(err)
	}
	if want, _, _ := strings.Cut(string(out), " "); ranking.Lot("0011", "ABCDE-FGHJK") != want {
		t.Error(ranking.Lot("0011", "ABCDE-FGHJK"), want)
	}
	sum := sha256.Sum256([]byte("0011"))
	if ranking.Commitment("0011") != hex.EncodeToString(sum[:]) {
		t.Error(ranking.Commitment("0011"))
	}
}

// town of random applicants and seats.
func invent(r *rand.Rand) ([]ranking.Applicant, map[ranking.Place]int) {
	schools, hours := []string{"a", "b", "c"}, []string{"full", "morning"}
	seats := map[ranking.Place]int{}
	for _, s := range schools {
		for _, h := range hours {
			seats[ranking.Place{School: s, Hours: h}] = r.IntN(4)
		}
	}
	var all []ranking.Applicant
	for i := range 3 + r.IntN(30) {
		code := fmt.Sprintf("%010d", i)
		a := ranking.Applicant{Application: fmt.Sprint("id", i), Code: code, Points: r.IntN(5), Lot: ranking.Lot("seed", code), Hours: hours[r.IntN(2)]}
		for _, tie := range []string{"", "1", "2"}[:1+r.IntN(3)] {
			a.Ties = []ranking.Tie{{Value: tie}, {Value: fmt.Sprint(r.IntN(3))}}
		}
		for _, k := range r.Perm(3)[:1+r.IntN(3)] {
			a.Wishes = append(a.Wishes, schools[k])
		}
		all = append(all, a)
	}
	return all, seats
}

// state is what everybody holds.
type state struct {
	order []ranking.Applicant
	seats map[ranking.Place]int
	past  []ranking.Held
}

func (s *state) fill() { s.past = append(s.past, ranking.Offers(s.order, s.seats, s.past)...) }

// best is the best place that an applicant holds, as the index of its wish; out tells
// whether it gets no other.
func (s *state) best(a ranking.Applicant) (wish int, out bool) {
	wish = len(a.Wishes)
	for _, h := range s.past {
		if h.Application != a.Application {
			continue
		}
		if h.State.Live() {
			wish = min(wish, slices.Index(a.Wishes, h.Place.School))
		} else if h.State != ranking.Moved {
			out = true
		}
	}
	return wish, out
}

// check: no place has more holders than seats; none is free while somebody waits for it;
// nobody waits for a place that somebody further down the order holds.
func (s *state) check(t *testing.T) {
	t.Helper()
	held := map[ranking.Place]int{}
	by := map[string]ranking.Applicant{}
	rank := map[string]int{}
	for i, a := range s.order {
		by[a.Application], rank[a.Application] = a, i
	}
	for _, h := range s.past {
		if h.State.Live() {
			held[h.Place]++
			if by[h.Application].Hours != h.Place.Hours || !slices.Contains(by[h.Application].Wishes, h.Place.School) {
				t.Fatalf("%v was not asked for", h)
			}
		}
	}
	for p, n := range held {
		if n > s.seats[p] {
			t.Fatalf("%v: %d held of %d", p, n, s.seats[p])
		}
	}
	for i, a := range s.order {
		best, out := s.best(a)
		if out {
			continue
		}
		for _, school := range a.Wishes[:best] {
			p := ranking.Place{School: school, Hours: a.Hours}
			if held[p] < s.seats[p] {
				t.Fatalf("%v is free while %s waits", p, a.Code)
			}
			for _, h := range s.past {
				if h.State.Live() && h.Place == p && rank[h.Application] > i {
					b := by[h.Application]
					t.Fatalf("%s (%d points) has %v, which %s (%d points) waits for", b.Code, b.Points, p, a.Code, a.Points)
				}
			}
		}
	}
}

// Many towns, each with random answers until nobody is left: at no moment does somebody with
// fewer points (or the worse tie) have what somebody with more waits for.
func TestNobodyIsPassedOver(t *testing.T) {
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 1))
		all, seats := invent(r)
		s := &state{order: all, seats: seats}
		ranking.Sort(s.order)
		if again := slices.Clone(all); true {
			r.Shuffle(len(again), func(i, j int) { again[i], again[j] = again[j], again[i] })
			ranking.Sort(again)
			for i := range again {
				if again[i].Application != s.order[i].Application {
					t.Fatal("the order depends on how the applications came")
				}
			}
		}
		s.fill()
		s.check(t)
		for range 200 {
			var open []int
			for i, h := range s.past {
				if h.State == ranking.Offered || h.State == ranking.Accepted && r.IntN(6) == 0 {
					open = append(open, i)
				}
			}
			if len(open) == 0 {
				break
			}
			h := &s.past[open[r.IntN(len(open))]]
			answer := []ranking.State{ranking.Accepted, ranking.Renounced, ranking.Expired, ranking.Accepted}[r.IntN(4)]
			if h.State == ranking.Accepted {
				answer = ranking.Renounced
			}
			h.State = answer
			if answer == ranking.Accepted {
				a := s.order[slices.IndexFunc(s.order, func(x ranking.Applicant) bool { return x.Application == h.Application })]
				for i := range s.past {
					x := &s.past[i]
					if x.Application == a.Application && x.State.Live() && slices.Index(a.Wishes, x.Place.School) > slices.Index(a.Wishes, h.Place.School) {
						x.State = ranking.Moved
					}
				}
			}
			before := len(s.past)
			s.fill()
			s.check(t)
			if more := ranking.Offers(s.order, s.seats, s.past); len(more) > 0 {
				t.Fatalf("filled twice: %v after %v", more, s.past[before:])
			}
		}
	}
}

// Who names schools otherwise than wanted gets nothing better: each applicant, every other
// order of its wishes.
func TestTrueWishesAreBest(t *testing.T) {
	for seed := range uint64(150) {
		r := rand.New(rand.NewPCG(seed, 2))
		all, seats := invent(r)
		ranking.Sort(all)
		got := func(order []ranking.Applicant, id string) string {
			for _, h := range ranking.Offers(order, seats, nil) {
				if h.Application == id {
					return h.Place.School
				}
			}
			return ""
		}
		for i, a := range all {
			true1 := slices.Index(append(slices.Clone(a.Wishes), ""), got(all, a.Application))
			lied := slices.Clone(all)
			lied[i].Wishes = slices.Clone(a.Wishes)
			slices.Reverse(lied[i].Wishes)
			if other := slices.Index(append(slices.Clone(a.Wishes), ""), got(lied, a.Application)); other < true1 {
				t.Fatalf("%s gets wish %d with a lie, %d without", a.Code, other, true1)
			}
		}
	}
}

// The list of a place has who got it and who waits for it.
func TestOf(t *testing.T) {
	p := func(id string, n int, school string, wishes ...string) ranking.Entry {
		return ranking.Entry{Position: n, School: school, Applicant: ranking.Applicant{Application: id, Code: id, Hours: "full", Wishes: wishes}}
	}
	all := []ranking.Entry{p("x", 1, "a", "a", "b"), p("y", 2, "b", "a", "b"), p("z", 3, "", "b"), p("w", 0, "", "a")}
	show := func(school string) (out []string) {
		for _, l := range ranking.Of(all, ranking.Place{School: school, Hours: "full"}) {
			out = append(out, fmt.Sprint(l.N, l.Code, l.Wish, l.Outcome))
		}
		return out
	}
	if a, b := fmt.Sprint(show("a")), fmt.Sprint(show("b")); a != "[1x1admitted 2y1waiting]" || b != "[1y2admitted 2z1waiting]" {
		t.Error(a, b)
	}
	if len(ranking.Of(all, ranking.Place{School: "a", Hours: "morning"})) != 0 {
		t.Error("other hours")
	}
}
