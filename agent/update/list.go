// Package update finds out whether there is a newer release, and fetches one whose
// bytes the release's keys vouch for. It never installs anything.
//
// The list of releases is signed by at least two of the keys that were set when the
// program was built, so that one stolen key makes no release and one lost key stops
// none. A list that is older than one already seen, or past its date, is refused: who
// controls the address can withhold news for a while, and nothing else.
package update

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"aead.dev/minisign"
)

// Limits of what is fetched, in bytes and entries.
const (
	maxList     = 1 << 20
	maxFile     = 128 << 20
	maxReleases = 200
	maxFiles    = 100
)

// Threshold is how many different keys must have signed.
const Threshold = 2

// Errors that a caller decides on.
var (
	ErrOff       = errors.New("update: no address is built in, or an administrator switched it off")
	ErrSignature = errors.New("update: the list of releases is not signed by two of the release's keys")
	ErrOlder     = errors.New("update: the list of releases is older than one seen before")
	ErrExpired   = errors.New("update: the list of releases is past its date")
	ErrChanged   = errors.New("update: the download is not what the list says")
	ErrNone      = errors.New("update: the release has no file for this computer")
	// ErrUnreachable: the address did not answer, or not with the file.
	ErrUnreachable = errors.New("update: the address of releases cannot be reached")
	errList        = errors.New("update: the list of releases cannot be read")
)

// ListName is the list's file name; the signature of the key with the identifier ID
// (hexadecimal, capital letters, as minisign prints it) is beside it in SignatureName(ID).
const ListName = "releases.json"

// SignatureName is the file name of one key's signature.
func SignatureName(id uint64) string {
	return ListName + "." + strings.ToUpper(strconv.FormatUint(id, 16)) + ".minisig"
}

// List is what is signed.
type List struct {
	Format int `json:"format"` // 1
	// Serial grows with every list.
	Serial  int64     `json:"serial"`
	Expires time.Time `json:"expires"`
	// Releases, newest first.
	Releases []Release `json:"releases"`
}

// Release is one version.
type Release struct {
	Version string    `json:"version"`
	Date    time.Time `json:"date"`
	Files   []File    `json:"files"`
}

// File is one thing to download, beside the list.
type File struct {
	Name    string `json:"name"`
	Package string `json:"package"` // "citel-agent", "citel-server"
	System  string `json:"system"`  // Go's names: "linux", "windows"
	Arch    string `json:"arch"`
	Kind    string `json:"kind"` // "deb", "rpm", "msi", "tar.gz", "zip"
	Size    int64  `json:"size"`
	SHA256  string `json:"sha256"` // hexadecimal
}

// Parse reads a list that was verified.
func Parse(data []byte) (*List, error) {
	var l List
	if err := json.Unmarshal(data, &l); err != nil {
		return nil, fmt.Errorf("%w: %w", errList, err)
	}
	if l.Format != 1 {
		return nil, fmt.Errorf("%w: format %d", errList, l.Format)
	}
	if l.Serial <= 0 || l.Expires.IsZero() || len(l.Releases) > maxReleases {
		return nil, fmt.Errorf("%w: serial, date or length", errList)
	}
	for _, r := range l.Releases {
		if r.Version == "" || len(r.Files) > maxFiles {
			return nil, fmt.Errorf("%w: a release", errList)
		}
		for _, f := range r.Files {
			if !plain(f.Name) || len(f.SHA256) != 64 || f.Size <= 0 || f.Size > maxFile {
				return nil, fmt.Errorf("%w: the file %q", errList, f.Name)
			}
		}
	}
	return &l, nil
}

// plain: a file name, no path and nothing that a shell or a file system takes for more.
func plain(name string) bool {
	if name == "" || len(name) > 200 || name[0] == '.' || name[0] == '-' {
		return false
	}
	return strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_+~") == ""
}

// ParseKeys reads minisign public keys, comma separated.
func ParseKeys(text string) ([]minisign.PublicKey, error) {
	var list []minisign.PublicKey
	for _, s := range strings.Split(text, ",") {
		if s = strings.TrimSpace(s); s == "" {
			continue
		}
		var k minisign.PublicKey
		if err := k.UnmarshalText([]byte(s)); err != nil {
			return nil, fmt.Errorf("update: the key %q: %w", s, err)
		}
		for _, other := range list {
			if other.ID() == k.ID() || other.Equal(k) {
				return nil, fmt.Errorf("update: the key %X is named twice", k.ID())
			}
		}
		list = append(list, k)
	}
	if len(list) < Threshold {
		return nil, fmt.Errorf("update: %d keys, but %d must sign", len(list), Threshold)
	}
	return list, nil
}

// Verify counts the keys that signed data; signatures are by key identifier.
func Verify(data []byte, signatures map[uint64][]byte, keys []minisign.PublicKey) error {
	good := 0
	for _, k := range keys {
		if s, ok := signatures[k.ID()]; ok && minisign.Verify(k, data, s) {
			good++
		}
	}
	if good < Threshold {
		return fmt.Errorf("%w: %d of %d", ErrSignature, good, Threshold)
	}
	return nil
}

// Compare orders two versions: negative when a comes first. Debian Policy, 5.6.12
// Version, without epoch: runs of digits by value, others by character, letters
// before the rest and a tilde before everything, the end too.
func Compare(a, b string) int {
	for a != "" || b != "" {
		var x, y string
		x, a = run(a, false)
		y, b = run(b, false)
		for i := 0; i < len(x) || i < len(y); i++ {
			if d := weight(x, i) - weight(y, i); d != 0 {
				return d
			}
		}
		x, a = run(a, true)
		y, b = run(b, true)
		x, y = strings.TrimLeft(x, "0"), strings.TrimLeft(y, "0")
		if len(x) != len(y) {
			return len(x) - len(y)
		}
		if c := strings.Compare(x, y); c != 0 {
			return c
		}
	}
	return 0
}

// run cuts the leading digits, or the leading others.
func run(s string, digits bool) (head, tail string) {
	i := 0
	for i < len(s) && (s[i] >= '0' && s[i] <= '9') == digits {
		i++
	}
	return s[:i], s[i:]
}

func weight(s string, i int) int {
	switch {
	case i >= len(s):
		return 0
	case s[i] == '~':
		return -1
	case s[i]|0x20 >= 'a' && s[i]|0x20 <= 'z':
		return int(s[i])
	}
	return int(s[i]) + 256
}
