// Package outside asks a protocol system of the ente's own for numbers, over HTTP. What
// it says and expects is a contract of ours, small enough for an adapter in front of any
// vendor's system:
//
//	POST <address>
//	Authorization: Bearer <token>
//	Idempotency-Key: <application id>
//	Content-Type: application/json
//
//	{"key": "<application id>", "ente": "prova", "time": "2026-11-26T09:30:00.000Z",
//	 "direction": "in", "party": "sender, codice fiscale", "subject": "Iscrizione al nido",
//	 "sha256": "<hexadecimal>", "mediaType": "application/pdf", "document": "<base64>"}
//
// The answer is 200 or 201 with {"number": "2026/0001234"}, at most 60 bytes. The
// same key always gets the same number: what is asked twice may have been done the first
// time. 408, 425, 429, 401, 403 and every 5xx mean "ask again later"; any other 4xx means
// that this document is refused (ErrRefused), and the others go on.
package outside

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"
	"unicode"

	"github.com/citel-pa/citel/pkcs/trust"
	"github.com/citel-pa/citel/pkcs/version"
	"github.com/citel-pa/citel/server/register"
	"github.com/citel-pa/citel/server/store"
)

// Limits of what is sent and read, in bytes.
const (
	MaxDocument = 32 << 20
	maxAnswer   = 64 << 10
	maxNumber   = 60
)

// ErrConfiguration means an address or a token that cannot be used.
var ErrConfiguration = errors.New("outside: the protocol system's address or token")

// System is one ente's.
type System struct {
	address string
	token   string
	client  *http.Client
}

// Timeout of one registration, with its document.
const Timeout = 30 * time.Second

// New takes the address and the file with the bearer token, which nobody else may read.
// The fetcher says which private networks may be reached. http is for an adapter on this
// machine: the token would go over the wire in clear.
func New(address, tokenFile string, f *trust.Fetcher) (*System, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfiguration, err)
	}
	ip, _ := netip.ParseAddr(u.Hostname())
	if u.Scheme != "https" && (u.Scheme != "http" || !ip.IsLoopback()) || u.Host == "" || u.User != nil || u.Fragment != "" {
		return nil, fmt.Errorf("%w: write https://host/path, not %q", ErrConfiguration, u.Redacted())
	}
	token, err := readToken(tokenFile)
	if err != nil {
		return nil, err
	}
	s := &System{address: u.String(), token: token, client: f.Client(Timeout)}
	// A registration is sent to the address that was configured, and nowhere else.
	s.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return s, nil
}

func readToken(name string) (string, error) {
	st, err := os.Stat(name)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrConfiguration, err)
	}
	if st.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("%w: %s can be read by others; chmod 600 it", ErrConfiguration, name)
	}
	data, err := os.ReadFile(name) //nolint:gosec // the operator names it
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrConfiguration, err)
	}
	token := strings.TrimSpace(string(data))
	if token == "" || len(token) > 4096 || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", fmt.Errorf("%w: %s holds no token on one line", ErrConfiguration, name)
	}
	return token, nil
}

// Registration is what is sent.
type Registration struct {
	Key       string `json:"key"`
	Ente      string `json:"ente"`
	Time      string `json:"time"` // RFC 3339, UTC: the one of the receipt
	Direction string `json:"direction"`
	Party     string `json:"party"`
	Subject   string `json:"subject"`
	SHA256    string `json:"sha256"`
	MediaType string `json:"mediaType"`
	Document  string `json:"document"`
}

// Register implements submission.Outside.
func (s *System) Register(ctx context.Context, key string, e register.Entry, document io.Reader) (string, error) {
	data, err := io.ReadAll(io.LimitReader(document, MaxDocument+1))
	if err != nil {
		return "", fmt.Errorf("outside: %w", err)
	}
	if len(data) > MaxDocument {
		return "", fmt.Errorf("%w: the document has more than %d bytes", register.ErrRefused, MaxDocument)
	}
	body, err := json.Marshal(Registration{Key: key, Ente: e.Ente, Time: store.Time(e.Time), Direction: string(e.Direction), Party: e.Party, Subject: e.Subject,
		SHA256: e.Hash(), MediaType: "application/pdf", Document: base64.StdEncoding.EncodeToString(data)})
	if err != nil {
		return "", fmt.Errorf("outside: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.address, bytes.NewReader(body))
	if err != nil {
		return "", fmt.Errorf("outside: %w", err)
	}
	for k, v := range map[string]string{"Authorization": "Bearer " + s.token, "Idempotency-Key": key, "Content-Type": "application/json", "Accept": "application/json", "User-Agent": "CiTel/" + version.Version} {
		req.Header.Set(k, v)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return "", fmt.Errorf("outside: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if err := status(resp); err != nil {
		return "", err
	}
	var answer struct {
		Number string `json:"number"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&answer); err != nil {
		return "", fmt.Errorf("outside: the answer is no JSON object with a number: %w", err)
	}
	return number(answer.Number)
}

// status tells what an answer means; its body is not repeated, it may say anything.
func status(r *http.Response) error {
	switch c := r.StatusCode; {
	case c == http.StatusOK, c == http.StatusCreated:
		return nil
	case c == http.StatusUnauthorized, c == http.StatusForbidden, c == http.StatusRequestTimeout, c == http.StatusTooEarly, c == http.StatusTooManyRequests, c < 400, c >= 500:
		return fmt.Errorf("outside: the protocol system answers %d", c)
	default:
		return fmt.Errorf("%w: the protocol system answers %d", register.ErrRefused, c)
	}
}

func number(s string) (string, error) {
	s = strings.TrimSpace(s)
	if s == "" || len(s) > maxNumber || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || r == '\uFFFD' }) {
		return "", errors.New("outside: the protocol system gave no usable number")
	}
	return s, nil
}
