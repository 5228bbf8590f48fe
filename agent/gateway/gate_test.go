package gateway

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/citel-pa/citel/agent/config"
	"github.com/citel-pa/citel/agent/wire"
)

// raw makes a handshake by hand and gives the status and the text of the answer.
func (l *link) raw(lines ...string) (int, string) {
	l.t.Helper()
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", l.port))
	if err != nil {
		l.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		l.t.Fatal(err)
	}
	if _, err := io.WriteString(conn, strings.Join(lines, "\r\n")+"\r\n\r\n"); err != nil {
		return 0, err.Error() // hung up on
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0, err.Error() // hung up on
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return resp.StatusCode, ""
	}
	body, _ := io.ReadAll(resp.Body) // may be cut short by who hung up
	return resp.StatusCode, strings.TrimSpace(string(body))
}

func handshake(host string, origins ...string) []string {
	lines := []string{"GET / HTTP/1.1", "Host: " + host, "Connection: Upgrade", "Upgrade: websocket",
		"Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol: citel.v1"}
	for _, o := range origins {
		lines = append(lines, "Origin: "+o)
	}
	return lines
}

// The one gate: hosts and origins, each refusal with its own code.
func TestGate(t *testing.T) {
	for _, c := range []struct {
		host    string // %d is the port
		origins []string
		want    wire.Code // empty: let in
	}{
		{"127.0.0.1:%d", []string{site}, ""},
		{"localhost:%d", []string{site}, ""},
		{"LOCALHOST:%d", []string{site}, ""},
		{"[::1]:%d", []string{site}, ""},
		{"127.0.0.1:%d", []string{site + ":8443"}, ""},
		{"127.0.0.1:%d", []string{"https://xn--comune-9ta.example"}, ""},
		{"127.0.0.1:%d", []string{"https://192.0.2.7"}, ""},
		{"127.0.0.1:%d", []string{"https://[2001:db8::7]:8443"}, ""},
		{"127.0.0.1:%d", []string{"https://127.0.0.1:8443"}, ""},

		// DNS rebinding and other hosts
		{"evil.example:%d", []string{"https://evil.example"}, wire.CodeHostRefused},
		{"evil.example", []string{"https://evil.example"}, wire.CodeHostRefused},
		{"127.0.0.1", []string{site}, wire.CodeHostRefused},
		{"localhost", []string{site}, wire.CodeHostRefused},
		{"127.0.0.1:1", []string{site}, wire.CodeHostRefused},
		{"localhost.:%d", []string{site}, wire.CodeHostRefused},
		{"localhost.evil.example:%d", []string{site}, wire.CodeHostRefused},
		{"127.0.0.1.nip.io:%d", []string{site}, wire.CodeHostRefused},
		{"127.1:%d", []string{site}, wire.CodeHostRefused},
		{"0.0.0.0:%d", []string{site}, wire.CodeHostRefused},
		{"[::ffff:127.0.0.1]:%d", []string{site}, wire.CodeHostRefused},
		{"[::]:%d", []string{site}, wire.CodeHostRefused},

		// origins
		{"127.0.0.1:%d", nil, wire.CodeOriginRefused},
		{"127.0.0.1:%d", []string{""}, wire.CodeOriginRefused},
		{"127.0.0.1:%d", []string{"null"}, wire.CodeOriginRefused},
		{"127.0.0.1:%d", []string{site, other}, wire.CodeOriginRefused},
		{"127.0.0.1:%d", []string{site, "null"}, wire.CodeOriginRefused},
		{"127.0.0.1:%d", []string{site + " " + other}, wire.CodeOriginRefused},
		{"127.0.0.1:%d", []string{site + ", " + other}, wire.CodeOriginRefused},
		{"127.0.0.1:%d", []string{"http://sportello.example.it"}, wire.CodeOriginRefused},
		{"127.0.0.1:%d", []string{"http://localhost"}, wire.CodeOriginRefused}, // not without --developer
		{"127.0.0.1:%d", []string{"http://127.0.0.1:8080"}, wire.CodeOriginRefused},
		{"127.0.0.1:%d", []string{"file://"}, wire.CodeOriginRefused},
		{"127.0.0.1:%d", []string{"chrome-extension://abcdefghijklmnop"}, wire.CodeOriginRefused},
		{"127.0.0.1:%d", []string{"moz-extension://3b1c"}, wire.CodeOriginRefused},
		{"127.0.0.1:%d", []string{"HTTPS://sportello.example.it"}, wire.CodeOriginRefused},
		{"127.0.0.1:%d", []string{"https://Sportello.example.it"}, wire.CodeOriginRefused},
		{"127.0.0.1:%d", []string{site + "/"}, wire.CodeOriginRefused},
		{"127.0.0.1:%d", []string{site + "/percorso"}, wire.CodeOriginRefused},
		{"127.0.0.1:%d", []string{site + "?q"}, wire.CodeOriginRefused},
		{"127.0.0.1:%d", []string{site + "#f"}, wire.CodeOriginRefused},
		{"127.0.0.1:%d", []string{"https://utente@sportello.example.it"}, wire.CodeOriginRefused},
		{"127.0.0.1:%d", []string{"https://utente:x@sportello.example.it"}, wire.CodeOriginRefused},
		{"127.0.0.1:%d", []string{site + ":443"}, wire.CodeOriginRefused},
		{"127.0.0.1:%d", []string{site + ":0"}, wire.CodeOriginRefused},
		{"127.0.0.1:%d", []string{site + ":08443"}, wire.CodeOriginRefused},
		{"127.0.0.1:%d", []string{site + ":65536"}, wire.CodeOriginRefused},
		{"127.0.0.1:%d", []string{site + ":"}, wire.CodeOriginRefused},
		{"127.0.0.1:%d", []string{site + ":84x"}, wire.CodeOriginRefused},
		{"127.0.0.1:%d", []string{"https://"}, wire.CodeOriginRefused},
		{"127.0.0.1:%d", []string{"https://."}, wire.CodeOriginRefused},
		{"127.0.0.1:%d", []string{"https://a..b"}, wire.CodeOriginRefused},
		{"127.0.0.1:%d", []string{"https://sportello.example.it."}, wire.CodeOriginRefused},
		{"127.0.0.1:%d", []string{"https://comùne.example"}, wire.CodeOriginRefused},
		{"127.0.0.1:%d", []string{"https://a%2eb"}, wire.CodeOriginRefused},
		{"127.0.0.1:%d", []string{"https://[::1"}, wire.CodeOriginRefused},
		{"127.0.0.1:%d", []string{"https://[0:0::1]"}, wire.CodeOriginRefused},
		{"127.0.0.1:%d", []string{"https://[fe80::1%eth0]"}, wire.CodeOriginRefused},
		{"127.0.0.1:%d", []string{"https://[::1]x"}, wire.CodeOriginRefused},
		{"127.0.0.1:%d", []string{"https://" + strings.Repeat("a", 64) + ".example"}, wire.CodeOriginRefused},
		{"127.0.0.1:%d", []string{"https://" + strings.Repeat("a.", 140) + "it"}, wire.CodeOriginRefused},
	} {
		l := start(t)
		host := c.host
		if strings.Contains(host, "%d") {
			host = fmt.Sprintf(host, l.port)
		}
		status, text := l.raw(handshake(host, c.origins...)...)
		switch {
		case c.want == "" && status != http.StatusSwitchingProtocols:
			t.Errorf("host %s, origin %q: %d %s, want in", host, c.origins, status, text)
		case c.want != "" && (status != http.StatusForbidden || text != string(c.want)):
			t.Errorf("host %s, origin %q: %d %q, want %s", host, c.origins, status, text, c.want)
		}
		l.stop()
	}
}

// --developer lets http in, on loopback and nowhere else.
func TestGateDeveloper(t *testing.T) {
	l := start(t, func(c *Config) { c.Developer = true })
	host := fmt.Sprintf("127.0.0.1:%d", l.port)
	for origin, want := range map[string]int{
		"http://localhost:8080":    101,
		"http://127.0.0.1":         101,
		"http://[::1]:3000":        101,
		"http://app.localhost":     101,
		site:                       101,
		"http://localhost:80":      403,
		"http://localhost.evil":    403,
		"http://evil.example":      403,
		"http://127.0.0.1.example": 403,
		"http://192.0.2.7":         403,
		"null":                     403,
	} {
		if status, text := l.raw(handshake(host, origin)...); status != want {
			t.Errorf("%s: %d %s, want %d", origin, status, text, want)
		}
	}
}

func TestGateOtherRequests(t *testing.T) {
	l := start(t)
	host := fmt.Sprintf("Host: 127.0.0.1:%d", l.port)
	ws := handshake(fmt.Sprintf("127.0.0.1:%d", l.port), site)
	without := func(name string) []string {
		var out []string
		for _, line := range ws {
			if !strings.HasPrefix(line, name+":") {
				out = append(out, line)
			}
		}
		return out
	}
	with := func(first string) []string { return append([]string{first}, ws[1:]...) }
	for name, c := range map[string]struct {
		lines  []string
		status int
	}{
		"fetch":               {[]string{"GET / HTTP/1.1", host, "Origin: " + site}, 400},
		"navigation":          {[]string{"GET / HTTP/1.1", host}, 403},
		"post":                {with("POST / HTTP/1.1"), 404},
		"options":             {with("OPTIONS / HTTP/1.1"), 404},
		"another path":        {with("GET /admin HTTP/1.1"), 404},
		"a query":             {with("GET /?x=1 HTTP/1.1"), 404},
		"absolute form":       {with("GET http://evil.example/ HTTP/1.1"), 403},
		"no subprotocol":      {without("Sec-WebSocket-Protocol"), 400},
		"another version":     {append(without("Sec-WebSocket-Protocol"), "Sec-WebSocket-Protocol: citel.v2"), 400},
		"ours among others":   {append(without("Sec-WebSocket-Protocol"), "Sec-WebSocket-Protocol: citel.v2, citel.v1"), 101},
		"not a handshake":     {without("Upgrade"), 400},
		"no key":              {without("Sec-WebSocket-Key"), 400},
		"a very long request": {append(ws[:len(ws):len(ws)], "Cookie: "+strings.Repeat("a", 2*maxHeader)), 431},
	} {
		// Of a request that is hung up on in the middle the answer may be lost.
		if status, text := l.raw(c.lines...); status != c.status && !(status == 0 && c.status == 431) {
			t.Errorf("%s: %d %s, want %d", name, status, text, c.status)
		}
	}
}

// What the person decided reaches the page: the socket opens and closes at once.
func TestBlockedOriginIsTold(t *testing.T) {
	l := start(t)
	if err := l.sites.SetSite(site, config.Blocked, time.Now()); err != nil {
		t.Fatal(err)
	}
	if code, text := l.page(site).expectClosed(); code != wire.CloseRefused || text != string(wire.CodeOriginBlocked) {
		t.Fatalf("%d %q", code, text)
	}
	l.greeted(other) // blocks nobody else
}

// A list of sites that cannot be read lets nobody in.
func TestBrokenSiteListLetsNobodyIn(t *testing.T) {
	l := start(t)
	if err := os.MkdirAll(l.sites.Dir(), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(l.sites.Dir()+"/sites.json", []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, resp, err := l.dial(site); err == nil || resp.StatusCode != http.StatusInternalServerError {
		t.Fatalf("%v, %v", resp, err)
	}
}

// Another local user is refused, before a byte of what they send is read.
func TestAnotherLocalUser(t *testing.T) {
	l := start(t)
	for _, dest := range []string{"127.0.0.1", "::1"} {
		script := fmt.Sprintf(`exec 3<>/dev/tcp/%s/%d; printf 'GET / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nOrigin: %s\r\n\r\n' >&3; cat <&3`,
			dest, l.port, l.port, site)
		args := []string{"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "bash", "-c", script}
		if os.Geteuid() != 0 {
			args = append([]string{"sudo", "-n"}, args...)
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput()
		cancel()
		if err != nil && len(out) == 0 || strings.Contains(string(out), "sudo") {
			t.Fatalf("this test needs to run a program as another user (root or sudo, setpriv, bash: make deps): %v %s", err, out)
		}
		if !strings.HasPrefix(string(out), "HTTP/1.1 403 ") || !strings.HasSuffix(strings.TrimSpace(string(out)), string(wire.CodeUserRefused)) {
			t.Errorf("%s: another user got %q", dest, out)
		}
	}
	l.greeted(site) // our own user still gets in
}

// The rows of /proc/net/tcp: who is at the other end, and when nobody can say.
func TestUnknownPeerIsRefused(t *testing.T) {
	a, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = a.Close() }()
	client, err := net.Dial("tcp", a.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := a.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if mine, err := sameUser(conn); !mine || err != nil {
		t.Fatalf("our own connection: %v, %v", mine, err)
	}
	_ = client.Close() // now nobody can say any more
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if mine, _ := sameUser(conn); !mine {
			break
		}
	}
	if mine, err := sameUser(conn); mine || !errors.Is(err, errPeerUnknown) {
		t.Fatalf("a peer that is gone: %v, %v", mine, err)
	}
	if mine, err := sameUser(notTCP{}); mine || !errors.Is(err, errPeerUnknown) {
		t.Fatalf("not TCP: %v, %v", mine, err)
	}
}

type notTCP struct{ net.Conn }

func (notTCP) LocalAddr() net.Addr  { return &net.UnixAddr{} }
func (notTCP) RemoteAddr() net.Addr { return &net.UnixAddr{} }

// A program that connects with an IPv6 socket to the IPv4 address is found too.
func TestMappedPeer(t *testing.T) {
	l := start(t)
	d := websocket.Dialer{Subprotocols: []string{wire.Subprotocol}, NetDial: func(string, string) (net.Conn, error) {
		return net.Dial("tcp", fmt.Sprintf("[::ffff:127.0.0.1]:%d", l.port))
	}}
	conn, resp, err := d.Dial(fmt.Sprintf("ws://127.0.0.1:%d/", l.port), http.Header{"Origin": {site}})
	if err != nil {
		t.Fatalf("%v %v", resp, err)
	}
	_ = conn.Close()
}

// IPv6 loopback works like IPv4.
func TestIPv6(t *testing.T) {
	l := start(t)
	d := websocket.Dialer{Subprotocols: []string{wire.Subprotocol}}
	conn, resp, err := d.Dial(fmt.Sprintf("ws://[::1]:%d/", l.port), http.Header{"Origin": {site}})
	if err != nil {
		t.Fatalf("%v %v (is IPv6 on for loopback?)", resp, err)
	}
	_ = conn.Close()
}

// A port that another program has is passed by, and a full list is an error.
func TestListenTakesTheNextFreePort(t *testing.T) {
	taken, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	taken6, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken6.Close() }()
	port4, port6 := taken.Addr().(*net.TCPAddr).Port, taken6.Addr().(*net.TCPAddr).Port
	got, err := Listen(t.Context(), []int{port4, port6, 0})
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range got {
		if p := l.Addr().(*net.TCPAddr).Port; p == port4 || p == port6 {
			t.Errorf("listens on a taken port: %v", l.Addr())
		}
		if !l.Addr().(*net.TCPAddr).IP.IsLoopback() {
			t.Errorf("listens beyond loopback: %v", l.Addr())
		}
		_ = l.Close()
	}
	if _, err := Listen(t.Context(), []int{port4, port6}); !errors.Is(err, ErrPortsTaken) {
		t.Fatalf("every port taken: %v", err)
	}
}
