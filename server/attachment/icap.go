package attachment

import (
	"bufio"
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/citel-pa/citel/pkcs/version"
)

// ICAP is a scanner that speaks RFC 3507, as most do (c-icap with ClamAV among them).
type ICAP struct {
	address string // host:port
	url     string
	tls     *tls.Config // nil: plain
	// Timeout of one file; 0 is two minutes.
	Timeout time.Duration
}

// NewICAP takes an address as icap://host[:1344]/service, or icaps:// for TLS (port
// 11344). It is configuration, never something that a visitor said.
func NewICAP(address string) (*ICAP, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("attachment: scanner's address: %w", err)
	}
	if u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") == "" {
		return nil, fmt.Errorf("attachment: a scanner's address is icap://host:1344/service, not %q", u.Redacted())
	}
	s := &ICAP{url: u.String()}
	port := u.Port()
	switch u.Scheme {
	case "icap":
		if port == "" {
			port = "1344" // RFC 3507, 4.2
		}
	case "icaps":
		if port == "" {
			port = "11344"
		}
		s.tls = &tls.Config{ServerName: u.Hostname(), MinVersion: tls.VersionTLS12}
	default:
		return nil, fmt.Errorf("attachment: a scanner's address begins with icap:// or icaps://, not %q", u.Scheme)
	}
	s.address = net.JoinHostPort(u.Hostname(), port)
	return s, nil
}

// infection are the headers by which servers name what they found (RFC 3507 leaves it
// open; draft-stecher-icap-subid names them).
var infection = []string{"X-Infection-Found", "X-Virus-ID", "X-Violations-Found"}

// encapsulated is the answer that the file seems to be the body of. ICAP was made for
// proxies: a file is shown to the scanner as a download (RFC 3507, 4.9, RESPMOD).
const (
	encapsulatedRequest  = "GET /attachment HTTP/1.1\r\nHost: citel.invalid\r\n\r\n"
	encapsulatedResponse = "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n"
)

// Scan shows the file to the scanner.
func (s *ICAP) Scan(ctx context.Context, r io.Reader, size int64) (Verdict, error) {
	timeout := s.Timeout
	if timeout == 0 {
		timeout = 2 * time.Minute
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	v, err := s.scan(ctx, r, size)
	if err != nil {
		return Verdict{}, fmt.Errorf("%w: %w", ErrScanner, err)
	}
	return v, nil
}

func (s *ICAP) scan(ctx context.Context, r io.Reader, size int64) (Verdict, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.address)
	if err != nil {
		return Verdict{}, err
	}
	defer func() { _ = conn.Close() }()
	if s.tls != nil {
		secure := tls.Client(conn, s.tls)
		if err := secure.HandshakeContext(ctx); err != nil {
			return Verdict{}, err
		}
		conn = secure
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	sum := sha256.New()
	var sending sync.WaitGroup
	var failed error
	sending.Go(func() {
		if failed = s.send(conn, io.TeeReader(r, sum), size); failed != nil {
			_ = conn.Close() // nobody is to wait for an answer to half a file
		}
	})
	// A scanner may answer before it has read everything.
	// Headers and the file once more are all that a server may say.
	answer, err := readAnswer(bufio.NewReader(io.LimitReader(conn, 2*size+64<<10)))
	if err != nil {
		_ = conn.Close()
		sending.Wait()
		return Verdict{}, errors.Join(err, failed)
	}
	if answer.done() {
		_ = conn.Close()
		sending.Wait()
		return answer.verdict()
	}
	sending.Wait()
	if failed != nil {
		return Verdict{}, failed
	}
	return answer.same(sum.Sum(nil))
}

func (s *ICAP) send(w io.Writer, r io.Reader, size int64) error {
	head := fmt.Sprintf(encapsulatedResponse, size)
	b := bufio.NewWriter(w)
	_, _ = fmt.Fprintf(b, "RESPMOD %s ICAP/1.0\r\nHost: %s\r\nUser-Agent: CiTel/%s\r\nAllow: 204\r\nConnection: close\r\n"+
		"Encapsulated: req-hdr=0, res-hdr=%d, res-body=%d\r\n\r\n%s%s",
		s.url, s.address, version.Version, len(encapsulatedRequest), len(encapsulatedRequest)+len(head), encapsulatedRequest, head)
	body := httputil.NewChunkedWriter(b)
	n, err := io.Copy(body, r)
	if err != nil {
		return err
	}
	if n != size {
		return fmt.Errorf("the file has %d bytes, not %d", n, size)
	}
	if err := body.Close(); err != nil {
		return err
	}
	if _, err := b.WriteString("\r\n"); err != nil { // no trailers
		return err
	}
	return b.Flush()
}

// icapAnswer is what came back.
type icapAnswer struct {
	code   int
	threat string
	body   io.Reader // the encapsulated answer's body, at code 200
	http   int       // its status
}

// readAnswer reads the status line, the headers and the encapsulated headers
// (RFC 3507, 4.3.3 and 4.4).
func readAnswer(r *bufio.Reader) (*icapAnswer, error) {
	lines := textproto.NewReader(r)
	line, err := lines.ReadLine()
	if err != nil {
		return nil, err
	}
	protocol, rest, _ := strings.Cut(line, " ")
	number, _, _ := strings.Cut(rest, " ")
	a := &icapAnswer{}
	if a.code, err = strconv.Atoi(number); err != nil || protocol != "ICAP/1.0" {
		return nil, fmt.Errorf("not an ICAP server: %.60q", line)
	}
	headers, err := lines.ReadMIMEHeader()
	if err != nil {
		return nil, err
	}
	for _, name := range infection {
		if v := headers.Get(name); v != "" && a.threat == "" {
			a.threat = cmp.Or(printable(v), "unnamed") // found is found, whatever it is called
		}
	}
	if a.code != http.StatusOK || a.threat != "" {
		return a, nil
	}
	parts := headers.Get("Encapsulated")
	if strings.Contains(parts, "req-") {
		return nil, fmt.Errorf("an answer that is a request: %.60q", parts)
	}
	answer, err := lines.ReadLine()
	if err != nil {
		return nil, err
	}
	fields := strings.Fields(answer)
	if len(fields) < 2 || !strings.HasPrefix(fields[0], "HTTP/1.") {
		return nil, fmt.Errorf("no HTTP answer in it: %.60q", answer)
	}
	if a.http, err = strconv.Atoi(fields[1]); err != nil {
		return nil, err
	}
	if _, err := lines.ReadMIMEHeader(); err != nil {
		return nil, err
	}
	if strings.Contains(parts, "null-body") {
		a.body = strings.NewReader("")
	} else {
		a.body = httputil.NewChunkedReader(r)
	}
	return a, nil
}

// printable keeps a scanner's word short and on one line.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, s)
	return s[:min(len(s), 120)]
}

// done: nothing more has to be read for the verdict.
func (a *icapAnswer) done() bool {
	return a.threat != "" || a.code != http.StatusOK || a.http != http.StatusOK
}

func (a *icapAnswer) verdict() (Verdict, error) {
	switch {
	case a.threat != "":
		return Verdict{Threat: a.threat}, nil
	case a.code == http.StatusNoContent: // RFC 3507, 4.6: nothing to change
		return Verdict{Clean: true}, nil
	case a.code == http.StatusOK:
		return Verdict{Threat: fmt.Sprintf("blocked, HTTP %d", a.http)}, nil
	}
	return Verdict{}, fmt.Errorf("ICAP status %d", a.code)
}

// same is the verdict on a server that gives the file back: what it changed, it did not
// find clean.
func (a *icapAnswer) same(want []byte) (Verdict, error) {
	sum := sha256.New()
	if _, err := io.Copy(sum, a.body); err != nil {
		return Verdict{}, err
	}
	if string(sum.Sum(nil)) != string(want) {
		return Verdict{Threat: "changed by the scanner"}, nil
	}
	return Verdict{Clean: true}, nil
}
