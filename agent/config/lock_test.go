package config

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"
)

// The same binary is another process of the user (TestTurnsOverProcesses).
const holderVariable = "CITEL_TEST_HOLDS"

func TestMain(m *testing.M) {
	if dir := os.Getenv(holderVariable); dir != "" {
		if _, err := Open(dir).Turn(context.Background(), nil); err != nil {
			os.Exit(1)
		}
		fmt.Println("held")
		time.Sleep(time.Minute)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func TestTurnsOverProcesses(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), os.Args[0]) //nolint:gosec // this very binary
	cmd.Env = append(os.Environ(), holderVariable+"="+dir)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fscanln(out, new(string)); err != nil {
		t.Fatal(err)
	}
	waiting := make(chan struct{})
	got := make(chan error)
	go func() {
		release, err := Open(dir).Turn(t.Context(), func() { close(waiting) })
		if err == nil {
			release()
		}
		got <- err
	}()
	<-waiting
	select {
	case err := <-got:
		t.Fatalf("two at once: %v", err)
	case <-time.After(200 * time.Millisecond):
	}
	// However its holder ends, the place is free.
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if err := <-got; err != nil {
		t.Error(err)
	}
}

func TestGivingUpATurn(t *testing.T) {
	s := Open(t.TempDir())
	release, err := s.Turn(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := s.Turn(ctx, cancel); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestPlaces(t *testing.T) {
	s := Open(t.TempDir())
	first, err := s.Place("https://a.example", 2)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Place("https://a.example", 2); !errors.Is(err, ErrBusy) {
		t.Errorf("the same origin: %v", err)
	}
	second, err := s.Place("https://b.example", 2)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Place("https://c.example", 2); !errors.Is(err, ErrBusy) {
		t.Errorf("one too many: %v", err)
	}
	first()
	third, err := s.Place("https://a.example", 2)
	if err != nil {
		t.Error(err)
	}
	second()
	third()
}

func TestRefusals(t *testing.T) {
	s, now := Open(t.TempDir()), time.Now()
	const a, b = "https://a.example", "https://b.example"
	check := func(want bool, at time.Time) {
		t.Helper()
		if s.Silent(a, at) != want {
			t.Errorf("silent: %v", !want)
		}
	}
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
	}
	do(s.Approved(a, now))
	if _, err := os.Stat(s.dir + "/refusals.json"); err == nil {
		t.Error("nothing was refused, and something is kept")
	}
	do(s.Refused(a, now))
	do(s.Refused(b, now))
	check(false, now)
	do(s.Approved(a, now))
	do(s.Refused(a, now))
	check(false, now)
	do(s.Refused(a, now.Add(time.Second)))
	check(true, now.Add(2*time.Second))
	check(true, now.Add(5*time.Minute))
	check(false, now.Add(5*time.Minute+2*time.Second))
	// A list that cannot be read silences nobody, and is written anew.
	do(os.WriteFile(s.dir+"/refusals.json", []byte("{"), 0o600))
	check(false, now)
	do(s.Refused(a, now))
	do(s.Refused(a, now))
	check(true, now)
}

// Two programs that decide at once lose nothing.
func TestListsOfTwoPrograms(t *testing.T) {
	dir := t.TempDir()
	var wg sync.WaitGroup
	for p := range 2 {
		s := Open(dir)
		wg.Go(func() {
			for i := range 20 {
				if err := s.SetSite(fmt.Sprintf("https://s%d-%d.example", p, i), Remembered, time.Now()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if list, err := Open(dir).Sites(); err != nil || len(list) != 40 {
		t.Errorf("%d sites, %v", len(list), err)
	}
}
