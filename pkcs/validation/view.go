package validation

import (
	"time"
)

// existence knows since when objects (ObjectID) are proved to have existed.
type existence map[string]time.Time

func (e existence) add(id string, at time.Time) {
	if have, ok := e[id]; id != "" && (!ok || at.Before(have)) {
		e[id] = at
	}
}

// of an object: now, when nothing proves an earlier time.
func (e existence) of(id string, now time.Time) time.Time {
	if at, ok := e[id]; ok && at.Before(now) {
		return at
	}
	return now
}

// view is facts seen from a point in time, with what is proved to have existed when.
// Its Time hides Facts.Time, so a check cannot take the wrong one by mistake.
type view struct {
	*Facts
	Time  time.Time
	known existence
}

func (f *Facts) at(t time.Time, known existence) *view { return &view{Facts: f, Time: t, known: known} }

// existed says since when an object of these bytes is known; the validation's own
// time at the latest.
func (f *view) existed(raw []byte) time.Time {
	if len(f.known) == 0 {
		return f.Facts.Time
	}
	return f.known.of(ObjectID(raw), f.Facts.Time)
}

func (f *view) existedID(id string) time.Time { return f.known.of(id, f.Facts.Time) }
