package message

import (
	"testing"
	"time"
)

func TestDates(t *testing.T) {
	at := time.Date(2026, 11, 6, 9, 5, 7, 0, time.UTC)
	for _, c := range []struct{ got, want string }{
		{Italian.Date(at), "06/11/2026"}, {English.Date(at), "6 November 2026"},
		{Italian.Minute(at), "06/11/2026 09:05"}, {English.Minute(at), "6 November 2026, 09:05"},
		{Italian.Moment(at), "06/11/2026 09:05:07"}, {English.Moment(at), "6 November 2026, 09:05:07"},
		{Italian.Day("2026-11-06"), "06/11/2026"}, {English.Day("2026-11-06"), "6 November 2026"}, {English.Day("always"), "always"},
	} {
		if c.got != c.want {
			t.Errorf("%q, not %q", c.got, c.want)
		}
	}
}
