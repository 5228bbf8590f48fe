package lists

import "time"

// Due makes a loader ask for everything again.
func Due(l *Loader) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, k := range l.known {
		k.checked = time.Time{}
	}
}
