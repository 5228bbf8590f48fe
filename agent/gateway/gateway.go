// Package gateway is the localhost link between web pages and the agent: a
// WebSocket listener on loopback with one gate before everything, a queue for
// the person's attention, and the sockets that speak agent/wire. It knows
// nothing of cards and windows: what a request means is agent/signing's.
package gateway

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/gorilla/websocket"

	"github.com/citel-pa/citel/agent/config"
	"github.com/citel-pa/citel/agent/signing"
	"github.com/citel-pa/citel/agent/wire"
)

// Signer does what requests ask; agent/signing's Ceremony is one.
type Signer interface {
	Login(ctx context.Context, req signing.LoginRequest) (*signing.LoginResult, error)
	Sign(ctx context.Context, req signing.SignRequest) (*signing.SignResult, error)
	Certificate(ctx context.Context, req signing.CertificateRequest) (*x509.Certificate, error)
	SignHash(ctx context.Context, req signing.HashRequest) (*signing.HashResult, error)
	AskOrigin(ctx context.Context, caller signing.Caller) error
}

// Sites is what the person decided about sites; agent/config's Store is one.
type Sites interface {
	Site(origin string) (config.Decision, error)
	SetSite(origin string, d config.Decision, now time.Time) error
}

// Silence counts the person's refusals; agent/config's Store is one, so that native
// messaging counts with it.
type Silence interface {
	Refused(origin string, now time.Time) error
	Approved(origin string, now time.Time) error
	Silent(origin string, now time.Time) bool
}

// Cards says whether a card is there; nil in Config: pages are not told.
type Cards interface {
	Present(ctx context.Context) (bool, error)
	// Watch calls changed at each change until ctx is done. It is only running
	// while a page that may know is connected.
	Watch(ctx context.Context, changed func(present bool)) error
}

// Config is what a Server works with. Signer, Sites and Secret are needed.
type Config struct {
	Signer Signer
	Sites  Sites
	Cards  Cards
	// Silence is nil where no other way in counts refusals too.
	Silence Silence
	// Turn waits until no other program asks the person (agent/config's Store.Turn);
	// nil: there is none.
	Turn func(ctx context.Context, waiting func()) (release func(), err error)
	// Secret gives the master secret of the link's keys (32 bytes or more); it
	// is called when a proof is due, not before.
	Secret func() ([]byte, error)
	// Version of the agent, as told in hello.
	Version string
	// Developer lets http on loopback in.
	Developer bool
	// SpoolDir is where documents are kept while a request lasts; empty is the
	// system's folder for temporary files.
	SpoolDir string
	Limits   Limits
	Log      *slog.Logger
	// Now is the clock of limits and silence; nil is time.Now.
	Now func() time.Time
}

// Server is the link. Make it with New.
type Server struct {
	cfg      Config
	log      *slog.Logger
	limits   *limits
	queue    *queue
	watchers watchers
	upgrader websocket.Upgrader

	mu      sync.Mutex
	sockets map[*socket]struct{}
	closing bool
	running sync.WaitGroup
}

// New makes a Server; it opens nothing.
func New(cfg Config) *Server {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Silence == nil {
		cfg.Silence = &memory{}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Server{
		cfg:     cfg,
		log:     cfg.Log,
		limits:  newLimits(cfg.Limits, cfg.Now),
		queue:   newQueue(),
		sockets: make(map[*socket]struct{}),
		upgrader: websocket.Upgrader{
			HandshakeTimeout: headerTime,
			// Small buffers: most sockets are idle. Frames larger than a buffer
			// are no harm.
			ReadBufferSize:  4 << 10,
			WriteBufferSize: 4 << 10,
			WriteBufferPool: &sync.Pool{},
			Subprotocols:    []string{wire.Subprotocol},
			CheckOrigin:     func(*http.Request) bool { return true }, // the gate did
		},
	}
}

// Time and size limits of the handshake. Browsers send the cookies of every
// other program on loopback along, so the header may be long.
const (
	headerTime = 5 * time.Second
	maxHeader  = 64 << 10
)

// ErrPortsTaken means that every port of the list is in use.
var ErrPortsTaken = errors.New("gateway: every port of the list is taken")

// Listen opens the first port of ports that is free on 127.0.0.1, and the same
// on [::1] where the system has IPv6. A port that is taken on one of the two by
// another program is passed by: the page could not tell which of them answers.
func Listen(ctx context.Context, ports []int) ([]net.Listener, error) {
	var lc net.ListenConfig
	var failures []error
	for _, port := range ports {
		v4, err := lc.Listen(ctx, "tcp4", net.JoinHostPort("127.0.0.1", itoa(port)))
		if err != nil {
			failures = append(failures, err)
			continue
		}
		bound := v4.Addr().(*net.TCPAddr).Port // port 0 in tests
		v6, err := lc.Listen(ctx, "tcp6", net.JoinHostPort("::1", itoa(bound)))
		switch {
		case err == nil:
			return []net.Listener{v4, v6}, nil
		case noIPv6(err):
			return []net.Listener{v4}, nil
		}
		failures = append(failures, err, v4.Close())
	}
	return nil, fmt.Errorf("%w: %w", ErrPortsTaken, errors.Join(failures...))
}

func noIPv6(err error) bool {
	return errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, os.ErrPermission)
}

// Serve answers on the listeners until ctx is done, then closes every socket and
// waits for the requests to end.
func (s *Server) Serve(ctx context.Context, listeners []net.Listener) error {
	server := &http.Server{
		Handler:           http.HandlerFunc(s.handshake),
		ReadHeaderTimeout: headerTime,
		ReadTimeout:       headerTime,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		ConnContext:       withConn,
	}
	server.SetKeepAlivesEnabled(false)
	failed := make(chan error, len(listeners))
	for _, l := range listeners {
		go func() { failed <- server.Serve(newDoor(l, s.log)) }()
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), headerTime)
	defer cancel()
	shut := server.Shutdown(stop) // does not know the upgraded sockets
	s.closeAll()
	s.running.Wait()
	if errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	return errors.Join(err, shut)
}

// handshake is the only handler: the gate, then a socket.
func (s *Server) handshake(w http.ResponseWriter, r *http.Request) {
	c := connOf(r.Context())
	v := s.gate(r, c.listener, c.mine)
	if v.refused != "" && !v.tell {
		s.log.Warn("page refused", "code", v.refused, "origin", r.Header.Get("Origin"), "host", r.Host)
		http.Error(w, string(v.refused), v.status)
		return
	}
	if !s.limits.open(v.origin.text) {
		s.log.Warn("page refused: too many sockets", "origin", v.origin.text)
		http.Error(w, string(wire.CodeTooMany), http.StatusTooManyRequests)
		return
	}
	defer s.limits.close(v.origin.text)
	conn, err := s.upgrader.Upgrade(w, r, nil)
	if err != nil {
		s.log.Debug("handshake failed", "origin", v.origin.text, "error", err)
		return
	}
	if v.refused != "" {
		s.log.Info("page refused by the person", "code", v.refused, "origin", v.origin.text)
		closeWith(conn, wire.CloseRefused, string(v.refused))
		return
	}
	sock := newSocket(s, conn, v)
	if !s.enter(sock) {
		closeWith(conn, websocket.CloseGoingAway, "")
		return
	}
	defer s.exit(sock)
	sock.run()
}

func (s *Server) enter(sock *socket) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	s.sockets[sock] = struct{}{}
	s.running.Add(1)
	return true
}

func (s *Server) exit(sock *socket) {
	s.mu.Lock()
	delete(s.sockets, sock)
	s.mu.Unlock()
	s.running.Done()
}

func (s *Server) closeAll() {
	s.mu.Lock()
	s.closing = true
	all := make([]*socket, 0, len(s.sockets))
	for sock := range s.sockets {
		all = append(all, sock)
	}
	s.mu.Unlock()
	for _, sock := range all {
		sock.close(websocket.CloseGoingAway, "")
	}
}

// closeWith says why and closes; a page that does not listen is not waited for.
func closeWith(conn *websocket.Conn, code int, reason string) {
	_ = conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason), time.Now().Add(time.Second))
	_ = conn.Close()
}
