// Package control is how a user's second citel-agent talks to the one that runs: a
// socket in a folder that is the user's alone, one line of JSON each way. It can show
// a page and end the agent; it can sign nothing and tells nothing of a card.
package control

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Limits.
const (
	maxLine     = 4 << 10
	lineTime    = 5 * time.Second
	answerTime  = 40 * time.Second // a window comes up meanwhile
	maxSessions = 8
)

// Commands.
const (
	Open   = "open"   // Page
	Quit   = "quit"   //
	Status = "status" // is somebody there
)

// ErrNotRunning means that no agent of this user answers.
var ErrNotRunning = errors.New("control: no agent of this user runs")

// ErrRuns means that another agent of this user has the socket.
var ErrRuns = errors.New("control: another agent of this user runs")

// Request is one line to the agent.
type Request struct {
	Command string `json:"command"`
	Page    string `json:"page,omitempty"`
}

// Answer is one line back; Error is empty when it was done.
type Answer struct {
	Error   string `json:"error,omitempty"`
	Version string `json:"version,omitempty"`
}

// Path is the socket's, for a folder of settings (empty: the user's own). The folder
// is $XDG_RUNTIME_DIR, which the system makes for one user alone, or else one of ours.
func Path(settings string) (string, error) {
	base, err := folder()
	if err != nil {
		return "", err
	}
	name := "agent.sock"
	if settings != "" {
		sum := sha256.Sum256([]byte(settings))
		name = hex.EncodeToString(sum[:4]) + ".sock"
	}
	return filepath.Join(base, name), nil
}

// Server waits for requests.
type Server struct {
	l    net.Listener
	path string
}

// Listen makes the socket. One that a crashed agent left behind is taken over.
func Listen(path string) (*Server, error) {
	if err := own(filepath.Dir(path)); err != nil {
		return nil, err
	}
	if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
		_ = c.Close()
		return nil, ErrRuns
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("control: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("control: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("control: %w", err), l.Close())
	}
	return &Server{l: l, path: path}, nil
}

// Serve answers until Close.
func (s *Server) Serve(ctx context.Context, do func(context.Context, Request) Answer) {
	slots := make(chan struct{}, maxSessions)
	for {
		conn, err := s.l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			select {
			case <-ctx.Done():
				return
			case <-time.After(100 * time.Millisecond):
			}
			continue
		}
		slots <- struct{}{}
		go func() {
			defer func() { <-slots }()
			defer func() { _ = conn.Close() }()
			serve(ctx, conn, do)
		}()
	}
}

func serve(ctx context.Context, conn net.Conn, do func(context.Context, Request) Answer) {
	if mine, err := peerIsMine(conn); err != nil || !mine {
		return // not told why
	}
	_ = conn.SetReadDeadline(time.Now().Add(lineTime))
	var r Request
	if err := readLine(conn, &r); err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	answer := do(ctx, r)
	_ = conn.SetWriteDeadline(time.Now().Add(lineTime))
	_ = json.NewEncoder(conn).Encode(answer) // who is gone does not need it
}

// Close takes the socket away.
func (s *Server) Close() error { return s.l.Close() }

// Send asks the agent that runs.
func Send(ctx context.Context, path string, r Request) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
	if err != nil {
		return Answer{}, fmt.Errorf("%w: %w", ErrNotRunning, err)
	}
	defer func() { _ = conn.Close() }()
	if mine, err := peerIsMine(conn); err != nil || !mine {
		return Answer{}, fmt.Errorf("%w: the socket is another user's", ErrNotRunning)
	}
	end, _ := ctx.Deadline()
	_ = conn.SetDeadline(end)
	if err := json.NewEncoder(conn).Encode(r); err != nil {
		return Answer{}, fmt.Errorf("control: %w", err)
	}
	var a Answer
	if err := readLine(conn, &a); err != nil {
		return a, fmt.Errorf("control: %w", err)
	}
	return a, nil
}

func readLine(r io.Reader, v any) error {
	line, err := bufio.NewReader(io.LimitReader(r, maxLine)).ReadBytes('\n')
	if err != nil {
		return err
	}
	return json.Unmarshal(line, v)
}
