package pcscd_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/citel-pa/citel/agent/card"
	"github.com/citel-pa/citel/agent/card/cie"
	"github.com/citel-pa/citel/agent/card/virtual"
	"github.com/citel-pa/citel/agent/signing"
	"github.com/citel-pa/citel/pkcs/token"
	"github.com/citel-pa/citel/testdata/pcscd"
	"github.com/citel-pa/citel/testdata/pki"
)

const opensc = "/usr/lib/x86_64-linux-gnu/opensc-pkcs11.so"

// identities waits until the card was seen.
func identities(t *testing.T, n *card.Native) []signing.Identity {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		list, err := n.Identities(t.Context())
		if err == nil {
			return list
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// use makes this process a client of a pcscd.
func use(t *testing.T, s *pcscd.Service) {
	t.Helper()
	for _, kv := range s.Env() {
		k, v, _ := strings.Cut(kv, "=")
		t.Setenv(k, v)
	}
}

// libpcsclite looks for its service once in a process, so one serves all of these.
func TestInThisProcess(t *testing.T) {
	s := service(t, 2)
	use(t, s)
	t.Setenv("HOME", t.TempDir())
	t.Run("the same signature as OpenSC", func(t *testing.T) { sameSignature(t, s) })
	t.Run("a CIE that the State made", func(t *testing.T) { genuine(t, s) })
	t.Run("a card the wrong way round", func(t *testing.T) { mute(t, s) })
	t.Run("nothing is kept", func(t *testing.T) { nothingIsKept(t, s) })
}

// The same card, read by CiTel and through OpenSC's module: the same bytes.
func sameSignature(t *testing.T, s *pcscd.Service) {
	t.Helper()
	defer s.Readers[0].Remove()
	v, id := newCNS(t, "")
	if err := s.Readers[0].Insert(t.Context(), v, nil); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	w := card.Watch(ctx)
	defer func() { cancel(); <-w.Done() }()
	n := card.NewNative(w)
	list := identities(t, n)
	digest := sha256.Sum256([]byte("prova"))
	k, err := n.Open(t.Context(), list[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Unlock(t.Context(), []byte("24680")); err != nil {
		t.Fatal(err)
	}
	ours, err := k.Sign(t.Context(), digest[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
	m, err := token.Open(opensc)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = m.Close() }()
	slots, err := m.Slots(t.Context())
	if err != nil || len(slots) == 0 {
		t.Fatalf("slots: %v %v", slots, err)
	}
	session, err := m.Session(slots[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = session.Close() }()
	ids, err := session.Identities()
	if err != nil || len(ids) != 1 || !ids[0].Certificate.Equal(id.Cert) {
		t.Fatalf("identities: %v %v", ids, err)
	}
	if err := session.Login([]byte("24680")); err != nil {
		t.Fatal(err)
	}
	key, err := session.Key(ids[0])
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := key.Sign(nil, digest[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(ours, theirs) {
		t.Errorf("%x\n%x", ours, theirs)
	}
}

// silent is a card that does not answer as it should.
type silent struct{ atr []byte }

func (s silent) ATR() []byte          { return s.atr }
func (silent) Reset()                 {}
func (silent) Transmit([]byte) []byte { return []byte{0x6D, 0x00} }

// A card that answers its reset with nothing, or with garbage, and one that knows no
// command: never an identity, never a hang, and the next card works.
func mute(t *testing.T, s *pcscd.Service) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	w := card.Watch(ctx)
	defer func() { cancel(); <-w.Done() }()
	n := card.NewNative(w)
	for name, atr := range map[string][]byte{"nothing": {}, "garbage": {0xFF, 0xFF, 0xFF}, "a bank's": {0x3B, 0x65, 0x00, 0x00, 0x20, 0x63, 0xCB, 0x66, 0x00}} {
		if err := s.Readers[0].Insert(t.Context(), silent{atr}, nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(1200 * time.Millisecond)
		list, err := n.Identities(t.Context())
		if len(list) > 0 || !errors.Is(err, signing.ErrCardUnknown) && !errors.Is(err, signing.ErrNoCard) {
			t.Errorf("%s: %v %v", name, list, err)
		}
		t.Logf("%s: %v", name, err)
		s.Readers[0].Remove()
		time.Sleep(800 * time.Millisecond)
	}
	v, _ := newCNS(t, "")
	if err := s.Readers[0].Insert(t.Context(), v, nil); err != nil {
		t.Fatal(err)
	}
	defer s.Readers[0].Remove()
	identities(t, n)
}

// With the State's certificates, a CIE that somebody else signed is refused before
// the PIN.
func genuine(t *testing.T, s *pcscd.Service) {
	t.Helper()
	defer s.Readers[0].Remove()
	ds, err1 := virtual.NewDocumentSigner()
	other, err2 := virtual.NewDocumentSigner()
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	id := pki.Shared(t).MustIssue(t, pki.CIE, pki.RSA2048, pki.Citizens[1])
	key, _ := id.Key.(*rsa.PrivateKey)
	v, err := virtual.NewCIE(virtual.CIEOptions{Certificate: id.Cert.Raw, Key: key, ServiceID: "123456789012", Serial: "CA00000AA", PIN: "12345678", PUK: "87654321",
		RoleExponent: cie.RoleExponent(), SignerCertificate: ds.Certificate.Raw, Signer: ds.Key})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Readers[0].Insert(t.Context(), v, nil); err != nil {
		t.Fatal(err)
	}
	for name, root := range map[string]*virtual.DocumentSigner{"the State's": ds, "somebody's": other} {
		ctx, cancel := context.WithCancel(t.Context())
		w := card.Watch(ctx)
		n := card.NewNative(w)
		n.Roots = x509.NewCertPool()
		n.Roots.AddCert(root.Root)
		list := identities(t, n)
		if list[0].Certificate != nil || list[0].PIN.Digits != 8 || list[0].Number != "123456789012" {
			t.Errorf("before the PIN: %+v", list[0])
		}
		k, err := n.Open(t.Context(), list[0])
		if root == other {
			if !errors.Is(err, cie.ErrNotGenuine) {
				t.Errorf("%s: %v", name, err)
			}
		} else if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if err := errors.Join(k.Unlock(t.Context(), []byte("12345678")), k.Close()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		cancel()
		<-w.Done()
	}
}

// Cards come and go in one process: no goroutine and no descriptor is kept.
func nothingIsKept(t *testing.T, s *pcscd.Service) {
	t.Helper()
	v, _ := newCNS(t, "")
	ctx, cancel := context.WithCancel(t.Context())
	w := card.Watch(ctx)
	n := card.NewNative(w)
	digest := sha256.Sum256([]byte("prova"))
	count := func() (goroutines, files int) {
		list, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return runtime.NumGoroutine(), len(list)
	}
	var before [2]int
	for i := range 20 {
		r := s.Readers[i%2]
		if err := r.Insert(t.Context(), v, nil); err != nil {
			t.Fatal(err)
		}
		list := identities(t, n)
		k, err := n.Open(t.Context(), list[0])
		if err != nil {
			t.Fatalf("round %d: %v", i, err)
		}
		if err := k.Unlock(t.Context(), []byte("24680")); err != nil {
			t.Fatal(err)
		}
		if _, err := k.Sign(t.Context(), digest[:], crypto.SHA256); err != nil {
			t.Fatal(err)
		}
		if err := k.Close(); err != nil {
			t.Fatal(err)
		}
		r.Remove()
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
			if _, err := n.Identities(t.Context()); errors.Is(err, signing.ErrNoCard) {
				break
			} else if time.Now().After(deadline) {
				t.Fatalf("the card is still there: %v", err)
			}
		}
		if i == 3 {
			before[0], before[1] = count()
		}
	}
	goroutines, files := count()
	t.Logf("goroutines %d -> %d, descriptors %d -> %d", before[0], goroutines, before[1], files)
	if goroutines > before[0]+1 || files > before[1]+1 {
		t.Error("something is kept")
	}
	cancel()
	select {
	case <-w.Done():
	case <-time.After(time.Minute):
		t.Error("the watcher does not end")
	}
}

// Everything above works without root: pcscd in a user namespace.
func TestAsAnOrdinaryUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("this is the ordinary user")
	}
	const nobody = 65534
	// Short: a socket's path has 107 characters at most.
	dir, err := os.MkdirTemp("/tmp", "citel-nobody-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "test")
	data, err := os.ReadFile(self) //nolint:gosec // ourselves
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(program, data, 0o755), os.Chmod(dir, 0o755), os.Mkdir(filepath.Join(dir, "home"), 0o700), os.Chown(filepath.Join(dir, "home"), nobody, nobody)); err != nil { //nolint:gosec // for another user to run
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "-test.run", "TestInThisProcess|TestOpenSCAcceptsTheCNS/oberthur-1.1", "-test.v")
	home := filepath.Join(dir, "home")
	cmd.Dir = home
	cmd.Env = []string{"HOME=" + home, "TMPDIR=" + home, "PATH=" + os.Getenv("PATH")}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	if err != nil || strings.Contains(string(out), "SKIP") || strings.Count("\n"+string(out), "\n--- PASS: Test") != 2 {
		t.Errorf("%v\n%s", err, out)
	}
}
