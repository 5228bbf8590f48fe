// Package step is how an installation changes a computer: in steps that can tell
// whether they are done, do it, and take it back. Whoever runs them gets all or
// nothing; a step that is done already is left alone.
package step

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
)

// System is the computer, or a folder and a fake in its place.
type System struct {
	// Root is put before every path; empty is the computer's own.
	Root string
	// Run runs a command of the system.
	Run func(ctx context.Context, name string, args ...string) ([]byte, error)
}

// Here is this computer.
func Here() *System {
	return &System{Run: func(ctx context.Context, name string, args ...string) ([]byte, error) {
		return exec.CommandContext(ctx, name, args...).CombinedOutput() //nolint:gosec // commands of steps
	}}
}

// Path is where a path of the system is.
func (s *System) Path(path string) string { return filepath.Join(s.Root, path) }

// Step is one change.
type Step struct {
	Name string
	// Check tells whether it is done.
	Check func(ctx context.Context, s *System) (bool, error)
	Do    func(ctx context.Context, s *System) error
	// Undo takes it back; it is no error when there is nothing to take back.
	Undo func(ctx context.Context, s *System) error
}

// ErrNoEffect means that a step was done and is not there.
var ErrNoEffect = errors.New("step: it was done and had no effect")

// Apply does what is not done yet. When one step fails, those that this call did are
// taken back, last first.
func Apply(ctx context.Context, s *System, steps []Step) error {
	var did []Step
	for _, x := range steps {
		done, err := x.Check(ctx, s)
		if err == nil && done {
			continue
		}
		if err == nil {
			did = append(did, x)
			err = x.Do(ctx, s)
		}
		if err == nil {
			if done, err = x.Check(ctx, s); err == nil && !done {
				err = ErrNoEffect
			}
		}
		if err != nil {
			return errors.Join(fmt.Errorf("%s: %w", x.Name, err), Remove(context.WithoutCancel(ctx), s, did))
		}
	}
	return nil
}

// Remove takes steps back, last first, all of them even when one fails.
func Remove(ctx context.Context, s *System, steps []Step) error {
	var errs []error
	for i := len(steps) - 1; i >= 0; i-- {
		if err := steps[i].Undo(ctx, s); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", steps[i].Name, err))
		}
	}
	return errors.Join(errs...)
}

// File is the step that a file is there with a content. Its undoing takes the file
// only when the content is still ours.
func File(path string, content []byte, mode fs.FileMode) Step {
	return Step{
		Name: path,
		Check: func(_ context.Context, s *System) (bool, error) {
			have, err := os.ReadFile(s.Path(path))
			if errors.Is(err, fs.ErrNotExist) {
				return false, nil
			}
			return err == nil && bytes.Equal(have, content), err
		},
		Do: func(_ context.Context, s *System) error { return Write(s.Path(path), content, mode) },
		Undo: func(_ context.Context, s *System) error {
			have, err := os.ReadFile(s.Path(path))
			if errors.Is(err, fs.ErrNotExist) || err == nil && !bytes.Equal(have, content) {
				return nil
			}
			if err != nil {
				return err
			}
			return os.Remove(s.Path(path))
		},
	}
}

// Write puts a file in its place whole or not at all.
func Write(path string, content []byte, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // folders of the system
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(content)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
