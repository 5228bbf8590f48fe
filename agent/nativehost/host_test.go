package nativehost

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/citel-pa/citel/agent/config"
	"github.com/citel-pa/citel/agent/consent"
	"github.com/citel-pa/citel/agent/signing"
	"github.com/citel-pa/citel/testdata/pki"
)

const (
	site  = "https://sportello.example.it"
	nonce = "12345678123456781234567812345678912356789123"
)

var chrome = []string{"chrome-extension://" + ChromeID + "/"}

// signer answers like a person and a card; refuse makes the person say no.
type signer struct {
	cert    *x509.Certificate
	refuse  bool
	block   bool
	err     error
	hold    chan struct{} // when set, a login waits for it
	started chan struct{}
	mu      sync.Mutex
	callers []signing.Caller
}

func (s *signer) decide(ctx context.Context, c signing.Caller) error {
	s.mu.Lock()
	s.callers = append(s.callers, c)
	s.mu.Unlock()
	if s.started != nil {
		close(s.started)
	}
	if s.hold != nil {
		select {
		case <-s.hold:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	if s.refuse {
		c.Decided(signing.Decision{Block: s.block})
		return consent.ErrRefused
	}
	c.Decided(signing.Decision{Approved: true, Remember: true})
	return s.err
}

func (s *signer) Login(ctx context.Context, r signing.LoginRequest) (*signing.LoginResult, error) {
	if err := s.decide(ctx, r.Caller); err != nil {
		return nil, err
	}
	return &signing.LoginResult{Token: []byte(`{"format":"web-eid:1.0","nonce":"` + r.Nonce + `"}`)}, nil
}

func (s *signer) Certificate(ctx context.Context, r signing.CertificateRequest) (*x509.Certificate, error) {
	return s.cert, s.decide(ctx, r.Caller)
}

func (s *signer) SignHash(ctx context.Context, r signing.HashRequest) (*signing.HashResult, error) {
	return &signing.HashResult{Signature: r.Hash, Algorithm: signing.Algorithm{Crypto: "RSA", Hash: r.Function, Padding: "PKCS1.5"}}, s.decide(ctx, r.Caller)
}

func framed(v any) []byte {
	var data []byte
	switch x := v.(type) {
	case string:
		data = []byte(x)
	default:
		data, _ = json.Marshal(v)
	}
	return append(binary.NativeEndian.AppendUint32(nil, uint32(len(data))), data...)
}

type arguments map[string]string

func command(name string, a arguments) map[string]any {
	return map[string]any{"command": name, "arguments": a}
}

// reply is whatever the host says after its greeting.
type reply struct {
	Version string
	Error   *struct {
		Code, Message, CiTel string
		TriesLeft            *int
	}
	Format, Nonce, Certificate, Signature string
	SupportedSignatureAlgorithms          []map[string]string
	SignatureAlgorithm                    map[string]string
}

func messages(t *testing.T, out []byte) (list []reply) {
	t.Helper()
	for len(out) > 0 {
		if len(out) < 4 {
			t.Fatalf("%d stray bytes", len(out))
		}
		n := int(binary.NativeEndian.Uint32(out))
		if len(out) < 4+n {
			t.Fatalf("a message of %d bytes in %d", n, len(out)-4)
		}
		var r reply
		if err := json.Unmarshal(out[4:4+n], &r); err != nil {
			t.Fatalf("%v: %s", err, out[4:4+n])
		}
		list, out = append(list, r), out[4+n:]
	}
	return list
}

// open keeps the browser's end open until the test is over.
type open struct {
	io.Reader
	end chan struct{}
}

func (o *open) Read(p []byte) (int, error) {
	n, err := o.Reader.Read(p)
	if errors.Is(err, io.EOF) {
		<-o.end
	}
	return n, err
}

func host(t *testing.T, s *signer, store *config.Store, args []string) *Host {
	t.Helper()
	return &Host{Args: args, Store: store, Open: func(string) (*Session, error) {
		return &Session{Signer: s, Close: func() error { return nil }}, nil
	}}
}

func talk(t *testing.T, h *Host, in []byte) (list []reply, err error) {
	t.Helper()
	var out bytes.Buffer
	o := &open{bytes.NewReader(in), make(chan struct{})}
	defer close(o.end)
	err = h.Serve(t.Context(), o, &out)
	return messages(t, out.Bytes()), err
}

func fresh(t *testing.T) *config.Store { return config.Open(t.TempDir()) }

func qualified(t *testing.T) *x509.Certificate {
	return pki.Shared(t).MustIssue(t, pki.Qualified, pki.RSA2048, pki.Citizens[0]).Cert
}

func TestCommands(t *testing.T) {
	cert := qualified(t)
	hash := sha256.Sum256([]byte("x"))
	sign := arguments{"origin": site, "certificate": base64.StdEncoding.EncodeToString(cert.Raw), "hash": base64.StdEncoding.EncodeToString(hash[:]), "hashFunction": "SHA-256"}
	for _, c := range []struct {
		command string
		a       arguments
		good    func(reply) bool
	}{
		{"authenticate", arguments{"origin": site, "challengeNonce": nonce, "lang": "it"}, func(r reply) bool { return r.Format == "web-eid:1.0" && r.Nonce == nonce }},
		{"get-signing-certificate", arguments{"origin": site}, func(r reply) bool {
			return r.Certificate == sign["certificate"] && len(r.SupportedSignatureAlgorithms) == 3 && r.SupportedSignatureAlgorithms[0]["paddingScheme"] == "PKCS1.5"
		}},
		{"sign", sign, func(r reply) bool {
			return r.Signature == sign["hash"] && r.SignatureAlgorithm["hashFunction"] == "SHA-256"
		}},
		{"quit", arguments{}, func(r reply) bool { return r.Error == nil }},
	} {
		t.Run(c.command, func(t *testing.T) {
			s := &signer{cert: cert}
			list, err := talk(t, host(t, s, fresh(t), chrome), framed(command(c.command, c.a)))
			if err != nil || len(list) != 2 || list[0].Version != ProtocolVersion || list[1].Error != nil || !c.good(list[1]) {
				t.Fatalf("%+v %v", list, err)
			}
			if c.command == "quit" {
				return
			}
			who := s.callers[0]
			if who.Origin != site || !who.Extension || who.CommandLine || who.Allowed || !who.Bounded {
				t.Errorf("the person is told %+v", who)
			}
		})
	}
}

// The extension's name is the only reason to believe an origin.
func TestCallers(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		ok   bool
	}{
		"Chrome's":               {chrome, true},
		"Edge's":                 {[]string{"chrome-extension://" + EdgeID + "/"}, true},
		"Firefox's":              {[]string{"/home/x/.mozilla/native-messaging-hosts/eu.webeid.json", FirefoxID}, true},
		"Firefox's, Windows":     {[]string{`C:\Users\x\AppData\Roaming\citel\native\eu.webeid.firefox.json`, FirefoxID}, true},
		"nobody (a portal)":      {nil, false},
		"another extension":      {[]string{"chrome-extension://abcdefghijklmnopabcdefghijklmnop/"}, false},
		"without the slash":      {[]string{"chrome-extension://" + ChromeID}, false},
		"a longer id":            {[]string{"chrome-extension://" + ChromeID + ".evil.example/"}, false},
		"a page":                 {[]string{"https://" + ChromeID + "/"}, false},
		"two of them":            {append([]string{"chrome-extension://x/"}, chrome...), false},
		"another add-on":         {[]string{"/x/eu.webeid.json", "evil@example"}, false},
		"another manifest":       {[]string{"/x/other.json", FirefoxID}, false},
		"Firefox's id in Chrome": {[]string{"chrome-extension://" + FirefoxID + "/"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := &signer{}
			list, err := talk(t, host(t, s, fresh(t), c.args), framed(command("authenticate", arguments{"origin": site, "challengeNonce": nonce})))
			if c.ok {
				if err != nil || len(list) != 2 || list[1].Error != nil {
					t.Errorf("%+v %v", list, err)
				}
				return
			}
			if !errors.Is(err, ErrCaller) || len(list) != 1 || list[0].Version != "" || list[0].Error == nil || list[0].Error.Code != "ERR_WEBEID_NATIVE_FATAL" || len(s.callers) != 0 {
				t.Errorf("%+v %v", list, err)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	login := func(change arguments) map[string]any {
		a := arguments{"origin": site, "challengeNonce": nonce}
		for k, v := range change {
			a[k] = v
		}
		return command("authenticate", a)
	}
	cns := pki.Shared(t).MustIssue(t, pki.CNS, pki.RSA2048, pki.Citizens[0]).Cert
	const invalid, insecure = "ERR_WEBEID_NATIVE_INVALID_ARGUMENT", "ERR_WEBEID_CONTEXT_INSECURE"
	for name, c := range map[string]struct {
		in         []byte
		code, ours string
	}{
		"not JSON":                  {framed("{"), invalid, "malformed"},
		"empty":                     {framed(""), invalid, "malformed"},
		"a text":                    {framed(`"quit"`), invalid, "malformed"},
		"no command":                {framed(`{"arguments":{}}`), invalid, "malformed"},
		"no arguments":              {framed(`{"command":"authenticate"}`), invalid, "malformed"},
		"arguments a list":          {framed(`{"command":"authenticate","arguments":[]}`), invalid, "malformed"},
		"an argument no text":       {framed(`{"command":"authenticate","arguments":{"origin":7}}`), invalid, "malformed"},
		"an unknown command":        {framed(command("format-disk", arguments{})), invalid, "malformed"},
		"two values":                {framed(`{"command":"quit","arguments":{}}{}`), invalid, "malformed"},
		"not UTF-8":                 {framed("{\"command\":\"quit\xff\",\"arguments\":{}}"), invalid, "malformed"},
		"cut off":                   {framed(login(nil))[:30], invalid, "malformed"},
		"a length cut off":          {[]byte{1, 0}, invalid, "malformed"},
		"too long":                  {framed(login(arguments{"x": strings.Repeat("x", MaxMessage)})), invalid, "too-large"},
		"an endless one":            {[]byte{0xff, 0xff, 0xff, 0xff}, invalid, "too-large"},
		"http":                      {framed(login(arguments{"origin": "http://sportello.example.it"})), insecure, "origin-refused"},
		"http on loopback":          {framed(login(arguments{"origin": "http://127.0.0.1:8080"})), insecure, "origin-refused"},
		"no origin":                 {framed(login(arguments{"origin": ""})), insecure, "origin-refused"},
		"null":                      {framed(login(arguments{"origin": "null"})), insecure, "origin-refused"},
		"an address":                {framed(login(arguments{"origin": site + "/login"})), insecure, "origin-refused"},
		"upper case":                {framed(login(arguments{"origin": "https://Sportello.example.it"})), insecure, "origin-refused"},
		"default port":              {framed(login(arguments{"origin": site + ":443"})), insecure, "origin-refused"},
		"user":                      {framed(login(arguments{"origin": "https://a@sportello.example.it"})), insecure, "origin-refused"},
		"a short nonce":             {framed(login(arguments{"challengeNonce": "MTIz"})), invalid, "nonce-invalid"},
		"no nonce":                  {framed(login(arguments{"challengeNonce": ""})), invalid, "nonce-invalid"},
		"a nonce not base64":        {framed(login(arguments{"challengeNonce": nonce[:43] + "!"})), invalid, "nonce-invalid"},
		"an endless language":       {framed(login(arguments{"lang": strings.Repeat("it", 40)})), invalid, "malformed"},
		"a hash of another length":  {framed(command("sign", arguments{"origin": site, "certificate": base64.StdEncoding.EncodeToString(cns.Raw), "hash": "AAAA", "hashFunction": "SHA-256"})), invalid, "malformed"},
		"a hash's unknown function": {framed(command("sign", arguments{"origin": site, "certificate": base64.StdEncoding.EncodeToString(cns.Raw), "hash": base64.StdEncoding.EncodeToString(make([]byte, 20)), "hashFunction": "SHA-1"})), invalid, "malformed"},
		"no certificate":            {framed(command("sign", arguments{"origin": site, "hash": "AAAA", "hashFunction": "SHA-256"})), invalid, "malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			s := &signer{}
			h := host(t, s, fresh(t), chrome)
			var out bytes.Buffer
			err := h.Serve(t.Context(), bytes.NewReader(c.in), &out)
			list := messages(t, out.Bytes())
			if name == "an unknown command" {
				c.ours = "unknown-type"
			}
			if err == nil || len(list) != 2 || list[1].Error == nil || list[1].Error.Code != c.code || list[1].Error.CiTel != c.ours || list[1].Error.Message == "" {
				t.Fatalf("%+v %v", list, err)
			}
			if len(s.callers) != 0 {
				t.Error("the person was asked")
			}
		})
	}
}

// What the person decided counts here as over the WebSocket, and the other way round.
func TestTheSameGate(t *testing.T) {
	in := framed(command("authenticate", arguments{"origin": site, "challengeNonce": nonce}))
	ours := func(t *testing.T, s *signer, store *config.Store) string {
		t.Helper()
		list, _ := talk(t, host(t, s, store, chrome), in)
		if len(list) != 2 {
			t.Fatalf("%+v", list)
		}
		if list[1].Error == nil {
			return ""
		}
		return list[1].Error.Code + " " + list[1].Error.CiTel
	}
	t.Run("blocked", func(t *testing.T) {
		store, s := fresh(t), &signer{refuse: true, block: true}
		if got := ours(t, s, store); got != "ERR_WEBEID_USER_CANCELLED refused" {
			t.Error(got)
		}
		if d, err := store.Site(site); err != nil || d != config.Blocked {
			t.Errorf("%q %v", d, err)
		}
		if got := ours(t, s, store); got != "ERR_WEBEID_USER_CANCELLED origin-blocked" || len(s.callers) != 1 {
			t.Error(got)
		}
	})
	t.Run("silent after two refusals", func(t *testing.T) {
		store, s := fresh(t), &signer{refuse: true}
		for range 2 {
			if got := ours(t, s, store); got != "ERR_WEBEID_USER_CANCELLED refused" {
				t.Error(got)
			}
		}
		if got := ours(t, s, store); got != "ERR_WEBEID_USER_CANCELLED origin-silent" || len(s.callers) != 2 {
			t.Error(got)
		}
		if !store.Silent(site, time.Now()) || store.Silent(site, time.Now().Add(5*time.Minute)) || store.Silent("https://other.example", time.Now()) {
			t.Error("the store counts otherwise")
		}
	})
	t.Run("remembered", func(t *testing.T) {
		store, s := fresh(t), &signer{}
		if got := ours(t, s, store) + ours(t, s, store); got != "" {
			t.Error(got)
		}
		if s.callers[0].Allowed || !s.callers[1].Allowed || !s.callers[1].Remembered {
			t.Errorf("%+v", s.callers)
		}
	})
	t.Run("one at a time", func(t *testing.T) {
		store, first := fresh(t), &signer{hold: make(chan struct{}), started: make(chan struct{})}
		done := make(chan string)
		go func() { done <- ours(t, first, store) }()
		<-first.started
		if got := ours(t, &signer{}, store); got != "ERR_WEBEID_ACTION_PENDING busy" {
			t.Errorf("the same site: %q", got)
		}
		second := &signer{started: make(chan struct{})}
		other := framed(command("authenticate", arguments{"origin": "https://altro.example.it", "challengeNonce": nonce}))
		go func() { _, _ = talk(t, host(t, second, store, chrome), other); done <- "second" }()
		select {
		case <-second.started:
			t.Error("two questions at once")
		case <-time.After(300 * time.Millisecond):
		}
		close(first.hold)
		if got := <-done; got != "" {
			t.Errorf("the first: %q", got)
		}
		if got := <-done; got != "second" {
			t.Error(got)
		}
	})
}

// A browser that goes away takes its question along, and gets no answer.
func TestTheBrowserGoes(t *testing.T) {
	s := &signer{hold: make(chan struct{}), started: make(chan struct{})}
	r, w := io.Pipe()
	var out bytes.Buffer
	ended := make(chan error)
	var gone atomic.Bool
	h := host(t, s, fresh(t), chrome)
	h.Gone = gone.Load
	go func() { ended <- h.Serve(t.Context(), r, &out) }()
	if _, err := w.Write(framed(command("authenticate", arguments{"origin": site, "challengeNonce": nonce}))); err != nil {
		t.Fatal(err)
	}
	<-s.started
	_ = w.Close()
	select {
	case err := <-ended:
		t.Fatalf("a closed input alone: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	gone.Store(true)
	if err := <-ended; !errors.Is(err, errGone) {
		t.Error(err)
	}
	if list := messages(t, out.Bytes()); len(list) != 1 {
		t.Errorf("%+v", list)
	}
	// One that wanted the version only is no failure.
	out.Reset()
	if err := host(t, s, fresh(t), chrome).Serve(t.Context(), strings.NewReader(""), &out); err != nil {
		t.Error(err)
	}
}

func TestErrorsInWebEIDsWords(t *testing.T) {
	two := 2
	for _, c := range []struct {
		err        error
		code, ours string
		tries      *int
	}{
		{consent.ErrTimedOut, "ERR_WEBEID_USER_TIMEOUT", "timed-out", nil},
		{&signing.ErrPINWrong{TriesLeft: 2}, "ERR_WEBEID_NATIVE_FATAL", "pin-wrong", &two},
		{signing.ErrNoCard, "ERR_WEBEID_NATIVE_FATAL", "no-card", nil},
		{signing.ErrHashRefused, "ERR_WEBEID_NATIVE_INVALID_ARGUMENT", "hash-refused", nil},
		{errors.New("a secret detail"), "ERR_WEBEID_NATIVE_FATAL", "internal", nil},
	} {
		told := 0
		h := host(t, &signer{err: c.err}, fresh(t), chrome)
		open := h.Open
		h.Open = func(lang string) (*Session, error) {
			s, err := open(lang)
			s.Tell = func(context.Context, consent.Purpose, error) { told++ }
			return s, err
		}
		list, err := talk(t, h, framed(command("authenticate", arguments{"origin": site, "challengeNonce": nonce})))
		if !errors.Is(err, c.err) || list[1].Error == nil || list[1].Error.Code != c.code || list[1].Error.CiTel != c.ours || strings.Contains(list[1].Error.Message, "secret") {
			t.Errorf("%v: %+v %v", c.err, list[1].Error, err)
		}
		if got := list[1].Error.TriesLeft; (got == nil) != (c.tries == nil) || got != nil && *got != *c.tries {
			t.Errorf("%v: tries %v", c.err, got)
		}
		if want := c.ours != "timed-out"; (told == 1) != want {
			t.Errorf("%v: told %d times", c.err, told)
		}
	}
}

// A site that the person did not let in opens no window by its mistakes.
func TestNothingIsToldForStrangers(t *testing.T) {
	told := 0
	h := host(t, &signer{}, fresh(t), chrome)
	h.Open = func(string) (*Session, error) {
		return &Session{Signer: stranger{}, Close: func() error { return nil }, Tell: func(context.Context, consent.Purpose, error) { told++ }}, nil
	}
	list, err := talk(t, h, framed(command("get-signing-certificate", arguments{"origin": site})))
	if !errors.Is(err, signing.ErrHashRefused) || list[1].Error.CiTel != "hash-refused" || told != 0 {
		t.Errorf("%v %+v, told %d times", err, list, told)
	}
}

// stranger's requests fail before anybody is asked.
type stranger struct{ *signer }

func (stranger) Certificate(context.Context, signing.CertificateRequest) (*x509.Certificate, error) {
	return nil, signing.ErrHashRefused
}

// Whatever comes is an order that holds in itself, or an error with a code.
func FuzzMessage(f *testing.F) {
	f.Add(framed(command("authenticate", arguments{"origin": site, "challengeNonce": nonce})))
	f.Add(framed(command("sign", arguments{"origin": site, "certificate": "MAA=", "hash": base64.StdEncoding.EncodeToString(make([]byte, 32)), "hashFunction": "SHA-256"})))
	f.Add(framed(command("quit", arguments{})))
	f.Add([]byte{0xff, 0xff, 0xff, 0x7f, '{'})
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, in []byte) {
		data, err := readMessage(bytes.NewReader(in))
		if errors.Is(err, io.EOF) {
			return
		}
		var o *order
		if err == nil {
			if len(data) > MaxMessage {
				t.Fatalf("%d bytes", len(data))
			}
			o, err = parse(data)
		}
		if (o == nil) == (err == nil) {
			t.Fatalf("%+v and %v", o, err)
		}
		if err != nil {
			if code, _ := codeOf(err); code == "internal" {
				t.Fatalf("no code for %v", err)
			}
			return
		}
		if o.command != "quit" && !strings.HasPrefix(o.origin, "https://") {
			t.Fatalf("origin %q", o.origin)
		}
		if o.command == "sign" && len(o.hash) != 32 && len(o.hash) != 48 && len(o.hash) != 64 {
			t.Fatalf("a hash of %d bytes", len(o.hash))
		}
	})
}
