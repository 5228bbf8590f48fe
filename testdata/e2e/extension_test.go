package e2e

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	cdpbrowser "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/chromedp"

	"github.com/citel-pa/citel/agent/client/bundle"
	"github.com/citel-pa/citel/agent/config"
	"github.com/citel-pa/citel/agent/nativehost"
	"github.com/citel-pa/citel/agent/wire"
	"github.com/citel-pa/citel/pkcs/authtoken"
	"github.com/citel-pa/citel/pkcs/profile"
	"github.com/citel-pa/citel/pkcs/trust"
	"github.com/citel-pa/citel/testdata/chromium"
	"github.com/citel-pa/citel/testdata/pki"
	"github.com/citel-pa/citel/testdata/stack"
)

const (
	chromeExtension = "chrome-extension://" + nativehost.ChromeID + "/"
	someSite        = "https://sportello.comune.example"
	someNonce       = "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI="
)

// said is what the native host answers.
type said struct {
	Version string `json:"version"`
	Error   *struct {
		Code    string `json:"code"`
		Message string `json:"message"`
		CiTel   string `json:"citel"`
	} `json:"error"`
	Certificate string `json:"certificate"`
	Signature   string `json:"signature"`
	Algorithm   any    `json:"signatureAlgorithm"`
	Format      string `json:"format"`
	raw         []byte
}

func (s said) code() string {
	if s.Error == nil {
		return ""
	}
	return s.Error.CiTel
}

// hear reads all of a native host's output: messages, and nothing between them.
func hear(t *testing.T, out []byte) (list []said) {
	t.Helper()
	for len(out) > 0 {
		if len(out) < 4 || len(out) < 4+int(binary.NativeEndian.Uint32(out)) {
			t.Fatalf("not a message: %q", out)
		}
		n := 4 + int(binary.NativeEndian.Uint32(out))
		s := said{raw: out[4:n]}
		if err := json.Unmarshal(s.raw, &s); err != nil {
			t.Fatalf("%v: %s", err, s.raw)
		}
		list, out = append(list, s), out[n:]
	}
	return list
}

// call starts the real program as a browser does and speaks the extension's side: one
// command, as the published extension writes it.
func call(t *testing.T, s *stack.Stack, caller, command string, arguments map[string]string, flags ...string) said {
	t.Helper()
	file := filepath.Join(s.Dir, "pin")
	if err := os.WriteFile(file, []byte(pin), 0o600); err != nil {
		t.Fatal(err)
	}
	args := append([]string{"native-host", "--config", filepath.Join(s.Dir, "extension"), "--module", s.Cards.Module(), "--pin-file", file}, flags...)
	cmd := exec.CommandContext(t.Context(), s.Agent, append(args, caller)...) //nolint:gosec // our own program
	cmd.Env = append(os.Environ(), s.Cards.Env()...)
	body, err := json.Marshal(map[string]any{"command": command, "arguments": arguments})
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdin = bytes.NewReader(append(binary.NativeEndian.AppendUint32(nil, uint32(len(body))), body...)) //nolint:gosec // short
	var out, log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &log
	err = cmd.Run()
	if strings.Contains(log.String()+out.String(), pin) {
		t.Error("the PIN is in the program's output")
	}
	list := hear(t, out.Bytes())
	if len(list) == 0 {
		t.Fatalf("no answer: %v\n%s", err, log.String())
	}
	last := list[len(list)-1]
	if (err == nil) != (last.Error == nil) {
		t.Errorf("%v beside %s\n%s", err, last.raw, log.String())
	}
	if len(list) == 2 && list[0].Version != nativehost.ProtocolVersion {
		t.Errorf("greeting: %s", list[0].raw)
	}
	return last
}

func b64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// judge is a site's own validator, for CNS cards.
func judge(t *testing.T, s *stack.Stack, origin string) *authtoken.Validator {
	t.Helper()
	store := trust.NewStore(trust.AllowTest())
	if _, err := store.AddPEM(s.PKI.AnchorsPEM(pki.CNS), "cns", profile.CNS); err != nil {
		t.Fatal(err)
	}
	list, err := os.ReadFile(filepath.Join(s.Dir, "cns.crl"))
	if err == nil {
		err = store.AddCRL(list, "cns")
	}
	if err != nil {
		t.Fatal(err)
	}
	return &authtoken.Validator{Origin: origin, Store: store}
}

// The native host, driven from the extension's side: its tokens verify, and nobody else
// gets one.
func TestThroughTheExtension(t *testing.T) {
	t.Parallel()
	s := town(t)
	login := map[string]string{"origin": someSite, "challengeNonce": someNonce, "lang": "it"}
	token := call(t, s, chromeExtension, "authenticate", login)
	if token.Error != nil || token.Format != "web-eid:1.0" {
		t.Fatalf("%s", token.raw)
	}
	who, err := judge(t, s, someSite).Validate(t.Context(), token.raw, someNonce)
	if err != nil || string(who.Person.CodiceFiscale) != pki.Citizens[0].CF {
		t.Errorf("%+v %v", who, err)
	}
	if _, err := judge(t, s, "https://evil.example").Validate(t.Context(), token.raw, someNonce); !errors.Is(err, authtoken.ErrSignature) {
		t.Errorf("at another site: %v", err)
	}
	for name, c := range map[string]struct {
		caller, command string
		arguments       map[string]string
		want            string
	}{
		"another extension":                {"chrome-extension://abcdefghijklmnopabcdefghijklmnop/", "authenticate", login, "user-refused"},
		"http":                             {chromeExtension, "authenticate", map[string]string{"origin": "http://sportello.comune.example", "challengeNonce": someNonce}, "origin-refused"},
		"http on loopback":                 {chromeExtension, "authenticate", map[string]string{"origin": "http://127.0.0.1:8080", "challengeNonce": someNonce}, "origin-refused"},
		"a short nonce":                    {chromeExtension, "authenticate", map[string]string{"origin": someSite, "challengeNonce": "MTIz"}, "nonce-invalid"},
		"no such command":                  {chromeExtension, "decipher", login, "unknown-type"},
		"no certificate that signs hashes": {chromeExtension, "get-signing-certificate", map[string]string{"origin": someSite}, "hash-refused"},
	} {
		if got := call(t, s, c.caller, c.command, c.arguments).code(); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	if got := call(t, s, chromeExtension, "quit", map[string]string{}); string(got.raw) != "{}" {
		t.Errorf("quit: %s", got.raw)
	}
	// What the person decided about a site counts whichever way it comes.
	store := config.Open(filepath.Join(s.Dir, "extension"))
	for range 2 {
		if got := call(t, s, chromeExtension, "authenticate", login, "--pin-origin", "https://another.example").code(); got != "refused" {
			t.Errorf("refused: %q", got)
		}
	}
	if got := call(t, s, chromeExtension, "authenticate", login).code(); got != "origin-silent" {
		t.Errorf("after two refusals: %q", got)
	}
	if err := errors.Join(store.Approved(someSite, time.Now()), store.SetSite(someSite, config.Blocked, time.Now())); err != nil {
		t.Fatal(err)
	}
	if got := call(t, s, chromeExtension, "authenticate", login).code(); got != "origin-blocked" {
		t.Errorf("blocked: %q", got)
	}
}

// A browser names no command: the program knows the extension's arguments.
func TestStartedByABrowser(t *testing.T) {
	t.Parallel()
	s := town(t)
	for _, args := range [][]string{{chromeExtension}, {chromeExtension, "--parent-window=0"}, {"/x/native-messaging-hosts/eu.webeid.json", nativehost.FirefoxID}} {
		cmd := exec.CommandContext(t.Context(), s.Agent, args...) //nolint:gosec // our own program
		cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "XDG_CONFIG_HOME=")
		quit := []byte(`{"command":"quit","arguments":{}}`)
		cmd.Stdin = bytes.NewReader(append(binary.NativeEndian.AppendUint32(nil, uint32(len(quit))), quit...)) //nolint:gosec // short
		out, err := cmd.Output()
		if list := hear(t, out); err != nil || len(list) != 2 || list[0].Version != nativehost.ProtocolVersion || string(list[1].raw) != "{}" {
			t.Errorf("%v: %q %v", args, out, err)
		}
	}
}

// The forgery over this way in: a login elsewhere is never obtained from a hash that a
// page has signed through the extension (design, The login token).
func TestForgeryThroughTheExtension(t *testing.T) {
	t.Parallel()
	s := town(t)
	_, id, err := s.Card(pki.Qualified, pki.RSA2048, pki.Citizens[0], pin)
	if err != nil {
		t.Fatal(err)
	}
	found, err := s.PKI.Issue(pki.CNS, pki.RSA2048, pki.Citizens[0]) // another, not on the card
	if err != nil {
		t.Fatal(err)
	}
	token := call(t, s, chromeExtension, "authenticate", map[string]string{"origin": someSite, "challengeNonce": someNonce})
	var mine struct{ UnverifiedCertificate string }
	if err := json.Unmarshal(token.raw, &mine); err != nil || mine.UnverifiedCertificate == "" {
		t.Fatalf("%s", token.raw)
	}
	// What a login at the bank's site would be over.
	const bank = "https://banca.example"
	origin, nonce := sha256.Sum256([]byte(bank)), sha256.Sum256([]byte(someNonce))
	digest := sha256.Sum256(append(origin[:], nonce[:]...))
	for name, certificate := range map[string]string{"the card's own": mine.UnverifiedCertificate, "another CNS": b64(found.Cert.Raw)} {
		got := call(t, s, chromeExtension, "sign", map[string]string{"origin": "https://evil.example", "certificate": certificate, "hash": b64(digest[:]), "hashFunction": "SHA-256"})
		if got.code() != "hash-refused" || got.Error.Code != "ERR_WEBEID_NATIVE_INVALID_ARGUMENT" || got.Signature != "" {
			t.Errorf("%s: %s", name, got.raw)
		}
	}
	// A key for signatures alone signs it, and it is no login.
	certificate := call(t, s, chromeExtension, "get-signing-certificate", map[string]string{"origin": someSite})
	if certificate.Certificate != b64(id.Cert.Raw) {
		t.Fatalf("%s", certificate.raw)
	}
	signed := call(t, s, chromeExtension, "sign", map[string]string{"origin": someSite, "certificate": certificate.Certificate, "hash": b64(digest[:]), "hashFunction": "SHA-256"})
	signature, err := base64.StdEncoding.DecodeString(signed.Signature)
	if err != nil || signed.Error != nil {
		t.Fatalf("%s", signed.raw)
	}
	if public, ok := id.Cert.PublicKey.(*rsa.PublicKey); !ok || rsa.VerifyPKCS1v15(public, crypto.SHA256, digest[:], signature) != nil {
		t.Error("the signature does not hold")
	}
	for name, certificate := range map[string]string{"as itself": certificate.Certificate, "as the login certificate": mine.UnverifiedCertificate} {
		forged, err := json.Marshal(authtoken.Token{UnverifiedCertificate: certificate, Algorithm: "RS256", Signature: signed.Signature, Format: "web-eid:1.0"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := judge(t, s, bank).Validate(t.Context(), forged, someNonce); err == nil {
			t.Errorf("%s: a forged login holds", name)
		}
	}
}

// The same forgery over the WebSocket.
func TestForgeryOverTheLink(t *testing.T) {
	t.Parallel()
	s := town(t)
	_, id, err := s.Card(pki.Qualified, pki.P256, pki.Citizens[0], pin)
	if err != nil {
		t.Fatal(err)
	}
	l := dial(t, agent(t, s, stack.AgentOptions{PIN: pin, Origin: someSite}), someSite)
	login, _, err := l.Login(someNonce, 5*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	var mine struct{ UnverifiedCertificate []byte }
	if err := json.Unmarshal(login.Token, &mine); err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte("anything"))
	if _, err := l.SignHash(mine.UnverifiedCertificate, digest[:]); code(err) != wire.CodeHashRefused {
		t.Errorf("the login key: %v", err)
	}
	certificate, err := l.Certificate()
	if err != nil || certificate.Certificate != b64(id.Cert.Raw) {
		t.Fatalf("%+v %v", certificate, err)
	}
	done, err := l.SignHash(id.Cert.Raw, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	signature, err := base64.StdEncoding.DecodeString(done.Signature)
	if err != nil || !authtoken.VerifyDigest("ES256", id.Cert.PublicKey, digest[:], signature) {
		t.Errorf("the signature does not hold: %v", err)
	}
}

// fakeExtension puts the part of the Web eID extension that sits in pages into one, and
// the part behind it into the site: the real program answers.
func fakeExtension(t *testing.T, s *stack.Stack) (script string, behind http.HandlerFunc) {
	t.Helper()
	script = `window.addEventListener("message", async (e) => {
		const m = e.data;
		if (e.source !== window || !/^web-eid:[a-z-]+$/.test(m?.action ?? "") || /-(ack|success|failure)$/.test(m.action)) return;
		window.postMessage({ action: m.action + "-ack" }, location.origin);
		const answer = await (await fetch("/extension", { method: "POST", body: JSON.stringify(m) })).json();
		window.postMessage(answer.error ? { action: m.action + "-failure", ...answer } : { action: m.action + "-success", ...answer }, location.origin);
	}); true`
	return script, func(w http.ResponseWriter, r *http.Request) {
		var m struct {
			Action, LibraryVersion, ChallengeNonce string
			Options                                struct{ Lang string }
		}
		if err := json.NewDecoder(io.LimitReader(r.Body, 8192)).Decode(&m); err != nil {
			t.Error(err)
		}
		if m.Action == "web-eid:status" {
			_ = json.NewEncoder(w).Encode(map[string]string{"library": m.LibraryVersion, "extension": "2.5.0", "nativeApp": nativehost.ProtocolVersion})
			return
		}
		answer := call(t, s, chromeExtension, strings.TrimPrefix(m.Action, "web-eid:"), map[string]string{
			"origin": r.Header.Get("Origin"), "challengeNonce": m.ChallengeNonce, "lang": m.Options.Lang})
		_, _ = w.Write(answer.raw)
	}
}

// No agent listens, or the browser does not let the page reach it, but the Web eID
// extension is there: the portal's login page takes it by itself.
func TestPortalThroughTheExtension(t *testing.T) {
	t.Parallel()
	for _, denied := range []bool{false, true} {
		name := map[bool]string{false: "no agent", true: "permission denied"}[denied]
		t.Run(name, func(t *testing.T) {
			s := town(t)
			script, behind := fakeExtension(t, s)
			var portal http.Handler
			front := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/extension" {
					behind(w, r)
					return
				}
				portal.ServeHTTP(w, r)
			}))
			t.Cleanup(front.Close)
			address := freeAddress(t)
			p, _, err := s.StartServer(t.Context(), stack.ServerOptions{Origin: front.URL, Args: []string{"--behind-proxy", "--agent-ports", "52394,52395"}, Listen: address})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = p.Stop() })
			portal = httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: address})
			flags, state := []chromedp.ExecAllocatorOption{chromedp.Flag("ignore-certificate-errors", true)}, "missing"
			var listening *stack.Process
			if denied {
				if listening, _, err = s.StartAgent(t.Context(), stack.AgentOptions{PIN: pin, Origin: front.URL, Ports: []int{52394}}); err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = listening.Stop() })
				flags, state = append(flags, public(t, front.URL)), "denied"
			}
			ctx := browser(t, flags...)
			if denied {
				permit(t, ctx, front.URL, cdpbrowser.PermissionSettingDenied)
			}
			do(t, ctx, "the login page", chromium.Navigate(front.URL+"/accedi"))
			do(t, ctx, "no extension yet", chromium.Click("#start"))
			onlyState(t, ctx, state)
			do(t, ctx, "the extension", chromedp.Evaluate[bool](script))
			do(t, ctx, "press", chromium.Click("#start"))
			do(t, ctx, "my area", chromium.Seen("#level"))
			if level := do(t, ctx, "level", chromium.Text("#level")); !strings.Contains(level, "forte") {
				t.Errorf("level: %q\n%s", level, p.Log())
			}
			if denied && strings.Contains(listening.Log(), "said yes to login") {
				t.Errorf("the agent was reached over its link:\n%s", listening.Log())
			}
			shot(t, ctx, "extension-area")
		})
	}
}

// The manifests that `native on` writes lead to this program, and `native off` takes them
// away; another program's stays.
func TestNativeOnOff(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	run := func(args ...string) (out string, code int) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), filepath.Join(programs, "citel-agent"), append([]string{"native"}, args...)...) //nolint:gosec // our own program
		cmd.Env = append(os.Environ(), "HOME="+home, "XDG_CONFIG_HOME=", "LANG=it_IT.UTF-8", "LC_ALL=")
		b, err := cmd.CombinedOutput()
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			return string(b), exit.ExitCode()
		} else if err != nil {
			t.Fatal(err)
		}
		return string(b), 0
	}
	firefox := filepath.Join(home, ".mozilla", "native-messaging-hosts", "eu.webeid.json")
	if out, code := run("status", "--json"); code != 0 || strings.Count(out, `"state":"off"`) != 6 {
		t.Errorf("%d %s", code, out)
	}
	if out, code := run("on"); code != 0 || !strings.Contains(out, "collegato a CiTel") || !strings.Contains(out, "Snap") {
		t.Errorf("%d %s", code, out)
	}
	var m struct{ Path string }
	data, err := os.ReadFile(firefox)
	if err = errors.Join(err, json.Unmarshal(data, &m)); err != nil || m.Path != filepath.Join(programs, "citel-agent") {
		t.Errorf("%s %v", data, err)
	}
	if out, code := run("off"); code != 0 || strings.Contains(out, "collegato a") {
		t.Errorf("%d %s", code, out)
	}
	const theirs = `{"name":"eu.webeid","path":"/usr/bin/web-eid"}`
	if err := errors.Join(os.MkdirAll(filepath.Dir(firefox), 0o700), os.WriteFile(firefox, []byte(theirs), 0o600)); err != nil {
		t.Fatal(err)
	}
	if out, code := run("on"); code != 1 || !strings.Contains(out, "/usr/bin/web-eid") || !strings.Contains(out, "disinstalla") {
		t.Errorf("%d %s", code, out)
	}
	if out, code := run("off"); code != 0 {
		t.Errorf("%d %s", code, out)
	}
	if data, err := os.ReadFile(firefox); err != nil || string(data) != theirs {
		t.Errorf("another program's manifest: %q %v", data, err)
	}
}

// A page made for Web eID, with one import changed, logs somebody in.
func TestDropIn(t *testing.T) {
	s := town(t)
	dir := t.TempDir()
	t.Chdir("../..")
	if err := bundle.Build(dir); err != nil {
		t.Fatal(err)
	}
	portal := filepath.Join(dir, "portal")
	if out, err := exec.Command("go", "build", "-o", portal, "./agent/client/example").CombinedOutput(); err != nil { //nolint:gosec // our own program
		t.Fatalf("%v\n%s", err, out)
	}
	address := freeAddress(t)
	p, err := stack.Start(exec.Command(portal, "-listen", address, "-trust", filepath.Join(s.Dir, "cns.pem"), "-crl", filepath.Join(s.Dir, "cns.crl"), //nolint:gosec // as above
		"-client", dir), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Stop() })
	origin := "http://" + address
	if err := stack.Up(t.Context(), origin); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Card(pki.Qualified, pki.RSA2048, pki.Citizens[0], pin); err != nil {
		t.Fatal(err)
	}
	agent(t, s, stack.AgentOptions{PIN: pin, Origin: origin, Ports: []int{52310, 52311, 52312, 52313}})
	ctx := browser(t)
	do(t, ctx, "the page", chromium.Navigate(origin+"/web-eid"))
	do(t, ctx, "press", chromium.Click("#webeid-auth-button"))
	do(t, ctx, "the greeting", chromium.Until(`document.querySelector("#result").textContent !== ""`))
	if text := do(t, ctx, "the greeting", chromium.Text("#result")); !strings.Contains(text, pki.Citizens[0].CF) {
		t.Errorf("%q\n%s", text, p.Log())
	}
	do(t, ctx, "sign", chromium.Click("#webeid-sign-button"))
	do(t, ctx, "the signature", chromium.Until(`/^(RSA|ECC|ERR)/.test(document.querySelector("#signed").textContent)`))
	if text := do(t, ctx, "the signature", chromium.Text("#signed")); text != "RSA SHA-256 PKCS1.5 verified" {
		t.Errorf("%q", text)
	}
	do(t, ctx, "sign with the login key", chromium.Click("#webeid-forge-button"))
	do(t, ctx, "the refusal", chromium.Until(`/ERR/.test(document.querySelector("#signed").textContent)`))
	if text := do(t, ctx, "the refusal", chromium.Text("#signed")); !strings.HasPrefix(text, "HashRefusedError ERR_CITEL_HASH_REFUSED") {
		t.Errorf("%q", text)
	}
}
