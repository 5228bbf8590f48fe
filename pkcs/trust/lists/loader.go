package lists

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/citel-pa/citel/pkcs/trust"
	"github.com/citel-pa/citel/pkcs/xades"
)

const (
	// Every is how often lists are asked for again (TLFreshness of the EU's DSS: 6 h).
	Every = 6 * time.Hour
	// unreached is after how long without an answer a kept list is told as a problem.
	unreached = 24 * time.Hour
	maxPivots = 32
)

// Loader brings the lists' services into a store and keeps them there. Its fields are
// set before the first use.
type Loader struct {
	Store *trust.Store
	// Source is the LOTL: a file or an address; empty: Location. The national lists of a
	// file are looked for beside it first.
	Source string
	// Signers of the LOTL; nil: those of the Official Journal. Notice is the address of
	// the notice that names them; empty: Notice.
	Signers Signers
	Notice  string
	// Territories whose lists are loaded, All of them, or nil: Italy's.
	Territories []string
	// Dir keeps lists for when they cannot be had; empty: nothing is kept.
	Dir string
	// Fetch gets lists; nil asks nobody.
	Fetch *trust.Fetcher
	// Log may be nil.
	Log *slog.Logger

	refreshing sync.Mutex // one at a time

	mu    sync.Mutex
	known map[string]*known // by location
	roles map[string]*known // what States tells
	every []string          // territories that the LOTL points to

	published map[string]string // by territory: what the store has
}

// All is in place of the territories' names.
const All = "all"

// known is a list that holds, and how it is doing.
type known struct {
	list     *List
	location string
	warnings []string
	checked  time.Time // when it was last seen to be the newest
	problem  string    // of the last try
}

// wanted is a list to be had.
type wanted struct {
	role     string // "LOTL", "IT", ...
	location string
	judge    func(*List) (warnings []string, err error)
	// still tells whether a list that held holds under today's pointer.
	still func(*List) bool
}

// LOTL is the role of the list of lists.
const LOTL = "LOTL"

// Refresh asks for the lists where they are due and puts their services into the
// store. What cannot be had, or does not hold, leaves the last good list in place; the
// error tells of it.
func (l *Loader) Refresh(ctx context.Context) error { return l.refresh(ctx, true) }

// Load is Refresh from what is on this machine alone.
func (l *Loader) Load(ctx context.Context) error { return l.refresh(ctx, false) }

// Run refreshes until the context ends; after a failure sooner than otherwise. told,
// when not nil, is called after each try.
func (l *Loader) Run(ctx context.Context, told func(error)) {
	failed := 0
	for {
		step, cancel := context.WithTimeout(ctx, 10*time.Minute)
		err := l.Refresh(step)
		cancel()
		if told != nil {
			told(err)
		}
		wait := Every
		if failed++; err == nil {
			failed = 0
		} else {
			wait = min(Every, 5*time.Minute<<min(failed-1, 6))
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

func (l *Loader) log() *slog.Logger {
	if l.Log == nil {
		return slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	return l.Log
}

// names of the territories; mu is held.
func (l *Loader) names() []string {
	switch {
	case len(l.Territories) == 0:
		return []string{"IT"}
	case slices.Contains(l.Territories, All):
		return l.every
	}
	return l.Territories
}

func (l *Loader) territories(lotl *List) []string {
	var every []string
	for _, p := range lotl.Pointers {
		if p.Type != typeOfLOTL && p.Territory != "" {
			every = append(every, p.Territory)
		}
	}
	slices.Sort(every)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.every = slices.Compact(every)
	return l.names()
}

func (l *Loader) source() string {
	if l.Source == "" {
		return Location
	}
	return l.Source
}

func (l *Loader) refresh(ctx context.Context, ask bool) error {
	l.refreshing.Lock()
	defer l.refreshing.Unlock()
	lotl, err := l.obtain(ctx, ask, wanted{role: LOTL, location: l.source(), judge: func(x *List) ([]string, error) { return l.judgeLOTL(ctx, ask, x) }, still: func(*List) bool { return true }})
	if err != nil {
		err = fmt.Errorf("the list of lists: %w", err)
	}
	if lotl == nil {
		return err
	}
	l.announce(lotl.list)
	errs := []error{err}
	for _, t := range l.territories(lotl.list) {
		errs = append(errs, l.national(ctx, ask, t, lotl))
	}
	return errors.Join(errs...)
}

// announce tells the operator of what a program cannot decide: a LOTL that names another
// place or another notice than those that are configured.
func (l *Loader) announce(x *List) {
	if l.Signers == nil && !slices.Contains(x.URIs, Notice) {
		l.log().Warn("the list of lists does not name the notice whose signers this program has; look for a newer version", "notice", Notice)
	}
	for _, p := range x.Pointers {
		if p.Type == typeOfLOTL && isAddress(l.source()) && p.Location != l.source() {
			l.log().Warn("the list of lists says that it is elsewhere", "configured", l.source(), "named", p.Location)
		}
	}
}

// judgeLOTL checks a LOTL's signature with the signers in force: those of the Official
// Journal, changed by each pivot since then (TS 119 612, annex; 2015/1505).
func (l *Loader) judgeLOTL(ctx context.Context, ask bool, x *List) ([]string, error) {
	if x.Type != typeOfLOTL {
		return nil, fmt.Errorf("%w: its type is %q, not the list of lists", ErrTerritory, short(x.Type))
	}
	signers := l.Signers
	if signers == nil {
		signers = Official(time.Now())
	}
	for _, address := range l.pivots(x) {
		next, digest, err := l.pivot(ctx, ask, address, signers)
		if err != nil {
			l.log().Warn("a pivot of the list of lists is passed over", "pivot", address, "error", err)
			continue
		}
		if digest == x.Digest {
			break // the LOTL is its own newest pivot: signed by those who hand over
		}
		signers = next
	}
	warnings, err := x.Verify(signers)
	if errors.Is(err, xades.ErrSigner) {
		err = fmt.Errorf("%w (are the signers those of the Official Journal's newest notice?)", err)
	}
	return warnings, err
}

// pivots are the addresses of former LOTLs at which the signers changed, oldest first:
// those that stand in front of the notice.
func (l *Loader) pivots(x *List) []string {
	notice := l.Notice
	if notice == "" {
		notice = Notice
	}
	uris := x.URIs
	if i := slices.IndexFunc(uris, func(u string) bool { return strings.TrimSuffix(u, "/") == notice }); i >= 0 {
		uris = uris[:i]
	}
	var out []string
	for _, u := range uris {
		if a, err := url.Parse(u); err == nil && a.Host != "" && strings.HasSuffix(a.Path, ".xml") && u != l.source() && !slices.Contains(out, u) && len(out) < maxPivots {
			out = append(out, u)
		}
	}
	slices.Reverse(out)
	return out
}

// pivot gives the signers that a pivot hands over to, and its digest.
func (l *Loader) pivot(ctx context.Context, ask bool, address string, signers Signers) (Signers, [32]byte, error) {
	var errs []error
	for from, data := range l.copies(ctx, ask, "pivot", address) {
		if data.err != nil {
			errs = append(errs, data.err)
			continue
		}
		x, err := Parse(data.bytes)
		if err == nil && x.Type != typeOfLOTL {
			err = fmt.Errorf("%w: its type is %q", ErrTerritory, short(x.Type))
		}
		if err == nil {
			_, err = x.Verify(signers)
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		next := Signers{}
		for _, p := range x.Pointers {
			if p.Type == typeOfLOTL {
				for s := range p.Signers {
					next[s] = true
				}
			}
		}
		if len(next) == 0 {
			return nil, x.Digest, bad("it names no signers")
		}
		if from != fromKept {
			l.keep("pivot", address, data.bytes)
		}
		return next, x.Digest, nil
	}
	return nil, [32]byte{}, errors.Join(append(errs, errNowhere)...)
}

// national loads one territory's list by the LOTL's pointers: of several (two versions
// side by side) the first that is to be had and holds, else the first that is kept.
func (l *Loader) national(ctx context.Context, ask bool, territory string, lotl *known) error {
	var errs []error
	var older *known
	for _, p := range lotl.list.Pointers {
		if p.Territory != territory || p.Type == typeOfLOTL || p.MimeType != mimeXML && (p.MimeType != "" || strings.HasSuffix(strings.ToLower(p.Location), ".pdf")) {
			continue
		}
		k, err := l.obtain(ctx, ask, wanted{role: territory, location: p.Location, judge: func(x *List) ([]string, error) {
			if x.Territory != territory || x.Type == typeOfLOTL {
				return nil, fmt.Errorf("%w: the list of %q", ErrTerritory, short(x.Territory))
			}
			return x.Verify(p.Signers)
		}, still: func(x *List) bool { return p.Signers[x.Signer] }})
		if err == nil {
			if len(errs) > 0 {
				l.log().Warn("of a territory's lists one is not to be had; another is", "territory", territory, "error", errors.Join(errs...))
			}
			l.publish(territory, k, lotl)
			return nil
		}
		errs = append(errs, fmt.Errorf("the list of %s: %w", territory, err))
		if older == nil {
			older = k
		}
	}
	if older != nil {
		l.publish(territory, older, lotl)
		return errors.Join(errs...)
	}
	if len(errs) == 0 {
		errs = append(errs, fmt.Errorf("the list of lists points to no list of %s", territory))
	}
	// Nothing of it holds any longer: its pointer or its signers were taken away.
	l.Store.SetServices(storeKey(territory), nil)
	delete(l.published, territory)
	return errors.Join(errs...)
}

func storeKey(territory string) string { return "trusted list " + territory }

// publish puts a list's services into the store. Both lists have to be in date.
func (l *Loader) publish(territory string, k, lotl *known) {
	next := k.list.NextUpdate
	if n := lotl.list.NextUpdate; !n.IsZero() && (next.IsZero() || n.Before(next)) {
		next = n
	}
	var problems []string
	for _, x := range []*known{lotl, k} {
		problems = append(problems, x.warnings...)
		if x.problem != "" {
			problems = append(problems, x.problem)
		}
	}
	problem := strings.Join(problems, "; ")
	what := fmt.Sprintf("%x %s %s %s", k.list.Digest, k.location, next, problem)
	if l.published[territory] == what {
		return
	}
	services := make([]*trust.Service, 0, len(k.list.Services))
	for _, s := range k.list.Services {
		c := *s // the store's readers keep what they have
		c.Source, c.NextUpdate, c.ListProblem = k.location, next, problem
		services = append(services, &c)
	}
	for _, why := range k.list.Skipped {
		l.log().Debug("a service of a trusted list is not used", "territory", territory, "service", why)
	}
	n := l.Store.SetServices(storeKey(territory), services)
	if l.published == nil {
		l.published = map[string]string{}
	}
	l.published[territory] = what
	l.log().Info("trusted list", "territory", territory, "sequence", k.list.Sequence, "next", next, "anchors", n, "skipped", len(k.list.Skipped), "problem", problem)
}

// obtain gives the newest list that holds: a fresh one, or the last good one. The error
// is of the fresh one and may come beside a list.
func (l *Loader) obtain(ctx context.Context, ask bool, w wanted) (*known, error) {
	now := time.Now()
	l.mu.Lock()
	have := l.known[w.location]
	l.mu.Unlock()
	if have != nil && !w.still(have.list) {
		have = nil
	}
	var errs []error
	accept := func(from origin, d copied) *known {
		k, err := l.accept(w, d.bytes, have)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", d.from, err))
			return nil
		}
		k.checked = now
		if from == fromKept {
			k.checked = d.checked
		}
		return k
	}
	// What is kept comes first: it is the measure for what is new.
	if have == nil {
		if kept := l.kept(w.role, w.location); kept.err == nil {
			have = accept(fromKept, kept)
		}
	}
	if !ask && isAddress(w.location) && have != nil && l.beside(w.location) == "" {
		return l.remember(w.role, have, ""), nil
	}
	if ask && have != nil && isAddress(w.location) && l.beside(w.location) == "" {
		due := now.Sub(have.checked) >= Every*9/10 || !have.list.NextUpdate.IsZero() && now.After(have.list.NextUpdate)
		if !due {
			return l.remember(w.role, have, ""), nil
		}
		if l.unchanged(ctx, w.location, have.list.Digest) {
			fresh := *have
			fresh.checked, have = now, &fresh
			l.touch(w.role, w.location)
			return l.remember(w.role, have, ""), nil
		}
	}
	tried := len(errs)
	for from, d := range l.copies(ctx, ask, w.role, w.location) {
		if from == fromKept {
			continue // seen above
		}
		if d.err != nil {
			errs = append(errs, d.err)
			continue
		}
		if k := accept(from, d); k != nil {
			l.keep(w.role, w.location, d.bytes)
			return l.remember(w.role, k, ""), nil
		}
	}
	if len(errs) == 0 {
		errs = append(errs, errNowhere)
	}
	err := errors.Join(errs...)
	if have == nil {
		l.remember(w.role, &known{location: w.location}, err.Error())
		return nil, err
	}
	problem := ""
	if hostile(errs[tried:]) || now.Sub(have.checked) > unreached {
		problem = "the last good copy is used, of " + have.list.Issued.UTC().Format(time.DateOnly) + ": " + err.Error()
	}
	return l.remember(w.role, have, problem), err
}

// hostile: there was an answer, and it does not hold.
func hostile(errs []error) bool {
	return slices.ContainsFunc(errs, func(err error) bool {
		var got *acceptError
		return errors.As(err, &got)
	})
}

// acceptError is why a copy of a list was not taken.
type acceptError struct{ err error }

func (e *acceptError) Error() string { return e.err.Error() }
func (e *acceptError) Unwrap() error { return e.err }

// accept reads and judges a list, and refuses one that is older than what is known.
func (l *Loader) accept(w wanted, data []byte, have *known) (*known, error) {
	x, err := Parse(data)
	if err != nil {
		return nil, &acceptError{err}
	}
	warnings, err := w.judge(x)
	if err != nil {
		return nil, &acceptError{err}
	}
	if have != nil && have.list != nil {
		h := have.list
		if x.Sequence < h.Sequence || x.Sequence == h.Sequence && x.Issued.Before(h.Issued) {
			return nil, &acceptError{fmt.Errorf("%w: number %d of %s, known is %d of %s", ErrRollback,
				x.Sequence, x.Issued.UTC().Format(time.DateOnly), h.Sequence, h.Issued.UTC().Format(time.DateOnly))}
		}
	}
	return &known{list: x, location: w.location, warnings: warnings}, nil
}

func (l *Loader) remember(role string, k *known, problem string) *known {
	c := *k
	c.problem = problem
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.known == nil {
		l.known, l.roles = map[string]*known{}, map[string]*known{}
	}
	l.roles[role] = &c
	if c.list != nil {
		l.known[c.location] = &c
	}
	return &c
}
