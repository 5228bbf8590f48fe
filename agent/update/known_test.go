package update

import "testing"

// What a look found is no news any more once that release, or a later one, runs.
func TestKnown(t *testing.T) {
	for _, c := range []struct{ available, running, want string }{
		{"", "1.0", ""}, {"1.1", "1.0", "1.1"}, {"1.1", "1.1", ""}, {"1.1", "1.2", ""}, {"1.1~rc1", "1.1", ""},
	} {
		if got := (Seen{Available: c.available}).newerThan(c.running); got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
}
