package trust

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"syscall"
	"time"
)

// ErrForbidden means an address that a certificate or a list must not make us reach.
var ErrForbidden = errors.New("trust: this address is not asked")

// Fetcher is the one way to the network of everything that a file, a certificate or a list
// can make us ask: lists, responders, time-stamping authorities, trusted lists. Addresses come out of certificates, so each one
// is a stranger's wish: only http and https, a bounded number of redirects and
// bytes, no proxy of the environment, and the address is judged when the connection is made, after the name
// was resolved, so that a name cannot point inside later.
type Fetcher struct {
	// Private lists networks that may be reached although they are private or
	// loopback, e.g. the town's own issuer. Link-local addresses never are: a
	// cloud machine's credentials are there.
	Private []netip.Prefix
	// Timeout for one answer; zero is 10 s.
	Timeout time.Duration

	resolver *net.Resolver // nil: the machine's
}

const maxRedirects = 3

// Get fetches one document of at most limit bytes.
func (f *Fetcher) Get(ctx context.Context, address string, limit int64) ([]byte, error) {
	return f.do(ctx, http.MethodGet, address, "", nil, limit)
}

// Post sends a body and gives the answer, of at most limit bytes.
func (f *Fetcher) Post(ctx context.Context, address, contentType string, body []byte, limit int64) ([]byte, error) {
	return f.do(ctx, http.MethodPost, address, contentType, body, limit)
}

func (f *Fetcher) do(ctx context.Context, method, address, contentType string, body []byte, limit int64) ([]byte, error) {
	u, err := url.Parse(address)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil {
		return nil, fmt.Errorf("%w: %q", ErrForbidden, address)
	}
	timeout := f.Timeout
	if timeout <= 0 {
		timeout = 10 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("trust: %s: %w", address, err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	client := f.Client(timeout)
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("trust: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("trust: %s answers %s", address, resp.Status)
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("trust: %s: %w", address, err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("trust: %s answers more than %d bytes", address, limit)
	}
	return data, nil
}

// Client is an HTTP client that reaches what the fetcher reaches, for who needs more of
// HTTP than Get and Post.
func (f *Fetcher) Client(timeout time.Duration) *http.Client {
	dialer := &net.Dialer{Timeout: timeout, Control: f.control, Resolver: f.resolver}
	return &http.Client{
		Transport: &http.Transport{DialContext: dialer.DialContext, TLSHandshakeTimeout: timeout, DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10},
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if len(via) > maxRedirects {
				return fmt.Errorf("%w: more than %d redirects", ErrForbidden, maxRedirects)
			}
			if r.URL.Scheme != "http" && r.URL.Scheme != "https" {
				return fmt.Errorf("%w: redirect to %s", ErrForbidden, r.URL.Scheme)
			}
			return nil
		},
	}
}

// control runs with the resolved address, just before the connection is made.
func (f *Fetcher) control(_, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %s", ErrForbidden, address)
	}
	ip := ap.Addr().Unmap()
	if ip.IsLinkLocalUnicast() || ip.IsLinkLocalMulticast() || ip.IsMulticast() || ip.IsUnspecified() {
		return fmt.Errorf("%w: %s", ErrForbidden, ip)
	}
	if slices.ContainsFunc(f.Private, func(p netip.Prefix) bool { return p.Contains(ip) }) {
		return nil
	}
	if ip.IsLoopback() || ip.IsPrivate() || !ip.IsGlobalUnicast() || slices.ContainsFunc(special, func(p netip.Prefix) bool { return p.Contains(ip) }) {
		return fmt.Errorf("%w: %s is a private address", ErrForbidden, ip)
	}
	return nil
}

// special are ranges that IsPrivate does not know: RFC 6598 (carriers), RFC 6890
// (protocols, benchmarks), NAT64 (RFC 6052) and 6to4, which wrap IPv4 addresses.
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("64:ff9b:1::/48"), netip.MustParsePrefix("2002::/16"), netip.MustParsePrefix("2001::/32"),
}
