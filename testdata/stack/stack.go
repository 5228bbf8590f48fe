// Package stack starts the real programs with a test PKI and SoftHSM cards, on
// loopback, for the demo and the end-to-end tests.
package stack

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/citel-pa/citel/testdata/pki"
	"github.com/citel-pa/citel/testdata/softhsm"
)

// patience is how long a program may take to start or to end; a loaded machine takes its time.
const patience = time.Minute

// Stack is one town with its server, and the cards of its citizens.
type Stack struct {
	Dir    string
	Agent  string // the programs
	Server string
	Env    []string // of the server, beside the caller's own
	PKI    *pki.PKI
	Cards  *softhsm.Store
}

// New prepares a folder; what is there from an earlier time is used again.
func New(dir, agent, server string) (*Stack, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	s := &Stack{Dir: dir, Agent: agent, Server: server}
	if s.PKI, err = pki.LoadOrNew(filepath.Join(dir, "pki")); err != nil {
		return nil, err
	}
	// Cards are new each time: a second run must not find two that look alike.
	if err := os.RemoveAll(filepath.Join(dir, "softhsm")); err != nil {
		return nil, err
	}
	if s.Cards, err = softhsm.New(filepath.Join(dir, "softhsm")); err != nil {
		return nil, err
	}
	return s, nil
}

// Card issues a certificate and puts it on a token.
func (s *Stack) Card(kind pki.Kind, alg pki.KeyAlg, who pki.Person, pin string) (softhsm.Slot, *pki.Identity, error) {
	id, err := s.PKI.Issue(kind, alg, who)
	if err != nil {
		return softhsm.Slot{}, nil, err
	}
	slot, err := s.Cards.Add(softhsm.Token{Label: string(kind) + " " + who.CF, PIN: pin, Identities: []*pki.Identity{id}})
	return slot, id, err
}

// Publish writes anchors and revocation lists: ca.pem holds the root, the issuing
// authorities and their lists, so that it serves openssl and `verify --trust`.
func (s *Stack) Publish() error {
	all := s.PKI.AnchorsPEM()
	for _, kind := range []pki.Kind{pki.CNS, pki.CIE, pki.Qualified} {
		ca := s.PKI.Issuer(kind)
		list, err := ca.CRL(time.Now().Add(-time.Minute), time.Now().AddDate(1, 0, 0))
		if err != nil {
			return err
		}
		crl := pemCRL(list)
		one := s.PKI.AnchorsPEM(kind)
		all = append(append(all, one...), crl...)
		if err := errors.Join(os.WriteFile(s.path(string(kind)+".pem"), one, 0o600), os.WriteFile(s.path(string(kind)+".crl"), crl, 0o600)); err != nil {
			return err
		}
	}
	return errors.Join(os.WriteFile(s.path("ca.pem"), all, 0o600), s.PKI.Save(s.path("pki")))
}

func (s *Stack) path(name string) string { return filepath.Join(s.Dir, name) }

// Process is a program that runs.
type Process struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error
	log  *logBuffer
	out  *logBuffer
}

// Log is what the program wrote to standard error.
func (p *Process) Log() string { return p.log.String() }

// Output is what it has written to standard output.
func (p *Process) Output() string { return p.out.String() }

// Pid is the process's id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Done is closed when the program has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err is how the program ended; it may be asked once Done is closed.
func (p *Process) Err() error { return p.err }

// Stop asks the program to end, and ends it when it does not.
func (p *Process) Stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
		<-p.done
		return fmt.Errorf("stack: %s did not end by itself\n%s", p.cmd.Path, p.Log())
	}
	return p.err
}

type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
	to io.Writer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.to != nil {
		_, _ = l.to.Write(p)
	}
	return l.b.Write(p)
}

// String is everything so far.
func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Start starts a program; what it writes to standard error is kept, and copied to
// the writer where there is one.
func Start(cmd *exec.Cmd, to io.Writer) (*Process, error) {
	p := &Process{cmd: cmd, done: make(chan struct{}), log: &logBuffer{to: to}, out: &logBuffer{}}
	cmd.Stderr = p.log
	if cmd.Stdout == nil {
		cmd.Stdout = p.out
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("stack: %w (`make build` builds it)", err)
	}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// waitFor waits until a pattern stands in the log.
func (p *Process) waitFor(ctx context.Context, pattern *regexp.Regexp) ([]string, error) {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		if m := pattern.FindStringSubmatch(p.Log()); m != nil {
			return m, nil
		}
		select {
		case <-p.done:
			return nil, fmt.Errorf("stack: %s ended: %w\n%s", filepath.Base(p.cmd.Path), p.err, p.Log())
		case <-ctx.Done():
			return nil, fmt.Errorf("stack: %s: %w\n%s", filepath.Base(p.cmd.Path), ctx.Err(), p.Log())
		case <-tick.C:
		}
	}
}

// ServerOptions of StartServer.
type ServerOptions struct {
	Listen string // 127.0.0.1:PORT; port 0 takes a free one
	Origin string // empty: http on the listen address
	Data   string // folder below Dir; empty is "data"
	Args   []string
}

// ErrPortTaken means that another program uses the port.
var ErrPortTaken = errors.New("stack: the port is taken by another program")

// StartServer starts citel-server --demo and gives its origin.
func (s *Stack) StartServer(ctx context.Context, o ServerOptions) (*Process, string, error) {
	if strings.HasSuffix(o.Listen, ":0") || o.Listen == "" {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, "", err
		}
		o.Listen = l.Addr().String()
		if err := l.Close(); err != nil {
			return nil, "", err
		}
	} else if l, err := net.Listen("tcp", o.Listen); err != nil {
		return nil, "", fmt.Errorf("%w: %s", ErrPortTaken, o.Listen)
	} else if err := l.Close(); err != nil {
		return nil, "", err
	}
	if o.Origin == "" {
		o.Origin = "http://" + o.Listen
	}
	if o.Data == "" {
		o.Data = "data"
	}
	args := []string{"serve", "--demo", "--listen", o.Listen, "--origin", o.Origin, "--data", s.path(o.Data), "--ente", "prova", "--name", "Comune di Prova"}
	for _, kind := range []string{"cns", "cie", "qualified"} {
		args = append(args, "--trust", kind+"="+s.path(kind+".pem"), "--crl", s.path(kind+".crl"))
	}
	cmd := exec.CommandContext(ctx, s.Server, append(args, o.Args...)...)
	cmd.Env = append(os.Environ(), s.Env...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	p, err := Start(cmd, nil)
	if err != nil {
		return nil, "", err
	}
	wait, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if _, err := p.waitFor(wait, regexp.MustCompile(`"msg":"serving"`)); err != nil {
		return nil, "", errors.Join(err, p.Stop())
	}
	return p, o.Origin, nil
}

// AgentOptions of StartAgent.
type AgentOptions struct {
	// PIN makes the testers' unattended face say yes for Origin; empty leaves the
	// terminal in charge.
	PIN, Origin string
	// Ports to try; empty takes a free one.
	Ports  []int
	Config string // folder below Dir; empty is "agent"
	// TTY is the terminal that the agent asks on.
	TTY    *os.File
	Args   []string
	Stderr io.Writer
	// Native: no module is named, the agent reads cards by itself; Env says which
	// pcscd it uses.
	Native bool
	Env    []string
}

var listening = regexp.MustCompile(`127\.0\.0\.1:(\d+)`)

// StartAgent starts citel-agent run --developer and gives its port.
func (s *Stack) StartAgent(ctx context.Context, o AgentOptions) (*Process, int, error) {
	if o.Config == "" {
		o.Config = "agent"
	}
	if len(o.Ports) == 0 {
		o.Ports = []int{0}
	}
	args := []string{"run", "--developer", "--config", s.path(o.Config)}
	if !o.Native {
		args = append(args, "--module", s.Cards.Module())
	}
	for _, p := range o.Ports {
		args = append(args, "--port", strconv.Itoa(p))
	}
	if o.PIN != "" {
		file := s.path("pin")
		if err := os.WriteFile(file, []byte(o.PIN), 0o600); err != nil {
			return nil, 0, err
		}
		args = append(args, "--pin-file", file, "--pin-origin", o.Origin, "--pin-remember")
	}
	cmd := exec.CommandContext(ctx, s.Agent, append(args, o.Args...)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.Env = append(os.Environ(), append(append(s.Cards.Env(), o.Env...), "LANG=it_IT.UTF-8", "LC_ALL=")...)
	if o.TTY != nil {
		cmd.Args = append(cmd.Args, "--terminal")
		// A session of its own with this as its controlling terminal: /dev/tty.
		cmd.Stdin, cmd.Stdout = o.TTY, o.TTY
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	}
	p, err := Start(cmd, o.Stderr)
	if err != nil {
		return nil, 0, err
	}
	wait, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	m, err := p.waitFor(wait, listening)
	if err != nil {
		return nil, 0, errors.Join(err, p.Stop())
	}
	port, err := strconv.Atoi(m[1])
	return p, port, err
}

// Up waits until the server answers.
func Up(ctx context.Context, origin string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, origin+"/", nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			_, _ = bufio.NewReader(resp.Body).Discard(1)
			return resp.Body.Close()
		}
		if ctx.Err() != nil {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
}
