package verification_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/pkcs/trust"
	"github.com/citel-pa/citel/pkcs/validation"
	"github.com/citel-pa/citel/server/apikey"
	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/keys"
	"github.com/citel-pa/citel/server/store"
	"github.com/citel-pa/citel/server/verification"
	"github.com/citel-pa/citel/testdata/signed"
)

// town is a server that verifies, over HTTP on loopback.
type town struct {
	url, key string
	desk     *signed.Desk
	service  *verification.Service
	room     *apikey.Room
	audit    *audit.Log
	store    *store.Store
	temp     string
	seen     *contract
}

func newTown(t testing.TB, change func(*verification.Limits)) *town {
	t.Helper()
	dir := t.TempDir()
	s, err := store.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	ring, err := keys.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	w := &town{desk: signed.Shared(t), store: s, audit: &audit.Log{Store: s, Keys: ring}, seen: newContract(t)}
	w.room = &apikey.Room{Store: s, Ente: "prova", Audit: w.audit}
	if w.temp, err = s.TempDir(); err != nil {
		t.Fatal(err)
	}
	limits := verification.DefaultLimits()
	limits.Burst, limits.Rate = 1000, 1000
	if change != nil {
		change(&limits)
	}
	w.service = &verification.Service{Ente: "prova", Keys: w.room, Trust: w.desk.Store, Revocation: &trust.Revocation{Store: w.desk.Store}, Policy: validation.Default(),
		Audit: w.audit, Log: slog.New(slog.DiscardHandler), Limits: limits, TempDir: w.temp}
	if w.key, _, err = w.room.Add(t.Context(), "portale di prova"); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(w.service.Handler())
	// As citel-server sets them: the interface has to stretch them by itself.
	server.Config.ReadHeaderTimeout, server.Config.ReadTimeout, server.Config.WriteTimeout = 2*time.Second, 3*time.Second, 4*time.Second
	server.Start()
	t.Cleanup(server.Close)
	w.url = server.URL
	return w
}

type call struct {
	method, path, kind, accept, key, lang string
	body                                  io.Reader
}

func (w *town) do(t *testing.T, c call) (*http.Response, []byte) {
	t.Helper()
	if c.method == "" {
		c.method = http.MethodPost
	}
	path := c.path
	if !strings.HasPrefix(path, "/") {
		path = verification.Prefix + "verifications" + path
	}
	req, err := http.NewRequestWithContext(t.Context(), c.method, w.url+path, c.body)
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range map[string]string{"Content-Type": c.kind, "Accept": c.accept, "Accept-Language": c.lang} {
		if v != "" {
			req.Header.Set(name, v)
		}
	}
	switch c.key {
	case "":
		req.Header.Set("Authorization", "Bearer "+w.key)
	case "none":
	default:
		req.Header.Set("Authorization", "Bearer "+c.key)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	w.seen.check(t, c.method, resp, body)
	return resp, body
}

const octets = "application/octet-stream"

func form(t *testing.T, parts ...string) (string, io.Reader) {
	t.Helper()
	var b bytes.Buffer
	m := multipart.NewWriter(&b)
	for i := 0; i+1 < len(parts); i += 2 {
		h := textproto.MIMEHeader{"Content-Disposition": {fmt.Sprintf(`form-data; name=%q; filename="a.p7s"`, parts[i])}}
		p, err := m.CreatePart(h)
		if err == nil {
			_, err = io.WriteString(p, parts[i+1])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	return m.FormDataContentType(), &b
}

// Every path and answer that the document names is had from the handlers, and every
// answer that they give is in the document, with the schema that it names.
func TestOpenAPI(t *testing.T) {
	w := newTown(t, func(l *verification.Limits) { l.Bytes, l.Idle = 1<<20, 300*time.Millisecond })
	file := func(name string) io.Reader { return bytes.NewReader(w.desk.Files[name].Data) }
	for name, want := range map[string]string{"valid": `"TOTAL-PASSED"`, "changed": `"HASH_FAILURE"`, "revoked": `"REVOKED_NO_POE"`, "stamped": `"timestamps"`, "none": `"signatures": []`, "hostile": `"TOTAL-PASSED"`} {
		if resp, body := w.do(t, call{kind: octets, body: file(name)}); resp.StatusCode != http.StatusOK || !bytes.Contains(body, []byte(want)) {
			t.Errorf("%s: %s %s", name, resp.Status, body)
		}
	}
	kind, body := form(t, "file", string(w.desk.Files["detached"].Data), "content", signed.Content)
	if _, got := w.do(t, call{kind: kind, body: body}); !bytes.Contains(got, []byte(`"TOTAL-PASSED"`)) {
		t.Errorf("detached: %s", got)
	}
	kind, body = form(t, "file", string(w.desk.Files["detached"].Data), "content", "altro")
	if _, got := w.do(t, call{kind: kind, body: body}); !bytes.Contains(got, []byte(`"HASH_FAILURE"`)) {
		t.Errorf("another content: %s", got)
	}
	kind, body = form(t, "file", string(w.desk.Files["valid"].Data))
	if _, got := w.do(t, call{kind: kind, body: body, path: "?format=html"}); !bytes.Contains(got, []byte("è VALIDA.")) || !bytes.Contains(got, []byte("a.p7s")) {
		t.Errorf("a form with a file: %s", got)
	}
	if resp, got := w.do(t, call{kind: "application/pkcs7-mime", body: file("valid"), accept: "text/html,application/xhtml+xml,*/*;q=0.8", lang: "en-GB"}); !bytes.Contains(got, []byte("is VALID.")) || !strings.Contains(resp.Header.Get("Content-Security-Policy"), "sandbox") {
		t.Errorf("HTML in English: %v %s", resp.Header, got)
	}
	if _, got := w.do(t, call{kind: octets, body: file("valid"), accept: "application/pdf"}); !bytes.HasPrefix(got, []byte("%PDF-1.7")) {
		t.Errorf("PDF: %.100s", got)
	}
	if _, got := w.do(t, call{kind: octets, body: file("valid"), path: "?time=2001-01-01T00:00:00Z"}); !bytes.Contains(got, []byte(`"NOT_YET_VALID"`)) {
		t.Errorf("at another time: %s", got)
	}
	valid := w.desk.Files["valid"].Data
	order, disorder := form(t, "content", signed.Content, "file", "x")
	three, third := form(t, "file", string(w.desk.Files["detached"].Data), "content", signed.Content, "more", "x")
	broken := bytes.Clone(valid[:len(valid)-200])
	slow, stop := io.Pipe()
	defer func() { _ = stop.Close() }()
	go func() { _, _ = stop.Write(valid[:100]) }()
	for what, c := range map[string]struct {
		call
		status int
		code   string
	}{
		"no key":             {call{kind: octets, body: file("valid"), key: "none"}, 401, "unauthorized"},
		"a wrong key":        {call{kind: octets, body: file("valid"), key: w.key[:len(w.key)-1] + "x"}, 401, "unauthorized"},
		"an unknown key":     {call{kind: octets, body: file("valid"), key: "citel_0000000000000000_" + strings.Repeat("A", 43)}, 401, "unauthorized"},
		"no key at all":      {call{kind: octets, body: file("valid"), key: "'; DROP TABLE api_key; --"}, 401, "unauthorized"},
		"parameter":          {call{kind: octets, body: file("valid"), path: "?formato=html"}, 400, "bad-parameter"},
		"format":             {call{kind: octets, body: file("valid"), path: "?format=doc"}, 400, "bad-parameter"},
		"time":               {call{kind: octets, body: file("valid"), path: "?time=ieri"}, 400, "bad-parameter"},
		"language":           {call{kind: octets, body: file("valid"), path: "?lang=de"}, 400, "bad-parameter"},
		"parts in disorder":  {call{kind: order, body: disorder}, 400, "bad-multipart"},
		"a third part":       {call{kind: three, body: third}, 400, "bad-multipart"},
		"no boundary":        {call{kind: "multipart/form-data", body: file("valid")}, 400, "bad-multipart"},
		"a broken form":      {call{kind: "multipart/form-data; boundary=x", body: file("valid")}, 400, "bad-multipart"},
		"empty":              {call{kind: octets, body: strings.NewReader("")}, 400, "empty"},
		"no acceptable form": {call{kind: octets, body: file("valid"), accept: "image/png"}, 406, "not-acceptable"},
		"refused forms":      {call{kind: octets, body: file("valid"), accept: "application/json;q=0"}, 406, "not-acceptable"},
		"too slow":           {call{kind: octets, body: slow}, 408, "too-slow"},
		"too large":          {call{kind: octets, body: bytes.NewReader(make([]byte, 2<<20))}, 413, "too-large"},
		"too large, unsaid":  {call{kind: octets, body: io.MultiReader(bytes.NewReader(make([]byte, 2<<20)))}, 413, "too-large"},
		"media type":         {call{kind: "text/plain", body: file("valid")}, 415, "unsupported-media-type"},
		"no media type":      {call{body: file("valid")}, 415, "unsupported-media-type"},
		"cut":                {call{kind: octets, body: bytes.NewReader(broken)}, 422, "malformed"},
		"another method":     {call{method: http.MethodGet, kind: octets}, 405, "method-not-allowed"},
		"another path":       {call{path: "/api/v1/x"}, 404, "not-found"},
	} {
		resp, body := w.do(t, c.call)
		var p struct{ Code, Detail string }
		if err := json.Unmarshal(body, &p); err != nil || resp.StatusCode != c.status || p.Code != c.code || resp.Header.Get("Content-Type") != "application/problem+json" || p.Detail == "" || strings.HasPrefix(p.Detail, "api.") {
			t.Errorf("%s: %s %s, want %d %s", what, resp.Status, body, c.status, c.code)
		}
	}
	if _, doc := w.do(t, call{method: http.MethodGet, path: verification.Prefix + "openapi.json", key: "none"}); !json.Valid(doc) {
		t.Error("the document is no JSON")
	}
	w.busyAndLimited(t)
	if err := w.store.Close(); err != nil {
		t.Fatal(err)
	}
	if resp, _ := w.do(t, call{kind: octets, body: file("valid")}); resp.StatusCode != http.StatusInternalServerError {
		t.Errorf("without a database: %s", resp.Status)
	}
	w.seen.complete(t)
	if left, err := os.ReadDir(w.temp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

// busyAndLimited holds places open with uploads that do not end.
func (w *town) busyAndLimited(t *testing.T) {
	t.Helper()
	limited := newTown(t, func(l *verification.Limits) { l.AtOnce, l.PerKey, l.Idle = 2, 1, time.Minute })
	limited.seen = w.seen
	second, _, err := limited.room.Add(t.Context(), "secondo")
	if err != nil {
		t.Fatal(err)
	}
	third, _, err := limited.room.Add(t.Context(), "terzo")
	if err != nil {
		t.Fatal(err)
	}
	var ends []*io.PipeWriter
	defer func() {
		for _, end := range ends {
			_ = end.Close()
		}
	}()
	for _, key := range []string{limited.key, second} {
		r, end := io.Pipe()
		ends = append(ends, end)
		go func() {
			req, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodPost, limited.url+verification.Prefix+"verifications", r)
			if err != nil {
				return
			}
			req.Header.Set("Content-Type", octets)
			req.Header.Set("Authorization", "Bearer "+key)
			// The body goes out once the server reads it, so once the place was taken.
			req.Header.Set("Expect", "100-continue")
			client := &http.Client{Transport: &http.Transport{ExpectContinueTimeout: time.Minute, DisableKeepAlives: true}}
			if resp, err := client.Do(req); err == nil {
				_ = resp.Body.Close()
			}
		}()
		if _, err := end.Write(w.desk.Files["valid"].Data[:50]); err != nil { // returns when it was taken
			t.Fatal(err)
		}
	}
	file := func() io.Reader { return bytes.NewReader(w.desk.Files["valid"].Data) }
	for key, status := range map[string]int{second: http.StatusTooManyRequests, third: http.StatusServiceUnavailable} {
		resp, body := limited.do(t, call{kind: octets, body: file(), key: key})
		if resp.StatusCode != status || resp.Header.Get("Retry-After") == "" {
			t.Errorf("%s %s, want %d", resp.Status, body, status)
		}
	}
	rated := newTown(t, func(l *verification.Limits) { l.Burst, l.Rate = 2, 0.001 })
	rated.seen = w.seen
	for i, want := range []int{http.StatusOK, http.StatusOK, http.StatusTooManyRequests} {
		if resp, body := rated.do(t, call{kind: octets, body: file()}); resp.StatusCode != want {
			t.Errorf("request %d: %s %s, want %d", i+1, resp.Status, body, want)
		}
	}
}

// A key is of its ente, is not in the database, and ends when it is revoked.
func TestKeys(t *testing.T) {
	w := newTown(t, nil)
	file := func() io.Reader { return bytes.NewReader(w.desk.Files["valid"].Data) }
	text, key, err := w.room.Add(t.Context(), "altro")
	if err != nil {
		t.Fatal(err)
	}
	other := &apikey.Room{Store: w.store, Ente: "altrove", Audit: w.audit}
	if _, err := other.Check(t.Context(), text); err == nil {
		t.Error("a key counts in another ente")
	}
	if err := other.Revoke(t.Context(), key.ID); err == nil {
		t.Error("another ente revokes it")
	}
	if resp, _ := w.do(t, call{kind: octets, body: file(), key: text}); resp.StatusCode != http.StatusOK {
		t.Errorf("a new key: %s", resp.Status)
	}
	if err := w.room.Revoke(t.Context(), key.ID); err != nil {
		t.Fatal(err)
	}
	if resp, _ := w.do(t, call{kind: octets, body: file(), key: text}); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("a revoked key: %s", resp.Status)
	}
	if all, err := w.room.List(t.Context()); err != nil || len(all) != 2 || all[1].Revoked.IsZero() && all[0].Revoked.IsZero() {
		t.Errorf("%+v %v", all, err)
	}
	for _, label := range []string{"", "a\nb", strings.Repeat("x", 101), "\u202e"} {
		if _, _, err := w.room.Add(t.Context(), label); err == nil {
			t.Errorf("label %q is taken", label)
		}
	}
	var limited bool
	for range 25 {
		resp, _ := w.do(t, call{kind: octets, body: file(), key: text})
		limited = limited || resp.StatusCode == http.StatusTooManyRequests
	}
	if !limited {
		t.Error("wrong keys may be tried without end")
	}
	if resp, _ := w.do(t, call{kind: octets, body: file()}); resp.StatusCode != http.StatusOK {
		t.Errorf("a good key from the same address: %s", resp.Status)
	}
	// Neither secrets nor a person are in database and log.
	if err := w.store.Close(); err != nil {
		t.Fatal(err)
	}
	secret := text[strings.LastIndex(text, "_")+1:]
	sum := sha256.Sum256(w.desk.Files["valid"].Data)
	names, err := filepath.Glob(filepath.Join(w.temp, "../../citel.db*"))
	if err != nil || len(names) == 0 {
		t.Fatal("no database", err)
	}
	for _, name := range names {
		data, err := os.ReadFile(name) //nolint:gosec // a test's own folder
		if err != nil {
			t.Fatal(err)
		}
		for _, bad := range []string{secret, "CTTPRV", "Cittadino", hex.EncodeToString(sum[:])} {
			if bytes.Contains(data, []byte(bad)) {
				t.Errorf("%q is in %s", bad, name)
			}
		}
	}
}

// Each use has its line in the audit, also one that was broken off; the place is free
// again and nothing stays on the disk.
func TestAbortedUploads(t *testing.T) {
	w := newTown(t, func(l *verification.Limits) { l.AtOnce, l.PerKey = 1, 1 })
	for _, kind := range []string{octets, "multipart/form-data; boundary=x"} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		head := "--x\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n"
		if kind == octets {
			head = "%PDF-1.7\n"
		}
		_, err = fmt.Fprintf(conn, "POST %sverifications HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: %s\r\nContent-Length: 50000000\r\n\r\n%s%s",
			verification.Prefix, w.key, kind, head, strings.Repeat("x", 10<<20))
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
		for i := 0; ; i++ {
			resp, body := w.do(t, call{kind: octets, body: bytes.NewReader(w.desk.Files["valid"].Data)})
			if resp.StatusCode == http.StatusOK {
				break
			}
			if i == 500 {
				t.Fatalf("the place is not free again: %s", body)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	if left, err := os.ReadDir(w.temp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
	entries, err := w.audit.Read(t.Context(), audit.Filter{Ente: "prova", Kinds: []string{audit.Verified}})
	if err != nil {
		t.Fatal(err)
	}
	outcomes := map[string]int{}
	for _, e := range entries {
		if e.PersonID != 0 || len(e.Personal) > 0 {
			t.Errorf("%+v", e)
		}
		outcomes[e.Detail["outcome"]]++
	}
	if outcomes["reported"] != 2 || outcomes["refused"] != 2 {
		t.Errorf("%v", outcomes)
	}
	if report, err := w.audit.Verify(t.Context()); err != nil || report.Err() != nil {
		t.Error(err, report)
	}
}

// A client that sends a byte now and then is let go, though each byte comes in time; one
// that is merely slow is served beyond the server's own deadlines.
func TestSlowUploads(t *testing.T) {
	w := newTown(t, func(l *verification.Limits) { l.Idle, l.Grace, l.Pace = time.Minute, time.Second, 100 })
	drip := func(piece, count int, pause time.Duration) int {
		data := w.desk.Files["valid"].Data
		r, in := io.Pipe()
		go func() {
			for i := 0; i < count && len(data) > 0; i++ {
				n := min(piece, len(data))
				if _, err := in.Write(data[:n]); err != nil {
					return
				}
				data = data[n:]
				time.Sleep(pause)
			}
			_ = in.Close()
		}()
		resp, _ := w.do(t, call{kind: octets, body: r})
		return resp.StatusCode
	}
	if got := drip(1, 100, 50*time.Millisecond); got != http.StatusRequestTimeout {
		t.Errorf("a byte now and then: %d", got)
	}
	if got := drip(len(w.desk.Files["valid"].Data)/8+1, 8, 600*time.Millisecond); got != http.StatusOK {
		t.Errorf("slow, but at the pace: %d", got)
	}
}
