// Package pcscd runs the real pcscd with virtual readers, apart from the
// machine's own: its socket is in a folder of the test, its virtual reader (vpcd)
// waits on the loopback of a network namespace of its own. Several run side by
// side, as root and as an ordinary user; only root can enter the network
// namespace from a running program, so for others vpcd gets a free port instead.
package pcscd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/citel-pa/citel/agent/card/virtual"
)

const driver = "/usr/lib/pcsc/drivers/serial/libifdvpcd.so"

// ErrMissing means that pcscd or its virtual reader is not installed.
var ErrMissing = errors.New("pcscd: pcscd and vsmartcard-vpcd are missing; `make deps` installs them")

// Service is one running pcscd.
type Service struct {
	// Readers take the virtual cards.
	Readers []*virtual.Reader

	dir string
	mu  sync.Mutex
	cmd *exec.Cmd
	// ended is closed when cmd is no more.
	ended chan struct{}
	log   *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Program finds pcscd.
func Program() (string, error) {
	for _, p := range []string{"/usr/sbin/pcscd", "/usr/local/sbin/pcscd"} {
		if _, err := os.Stat(p); err == nil {
			if _, err := os.Stat(driver); err == nil {
				return p, nil
			}
		}
	}
	return "", ErrMissing
}

// maxReaders is what one vpcd has: two slots, on two ports in a row.
const (
	maxReaders  = 2
	defaultPort = 0x8C7B
)

// Start runs pcscd with n readers, two at most, in a new folder that Stop takes
// away.
func Start(ctx context.Context, n int) (*Service, error) {
	if _, err := Program(); err != nil {
		return nil, err
	}
	// Short, because a socket's path has 107 characters at most.
	dir, err := os.MkdirTemp("", "citel-pcsc-")
	if err != nil {
		return nil, err
	}
	s, err := start(ctx, dir, n)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return s, nil
}

func start(ctx context.Context, dir string, n int) (*Service, error) {
	s := &Service{dir: dir, log: &lockedBuffer{}}
	if err := os.MkdirAll(filepath.Join(dir, "run"), 0o755); err != nil { //nolint:gosec // clients of other users may connect, as in /run
		return nil, err
	}
	port, err := s.ports(n)
	if err != nil {
		return nil, err
	}
	conf := fmt.Sprintf("FRIENDLYNAME \"CiTel Virtual Reader\"\nDEVICENAME /dev/null:0x%X\nLIBPATH %s\nCHANNELID 0x%X\n", port, driver, port)
	if err := os.WriteFile(filepath.Join(dir, "reader.conf"), []byte(conf), 0o600); err != nil {
		return nil, err
	}
	for i := range n {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port+i))
		s.Readers = append(s.Readers, &virtual.Reader{Dial: func(ctx context.Context) (net.Conn, error) { return s.dial(ctx, address) }})
	}
	if err := s.Restart(ctx); err != nil {
		s.Kill()
		return nil, err
	}
	return s, nil
}

func root() bool { return os.Getuid() == 0 }

// ports gives the first of two free ports.
func (s *Service) ports(n int) (int, error) {
	if n < 1 || n > maxReaders {
		return 0, fmt.Errorf("pcscd: 1 or %d readers", maxReaders)
	}
	if root() {
		return defaultPort, nil // nobody else is in that namespace
	}
	for range 50 {
		a, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return 0, err
		}
		port := a.Addr().(*net.TCPAddr).Port
		b, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port+1)))
		_ = a.Close()
		if err == nil {
			return port, b.Close()
		}
	}
	return 0, errors.New("pcscd: no two free ports in a row")
}

// dial connects to vpcd; for root inside the network namespace. The thread that
// entered it is given up afterwards.
func (s *Service) dial(ctx context.Context, address string) (net.Conn, error) {
	s.mu.Lock()
	cmd := s.cmd
	s.mu.Unlock()
	if cmd == nil {
		return nil, errors.New("pcscd: it does not run")
	}
	if !root() {
		return (&net.Dialer{}).DialContext(ctx, "tcp", address)
	}
	ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", cmd.Process.Pid))
	if err != nil {
		return nil, err
	}
	defer func() { _ = ns.Close() }()
	type result struct {
		conn net.Conn
		err  error
	}
	done := make(chan result, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- result{nil, err}
			return
		}
		conn, err := (&net.Dialer{Timeout: time.Minute}).Dial("tcp", address)
		done <- result{conn, err}
	}()
	r := <-done
	return r.conn, r.err
}

// Env makes programs that link libpcsclite use this pcscd.
func (s *Service) Env() []string { return []string{"PCSCLITE_CSOCK_NAME=" + s.socket()} }

func (s *Service) socket() string { return filepath.Join(s.dir, "run", "pcscd.comm") }

// Restart starts pcscd, ending the one that runs.
func (s *Service) Restart(ctx context.Context) error {
	s.Kill()
	program, err := Program()
	if err != nil {
		return err
	}
	// A mount namespace of its own: pcscd's socket is /run/pcscd/pcscd.comm, and
	// that folder is ours there.
	script := `if [ "$4" = net ]; then ip link set lo up; fi && mount -t tmpfs tmpfs /run && mkdir /run/pcscd && mount --bind "$1" /run/pcscd && exec "$2" --foreground --config "$3"`
	args := []string{"--mount", "--", "sh", "-c", script, "sh", filepath.Join(s.dir, "run"), program, filepath.Join(s.dir, "reader.conf")}
	if root() {
		args = append(append([]string{"--net"}, args...), "net")
	} else {
		args = append([]string{"--user", "--map-root-user"}, args...)
	}
	cmd := exec.Command("unshare", args...) //nolint:gosec,noctx // ended by Stop
	cmd.Stdout, cmd.Stderr = s.log, s.log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("pcscd: %w (`make deps` installs util-linux)", err)
	}
	ended := make(chan struct{})
	s.mu.Lock()
	s.cmd, s.ended = cmd, ended
	s.mu.Unlock()
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	ctx, cancel := context.WithTimeout(ctx, time.Minute) // a loaded machine
	defer cancel()
	for {
		if c, err := net.Dial("unix", s.socket()); err == nil {
			return c.Close()
		}
		select {
		case <-ended: // a container often forbids namespaces
			return fmt.Errorf("pcscd: it does not start: %s", strings.TrimSpace(s.log.String()))
		case <-ctx.Done():
			return fmt.Errorf("pcscd: it does not start: %w\n%s", ctx.Err(), s.log)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Kill ends pcscd at once, as a crash would.
func (s *Service) Kill() {
	s.mu.Lock()
	cmd, ended := s.cmd, s.ended
	s.cmd = nil
	s.mu.Unlock()
	if cmd == nil {
		return
	}
	_ = cmd.Process.Kill()
	<-ended
	for _, name := range []string{"pcscd.comm", "pcscd.pid"} {
		_ = os.Remove(filepath.Join(s.dir, "run", name))
	}
}

// Stop takes the cards out and ends pcscd.
func (s *Service) Stop() {
	for _, r := range s.Readers {
		r.Remove()
	}
	s.Kill()
	_ = os.RemoveAll(s.dir)
}

// Log is what pcscd printed.
func (s *Service) Log() string { return s.log.String() }
