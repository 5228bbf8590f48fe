// Package history is one user's own record of what the card was used for: one line
// for each use, each with the hash of the line before it. It holds no PIN and
// nothing of a document but its digest.
//
// What it shows and what it does not: a line that was changed, taken out, or cut off
// at either end is seen, also after more was written. Somebody who can write as this
// user can write the whole of it anew; this is a memory for the person, not evidence
// against them.
package history

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Kinds of use. KindCleared is the line that stays after the history was cleared.
const (
	KindLogin       = "login"
	KindSign        = "sign"
	KindCertificate = "certificate" // a site learned a certificate for signatures
	KindHash        = "hash"        // a hash that a site computed was signed
	KindChange      = "pin-change"
	KindUnblock     = "pin-unblock"
	KindCleared     = "cleared"
)

// Done is the outcome of a use that went well; others are codes of agent/wire.
const Done = "done"

// Ways in which a use was asked for.
const (
	BySite        = "site"
	ByCommandLine = "command-line"
	ByExtension   = "extension"
	ByPerson      = "person" // in CiTel's own window
)

// Entry is one use.
type Entry struct {
	// N counts from 1 and goes on when older entries are dropped.
	N  int       `json:"n"`
	At time.Time `json:"at"`
	// By is the way it was asked for, Origin the site.
	By     string `json:"by"`
	Origin string `json:"origin,omitempty"`
	Kind   string `json:"kind"`
	// Documents is how many were to be signed; Digests are their SHA-256 (for a
	// login the token's), lower-case hex, MaxDigests at most.
	Documents int      `json:"documents,omitempty"`
	Digests   []string `json:"digests,omitempty"`
	// Card is "cns" or "cie" with the last digits of its number, Certificate the
	// start of its SHA-256: enough to tell one's own cards apart.
	Card        string `json:"card,omitempty"`
	Certificate string `json:"certificate,omitempty"`
	Outcome     string `json:"outcome"`
	// Previous is the SHA-256 of the line before.
	Previous string `json:"previous"`
}

// Limits. A file that reaches MaxEntries loses its older half.
const (
	MaxEntries = 4000
	MaxDigests = 50
	maxOrigin  = 300
	maxLine    = 8 << 10
	maxFile    = MaxEntries * maxLine
)

const (
	file     = "history.jsonl"
	headFile = "history.head"
	lockName = "history.lock"
)

// zero is the Previous of the first line.
var zero = strings.Repeat("0", 2*sha256.Size)

// Gap is a place where the chain does not hold: something was changed or taken out
// before entry N, or, with N 0, after the last one.
type Gap struct {
	N int `json:"n"`
}

// Log is what Read gives.
type Log struct {
	Entries []Entry `json:"entries"`
	// Gaps is empty where nothing was changed.
	Gaps []Gap `json:"gaps"`
	// Dropped tells how many older entries made room.
	Dropped int `json:"dropped"`
}

// Store is the record in one folder. It is safe for concurrent use, also by several
// processes.
type Store struct {
	dir string
	mu  sync.Mutex
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Open names the folder; it does not touch it.
func Open(dir string) *Store { return &Store{dir: dir} }

// head is the last line's place and hash, in a file of its own: it shows a cut at the
// end. start is what the first line follows, once older ones were dropped.
type head struct {
	N     int    `json:"n"`
	Hash  string `json:"hash"`
	Start *start `json:"start,omitempty"`
}

type start struct {
	Dropped int    `json:"dropped"`
	Hash    string `json:"hash"`
}

func hash(line []byte) string {
	sum := sha256.Sum256(line)
	return hex.EncodeToString(sum[:])
}

// Append writes one use; N and Previous are filled in here, and At where it is zero.
func (s *Store) Append(e Entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.locked(func() error { return s.append(e) })
}

func (s *Store) append(e Entry) error {
	h, err := s.head()
	if err != nil {
		return err
	}
	last, whole, err := s.tail()
	if err != nil {
		return err
	}
	// A line that was written just before a power cut, without its head, counts.
	if last != nil {
		var l Entry
		if json.Unmarshal(last, &l) == nil && l.N == h.N+1 && l.Previous == h.Hash {
			h.N, h.Hash = l.N, hash(last)
		}
	}
	e.N, e.Previous = h.N+1, h.Hash
	if e.At.IsZero() {
		e.At = s.now()
	}
	e.At = e.At.UTC().Truncate(time.Second)
	e.Digests = e.Digests[:min(len(e.Digests), MaxDigests)]
	e.Origin = e.Origin[:min(len(e.Origin), maxOrigin)]
	line, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("history: %w", err)
	}
	if len(line) > maxLine {
		return fmt.Errorf("history: an entry of %d bytes", len(line))
	}
	f, err := os.OpenFile(s.path(file), os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("history: %w", err)
	}
	// Half a line of a power cut never was one.
	err = f.Truncate(whole)
	if err == nil {
		_, err = f.WriteAt(append(bytes.Clone(line), '\n'), whole)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("history: %w", err)
	}
	h.N, h.Hash = e.N, hash(line)
	if err := s.writeHead(h); err != nil {
		return err
	}
	first := 0
	if h.Start != nil {
		first = h.Start.Dropped
	}
	if e.N-first > MaxEntries {
		return s.drop(h)
	}
	return nil
}

// drop takes the older half away; the chain goes on from what was dropped.
func (s *Store) drop(h head) error {
	lines, err := s.lines()
	if err != nil || len(lines) <= MaxEntries/2 {
		return err
	}
	gone := lines[:len(lines)-MaxEntries/2]
	keep := lines[len(gone):]
	var before Entry
	if err := json.Unmarshal(gone[len(gone)-1], &before); err != nil {
		before.N = h.N - len(keep)
	}
	// A gap among the dropped lines is forgotten with them; one at the border stays.
	h.Start = &start{Dropped: before.N, Hash: hash(gone[len(gone)-1])}
	if err := s.replace(file, append(bytes.Join(keep, []byte{'\n'}), '\n')); err != nil {
		return err
	}
	return s.writeHead(h)
}

// Read gives the entries, oldest first, and where the chain does not hold.
func (s *Store) Read() (Log, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	log := Log{Entries: []Entry{}, Gaps: []Gap{}}
	if _, err := os.Stat(s.dir); errors.Is(err, fs.ErrNotExist) {
		return log, nil // nothing is made by looking
	}
	err := s.locked(func() error {
		h, err := s.head()
		if err != nil {
			return err
		}
		lines, err := s.lines()
		if err != nil {
			return err
		}
		log = judge(lines, h)
		return nil
	})
	return log, err
}

func judge(lines [][]byte, h head) Log {
	log := Log{Entries: []Entry{}, Gaps: []Gap{}}
	n, previous := 0, zero
	if h.Start != nil {
		log.Dropped, n, previous = h.Start.Dropped, h.Start.Dropped, h.Start.Hash
	}
	broken := false
	for _, line := range lines {
		var e Entry
		d := json.NewDecoder(bytes.NewReader(line))
		d.DisallowUnknownFields()
		if err := d.Decode(&e); err != nil {
			broken, previous = true, hash(line)
			n++
			continue
		}
		if broken || e.N != n+1 || e.Previous != previous {
			log.Gaps = append(log.Gaps, Gap{N: e.N})
			broken = false
		}
		log.Entries = append(log.Entries, e)
		n, previous = e.N, hash(line)
	}
	// The head may be one behind: a power cut between the two files.
	behind := len(log.Entries) > 0 && !broken && h.N == n-1 && log.Entries[len(log.Entries)-1].Previous == h.Hash
	if broken || !behind && (h.N != n || h.Hash != previous) {
		log.Gaps = append(log.Gaps, Gap{})
	}
	return log
}

// Clear forgets everything; the line that says so stays.
func (s *Store) Clear() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.locked(func() error {
		for _, name := range []string{file, headFile} {
			if err := os.Remove(s.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("history: %w", err)
			}
		}
		return s.append(Entry{Kind: KindCleared, By: ByPerson, Outcome: Done})
	})
}

func (s *Store) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

func (s *Store) path(name string) string { return filepath.Join(s.dir, name) }

func (s *Store) head() (head, error) {
	h := head{Hash: zero}
	data, err := s.read(headFile, maxLine)
	if errors.Is(err, fs.ErrNotExist) {
		return h, nil
	}
	if err != nil {
		return h, err
	}
	if err := json.Unmarshal(data, &h); err != nil {
		return head{N: -1}, nil //nolint:nilerr // a head that is no head is a gap
	}
	return h, nil
}

func (s *Store) writeHead(h head) error {
	data, err := json.Marshal(h)
	if err != nil {
		return fmt.Errorf("history: %w", err)
	}
	return s.replace(headFile, append(data, '\n'))
}

// replace writes a file in one step.
func (s *Store) replace(name string, data []byte) error {
	f, err := os.CreateTemp(s.dir, "."+name+"-*") // CreateTemp makes 0600
	if err != nil {
		return fmt.Errorf("history: %w", err)
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), s.path(name))
	}
	if err != nil {
		return fmt.Errorf("history: %w", err)
	}
	return nil
}

func (s *Store) read(name string, most int64) ([]byte, error) {
	f, err := os.Open(s.path(name))
	if err != nil {
		return nil, fmt.Errorf("history: %w", err)
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, fmt.Errorf("history: %w", err)
	}
	if int64(len(data)) > most {
		return nil, fmt.Errorf("history: %s is larger than %d bytes", s.path(name), most)
	}
	return data, nil
}

// lines are those that end.
func (s *Store) lines() ([][]byte, error) {
	data, err := s.read(file, maxFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var lines [][]byte
	sc := bufio.NewScanner(bytes.NewReader(data[:bytes.LastIndexByte(data, '\n')+1]))
	sc.Buffer(nil, maxFile+1)
	for sc.Scan() {
		lines = append(lines, bytes.Clone(sc.Bytes()))
	}
	return lines, sc.Err()
}

// tail gives the last line that ends and where it ends, reading no more of the file
// than that.
func (s *Store) tail() (line []byte, end int64, err error) {
	f, err := os.Open(s.path(file))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("history: %w", err)
	}
	defer func() { _ = f.Close() }()
	st, err := f.Stat()
	if err != nil {
		return nil, 0, fmt.Errorf("history: %w", err)
	}
	from := max(0, st.Size()-3*maxLine)
	buf := make([]byte, st.Size()-from)
	if _, err := f.ReadAt(buf, from); err != nil && !errors.Is(err, io.EOF) {
		return nil, 0, fmt.Errorf("history: %w", err)
	}
	n := bytes.LastIndexByte(buf, '\n')
	if n < 0 {
		return nil, from, nil // no line in sight: whatever it is goes
	}
	return buf[bytes.LastIndexByte(buf[:n], '\n')+1 : n], from + int64(n) + 1, nil
}

// locked runs f while no other process of this user is at the files.
func (s *Store) locked(f func() error) error {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return fmt.Errorf("history: %w", err)
	}
	l, err := os.OpenFile(s.path(lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("history: %w", err)
	}
	defer func() { _ = l.Close() }() // and lets go of the lock
	if err := lock(l); err != nil {
		return fmt.Errorf("history: %w", err)
	}
	return f()
}
