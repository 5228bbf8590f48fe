package trust

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// Kept is a folder of lists and responses that outlive the program: after a restart a
// responder that is slow or gone stops nobody whom a fresh answer covers. What is read
// from it is verified like what came over the network.
type Kept struct {
	dir string
	// MaxFiles and MaxBytes bound the folder; the files that were used longest ago go first.
	MaxFiles int
	MaxBytes int64

	mu    sync.Mutex
	files int
	bytes int64
}

// Bounds of a folder that says none.
const (
	maxKeptFiles = 20_000
	maxKeptBytes = 1 << 30
)

// keptSuffix marks the files that are ours in the folder.
const keptSuffix = ".der"

// OpenKept makes the folder if needed. Leftovers of writes that were cut off go.
func OpenKept(dir string) (*Kept, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("trust: %w", err)
	}
	k := &Kept{dir: dir, MaxFiles: maxKeptFiles, MaxBytes: maxKeptBytes}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("trust: %w", err)
	}
	for _, e := range entries {
		if matched, _ := filepath.Match(".new-*", e.Name()); matched {
			_ = os.Remove(filepath.Join(dir, e.Name())) // it is tried again the next time
			continue
		}
		if info, err := e.Info(); err == nil && filepath.Ext(e.Name()) == keptSuffix {
			k.files++
			k.bytes += info.Size()
		}
	}
	return k, nil
}

func (k *Kept) path(key string) string {
	sum := sha256.Sum256([]byte(key))
	return filepath.Join(k.dir, hex.EncodeToString(sum[:])+keptSuffix)
}

// load gives what was saved under a key; nil when there is nothing.
func (k *Kept) load(key string, limit int64) []byte {
	if k == nil {
		return nil
	}
	name := k.path(key)
	if info, err := os.Stat(name); err != nil || info.Size() > limit || !info.Mode().IsRegular() {
		return nil
	}
	data, err := os.ReadFile(name) //nolint:gosec // a name made of a hash
	if err != nil {
		return nil
	}
	now := time.Now()
	_ = os.Chtimes(name, now, now) // used: a folder that cannot be written is still read
	return data
}

// save puts data in place at once or not at all.
func (k *Kept) save(key string, data []byte) error {
	if k == nil {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	f, err := os.CreateTemp(k.dir, ".new-*")
	if err != nil {
		return fmt.Errorf("trust: %w", err)
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	name := k.path(key)
	old, statErr := os.Stat(name)
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("trust: %w", err)
	}
	if statErr == nil {
		k.bytes -= old.Size()
	} else {
		k.files++
	}
	k.bytes += int64(len(data))
	if k.files > k.MaxFiles || k.bytes > k.MaxBytes {
		k.prune()
	}
	return nil
}

// prune makes room: down to three quarters of the bounds.
func (k *Kept) prune() {
	entries, err := os.ReadDir(k.dir)
	if err != nil {
		return
	}
	var infos []fs.FileInfo
	k.files, k.bytes = 0, 0
	for _, e := range entries {
		if info, err := e.Info(); err == nil && filepath.Ext(e.Name()) == keptSuffix {
			infos = append(infos, info)
			k.files++
			k.bytes += info.Size()
		}
	}
	slices.SortFunc(infos, func(a, b fs.FileInfo) int {
		return cmp.Or(a.ModTime().Compare(b.ModTime()), cmp.Compare(a.Name(), b.Name()))
	})
	for _, info := range infos {
		if k.files <= k.MaxFiles*3/4 && k.bytes <= k.MaxBytes/4*3 {
			return
		}
		if os.Remove(filepath.Join(k.dir, info.Name())) == nil {
			k.files--
			k.bytes -= info.Size()
		}
	}
}
