package trust_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/citel-pa/citel/pkcs/trust"
)

// nameServer answers every question with the next of some addresses.
func nameServer(t *testing.T, addresses ...string) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	go func() {
		buf := make([]byte, 512)
		for n := 0; ; {
			size, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(buf[:size]) != nil || len(m.Questions) != 1 {
				continue
			}
			q := m.Questions[0]
			m.Response = true
			ip := netip.MustParseAddr(addresses[n%len(addresses)])
			head := dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET}
			switch {
			case q.Type == dnsmessage.TypeA && ip.Is4():
				m.Answers = []dnsmessage.Resource{{Header: head, Body: &dnsmessage.AResource{A: ip.As4()}}}
				n++
			case q.Type == dnsmessage.TypeAAAA && ip.Is6():
				m.Answers = []dnsmessage.Resource{{Header: head, Body: &dnsmessage.AAAAResource{AAAA: ip.As16()}}}
				n++
			}
			m.Additionals = nil
			if out, err := m.Pack(); err == nil {
				_, _ = conn.WriteTo(out, from)
			}
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

// A name is judged by the address that it leads to, when the connection is made: what it
// led to before does not count.
func TestNamesThatLeadInside(t *testing.T) {
	for _, inside := range []string{"127.0.0.1", "10.0.0.1", "169.254.169.254", "192.168.1.1", "::1", "fd00:ec2::254", "fe80::1", "::ffff:10.0.0.1", "64:ff9b::a00:1"} {
		f := &trust.Fetcher{Timeout: time.Minute}
		f.ResolveWith(nameServer(t, inside))
		if _, err := f.Get(t.Context(), "http://crl.ca.example:1/", 10); !errors.Is(err, trust.ErrForbidden) {
			t.Errorf("%s: %v", inside, err)
		}
	}
	// Rebinding: the name leads elsewhere at each question; each connection is judged.
	f := &trust.Fetcher{Timeout: time.Minute, Private: []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")}}
	f.ResolveWith(nameServer(t, "127.0.0.2", "127.0.0.1"))
	_, first := f.Get(t.Context(), "http://crl.ca.example:1/", 10)
	_, second := f.Get(t.Context(), "http://crl.ca.example:1/", 10)
	if errors.Is(first, trust.ErrForbidden) || !errors.Is(second, trust.ErrForbidden) {
		t.Errorf("%v; %v", first, second)
	}
	if first == nil || !strings.Contains(first.Error(), "refused") {
		t.Errorf("the permitted address was not tried: %v", first)
	}
}

// The environment's proxy would reach what we must not.
func TestNoProxyOfTheEnvironment(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	t.Setenv("http_proxy", "http://127.0.0.1:1")
	if _, err := (&trust.Fetcher{Timeout: time.Second}).Get(t.Context(), "http://10.0.0.1/", 10); !errors.Is(err, trust.ErrForbidden) {
		t.Error(err)
	}
}
