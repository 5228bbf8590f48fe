package gateway

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"sync"
)

// spool holds the bytes of one document or one result outside of memory: a file
// that only this process can reach (0600, and without a name where the system
// allows that), with a running SHA-256. What was written is never changed: the
// bytes shown are the bytes signed.
type spool struct {
	file   *os.File
	hash   hash.Hash
	size   int64
	remove func()
}

func newSpool(dir string) (*spool, error) {
	f, err := os.CreateTemp(dir, "citel-*") // CreateTemp makes 0600
	if err != nil {
		return nil, fmt.Errorf("gateway: a file for a document: %w", err)
	}
	s := &spool{file: f, hash: sha256.New(), remove: func() {}}
	// A file without a name is gone with the process, however that ends. Windows
	// keeps names of open files: there it is removed when closed.
	if err := os.Remove(f.Name()); err != nil {
		s.remove = func() { _ = os.Remove(f.Name()) }
	}
	return s, nil
}

// Write appends.
func (s *spool) Write(p []byte) (int, error) {
	n, err := s.file.Write(p)
	s.hash.Write(p[:n])
	s.size += int64(n)
	if err != nil {
		return n, fmt.Errorf("gateway: writing a document: %w", err)
	}
	return n, nil
}

// output lets a signature be written here in its own way: a signature whose size
// is known only at its end mends its beginning. Closing it only counts the bytes.
func (s *spool) output() io.WriteCloser { return &output{File: s.file, s: s} }

type output struct {
	*os.File
	s *spool
}

func (o *output) Close() error {
	info, err := o.Stat()
	if err != nil {
		return fmt.Errorf("gateway: a result: %w", err)
	}
	o.s.size = info.Size()
	return nil
}

func (s *spool) sum() [32]byte { return [32]byte(s.hash.Sum(nil)) }

// open gives the bytes from the beginning; readers do not disturb each other.
func (s *spool) open() (io.ReadSeekCloser, error) {
	return readSeekNopCloser{io.NewSectionReader(s.file, 0, s.size)}, nil
}

func (s *spool) discard() {
	_ = s.file.Close()
	s.remove()
}

type readSeekNopCloser struct{ io.ReadSeeker }

func (readSeekNopCloser) Close() error { return nil }

// spools are all files of one request.
type spools struct {
	mu   sync.Mutex
	all  []*spool
	gone bool
}

var errGone = errors.New("gateway: the request has ended")

func (s *spools) add(dir string) (*spool, error) {
	f, err := newSpool(dir)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone {
		f.discard()
		return nil, errGone
	}
	s.all = append(s.all, f)
	return f, nil
}

func (s *spools) discard() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone = true
	for _, f := range s.all {
		f.discard()
	}
	s.all = nil
}
