package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/citel-pa/citel/agent/consent"
	"github.com/citel-pa/citel/agent/consent/frame"
	"github.com/citel-pa/citel/pkcs/version"
	"github.com/citel-pa/citel/testdata/stack"
)

// window measures how long it takes until a person sees the question, from the
// start of the window's process to its second frame, on a display without a
// graphics card; and what the agent costs while nobody asks anything.
func window(ctx context.Context, t *table, dir string, _ int64) error {
	program, err := filepath.Abs("build/citel-window")
	if err != nil {
		return err
	}
	env, stop, err := display(ctx, dir)
	if err != nil {
		return err
	}
	defer stop()
	var times []float64
	var most int
	for range 8 {
		took, memory, err := paint(ctx, program, env)
		if err != nil {
			return err
		}
		times = append(times, took)
		most = max(most, memory)
		time.Sleep(300 * time.Millisecond)
	}
	t.add(Row{Name: "window: start to painted, the first", Value: times[0], Unit: "ms", Target: "under 1000"})
	t.add(Row{Name: "window: start to painted, the next, median", Value: median(times[1:]), Unit: "ms", Target: "under 600"})
	t.add(Row{Name: "window's own memory while it is open", Value: float64(most) / (1 << 20), Unit: "MB"})
	return idle(ctx, t, dir)
}

// display starts Xvfb and a session bus.
func display(ctx context.Context, dir string) (env []string, stop func(), err error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	x := exec.CommandContext(ctx, "Xvfb", "-displayfd", "3", "-screen", "0", "1280x1024x24", "-noreset", "-nolisten", "tcp")
	x.ExtraFiles = []*os.File{w}
	if err := x.Start(); err != nil {
		return nil, nil, fmt.Errorf("%w (`make deps` installs xvfb)", err)
	}
	_ = w.Close()
	number, err := bufio.NewReader(r).ReadString('\n')
	_ = r.Close()
	bus := exec.CommandContext(ctx, "dbus-daemon", "--session", "--nofork", "--print-address")
	out, err2 := bus.StdoutPipe()
	if err := errors.Join(err, err2); err != nil {
		return nil, nil, errors.Join(err, x.Process.Kill(), x.Wait())
	}
	stop = func() {
		for _, c := range []*exec.Cmd{bus, x} {
			if c.Process != nil {
				_ = c.Process.Kill()
				_ = c.Wait()
			}
		}
	}
	if err := bus.Start(); err != nil {
		stop()
		return nil, nil, err
	}
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		stop()
		return nil, nil, err
	}
	return []string{"DISPLAY=:" + strings.TrimSpace(number), "DBUS_SESSION_BUS_ADDRESS=" + strings.TrimSpace(address), "HOME=" + dir, "XDG_RUNTIME_DIR=" + dir}, stop, nil
}

// paint runs one window until it says that it was painted.
func paint(ctx context.Context, program string, env []string) (took float64, memory int, err error) {
	cmd := exec.CommandContext(ctx, program)
	cmd.Env = append(os.Environ(), env...)
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2); err != nil {
		return 0, 0, err
	}
	begin := time.Now()
	p, err := stack.Start(cmd, nil)
	if err != nil {
		return 0, 0, err
	}
	defer func() {
		_ = in.Close()
		select {
		case <-p.Done():
		case <-time.After(5 * time.Second):
			_ = cmd.Process.Kill()
			<-p.Done()
		}
	}()
	view := frame.View{Mode: frame.Ask, Lang: "it", Purpose: consent.PurposeLogin, Caller: consent.Caller{Origin: "https://sportello.example"},
		Certificates: []consent.Certificate{{ID: "aa", Name: "Prova Cittadino", CodiceFiscale: "CTTPRV80A10G702C", Issuer: version.Version, NotAfter: time.Now().AddDate(1, 0, 0), PIN: consent.PIN{TriesLeft: 3}}}}
	if err := frame.WriteJSON(in, frame.Message{Type: frame.Show, View: &view}); err != nil {
		return 0, 0, err
	}
	k, data, err := frame.Read(out)
	if err != nil || k != frame.JSON {
		return 0, 0, fmt.Errorf("the window says nothing: %w\n%s", err, p.Log())
	}
	if m, err := frame.Decode(data); err != nil || m.Type != frame.Painted {
		return 0, 0, fmt.Errorf("the window says %s: %w", m.Type, err)
	}
	took = ms(time.Since(begin))
	memory, err = p.Memory()
	return took, memory, err
}

// idle measures ten seconds of an agent that nobody asks anything.
func idle(ctx context.Context, t *table, dir string) (err error) {
	agent, err := filepath.Abs("build/citel-agent")
	if err != nil {
		return err
	}
	s, err := stack.New(filepath.Join(dir, "idle"), agent, "")
	if err != nil {
		return err
	}
	p, _, err := s.StartAgent(ctx, stack.AgentOptions{PIN: pin, Origin: origin, Native: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Stop()) }()
	time.Sleep(time.Second)
	before, err := p.CPU()
	if err != nil {
		return err
	}
	const watched = 10 * time.Second
	time.Sleep(watched)
	after, err := p.CPU()
	if err != nil {
		return err
	}
	t.add(Row{Name: "agent, idle: share of a core", Value: 100 * (after - before).Seconds() / watched.Seconds(), Unit: "%", Target: "under 0.1"})
	return nil
}
