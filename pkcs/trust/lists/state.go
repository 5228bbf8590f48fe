package lists

import "time"

// State is how one list is doing.
type State struct {
	Role, Location string // "LOTL" or the territory
	Version        int
	Sequence       int64
	Issued         time.Time
	NextUpdate     time.Time // zero: closed
	Checked        time.Time // when it was last seen to be the newest
	Services       int
	Skipped        int
	Problem        string // of the last refresh; empty: none
}

// States tells how the lists are doing, the LOTL first.
func (l *Loader) States() (out []State) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, role := range append([]string{LOTL}, l.names()...) {
		k := l.roles[role]
		if k == nil {
			continue
		}
		s := State{Role: role, Location: k.location, Checked: k.checked, Problem: k.problem}
		if k.list != nil {
			s.Version, s.Sequence, s.Issued, s.NextUpdate = k.list.Version, k.list.Sequence, k.list.Issued, k.list.NextUpdate
			s.Services, s.Skipped = len(k.list.Services), len(k.list.Skipped)
		}
		out = append(out, s)
	}
	return out
}
