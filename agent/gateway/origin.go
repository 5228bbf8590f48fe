package gateway

import (
	"net"
	"net/netip"
	"strings"
)

// maxOrigin is the longest origin that is looked at: a host of 253 characters
// (RFC 1035, 2.3.4, Size limits) with scheme and port.
const maxOrigin = 300

// origin is the Origin header of a handshake, taken apart.
type origin struct {
	text     string // as the browser wrote it; this is what is compared, shown and signed
	http     bool   // http instead of https
	loopback bool   // the host is this computer
}

// parseOrigin takes only what a browser writes for a web page: "https://host" or
// "https://host:port" in the serialised form (RFC 6454, 6.2, ASCII Serialization
// of an Origin): lower case, no default port, no path, nothing but ASCII. "null",
// extension schemes and anything that would have to be normalised are not.
func parseOrigin(s string) (origin, bool) {
	o := origin{text: s}
	if len(s) > maxOrigin {
		return o, false
	}
	rest, ok := strings.CutPrefix(s, "https://")
	if !ok {
		if rest, ok = strings.CutPrefix(s, "http://"); !ok {
			return o, false
		}
		o.http = true
	}
	host, port := rest, ""
	if strings.HasPrefix(rest, "[") {
		end := strings.IndexByte(rest, ']')
		if end < 0 {
			return o, false
		}
		host, port = rest[:end+1], rest[end+1:]
		addr, err := netip.ParseAddr(host[1:end])
		if err != nil || !addr.Is6() || addr.Zone() != "" || addr.String() != host[1:end] {
			return o, false
		}
		o.loopback = addr.IsLoopback()
	} else {
		if i := strings.IndexByte(rest, ':'); i >= 0 {
			host, port = rest[:i], rest[i:]
		}
		if !isHostName(host) {
			return o, false
		}
		if ip := net.ParseIP(host); ip != nil {
			o.loopback = ip.IsLoopback()
		} else {
			o.loopback = host == "localhost" || strings.HasSuffix(host, ".localhost")
		}
	}
	return o, port == "" || isPort(port, o.http)
}

// isHostName: labels of lower-case letters, digits, hyphen and underscore, as a
// browser serialises them (international names in their xn-- form).
func isHostName(host string) bool {
	if host == "" || len(host) > 253 {
		return false
	}
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || len(label) > 63 {
			return false
		}
		for i := range len(label) {
			c := label[i]
			if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
				return false
			}
		}
	}
	return true
}

// isPort: a colon and a decimal number from 1 to 65535, without leading zero and
// not the scheme's own.
func isPort(s string, http bool) bool {
	digits := s[1:]
	if s[0] != ':' || digits == "" || len(digits) > 5 || digits[0] == '0' {
		return false
	}
	n := 0
	for i := range len(digits) {
		if digits[i] < '0' || digits[i] > '9' {
			return false
		}
		n = n*10 + int(digits[i]-'0')
	}
	return n <= 65535 && !(http && n == 80) && !(!http && n == 443)
}
