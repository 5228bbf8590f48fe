package config

import (
	"encoding/json"
	"fmt"

	"github.com/citel-pa/citel/agent/update"
)

const updateFile = "update.json"

// Locked tells whether an administrator set what the settings' file calls key
// ("language", "modules", "autostart", "updates"): it is shown and not changed.
func (s *Store) Locked(key string) (bool, error) {
	p, err := s.Policy()
	if err != nil {
		return false, err
	}
	return p.locked(key)
}

func (p *Policy) locked(key string) (bool, error) {
	data, err := json.Marshal(p)
	if err != nil {
		return false, fmt.Errorf("config: %w", err)
	}
	var named map[string]json.RawMessage
	if err := json.Unmarshal(data, &named); err != nil {
		return false, fmt.Errorf("config: %w", err)
	}
	return named[key] != nil, nil
}

// UpdateSeen is what was seen of the list of releases.
func (s *Store) UpdateSeen() (update.Seen, error) {
	var v update.Seen
	return v, s.readJSON(updateFile, &v)
}

// SetUpdateSeen records it.
func (s *Store) SetUpdateSeen(v update.Seen) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("config: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.replace(updateFile, append(data, '\n'))
}
