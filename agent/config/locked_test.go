package config

import "testing"

// What an administrator named is locked and counts; the rest is the person's.
func TestLocked(t *testing.T) {
	s := withPolicy(t, `{"language":"en","updates":"off"}`)
	if err := s.Change(func(v *Settings) { v.Language = "it" }); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]bool{"language": true, "updates": true, "modules": false, "autostart": false, "maxTotal": false} {
		if got, err := s.Locked(key); err != nil || got != want {
			t.Errorf("%s: %v %v", key, got, err)
		}
	}
	if v, err := s.Settings(); err != nil || v.Language != "en" || v.Updates != UpdatesOff {
		t.Errorf("%+v %v", v, err)
	}
	if _, err := withPolicy(t, `{"updates":"always"}`).Settings(); err == nil {
		t.Error("an unknown value was taken")
	}
}
