package update

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"aead.dev/minisign"
)

var now = time.Date(2026, 12, 1, 10, 0, 0, 0, time.UTC)

type remembered struct{ seen Seen }

func (r *remembered) UpdateSeen() (Seen, error)  { return r.seen, nil }
func (r *remembered) SetUpdateSeen(s Seen) error { r.seen = s; return nil }
func (r *remembered) checker(t *testing.T) *Checker {
	return &Checker{Memory: r, Now: func() time.Time { return now }}
}
func keyPair(t *testing.T) (minisign.PublicKey, minisign.PrivateKey) {
	t.Helper()
	pub, priv, err := minisign.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return pub, priv
}

// site is a folder of releases on a server of the test.
type site struct {
	mu    sync.Mutex
	files map[string][]byte
	keys  []minisign.PrivateKey
}

func (s *site) put(name string, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files[name] = data
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	data, ok := s.files[strings.TrimPrefix(r.URL.Path, "/x/")]
	s.mu.Unlock()
	if !ok {
		http.NotFound(w, r)
		return
	}
	_, _ = w.Write(data)
}

// publish puts a list there, signed by some of the keys.
func (s *site) publish(t *testing.T, l List, signers ...minisign.PrivateKey) {
	t.Helper()
	data, err := json.Marshal(l)
	if err != nil {
		t.Fatal(err)
	}
	s.put(ListName, data)
	for _, k := range s.keys {
		s.put(SignatureName(k.ID()), []byte("none"))
	}
	for _, k := range signers {
		s.put(SignatureName(k.ID()), minisign.Sign(k, data))
	}
}

func release(version string, content []byte) Release {
	sum := sha256.Sum256(content)
	return Release{Version: version, Date: now, Files: []File{
		{Name: "citel-agent_" + version + "_amd64.deb", Package: "citel-agent", System: "linux", Arch: "amd64", Kind: "deb", Size: int64(len(content)), SHA256: hex.EncodeToString(sum[:])},
	}}
}

func start(t *testing.T) (*site, *Checker, *remembered) {
	t.Helper()
	s := &site{files: map[string][]byte{}}
	srv := httptest.NewTLSServer(s)
	t.Cleanup(srv.Close)
	r := &remembered{}
	c := r.checker(t)
	for range 3 {
		pub, priv := keyPair(t)
		c.Keys, s.keys = append(c.Keys, pub), append(s.keys, priv)
	}
	u, err := url.Parse(srv.URL + "/x/")
	if err != nil {
		t.Fatal(err)
	}
	c.Address, c.Client, c.Number, c.System, c.Arch, c.Kind = u, srv.Client(), "1.0.0", "linux", "amd64", "deb"
	return s, c, r
}

func TestOfferAndDownload(t *testing.T) {
	s, c, mem := start(t)
	content := []byte("a package")
	l := List{Format: 1, Serial: 10, Expires: now.Add(time.Hour), Releases: []Release{release("1.0.0", content), release("1.1.0", content), release("1.1.0~rc1", content)}}
	s.publish(t, l, s.keys[0], s.keys[2]) // any two of three
	o, err := c.Check(t.Context())
	if err != nil || o == nil || o.Version != "1.1.0" {
		t.Fatalf("%+v %v", o, err)
	}
	if mem.seen.Serial != 10 || mem.seen.Available != "1.1.0" || !mem.seen.Checked.Equal(now) {
		t.Errorf("%+v", mem.seen)
	}
	dir := t.TempDir()
	s.put(o.File.Name, []byte("a pockage"))
	if _, err := c.Download(t.Context(), o, dir); !errors.Is(err, ErrChanged) {
		t.Errorf("changed: %v", err)
	}
	s.put(o.File.Name, append(bytes.Clone(content), 'x'))
	if _, err := c.Download(t.Context(), o, dir); !errors.Is(err, ErrChanged) {
		t.Errorf("longer: %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	s.put(o.File.Name, content)
	path, err := c.Download(t.Context(), o, dir)
	if err != nil || path != filepath.Join(dir, o.File.Name) {
		t.Fatalf("%s %v", path, err)
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, content) { //nolint:gosec // the test's own
		t.Errorf("%q %v", got, err)
	}
	c.Number = "1.1.0"
	if o, err := c.Check(t.Context()); o != nil || err != nil || mem.seen.Available != "" {
		t.Errorf("the newest: %+v %v", o, err)
	}
}

func TestRefused(t *testing.T) {
	_, stranger := keyPair(t)
	good := List{Format: 1, Serial: 10, Expires: now.Add(time.Hour), Releases: []Release{release("1.1.0", []byte("x"))}}
	with := func(change func(*List)) List { l := good; change(&l); return l }
	for name, c := range map[string]struct {
		list    List
		signers func(*site) []minisign.PrivateKey
		want    error
	}{
		"one key":       {good, func(s *site) []minisign.PrivateKey { return s.keys[:1] }, ErrSignature},
		"no key":        {good, func(*site) []minisign.PrivateKey { return nil }, ErrSignature},
		"a stranger's":  {good, func(s *site) []minisign.PrivateKey { return []minisign.PrivateKey{s.keys[0], stranger} }, ErrSignature},
		"older":         {with(func(l *List) { l.Serial = 4 }), nil, ErrOlder},
		"expired":       {with(func(l *List) { l.Expires = now }), nil, ErrExpired},
		"other format":  {with(func(l *List) { l.Format = 2 }), nil, errList},
		"path for name": {with(func(l *List) { r := release("1.1.0", []byte("x")); r.Files[0].Name = "../x"; l.Releases = []Release{r} }), nil, errList},
		"other kind":    {with(func(l *List) { r := release("1.1.0", []byte("x")); r.Files[0].Kind = "rpm"; l.Releases = []Release{r} }), nil, ErrNone},
	} {
		t.Run(name, func(t *testing.T) {
			s, checker, mem := start(t)
			mem.seen.Serial = 5
			signers := s.keys
			if c.signers != nil {
				signers = c.signers(s)
			}
			s.publish(t, c.list, signers...)
			if o, err := checker.Check(t.Context()); o != nil || !errors.Is(err, c.want) {
				t.Errorf("%+v %v, want %v", o, err, c.want)
			}
			if !errors.Is(c.want, ErrNone) && mem.seen.Serial != 5 {
				t.Errorf("remembered: %+v", mem.seen)
			}
		})
	}
}

// One key named twice is one key.
func TestKeysAreDifferent(t *testing.T) {
	a, priv := keyPair(t)
	b, _ := keyPair(t)
	if _, err := ParseKeys(a.String() + "," + a.String()); err == nil {
		t.Error("twice the same key")
	}
	if _, err := ParseKeys(a.String()); err == nil {
		t.Error("one key")
	}
	if list, err := ParseKeys(a.String() + ", " + b.String()); err != nil || len(list) != 2 {
		t.Error(err)
	}
	data := []byte("x")
	if err := Verify(data, map[uint64][]byte{a.ID(): minisign.Sign(priv, data)}, []minisign.PublicKey{a, b}); !errors.Is(err, ErrSignature) {
		t.Error(err)
	}
}

func TestOff(t *testing.T) {
	if _, err := New(&remembered{}); !errors.Is(err, ErrOff) {
		t.Errorf("a build without an address looks: %v", err)
	}
	if err := secure(&http.Request{URL: &url.URL{Scheme: "http"}}, nil); err == nil {
		t.Error("followed to http")
	}
}

func TestCompare(t *testing.T) {
	ordered := []string{"0.1.0~20261124172534.b3c16ec", "0.1.0", "1.0.0~rc1", "1.0.0", "1.0.0+4.gabcdef0", "1.0.1", "1.2", "1.10", "2.0"}
	for i, a := range ordered {
		for j, b := range ordered {
			if got := Compare(a, b); (got < 0) != (i < j) || (got > 0) != (i > j) {
				t.Errorf("%s, %s: %d", a, b, got)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	good, err := json.Marshal(List{Format: 1, Serial: 1, Expires: now, Releases: []Release{release("1", []byte("x"))}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := Parse(data)
		if err != nil {
			return
		}
		for _, r := range l.Releases {
			for _, x := range r.Files {
				if filepath.Base(x.Name) != x.Name || x.Size <= 0 {
					t.Fatalf("%+v", x)
				}
			}
		}
	})
}
