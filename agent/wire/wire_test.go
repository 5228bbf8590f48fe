package wire_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/citel-pa/citel/agent/wire"
	"github.com/citel-pa/citel/pkcs/message"
)

// types names every message a golden file can hold.
var types = map[string]func() any{
	"Hello":            func() any { return new(wire.Hello) },
	"Login":            func() any { return new(wire.Login) },
	"Nonce":            func() any { return new(wire.Nonce) },
	"Certificate":      func() any { return new(wire.Certificate) },
	"CertificateReply": func() any { return new(wire.CertificateReply) },
	"SignHash":         func() any { return new(wire.SignHash) },
	"SignHashReply":    func() any { return new(wire.SignHashReply) },
	"Sign":             func() any { return new(wire.Sign) },
	"Document":         func() any { return new(wire.Document) },
	"Cancel":           func() any { return new(wire.Cancel) },
	"HelloReply":       func() any { return new(wire.HelloReply) },
	"LoginReply":       func() any { return new(wire.LoginReply) },
	"Ready":            func() any { return new(wire.Ready) },
	"Signed":           func() any { return new(wire.Signed) },
	"Done":             func() any { return new(wire.Done) },
	"Event":            func() any { return new(wire.Event) },
	"Error":            func() any { return new(wire.Error) },
}

type index struct {
	Origin      string `json:"origin"`
	Challenge   string `json:"challenge"`
	Fingerprint string `json:"fingerprint"`
	Messages    []struct {
		File    string `json:"file"`
		From    string `json:"from"`
		Message string `json:"message"`
	} `json:"messages"`
}

func readJSON(t *testing.T, file string, into any) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("golden", file))
	if err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return data
}

// Every golden message is what its type reads and writes, no field more or less.
func TestGoldenMessages(t *testing.T) {
	var idx index
	readJSON(t, "index.json", &idx)
	listed := []string{"index.json", "bad.json"}
	used := map[string]bool{}
	for _, m := range idx.Messages {
		listed = append(listed, m.File)
		used[m.Message] = true
		t.Run(m.File, func(t *testing.T) {
			make, ok := types[m.Message]
			if !ok {
				t.Fatalf("no type %q", m.Message)
			}
			v := make()
			data := readJSON(t, m.File, v)
			again, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			var want bytes.Buffer
			if err := json.Compact(&want, data); err != nil {
				t.Fatal(err)
			}
			if got := string(again); got != want.String() {
				t.Errorf("encoded again:\n%s\nwant\n%s", got, want.String())
			}
		})
	}
	for name := range types {
		if !used[name] {
			t.Errorf("no golden file for %s", name)
		}
	}
	files, err := filepath.Glob("golden/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !slices.Contains(listed, filepath.Base(f)) {
			t.Errorf("%s is not in index.json", f)
		}
	}
}

// The proof in the golden files verifies as PROTOCOL.md says.
func TestGoldenProof(t *testing.T) {
	var idx index
	readJSON(t, "index.json", &idx)
	var ready wire.Ready
	readJSON(t, "ready.json", &ready)
	spki, err := base64.StdEncoding.DecodeString(ready.Proof.Key)
	if err != nil {
		t.Fatal(err)
	}
	if sum := sha256.Sum256(spki); hex.EncodeToString(sum[:]) != idx.Fingerprint {
		t.Error("fingerprint does not fit the key")
	}
	pub, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		t.Fatal(err)
	}
	sig, err := base64.StdEncoding.DecodeString(ready.Proof.Signature)
	if err != nil || len(sig) != 64 {
		t.Fatalf("signature: %d bytes, %v", len(sig), err)
	}
	challenge, err := base64.StdEncoding.DecodeString(idx.Challenge)
	if err != nil || len(challenge) != wire.ChallengeLen {
		t.Fatalf("challenge: %d bytes, %v", len(challenge), err)
	}
	digest := sha256.Sum256(slices.Concat([]byte(wire.ProofLabel), []byte{0}, []byte(idx.Origin), []byte{0}, challenge))
	r, s := new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])
	if !ecdsa.Verify(pub.(*ecdsa.PublicKey), digest[:], r, s) {
		t.Error("the golden proof does not verify")
	}
}

// Every code has its sentence in both languages and its place in PROTOCOL.md.
func TestEveryCodeIsExplained(t *testing.T) {
	page, err := os.ReadFile("PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range wire.Codes {
		if !message.Has("wire." + string(c)) {
			t.Errorf("code %q has no sentence in both languages", c)
		}
		if !strings.Contains(string(page), "`"+string(c)+"`") {
			t.Errorf("code %q is not in PROTOCOL.md", c)
		}
	}
	for _, key := range message.Keys("wire") {
		if !slices.Contains(wire.Codes, wire.Code(key)) {
			t.Errorf("sentence %q belongs to no code", key)
		}
	}
}

// The examples of PROTOCOL.md are messages: every type and event is shown.
func TestProtocolShowsEveryMessage(t *testing.T) {
	page, err := os.ReadFile("PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, typ := range []wire.Type{wire.TypeHello, wire.TypeLogin, wire.TypeSign, wire.TypeCertificate, wire.TypeSignHash, wire.TypeDocument, wire.TypeNonce,
		wire.TypeCancel, wire.TypeReady, wire.TypeSigned, wire.TypeDone, wire.TypeError, wire.TypeEvent} {
		if !strings.Contains(string(page), `{"type":"`+string(typ)+`"`) {
			t.Errorf("no example of %s", typ)
		}
	}
	for _, ev := range []string{wire.EventCard, wire.EventNonceNeeded, wire.EventWaiting, wire.EventConsent, wire.EventWorking} {
		if !strings.Contains(string(page), `"event":"`+ev+`"`) {
			t.Errorf("no example of event %s", ev)
		}
	}
	if n := strings.Count(string(page), "\n"); n > 110 {
		t.Errorf("PROTOCOL.md has %d lines: it is meant to be one page", n)
	}
}
