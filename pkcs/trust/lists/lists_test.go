package lists_test

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/citel-pa/citel/pkcs/profile"
	"github.com/citel-pa/citel/pkcs/trust"
	"github.com/citel-pa/citel/pkcs/trust/lists"
	"github.com/citel-pa/citel/pkcs/xades"
	"github.com/citel-pa/citel/pkcs/xmldsig"
	made "github.com/citel-pa/citel/testdata/lists"
	"github.com/citel-pa/citel/testdata/pki"
)

// site serves lists as the real ones are, counts requests, and can change and fail.
type site struct {
	mu    sync.Mutex
	files map[string]string
	asked map[string]int
	down  bool
	*httptest.Server
}

func newSite(t *testing.T) *site {
	s := &site{asked: map[string]int{}}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		name := strings.TrimPrefix(r.URL.Path, "/")
		s.asked[name]++
		text, ok := s.files[name]
		if s.down || !ok {
			http.Error(w, "no", http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte(text))
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *site) serve(t *testing.T, scene *made.Scene) {
	t.Helper()
	files, err := scene.Files()
	if err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files = files
}

func (s *site) count(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[name]
}

func newScene(t testing.TB, base string) *made.Scene {
	t.Helper()
	s, err := made.NewScene(pki.Shared(t), base)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func pins(signers ...*made.Signer) lists.Signers {
	out := lists.Signers{}
	for _, s := range signers {
		out[sha256.Sum256(s.Cert.Raw)] = true
	}
	return out
}

func loader(scene *made.Scene, dir string) *lists.Loader {
	return &lists.Loader{
		Store: trust.NewStore(trust.AllowTest()), Source: scene.Base + "/eu-lotl.xml", Signers: pins(scene.Official), Dir: dir,
		Fetch: &trust.Fetcher{Private: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Timeout: 5 * time.Second},
	}
}

func TestLoad(t *testing.T) {
	web := newSite(t)
	scene := newScene(t, web.URL)
	web.serve(t, scene)
	l := loader(scene, t.TempDir())
	if err := l.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := map[string][]profile.Profile{"CiTel TEST Qualified CA": {profile.Qualified}, "CiTel TEST CNS CA": {profile.CNS}, "CiTel TEST CIE CA": {profile.CIE}, "CiTel TEST TSA": nil}
	anchors := l.Store.Anchors()
	if len(anchors) != len(want) {
		t.Fatalf("%d anchors", len(anchors))
	}
	for _, a := range anchors {
		name := a.Certificate.Subject.CommonName
		if len(a.Profiles) != len(want[name]) || len(a.Profiles) > 0 && a.Profiles[0] != want[name][0] {
			t.Errorf("%s is listed for %v", name, a.Profiles)
		}
	}
	states := l.States()
	if len(states) != 2 || states[0].Sequence != 332 || states[0].Version != 6 || states[1].Role != "IT" || states[1].Services != 4 || states[1].Problem != "" {
		t.Errorf("%+v", states)
	}
	if web.count("older.xml") != 0 {
		t.Error("a pivot from before the notice was asked for")
	}
}

// xmlsec1 holds the lists that the tests are made of for well signed.
func TestListsAsXMLSec(t *testing.T) {
	if _, err := exec.LookPath("xmlsec1"); err != nil {
		t.Fatal("xmlsec1 is missing: make deps")
	}
	scene := newScene(t, "https://lists.example")
	dir := t.TempDir()
	if _, err := scene.Write(dir); err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]*made.Signer{"eu-lotl.xml": scene.Union, "eu-lotl-pivot-300.xml": scene.Official, "TSL-IT.xml": scene.Italy} {
		cert := filepath.Join(dir, name+".pem")
		if err := os.WriteFile(cert, pki.EncodePEM(s.Cert), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("xmlsec1", "verify", "--pubkey-cert-pem", cert, "--id-attr:Id", xades.Space+":SignedProperties", filepath.Join(dir, name)).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

// Both versions, both forms of the signature, canonicalisations and algorithms.
func TestStyles(t *testing.T) {
	for _, style := range []made.Style{{}, {V2: true}, {Inclusive: true}, {ByID: true}} {
		for _, version := range []int{5, 6} {
			scene := newScene(t, "https://lists.example")
			scene.Style, scene.IT.Version = style, version
			dir := t.TempDir()
			lotl, err := scene.Write(dir)
			if err != nil {
				t.Fatal(err)
			}
			l := loader(scene, "")
			l.Source, l.Fetch = lotl, nil
			if err := l.Load(t.Context()); err != nil {
				t.Errorf("version %d %+v: %v", version, style, err)
			}
		}
	}
	// A list of version 6 with the old form holds, and the report tells of it.
	scene := newScene(t, "https://lists.example")
	text, err := made.Sign((&made.List{Version: 6, Sequence: 1, Type: made.TypeEU, Territory: "IT", Issued: time.Now(), NextUpdate: time.Now()}).XML(), scene.Italy, made.Style{})
	if err != nil {
		t.Fatal(err)
	}
	x, err := lists.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if warnings, err := x.Verify(pins(scene.Italy)); err != nil || len(warnings) != 1 || !strings.Contains(warnings[0], "SigningCertificate") {
		t.Errorf("%v %v", warnings, err)
	}
}

// badPart changes one file of a scene that is served, and tells which error the refresh
// must bring. The anchors must not come.
func TestAttackLists(t *testing.T) {
	stranger, err := made.NewSigner("CiTel TEST stranger", pki.P256)
	if err != nil {
		t.Fatal(err)
	}
	resign := func(l *made.List, s *made.Signer) string {
		text, err := made.Sign(l.XML(), s, made.Style{V2: true})
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	for name, x := range map[string]struct {
		change func(*made.Scene, map[string]string)
		want   error
	}{
		"unsigned LOTL":                    {func(s *made.Scene, f map[string]string) { f["eu-lotl.xml"] = s.LOTL.XML() }, xades.ErrUnsigned},
		"unsigned list":                    {func(s *made.Scene, f map[string]string) { f["TSL-IT.xml"] = s.IT.XML() }, xades.ErrUnsigned},
		"LOTL of a stranger":               {func(s *made.Scene, f map[string]string) { f["eu-lotl.xml"] = resign(s.LOTL, stranger) }, xades.ErrSigner},
		"list of a stranger":               {func(s *made.Scene, f map[string]string) { f["TSL-IT.xml"] = resign(s.IT, stranger) }, xades.ErrSigner},
		"list signed by the LOTL's signer": {func(s *made.Scene, f map[string]string) { f["TSL-IT.xml"] = resign(s.IT, s.Union) }, xades.ErrSigner},
		"LOTL signed by the list's signer": {func(s *made.Scene, f map[string]string) { f["eu-lotl.xml"] = resign(s.LOTL, s.Italy) }, xades.ErrSigner},
		"changed list": {func(_ *made.Scene, f map[string]string) {
			f["TSL-IT.xml"] = strings.Replace(f["TSL-IT.xml"], "CiTel TEST CNS CA", "CiTel TEST CNS CB", 1)
		}, xmldsig.ErrDigest},
		"another territory's list": {func(s *made.Scene, f map[string]string) {
			l := *s.IT
			l.Territory = "MT"
			f["TSL-IT.xml"] = resign(&l, s.Italy)
		}, lists.ErrTerritory},
		"the LOTL in a list's place": {func(s *made.Scene, f map[string]string) { f["TSL-IT.xml"] = resign(s.LOTL, s.Italy) }, lists.ErrTerritory},
		"a list in the LOTL's place": {func(s *made.Scene, f map[string]string) { f["eu-lotl.xml"] = resign(s.IT, s.Union) }, lists.ErrTerritory},
		"version 4": {func(s *made.Scene, f map[string]string) {
			l := *s.IT
			l.Version = 4
			f["TSL-IT.xml"] = resign(&l, s.Italy)
		}, lists.ErrList},
		"no list at all": {func(_ *made.Scene, f map[string]string) { f["TSL-IT.xml"] = "<html/>" }, lists.ErrList},
		"entities": {func(_ *made.Scene, f map[string]string) {
			f["TSL-IT.xml"] = strings.Replace(f["TSL-IT.xml"], "?>", "?><!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]>", 1)
		}, xmldsig.ErrDTD},
		"two signatures": {func(s *made.Scene, f map[string]string) {
			text, err := made.Sign(f["TSL-IT.xml"], s.Italy, made.Style{Template: func(x string) string {
				return strings.NewReplacer(`Id="sig"`, `Id="sig2"`, `#sig"`, `#sig2"`, `Id="props"`, `Id="props2"`, `#props"`, `#props2"`).Replace(x)
			}})
			if err != nil {
				t.Fatal(err)
			}
			f["TSL-IT.xml"] = text
		}, xades.ErrScope},
		"pivot of a stranger": {func(s *made.Scene, f map[string]string) { f["eu-lotl-pivot-300.xml"] = resign(s.Pivot, stranger) }, xades.ErrSigner},
		"pivot unsigned":      {func(s *made.Scene, f map[string]string) { f["eu-lotl-pivot-300.xml"] = s.Pivot.XML() }, xades.ErrSigner},
		"pivot absent":        {func(_ *made.Scene, f map[string]string) { delete(f, "eu-lotl-pivot-300.xml") }, xades.ErrSigner},
		"pivot is a list": {func(s *made.Scene, f map[string]string) {
			l := *s.IT
			l.Pointers = s.Pivot.Pointers
			f["eu-lotl-pivot-300.xml"] = resign(&l, s.Official)
		}, xades.ErrSigner},
	} {
		web := newSite(t)
		scene := newScene(t, web.URL)
		web.serve(t, scene)
		x.change(scene, web.files)
		l := loader(scene, "")
		if err := l.Refresh(t.Context()); !errors.Is(err, x.want) {
			t.Errorf("%s: %v", name, err)
		}
		if n := len(l.Store.Anchors()); n != 0 {
			t.Errorf("%s: %d anchors", name, n)
		}
	}
}

// A pivot that does not hold is passed over: the signers before it stay in force.
func TestPivotPassedOver(t *testing.T) {
	web := newSite(t)
	scene := newScene(t, web.URL)
	scene.LOTL.URIs = append([]string{web.URL + "/eu-lotl-pivot-320.xml"}, scene.LOTL.URIs...)
	web.serve(t, scene)
	for _, text := range []string{"", "not XML", scene.Pivot.XML()} {
		web.files["eu-lotl-pivot-320.xml"] = text
		l := loader(scene, "")
		if err := l.Refresh(t.Context()); err != nil {
			t.Errorf("%q: %v", text[:min(len(text), 10)], err)
		}
	}
}

// Two lists of one territory (versions 5 and 6 side by side): one that holds is enough.
func TestTwoLists(t *testing.T) {
	web := newSite(t)
	scene := newScene(t, web.URL)
	six := scene.LOTL.Pointers[1]
	six.Location = web.URL + "/TSL-IT-v6.xml"
	scene.LOTL.Pointers = append(scene.LOTL.Pointers[:1:1], six, scene.LOTL.Pointers[1])
	web.serve(t, scene)
	for _, text := range []string{"", "<x/>", scene.IT.XML()} {
		web.files["TSL-IT-v6.xml"] = text
		l := loader(scene, t.TempDir())
		if err := l.Refresh(t.Context()); err != nil || len(l.Store.Anchors()) != 4 {
			t.Errorf("%v, %d anchors", err, len(l.Store.Anchors()))
		}
	}
}

// A LOTL that is its own newest pivot is signed by those who hand over in it.
func TestLOTLIsPivot(t *testing.T) {
	web := newSite(t)
	scene := newScene(t, web.URL)
	web.serve(t, scene)
	scene.LOTL.Sequence, scene.LOTL.URIs = 333, append([]string{web.URL + "/eu-lotl-pivot-333.xml"}, scene.LOTL.URIs...)
	heir, err := made.NewSigner("CiTel TEST LOTL 3", pki.P256)
	if err != nil {
		t.Fatal(err)
	}
	scene.LOTL.Pointers[0].Signers = []*x509.Certificate{heir.Cert}
	text, err := made.Sign(scene.LOTL.XML(), scene.Union, made.Style{V2: true})
	if err != nil {
		t.Fatal(err)
	}
	web.files["eu-lotl.xml"], web.files["eu-lotl-pivot-333.xml"] = text, text
	l := loader(scene, t.TempDir())
	if err := l.Refresh(t.Context()); err != nil {
		t.Error(err)
	}
	// The next one is the heir's, and no longer the former signer's.
	for signer, want := range map[*made.Signer]error{scene.Union: xades.ErrSigner, heir: nil} {
		scene.LOTL.Sequence = 334
		if text, err = made.Sign(scene.LOTL.XML(), signer, made.Style{V2: true}); err != nil {
			t.Fatal(err)
		}
		web.files["eu-lotl.xml"] = text
		if err := loader(scene, "").Refresh(t.Context()); !errors.Is(err, want) {
			t.Errorf("%s: %v", signer.Cert.Subject.CommonName, err)
		}
	}
}

func TestBOMAndWhiteSpace(t *testing.T) {
	scene := newScene(t, "https://lists.example")
	files, err := scene.Files()
	if err != nil {
		t.Fatal(err)
	}
	for _, before := range []string{"\ufeff", "\n  ", "\ufeff \r\n"} {
		x, err := lists.Parse([]byte(before + files["TSL-IT.xml"] + "\n\n"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := x.Verify(pins(scene.Italy)); err != nil {
			t.Errorf("%q: %v", before, err)
		}
	}
}

// An older list, signed as well as the newer one, does not take its place: neither in
// the memory of a program nor after a restart.
func TestAttackRollback(t *testing.T) {
	web := newSite(t)
	scene := newScene(t, web.URL)
	web.serve(t, scene)
	dir := t.TempDir()
	l := loader(scene, dir)
	if err := l.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	newest := web.files
	scene.IT.Sequence, scene.IT.Issued = 193, scene.IT.Issued.AddDate(0, -1, 0)
	scene.IT.Services = scene.IT.Services[:1]
	web.serve(t, scene)
	old := time.Now().Add(-12 * time.Hour)
	all, err := filepath.Glob(filepath.Join(dir, "*.xml"))
	if err != nil || len(all) != 3 {
		t.Fatalf("%v %v", all, err)
	}
	for _, name := range all { // they are due
		if err := os.Chtimes(name, old, old); err != nil {
			t.Fatal(err)
		}
	}
	again := loader(scene, dir)
	if err := again.Refresh(t.Context()); !errors.Is(err, lists.ErrRollback) {
		t.Errorf("after a restart: %v", err)
	}
	if n := len(again.Store.Anchors()); n != 4 {
		t.Errorf("%d anchors", n)
	}
	if s := again.States(); s[1].Sequence != 194 || !strings.Contains(s[1].Problem, "last good copy") {
		t.Errorf("%+v", s)
	}
	// The LOTL in the memory of a program, for which nothing is kept on the disk.
	web.files = newest
	memory := loader(scene, "")
	if err := memory.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, older := range []struct {
		sequence int
		days     int
	}{{331, 0}, {332, -1}} {
		scene.LOTL.Sequence = older.sequence
		lotl := *scene.LOTL
		lotl.Issued = lotl.Issued.AddDate(0, 0, older.days)
		text, err := made.Sign(lotl.XML(), scene.Union, made.Style{V2: true})
		if err != nil {
			t.Fatal(err)
		}
		web.files["eu-lotl.xml"] = text
		lists.Due(memory)
		if err := memory.Refresh(t.Context()); !errors.Is(err, lists.ErrRollback) || len(memory.Store.Anchors()) != 4 {
			t.Errorf("number %d: %v, %d anchors", older.sequence, err, len(memory.Store.Anchors()))
		}
	}
	if got := anchorNamed(t, again.Store, "CiTel TEST CNS CA"); got.Services[0].ListProblem == "" {
		t.Error("the report does not tell that an older copy is used")
	}
}

func anchorNamed(t *testing.T, s *trust.Store, name string) *trust.Anchor {
	t.Helper()
	for _, a := range s.Anchors() {
		if a.Certificate.Subject.CommonName == name {
			return a
		}
	}
	t.Fatalf("no anchor %s", name)
	return nil
}

// The Official Journal's signers are those that are pinned; test lists do not pass.
func TestOfficialSigners(t *testing.T) {
	now, then := lists.Official(time.Now()), lists.Official(time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC))
	if len(now) != 6 || len(then) != 13 { // one is in both notices
		t.Errorf("%d and %d", len(now), len(then))
	}
	scene := newScene(t, "https://lists.example")
	lotl, err := scene.Write(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	l := loader(scene, "")
	l.Source, l.Fetch, l.Signers = lotl, nil, nil
	if err := l.Load(t.Context()); !errors.Is(err, xades.ErrSigner) {
		t.Error(err)
	}
}

func TestParseSigners(t *testing.T) {
	s := newScene(t, "")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Italy.Cert.Raw})
	sum := sha256.Sum256(s.Italy.Cert.Raw)
	for _, x := range []string{string(text), hex.EncodeToString(sum[:]), strings.ToUpper(hex.EncodeToString(sum[:])) + "\n"} {
		got, err := lists.ParseSigners([]byte(x))
		if err != nil || !got[sum] || len(got) != 1 {
			t.Errorf("%v %v", got, err)
		}
	}
	for _, x := range []string{"", "abc", "zz", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"} {
		if _, err := lists.ParseSigners([]byte(x)); !errors.Is(err, lists.ErrSigners) {
			t.Errorf("%q: %v", x, err)
		}
	}
}

// Background refreshing goes on after failures and ends with its context.
func TestRun(t *testing.T) {
	web := newSite(t)
	scene := newScene(t, web.URL)
	web.down = true
	l := loader(scene, t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	told := make(chan struct{}, 1)
	done := make(chan struct{})
	go func() { l.Run(ctx, func(error) { told <- struct{}{} }); close(done) }()
	<-told
	if s := l.States(); len(s) != 1 || s[0].Problem == "" {
		t.Errorf("%+v", s)
	}
	cancel()
	<-done
}

// Test material in a list is no anchor of a store that was not told to take it.
func TestTestMaterial(t *testing.T) {
	scene := newScene(t, "https://lists.example")
	lotl, err := scene.Write(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	l := loader(scene, "")
	l.Store, l.Source, l.Fetch = trust.NewStore(), lotl, nil
	if err := l.Load(t.Context()); err != nil || len(l.Store.Anchors()) != 0 {
		t.Errorf("%v, %d anchors", err, len(l.Store.Anchors()))
	}
}
