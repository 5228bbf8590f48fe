package step

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// fake is a computer that remembers what was asked of it.
type fake struct {
	on    map[string]bool
	asked []string
	fail  string
}

func (f *fake) step(name string) Step {
	return Step{
		Name:  name,
		Check: func(context.Context, *System) (bool, error) { return f.on[name], nil },
		Do: func(ctx context.Context, s *System) error {
			_, err := s.Run(ctx, "do", name)
			return err
		},
		Undo: func(ctx context.Context, s *System) error {
			_, err := s.Run(ctx, "undo", name)
			return err
		},
	}
}

func (f *fake) run(_ context.Context, verb string, args ...string) ([]byte, error) {
	f.asked = append(f.asked, verb+" "+args[0])
	if verb == "do" && args[0] == f.fail {
		return nil, errors.New("no")
	}
	f.on[args[0]] = verb == "do"
	return nil, nil
}

func TestAllOrNothing(t *testing.T) {
	f := &fake{on: map[string]bool{"a": true}, fail: "c"}
	s := &System{Run: f.run}
	err := Apply(t.Context(), s, []Step{f.step("a"), f.step("b"), f.step("c"), f.step("d")})
	if err == nil {
		t.Fatal("a failure was passed over")
	}
	// a was there before and stays; what this call did is taken back, last first.
	if want := []string{"do b", "do c", "undo c", "undo b"}; !slices.Equal(f.asked, want) {
		t.Errorf("%v, want %v", f.asked, want)
	}
	if !f.on["a"] || f.on["b"] {
		t.Errorf("%v", f.on)
	}
}

func TestDoneIsLeftAlone(t *testing.T) {
	f := &fake{on: map[string]bool{}}
	s := &System{Run: f.run}
	steps := []Step{f.step("a"), f.step("b")}
	for range 2 {
		if err := Apply(t.Context(), s, steps); err != nil {
			t.Fatal(err)
		}
	}
	if len(f.asked) != 2 {
		t.Errorf("%v", f.asked)
	}
	x := f.step("x")
	x.Do = func(context.Context, *System) error { return nil }
	if err := Apply(t.Context(), s, []Step{x}); !errors.Is(err, ErrNoEffect) {
		t.Errorf("no effect: %v", err)
	}
}

func TestFile(t *testing.T) {
	s := &System{Root: t.TempDir()}
	path := "/etc/xdg/x"
	x := File(path, []byte("ours"), 0o644)
	if err := Apply(t.Context(), s, []Step{x}); err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(s.Path(path)); err != nil || st.Mode().Perm() != 0o644 {
		t.Fatalf("%v %v", st, err)
	}
	if err := os.WriteFile(s.Path(path), []byte("theirs"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Remove(t.Context(), s, []Step{x}); err != nil {
		t.Fatal(err)
	}
	if have, err := os.ReadFile(s.Path(path)); err != nil || string(have) != "theirs" {
		t.Errorf("another's content was removed: %v", err)
	}
	if err := Apply(t.Context(), s, []Step{x}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := Remove(t.Context(), s, []Step{x}); err != nil {
			t.Fatal(err)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(s.Root, "etc/xdg/*")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}
