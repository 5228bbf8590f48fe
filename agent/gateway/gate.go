package gateway

import (
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/citel-pa/citel/agent/config"
	"github.com/citel-pa/citel/agent/wire"
)

// verdict is the gate's answer to a handshake.
type verdict struct {
	origin   origin
	decision config.Decision
	// refused names the reason; empty when the page may come in.
	refused wire.Code
	// tell: the reason is the person's own decision, so the page is told over a
	// socket that opens and closes at once (wire.CloseRefused).
	tell bool
	// status is the HTTP answer to a refusal that is not told.
	status int
}

// gate judges one handshake. It is the only way in: everything that a web page,
// a rebound DNS name, another user or a flood could try is decided here, before
// the socket opens and a byte of a message is read (ARCHITECTURE.md, Login, 2).
// The order is from what no honest browser does to what the person decided.
func (s *Server) gate(r *http.Request, listener *net.TCPAddr, peer bool) verdict {
	refuse := func(code wire.Code, status int) verdict { return verdict{refused: code, status: status} }

	// Another local user, or one that cannot be told. Promise: the uid of the
	// peer is the agent's.
	if !peer {
		return refuse(wire.CodeUserRefused, http.StatusForbidden)
	}
	// DNS rebinding: a page of evil.example whose name now points to 127.0.0.1
	// has Host evil.example.
	if !isOwnHost(r.Host, listener) {
		return refuse(wire.CodeHostRefused, http.StatusForbidden)
	}
	// A form, an image or a fetch without a handshake has no business here.
	if r.Method != http.MethodGet || r.URL.Path != wire.Path || r.URL.RawQuery != "" {
		return refuse(wire.CodeMalformed, http.StatusNotFound)
	}
	// A WebSocket knows no same-origin rule: any page may open one, so the
	// Origin has to be there, once, and be what a browser writes. "null" (a
	// sandboxed frame, a file, data:) is nobody.
	values := r.Header["Origin"]
	if len(values) != 1 {
		return refuse(wire.CodeOriginRefused, http.StatusForbidden)
	}
	o, ok := parseOrigin(values[0])
	if !ok || o.http && !(s.cfg.Developer && o.loopback) {
		return refuse(wire.CodeOriginRefused, http.StatusForbidden)
	}
	v := verdict{origin: o}
	if !slices.Contains(subprotocols(r), wire.Subprotocol) {
		v.refused, v.status = wire.CodeVersionUnsupported, http.StatusBadRequest
		return v
	}
	if !s.limits.connect(o.text) {
		v.refused, v.status = wire.CodeTooMany, http.StatusTooManyRequests
		return v
	}
	decision, err := s.cfg.Sites.Site(o.text)
	if err != nil { // the list cannot be read: nobody is remembered, and nobody blocked gets in
		s.log.Error("the list of sites cannot be read", "error", err)
		v.refused, v.status = wire.CodeInternal, http.StatusInternalServerError
		return v
	}
	v.decision = decision
	switch {
	case decision == config.Blocked:
		v.refused, v.tell = wire.CodeOriginBlocked, true
	case s.cfg.Silence.Silent(o.text, s.cfg.Now()):
		v.refused, v.tell = wire.CodeOriginSilent, true
	}
	return v
}

// isOwnHost: the Host header names loopback and the very port we listen on.
func isOwnHost(host string, listener *net.TCPAddr) bool {
	name, port, err := net.SplitHostPort(host)
	if err != nil || listener == nil || port != itoa(listener.Port) {
		return false
	}
	switch strings.ToLower(name) {
	case "127.0.0.1", "::1", "localhost":
		return true
	}
	return false
}

// subprotocols the page offers (RFC 6455, 11.3.4, Sec-WebSocket-Protocol).
func subprotocols(r *http.Request) []string {
	var all []string
	for _, line := range r.Header["Sec-Websocket-Protocol"] {
		for p := range strings.SplitSeq(line, ",") {
			all = append(all, strings.TrimSpace(p))
		}
	}
	return all
}
