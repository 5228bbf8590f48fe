package config

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/citel-pa/citel/agent/wire"
)

const refusalsFile = "refusals.json"

// refusal counts how often in a row a site was refused. It is forgotten after
// wire.SilentFor.
type refusal struct {
	Origin string    `json:"origin"`
	Count  int       `json:"count"`
	Last   time.Time `json:"last"`
}

type refusals struct {
	Refusals []refusal `json:"refusals"`
}

// Refused counts a refusal of the person: after wire.SilentAfter in a row an origin is
// silent for wire.SilentFor, whichever way it comes.
func (s *Store) Refused(origin string, now time.Time) error {
	return s.count(origin, now, func(r *refusal) {
		r.Count++
		r.Last = now.UTC()
	})
}

// Approved forgets an origin's refusals.
func (s *Store) Approved(origin string, now time.Time) error {
	return s.count(origin, now, func(r *refusal) { r.Count = 0 })
}

// Silent tells whether an origin was refused too often just now. A list that cannot be
// read silences nobody: the person is asked once more.
func (s *Store) Silent(origin string, now time.Time) bool {
	for _, r := range s.refusals(now) {
		if r.Origin == origin {
			return r.Count >= wire.SilentAfter
		}
	}
	return false
}

func (s *Store) refusals(now time.Time) []refusal {
	var v refusals
	if s.readJSON(refusalsFile, &v) != nil {
		return nil
	}
	return slices.DeleteFunc(v.Refusals, func(r refusal) bool {
		age := now.Sub(r.Last)
		return age < 0 || age >= wire.SilentFor
	})
}

func (s *Store) count(origin string, now time.Time, change func(*refusal)) error {
	release, err := s.exclusive()
	if err != nil {
		return err
	}
	defer release()
	all := s.refusals(now)
	i := slices.IndexFunc(all, func(r refusal) bool { return r.Origin == origin })
	if i < 0 {
		all, i = append(all, refusal{Origin: origin}), len(all)
	}
	if change(&all[i]); all[i].Count == 0 {
		had := len(all) > 1 || !all[i].Last.IsZero()
		if all = slices.Delete(all, i, i+1); !had {
			return nil // nothing was kept, nothing is written
		}
	}
	if len(all) > maxSites {
		all = all[len(all)-maxSites:]
	}
	data, err := json.Marshal(refusals{all})
	if err != nil {
		return fmt.Errorf("config: %w", err)
	}
	return s.replace(refusalsFile, append(data, '\n'))
}
