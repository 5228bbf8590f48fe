package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"golang.org/x/crypto/acme/autocert"

	"github.com/citel-pa/citel/pkcs/authtoken"
	"github.com/citel-pa/citel/pkcs/profile"
	"github.com/citel-pa/citel/pkcs/trust"
	"github.com/citel-pa/citel/pkcs/trust/lists"
	"github.com/citel-pa/citel/pkcs/validation"
	"github.com/citel-pa/citel/pkcs/verify/command"
	"github.com/citel-pa/citel/server/apikey"
	"github.com/citel-pa/citel/server/console"
	"github.com/citel-pa/citel/server/download"
	"github.com/citel-pa/citel/server/ente"
	"github.com/citel-pa/citel/server/keys"
	"github.com/citel-pa/citel/server/login"
	"github.com/citel-pa/citel/server/portal"
	"github.com/citel-pa/citel/server/rooms"
	"github.com/citel-pa/citel/server/store"
	"github.com/citel-pa/citel/server/verification"
)

var timeNow = time.Now

// agentPorts are those that the agent publishes (agent/wire); the server only
// names them to its pages.
var agentPorts = []int{52310, 52311, 52312, 52313}

type serveFlags struct {
	data, listen, origin, code, name string
	trust, crl, private              []string
	tlsCert, tlsKey, acme, metrics   string
	releases                         string
	demo, proxy, verbose             bool
	ports                            []int
	token                            keys.Token
	lotl                             lotlFlags
	around                           aroundFlags
}

func serveCommand() *cobra.Command {
	var f serveFlags
	c := &cobra.Command{
		Use: "serve", Short: "serve the counter", Args: cobra.NoArgs,
		Example: `  citel-server serve --origin https://sportello.comune.example --tls-cert cert.pem --tls-key key.pem \
    --trust cns=cns.pem --trust cie=cie.pem --name "Comune di Esempio"`,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.serve(cmd.Context()) },
	}
	x := c.Flags()
	tokenFlags(x, &f.token)
	x.StringVar(&f.data, "data", "citel-data", "folder of the server's data")
	x.StringVar(&f.listen, "listen", "127.0.0.1:8443", "address to listen on")
	x.StringVar(&f.origin, "origin", "", "where the pages are, as a browser writes it: https://host[:port]")
	x.StringVar(&f.code, "ente", "comune", "short code of the municipality")
	x.StringVar(&f.name, "name", "Comune", "name of the municipality, for people")
	x.StringArrayVar(&f.trust, "trust", nil, "PROFILE=FILE: issuers in PEM, listed for cns, cie or qualified (repeatable)")
	f.lotl.add(x)
	f.around.add(x)
	x.StringArrayVar(&f.crl, "crl", nil, "revocation list: FILE or http(s) address (repeatable)")
	x.StringArrayVar(&f.private, "allow-network", nil, "private network whose revocation lists may be asked, e.g. 10.1.2.0/24 (repeatable)")
	x.StringVar(&f.tlsCert, "tls-cert", "", "certificate chain in PEM")
	x.StringVar(&f.tlsKey, "tls-key", "", "private key in PEM")
	x.StringVar(&f.acme, "acme", "", "get certificates by ACME; the folder to keep them in")
	x.BoolVar(&f.proxy, "behind-proxy", false, "plain http from a proxy on this machine that does TLS and sets X-Forwarded-For")
	x.StringVar(&f.releases, "releases", "", "folder with the agent's packages (make dist), offered at /scarica")
	x.StringVar(&f.metrics, "metrics", "", "address for /healthz, /readyz and /metrics")
	x.BoolVar(&f.demo, "demo", false, "accept test certificates and http on loopback; every page says so")
	x.BoolVarP(&f.verbose, "verbose", "v", false, "log more")
	x.IntSliceVar(&f.ports, "agent-ports", agentPorts, "the agent's ports")
	return c
}

// server is everything that was wired.
type server struct {
	flags    *serveFlags
	log      *slog.Logger
	store    *store.Store
	rooms    *rooms.Rooms
	portal   *portal.Portal
	handler  http.Handler
	trust    *trust.Store
	fetcher  *trust.Fetcher
	lists    *lists.Loader // nil without --lotl
	registry *prometheus.Registry
	ready    atomic.Bool
}

func (f *serveFlags) serve(ctx context.Context) error {
	s, err := f.wire(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = s.store.Close() }()
	defer func() { _ = s.flags.token.Close() }()
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", f.listen)
	if err != nil {
		return exit(command.Unavailable, fmt.Errorf("%w (--listen: is another program using this port?)", err))
	}
	hs := &http.Server{
		Handler: s.handler, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, WriteTimeout: 2 * time.Minute,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		BaseContext: func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
	serve := func() error { return hs.Serve(l) }
	if tc, err := f.tls(); err != nil {
		return errors.Join(err, l.Close())
	} else if tc != nil {
		hs.TLSConfig = tc
		serve = func() error { return hs.ServeTLS(l, f.tlsCert, f.tlsKey) }
	}
	failed := make(chan error, 2)
	go func() { failed <- serve() }()
	side, err := s.side(ctx, failed)
	if err != nil {
		return errors.Join(err, hs.Close())
	}
	go s.housekeeping(ctx)
	go s.rooms.Postman.Run(ctx)
	go s.follow(ctx)
	go s.refreshLists(ctx)
	s.ready.Store(true)
	s.log.Info("serving", "origin", f.origin, "address", l.Addr().String(), "demo", f.demo)
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	// Requests that are at work are finished: a signed application is not lost
	// because somebody restarts the server.
	s.ready.Store(false)
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	err = errors.Join(err, hs.Shutdown(stop))
	if side != nil {
		err = errors.Join(err, side.Shutdown(stop))
	}
	if err != nil && !errors.Is(err, http.ErrServerClosed) {
		return exit(command.InputOutput, err)
	}
	return nil
}

func (f *serveFlags) wire(ctx context.Context) (_ *server, err error) {
	e := ente.Ente{Code: f.code, Name: f.name, Origin: f.origin}
	if err := e.Check(f.demo); err != nil {
		return nil, exit(command.Usage, err)
	}
	if f.demo && !onLoopback(f.listen) {
		return nil, exit(command.Usage, fmt.Errorf("--demo listens on loopback only, not on %s", f.listen))
	}
	if f.proxy && !onLoopback(f.listen) {
		return nil, exit(command.Usage, fmt.Errorf("--behind-proxy listens on loopback only, not on %s", f.listen))
	}
	level := slog.LevelInfo
	if f.verbose {
		level = slog.LevelDebug
	}
	s := &server{flags: f, log: slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: level})), registry: prometheus.NewRegistry()}
	if err := s.openTrust(); err != nil {
		return nil, err
	}
	if err := s.openLists(ctx); err != nil {
		return nil, err
	}
	if s.store, err = openStore(ctx, f.data); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.store.Close())
		}
	}()
	ring, err := keys.Open(f.data, orNil(&f.token))
	if err != nil {
		return nil, exit(command.InputOutput, err)
	}
	s.rooms = rooms.New(rooms.Options{Store: s.store, Keys: ring, Origin: f.origin, Ente: f.code, Secure: strings.HasPrefix(f.origin, "https://"), Demo: f.demo, Log: s.log})
	if err := s.rooms.CheckKeys(ctx); err != nil {
		return nil, exit(command.InputOutput, err)
	}
	if err := s.directory(ctx, &e); err != nil {
		return nil, err
	}
	// Answers outlive a restart: a responder that is gone stops nobody whom one covers.
	kept, err := trust.OpenKept(filepath.Join(f.data, "revocation"))
	if err != nil {
		return nil, exit(command.InputOutput, err)
	}
	revocation := &trust.Revocation{Store: s.trust, Fetch: s.fetcher, Keep: kept}
	policy := validation.Strict()
	s.rooms.Applications.Trust, s.rooms.Applications.Revocation, s.rooms.Applications.Policy = s.trust, revocation, policy
	temp, err := s.store.TempDir()
	if err != nil {
		return nil, exit(command.InputOutput, err)
	}
	s.rooms.Applications.Limits.Dir, s.rooms.Mandates.Limits.Dir = temp, temp
	if err := s.connect(revocation); err != nil {
		return nil, err
	}
	// At the counter an issuer that is out of reach for a day shuts nobody out; a
	// signature, which is for years, waits for a fresh answer.
	atLogin := validation.Strict()
	atLogin.RevocationKeepHours = 24
	citizens := *s.rooms.Citizens
	citizens.Ente = e.Code
	p := &portal.Portal{
		Ente: e, Sessions: &citizens, Store: s.store, Audit: s.rooms.Audit, Rooms: s.rooms, Demo: f.demo, AgentPorts: f.ports, Log: s.log,
		Desk: &login.Desk{
			Ente: e, Nonces: &login.Nonces{Store: s.store}, Sessions: &citizens, Store: s.store, Audit: s.rooms.Audit, Log: s.log, Credentials: s.rooms.Credentials,
			Validator: &authtoken.Validator{Origin: f.origin, Store: s.trust, Revocation: revocation, Policy: atLogin},
		},
	}
	if f.proxy {
		p.ClientAddress = forwarded
	}
	if f.releases != "" {
		p.Downloads = &download.Folder{Dir: f.releases}
		if _, err := p.Downloads.Release(); err != nil {
			return nil, exit(command.InputOutput, err)
		}
	}
	s.portal = p
	desk := &console.Console{
		Rooms: s.rooms, Origin: f.origin, Secure: strings.HasPrefix(f.origin, "https://"), Demo: f.demo, AgentPorts: f.ports, ClientAddress: p.ClientAddress, Log: s.log,
		Card: &login.Desk{
			Ente: e, Nonces: &login.Nonces{Store: s.store}, Sessions: s.rooms.Console, Store: s.store, Audit: s.rooms.Audit, Log: s.log,
			Validator: p.Desk.Validator,
		},
	}
	if err := s.demoOperators(ctx, os.Stdout, e.Code); err != nil {
		return nil, exit(command.InputOutput, err)
	}
	pages, err1 := p.Handler()
	consolePages, err2 := desk.Handler()
	if err := errors.Join(err1, err2); err != nil {
		return nil, exit(command.Unavailable, err)
	}
	api := &verification.Service{
		Ente: e.Code, Keys: &apikey.Room{Store: s.store, Ente: e.Code, Audit: s.rooms.Audit}, Trust: s.trust, Revocation: revocation, Policy: validation.Default(),
		Audit: s.rooms.Audit, Log: s.log, Limits: verification.DefaultLimits(), TempDir: temp, Address: p.ClientAddress,
	}
	mux := http.NewServeMux()
	for _, path := range console.Paths {
		mux.Handle(path, consolePages)
	}
	mux.Handle("/", pages)
	mux.Handle(verification.Prefix, api.Handler())
	s.handler = s.measured(mux)
	return s, nil
}

// directory makes sure that the ente which the flags name is there, and fills the
// catalogue of examples.
func (s *server) directory(ctx context.Context, e *ente.Ente) error {
	named := *e
	if s.flags.demo {
		named.IDEnte = "DEMO"
	}
	found, err := s.rooms.Enti.Ensure(ctx, named)
	if err == nil {
		err = s.rooms.Enti.FillCatalogue(ctx)
	}
	if err != nil {
		return exit(command.InputOutput, err)
	}
	found.Name, found.Origin = e.Name, e.Origin
	*e = *found
	return nil
}

// openTrust reads anchors and lists. Test material is for --demo alone.
func (s *server) openTrust() error {
	var options []trust.Option
	if s.flags.demo {
		options = append(options, trust.AllowTest())
	}
	s.trust = trust.NewStore(options...)
	for _, t := range s.flags.trust {
		name, file, ok := strings.Cut(t, "=")
		if !ok || (name != string(profile.CNS) && name != string(profile.CIE) && name != string(profile.Qualified)) {
			return exit(command.Usage, fmt.Errorf("--trust %q: write cns=FILE, cie=FILE or qualified=FILE", t))
		}
		text, err := os.ReadFile(file) //nolint:gosec // the operator names it
		if err != nil {
			return exit(command.InputOutput, err)
		}
		if _, err := s.trust.AddPEM(text, filepath.Base(file), profile.Profile(name)); err != nil {
			return exit(command.Usage, err)
		}
	}
	s.fetcher = &trust.Fetcher{}
	for _, n := range s.flags.private {
		p, err := netip.ParsePrefix(n)
		if err != nil {
			return exit(command.Usage, fmt.Errorf("--allow-network: %w", err))
		}
		s.fetcher.Private = append(s.fetcher.Private, p)
	}
	for _, c := range s.flags.crl {
		if isAddress(c) {
			continue // fetched by housekeeping; logins wait for it to be there
		}
		data, err := os.ReadFile(c) //nolint:gosec // the operator names it
		if err != nil {
			return exit(command.InputOutput, err)
		}
		if err := s.trust.AddCRL(data, c); err != nil {
			return exit(command.Usage, err)
		}
	}
	return nil
}

func isAddress(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https")
}

// refresh reads the configured lists again; the last good one stays when that
// fails, and the policy says when it is too old.
func (s *server) refresh(ctx context.Context) {
	for _, c := range s.flags.crl {
		var data []byte
		var err error
		if isAddress(c) {
			data, err = s.fetcher.Get(ctx, c, trust.MaxCRL)
		} else {
			data, err = os.ReadFile(c) //nolint:gosec // the operator names it
		}
		if err == nil {
			err = s.trust.AddCRL(data, c)
		}
		if err != nil {
			s.log.Warn("a revocation list could not be refreshed", "source", c, "error", err)
		}
	}
}

func (s *server) housekeeping(ctx context.Context) {
	s.refresh(ctx)
	tick := time.NewTicker(5 * time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		s.refresh(ctx)
		if err := errors.Join(s.rooms.Housekeeping(ctx), s.portal.Housekeeping(ctx)); err != nil {
			s.log.Error("housekeeping", "error", err)
		}
	}
}

func onLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// forwarded is the address that the proxy saw: the last one, which the proxy
// itself has written.
func forwarded(r *http.Request) string {
	all := strings.Split(r.Header.Get("X-Forwarded-For"), ",")
	if last := strings.TrimSpace(all[len(all)-1]); last != "" {
		return last
	}
	return r.RemoteAddr
}

// tls gives the configuration; nil is plain http, for a proxy or the demo.
func (f *serveFlags) tls() (*tls.Config, error) {
	base := &tls.Config{MinVersion: tls.VersionTLS12}
	switch {
	case f.acme != "":
		u, err := url.Parse(f.origin)
		if err != nil {
			return nil, exit(command.Usage, err)
		}
		m := &autocert.Manager{Prompt: autocert.AcceptTOS, Cache: autocert.DirCache(f.acme), HostPolicy: autocert.HostWhitelist(u.Hostname())}
		base.GetCertificate = m.GetCertificate
		base.NextProtos = m.TLSConfig().NextProtos
		return base, nil
	case f.tlsCert != "" && f.tlsKey != "":
		return base, nil
	case f.tlsCert != "" || f.tlsKey != "":
		return nil, exit(command.Usage, errors.New("--tls-cert and --tls-key go together"))
	case f.proxy, f.demo && strings.HasPrefix(f.origin, "http://"):
		return nil, nil
	}
	return nil, exit(command.Usage, errors.New("no TLS: give --tls-cert and --tls-key, --acme, or --behind-proxy"))
}
