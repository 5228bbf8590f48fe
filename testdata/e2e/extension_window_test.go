package e2e

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/agent/consent"
	"github.com/citel-pa/citel/agent/consent/frame"
	"github.com/citel-pa/citel/testdata/pki"
)

// native is a native host that a browser started on a desktop.
type native struct {
	in   io.WriteCloser
	out  bytes.Buffer
	done chan error
}

func (s *screen) native(t *testing.T, program string, flags []string, env []string, command string, arguments map[string]string) *native {
	t.Helper()
	body, err := json.Marshal(map[string]any{"command": command, "arguments": arguments})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, append(append([]string{"native-host"}, flags...), chromeExtension)...) //nolint:gosec // our own program
	cmd.Env = append(append(os.Environ(), s.env...), env...)
	n := &native{done: make(chan error, 1)}
	if n.in, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	cmd.Stdout = &n.out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := n.in.Write(append(binary.NativeEndian.AppendUint32(nil, uint32(len(body))), body...)); err != nil { //nolint:gosec // short
		t.Fatal(err)
	}
	go func() { n.done <- cmd.Wait() }()
	return n
}

func (n *native) answer(t *testing.T) said {
	t.Helper()
	select {
	case err := <-n.done:
		t.Logf("ended: %v", err)
	case <-time.After(time.Minute):
		t.Fatal("no answer")
	}
	list := hear(t, n.out.Bytes())
	return list[len(list)-1]
}

// A person at the window that a request through the extension opens.
func TestWindowOfTheExtension(t *testing.T) {
	t.Parallel()
	s := newScreen(t)
	town := town(t)
	flags := []string{"--config", filepath.Join(town.Dir, "window"), "--module", town.Cards.Module()}
	program := filepath.Join(programs, "citel-agent")
	login := map[string]string{"origin": someSite, "challengeNonce": someNonce, "lang": "it"}

	n := s.native(t, program, flags, town.Cards.Env(), "authenticate", login)
	s.reader("wait", "password text", "PIN della carta")
	settle()
	tree := s.reader("tree")
	for _, want := range []string{someSite, "tramite l'estensione Web eID del browser"} {
		if !strings.Contains(tree, want) {
			t.Errorf("the screen reader does not say %q:\n%s", want, tree)
		}
	}
	if strings.Contains(tree, "Più tempo") {
		t.Error("more time is offered, and the extension would not wait for it")
	}
	s.shot("extension-login")
	s.keys(pin)
	s.key("Return")
	token := n.answer(t)
	if who, err := judge(t, town, someSite).Validate(t.Context(), token.raw, someNonce); err != nil || string(who.Person.CodiceFiscale) != pki.Citizens[0].CF {
		t.Errorf("%s: %v", token.raw, err)
	}

	// The page's language, and a site that is told of a failure that the person has read.
	login["lang"], login["origin"] = "en", "https://another.example"
	n = s.native(t, program, flags, town.Cards.Env(), "get-signing-certificate", map[string]string{"origin": login["origin"], "lang": "en"})
	s.reader("wait", "push button", "Yes, it may use CiTel")
	settle()
	s.key("Tab")
	s.reader("press", "Yes, it may use CiTel")
	s.reader("wait", "", "does not sign bare hashes")
	s.shot("extension-refused")
	select {
	case err := <-n.done:
		t.Errorf("the window went before it was read: %v", err)
	default:
	}
	s.reader("press", "Close")
	if got := n.answer(t); got.code() != "hash-refused" {
		t.Errorf("%s", got.raw)
	}
}

func TestWindowOfAHash(t *testing.T) {
	t.Parallel()
	s := newScreen(t)
	view := frame.View{Mode: frame.Ask, Lang: "it", Purpose: consent.PurposeHash, Caller: consent.Caller{Origin: someSite, Extension: true},
		Hash:         &consent.Hash{Function: "SHA-256", Value: bytes.Repeat([]byte{0xa5}, 32)},
		Certificates: []consent.Certificate{{ID: "a", Name: "Prova Cittadino", CodiceFiscale: "CTTPRV80A10G702C", Issuer: "CiTel TEST", NotAfter: time.Now().AddDate(1, 0, 0), Source: "Lettore", PIN: consent.PIN{TriesLeft: -1}}},
		Deadline:     time.Now().Add(2 * time.Minute)}
	w := s.show(view)
	tree := s.reader("tree")
	for _, want := range []string{"il sito ha inviato solo un'impronta", "a5a5a5a5", "password text | PIN della carta"} {
		if !strings.Contains(tree, want) {
			t.Errorf("the screen reader does not say %q:\n%s", want, tree)
		}
	}
	s.shot("window-hash")
	s.key("Escape")
	s.next(w, frame.Refuse)

	view.Purpose, view.Hash = consent.PurposeCertificate, nil
	w = s.show(view)
	if tree := s.reader("tree"); strings.Contains(tree, "password text") || !strings.Contains(tree, "il sito riceve il certificato di firma") {
		t.Errorf("%s", tree)
	}
	s.shot("window-certificate")
	s.reader("press", "Invia il certificato al sito")
	if m := s.next(w, frame.Answer); m.Certificate != "a" || m.PIN {
		t.Errorf("%+v", m)
	}
}

// The extension gives up, or the browser ends: the window goes, and so does the program.
func TestTheBrowserGoes(t *testing.T) {
	t.Parallel()
	s := newScreen(t)
	town := town(t)
	cmd := exec.CommandContext(t.Context(), filepath.Join(programs, "citel-agent"), "native-host", //nolint:gosec // our own program
		"--config", filepath.Join(town.Dir, "window"), "--module", town.Cards.Module(), chromeExtension)
	cmd.Env = append(append(os.Environ(), s.env...), town.Cards.Env()...)
	in, err1 := cmd.StdinPipe()
	read, write, err2 := os.Pipe()
	cmd.Stdout = write
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	_ = write.Close()
	body, err := json.Marshal(map[string]any{"command": "authenticate", "arguments": map[string]string{"origin": someSite, "challengeNonce": someNonce}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := in.Write(append(binary.NativeEndian.AppendUint32(nil, uint32(len(body))), body...)); err != nil { //nolint:gosec // short
		t.Fatal(err)
	}
	s.reader("wait", "password text", "PIN")
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	_ = in.Close()
	select {
	case err := <-ended:
		t.Fatalf("a closed input alone ended it: %v", err)
	case <-time.After(time.Second):
	}
	_ = read.Close()
	select {
	case <-time.After(time.Minute):
		t.Fatal("the program stays")
	case err := <-ended:
		t.Logf("ended: %v", err)
	}
	for end := time.Now().Add(time.Minute); strings.Contains(s.reader("tree"), "password text"); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the window stays")
		}
	}
}
