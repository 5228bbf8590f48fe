package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/agent/config"
	"github.com/citel-pa/citel/pkcs/message"
)

func TestSites(t *testing.T) {
	dir := t.TempDir()
	s := config.Open(dir)
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for origin, d := range map[string]config.Decision{"https://a.example": config.Remembered, "https://b.example": config.Blocked} {
		if err := s.SetSite(origin, d, now); err != nil {
			t.Fatal(err)
		}
	}
	run := func(args ...string) (string, error) {
		cmd := sitesCommand(message.Italian)
		var out bytes.Buffer
		cmd.SetOut(&out)
		cmd.SetErr(&out)
		cmd.SilenceUsage, cmd.SilenceErrors = true, true
		cmd.SetArgs(append(args, "--config", dir))
		err := cmd.Execute()
		return out.String(), err
	}
	if out, err := run(); err != nil || !strings.Contains(out, "https://a.example  ricordato") || !strings.Contains(out, "https://b.example  bloccato") {
		t.Errorf("%q %v", out, err)
	}
	if _, err := run("forget", "https://b.example"); err != nil {
		t.Error(err)
	}
	if _, err := run("forget", "https://b.example"); err == nil {
		t.Error("forgotten twice")
	}
	if out, err := run("--json"); err != nil || !strings.Contains(out, `"decision":"remembered"`) || strings.Contains(out, "b.example") {
		t.Errorf("%q %v", out, err)
	}
}
