package config

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// maxSites bounds the list; the oldest decision goes first.
const maxSites = 500

// Decision is what the person decided about a site.
type Decision string

// Decisions. The zero value is a site that the person never decided on.
const (
	Unknown    Decision = ""
	Remembered Decision = "remembered"
	Blocked    Decision = "blocked"
)

// Site is one remembered or blocked site.
type Site struct {
	Origin   string    `json:"origin"`
	Decision Decision  `json:"decision"`
	Since    time.Time `json:"since"`
}

type sites struct {
	Sites []Site `json:"sites"`
}

// Sites lists what the person decided, oldest first.
func (s *Store) Sites() ([]Site, error) {
	var v sites
	if err := s.readJSON(sitesFile, &v); err != nil {
		return nil, err
	}
	return v.Sites, nil
}

// Site looks one origin up, compared byte by byte. The administrator's decision
// counts before the person's, except that a person may block what was trusted for them.
func (s *Store) Site(origin string) (Decision, error) {
	p, err := s.Policy()
	if err != nil {
		return Unknown, err
	}
	ruled := p.decision(origin)
	if ruled == Blocked {
		return Blocked, nil
	}
	all, err := s.Sites()
	if err != nil {
		return Unknown, err
	}
	for _, site := range all {
		if site.Origin == origin {
			return site.Decision, nil
		}
	}
	return ruled, nil
}

// SetSite records a decision; Unknown forgets the site.
func (s *Store) SetSite(origin string, d Decision, now time.Time) error {
	release, err := s.exclusive()
	if err != nil {
		return err
	}
	defer release()
	all, err := s.Sites()
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(x Site) bool { return x.Origin == origin })
	if d != Unknown {
		all = append(all, Site{Origin: origin, Decision: d, Since: now.UTC().Truncate(time.Second)})
	}
	if len(all) > maxSites {
		all = all[len(all)-maxSites:]
	}
	data, err := json.MarshalIndent(sites{all}, "", "  ")
	if err != nil {
		return fmt.Errorf("config: %w", err)
	}
	return s.replace(sitesFile, append(data, '\n'))
}
