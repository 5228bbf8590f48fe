package config

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"time"
)

// locksFile holds no content: its bytes are places that one process of the user at a
// time can hold. The system gives a place back when its holder ends, however it does.
const locksFile = "locks"

// Places in locksFile.
const (
	placeTurn    = 0       // the person's attention
	placeFiles   = 1       // the lists that are read and written again
	placeWaiting = 8       // and the next: those who wait for a turn
	placeOrigin  = 1 << 20 // and the next 2^32: one request of an origin
)

// poll is how often a held place is tried again.
const poll = 50 * time.Millisecond

// errHeld: somebody else holds the place.
var errHeld = errors.New("config: the place is held")

// ErrBusy means that too many requests wait already.
var ErrBusy = errors.New("config: too many requests wait")

// hold takes a place if it is free; errHeld when it is not.
func (s *Store) hold(place int64) (release func(), err error) {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(s.dir, locksFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	if err := lockByte(f, place); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() { _ = f.Close() }, nil // closing gives the place back
}

// wait takes a place, however long that takes; waiting is called when it is not free
// at once.
func (s *Store) wait(ctx context.Context, place int64, waiting func()) (release func(), err error) {
	release, err = s.hold(place)
	if !errors.Is(err, errHeld) {
		return release, err
	}
	if waiting != nil {
		waiting()
	}
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-tick.C:
		}
		if release, err = s.hold(place); !errors.Is(err, errHeld) {
			return release, err
		}
	}
}

// Turn waits until no other process of this user asks the person anything; waiting is
// called when somebody does. Windows of two programs never stack.
func (s *Store) Turn(ctx context.Context, waiting func()) (release func(), err error) {
	return s.wait(ctx, placeTurn, waiting)
}

// Place admits one request of an origin, and at most most of all origins, among the
// processes of this user; the others get ErrBusy.
func (s *Store) Place(origin string, most int) (release func(), err error) {
	h := fnv.New32a()
	_, _ = h.Write([]byte(origin)) // never fails
	own, err := s.hold(placeOrigin + int64(h.Sum32()))
	if err != nil {
		return nil, busy(err)
	}
	for i := range most {
		slot, err := s.hold(placeWaiting + int64(i))
		if err == nil {
			return func() { slot(); own() }, nil
		}
		if !errors.Is(err, errHeld) {
			own()
			return nil, err
		}
	}
	own()
	return nil, ErrBusy
}

func busy(err error) error {
	if errors.Is(err, errHeld) {
		return ErrBusy
	}
	return err
}

// exclusive keeps other goroutines and processes from changing a list meanwhile.
func (s *Store) exclusive() (release func(), err error) {
	s.mu.Lock()
	ctx, cancel := context.WithTimeout(context.Background(), filesTime)
	defer cancel()
	file, err := s.wait(ctx, placeFiles, nil)
	if err != nil {
		s.mu.Unlock()
		return nil, fmt.Errorf("config: the lists are in use: %w", err)
	}
	return func() { file(); s.mu.Unlock() }, nil
}

// filesTime is more than any process needs to write a list.
const filesTime = 5 * time.Second
