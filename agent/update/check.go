package update

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"aead.dev/minisign"
)

// Set by the linker; empty: the program never looks. number is this build as the
// list writes versions.
var address, keys, number string

// Seen is what is kept between checks.
type Seen struct {
	Serial int64 `json:"serial"`
	// Checked is when a list was last read; Available the version that it offered,
	// empty when this one is the newest.
	Checked   time.Time `json:"checked"`
	Available string    `json:"available,omitempty"`
}

// Known is the newer release that the last look found; empty when there is none, or
// this build is it.
func (s Seen) Known() string { return s.newerThan(number) }

func (s Seen) newerThan(running string) string {
	if s.Available == "" || Compare(s.Available, running) <= 0 {
		return ""
	}
	return s.Available
}

// Memory keeps Seen for one user.
type Memory interface {
	UpdateSeen() (Seen, error)
	SetUpdateSeen(Seen) error
}

// Checker looks for releases.
type Checker struct {
	Address *url.URL // the folder of list and files, ending in a slash
	Keys    []minisign.PublicKey
	Number  string // the running version
	System  string // Go's names
	Arch    string
	Kind    string // how this copy was installed
	Memory  Memory
	Now     func() time.Time
	Client  *http.Client
}

// New is the checker that was set up when the program was built; ErrOff without one.
func New(m Memory) (*Checker, error) {
	if address == "" {
		return nil, ErrOff
	}
	u, err := url.Parse(strings.TrimSuffix(address, "/") + "/")
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("update: the built-in address %q is not https", address)
	}
	list, err := ParseKeys(keys)
	if err != nil {
		return nil, err
	}
	return &Checker{
		Address: u, Keys: list, Number: number, System: runtime.GOOS, Arch: runtime.GOARCH, Kind: installedAs(), Memory: m, Now: time.Now,
		Client: &http.Client{Timeout: 10 * time.Minute, CheckRedirect: secure},
	}, nil
}

// secure follows redirections to https only: the list is signed, but who looks for
// updates is nobody else's business.
func secure(r *http.Request, via []*http.Request) error {
	if r.URL.Scheme != "https" {
		return fmt.Errorf("update: redirected to %s", r.URL.Scheme)
	}
	if len(via) > 5 {
		return errors.New("update: too many redirections")
	}
	return nil
}

// installedAs tells from its place how this copy came here.
func installedAs() string {
	exe, err := os.Executable()
	if err != nil {
		return ""
	}
	if runtime.GOOS == "windows" {
		if base := os.Getenv("ProgramFiles"); base != "" && strings.HasPrefix(strings.ToLower(exe), strings.ToLower(base)+`\`) {
			return "msi"
		}
		return "zip"
	}
	for kind, proof := range map[string]string{"deb": "/usr/share/citel-agent/deb", "rpm": "/usr/share/citel-agent/rpm"} {
		if _, err := os.Stat(proof); err == nil && filepath.Dir(exe) == "/usr/bin" {
			return kind
		}
	}
	return "tar.gz"
}

// Offer is a release that is newer than this program.
type Offer struct {
	Version string
	Date    time.Time
	File    File
}

// Check reads the list and remembers that it did. Nil without an error: this is the
// newest.
func (c *Checker) Check(ctx context.Context) (*Offer, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	data, err := c.get(ctx, ListName, maxList)
	if err != nil {
		return nil, err
	}
	signatures := map[uint64][]byte{}
	for _, k := range c.Keys {
		s, err := c.get(ctx, SignatureName(k.ID()), 4096)
		if err != nil {
			continue // a key may be lost; two others must be there
		}
		signatures[k.ID()] = s
	}
	if err := Verify(data, signatures, c.Keys); err != nil {
		return nil, err
	}
	list, err := Parse(data)
	if err != nil {
		return nil, err
	}
	seen, err := c.Memory.UpdateSeen()
	if err != nil {
		return nil, err
	}
	now := c.Now()
	if list.Serial < seen.Serial {
		return nil, fmt.Errorf("%w: %d, seen %d", ErrOlder, list.Serial, seen.Serial)
	}
	if !now.Before(list.Expires) {
		return nil, fmt.Errorf("%w: %s", ErrExpired, list.Expires.UTC().Format(time.DateOnly))
	}
	offer, err := c.newest(list)
	seen = Seen{Serial: list.Serial, Checked: now.UTC().Truncate(time.Second)}
	if offer != nil {
		seen.Available = offer.Version
	}
	return offer, errors.Join(err, c.Memory.SetUpdateSeen(seen))
}

func (c *Checker) newest(l *List) (*Offer, error) {
	var best *Release
	for i := range l.Releases {
		r := &l.Releases[i]
		if Compare(r.Version, c.Number) > 0 && (best == nil || Compare(r.Version, best.Version) > 0) {
			best = r
		}
	}
	if best == nil {
		return nil, nil //nolint:nilnil // the newest runs: said above
	}
	for _, f := range best.Files {
		if f.Package == "citel-agent" && f.System == c.System && f.Arch == c.Arch && f.Kind == c.Kind {
			return &Offer{Version: best.Version, Date: best.Date, File: f}, nil
		}
	}
	return nil, fmt.Errorf("%w: %s, %s/%s, %s", ErrNone, best.Version, c.System, c.Arch, c.Kind)
}

// Download fetches the offer's file into dir and gives its path. Nothing bears the
// file's name before size and hash are right.
func (c *Checker) Download(ctx context.Context, o *Offer, dir string) (string, error) {
	body, err := c.open(ctx, o.File.Name)
	if err != nil {
		return "", err
	}
	defer func() { _ = body.Close() }()
	out, err := os.CreateTemp(dir, ".citel-update-*")
	if err != nil {
		return "", fmt.Errorf("update: %w", err)
	}
	defer func() { _ = os.Remove(out.Name()) }()
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(out, h), io.LimitReader(body, o.File.Size+1))
	if err == nil {
		err = out.Sync()
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return "", fmt.Errorf("update: %w", err)
	}
	if n != o.File.Size || !same(h, o.File.SHA256) {
		return "", ErrChanged
	}
	path := filepath.Join(dir, o.File.Name)
	if err := os.Chmod(out.Name(), 0o644); err != nil { //nolint:gosec // apt's own user reads it
		return "", fmt.Errorf("update: %w", err)
	}
	if err := os.Rename(out.Name(), path); err != nil {
		return "", fmt.Errorf("update: %w", err)
	}
	return path, nil
}

func same(h hash.Hash, want string) bool {
	w, err := hex.DecodeString(want)
	return err == nil && subtle.ConstantTimeCompare(h.Sum(nil), w) == 1
}

func (c *Checker) get(ctx context.Context, name string, limit int64) ([]byte, error) {
	body, err := c.open(ctx, name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = body.Close() }()
	data, err := io.ReadAll(io.LimitReader(body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("update: %s: %w", name, err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("update: %s is larger than %d bytes", name, limit)
	}
	return data, nil
}

func (c *Checker) open(ctx context.Context, name string) (io.ReadCloser, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.Address.JoinPath(name).String(), nil)
	if err != nil {
		return nil, fmt.Errorf("update: %w", err)
	}
	r.Header.Set("User-Agent", "citel-agent") // and nothing about this computer
	resp, err := c.Client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	if resp.StatusCode != http.StatusOK {
		_ = resp.Body.Close()
		return nil, fmt.Errorf("%w: %s: the server answered %s", ErrUnreachable, name, resp.Status)
	}
	return resp.Body, nil
}
