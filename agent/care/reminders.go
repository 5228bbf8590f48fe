package care

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/citel-pa/citel/agent/signing"
)

// Days before a certificate's end at which the person is reminded, once each.
var Days = []int{60, 30, 7}

const (
	remindersFile = "reminders.json"
	maxReminders  = 50
	maxFile       = 64 << 10
)

// Reminder is a certificate that ends soon.
type Reminder struct {
	Card     string // "CNS …0017"
	NotAfter time.Time
	Left     int // days
}

// Reminders remembers the ends of the certificates that were seen, so that a person
// is reminded also while no card is in the reader: no card is read for it.
type Reminders struct {
	// Dir is the folder of the file.
	Dir string

	mu sync.Mutex
}

type seen struct {
	Card     string    `json:"card"`
	NotAfter time.Time `json:"notAfter"`
	Told     []int     `json:"told,omitempty"`
}

// See remembers a certificate.
func (r *Reminders) See(cert *x509.Certificate, cardName string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	all, err := r.load()
	if err != nil {
		return err
	}
	id := signing.Describe(cert).SHA256[:16]
	if _, ok := all[id]; ok || time.Now().After(cert.NotAfter) {
		return nil
	}
	if len(all) >= maxReminders {
		return nil // a computer that sees many cards is nobody's own
	}
	all[id] = seen{Card: cardName, NotAfter: cert.NotAfter.UTC()}
	return r.keep(all)
}

// Due gives those of which the person was not told yet at this distance, and
// remembers that they are told now. What has ended is forgotten.
func (r *Reminders) Due(now time.Time) ([]Reminder, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	all, err := r.load()
	if err != nil {
		return nil, err
	}
	var list []Reminder
	changed := false
	for id, s := range all {
		left := int(s.NotAfter.Sub(now).Hours() / 24)
		if now.After(s.NotAfter) {
			delete(all, id)
			changed = true
			continue
		}
		// Of several distances that were passed meanwhile only the nearest is told.
		fresh := false
		for _, d := range Days {
			if left <= d && !slices.Contains(s.Told, d) {
				s.Told, fresh = append(s.Told, d), true
			}
		}
		if fresh {
			list = append(list, Reminder{Card: s.Card, NotAfter: s.NotAfter, Left: left})
			all[id], changed = s, true
		}
	}
	if !changed {
		return nil, nil
	}
	return list, r.keep(all)
}

// Soon gives those that end within the first distance, told or not.
func (r *Reminders) Soon(now time.Time) ([]Reminder, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	all, err := r.load()
	if err != nil {
		return nil, err
	}
	var list []Reminder
	for _, s := range all {
		if left := int(s.NotAfter.Sub(now).Hours() / 24); left <= Days[0] && now.Before(s.NotAfter) {
			list = append(list, Reminder{Card: s.Card, NotAfter: s.NotAfter, Left: left})
		}
	}
	slices.SortFunc(list, func(a, b Reminder) int { return a.NotAfter.Compare(b.NotAfter) })
	return list, nil
}

func (r *Reminders) path() string { return filepath.Join(r.Dir, remindersFile) }

func (r *Reminders) load() (map[string]seen, error) {
	all := map[string]seen{}
	info, err := os.Stat(r.path())
	if errors.Is(err, fs.ErrNotExist) {
		return all, nil
	}
	if err != nil {
		return nil, fmt.Errorf("care: %w", err)
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("care: %s has %d bytes", r.path(), info.Size())
	}
	text, err := os.ReadFile(r.path())
	if err != nil {
		return nil, fmt.Errorf("care: %w", err)
	}
	if err := json.Unmarshal(text, &all); err != nil || all == nil {
		return map[string]seen{}, nil //nolint:nilerr // what cannot be read is seen anew
	}
	return all, nil
}

func (r *Reminders) keep(all map[string]seen) error {
	text, err := json.Marshal(all)
	if err != nil {
		return fmt.Errorf("care: %w", err)
	}
	if err := os.MkdirAll(r.Dir, 0o700); err != nil {
		return fmt.Errorf("care: %w", err)
	}
	temp, err := os.CreateTemp(r.Dir, "."+remindersFile+"-*")
	if err != nil {
		return fmt.Errorf("care: %w", err)
	}
	defer func() { _ = os.Remove(temp.Name()) }()
	_, err = temp.Write(text)
	if err = errors.Join(err, temp.Close()); err == nil {
		err = os.Rename(temp.Name(), r.path())
	}
	if err != nil {
		return fmt.Errorf("care: %w", err)
	}
	return nil
}
