package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/citel-pa/citel/pkcs/token"
	"github.com/citel-pa/citel/testdata/page"
	"github.com/citel-pa/citel/testdata/pki"
	"github.com/citel-pa/citel/testdata/stack"
)

const (
	pin    = "24680"
	origin = "http://127.0.0.1:9"
	rounds = 31
)

func ms(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }

// program: the real agent with a SoftHSM card.
func program(ctx context.Context, t *table, dir string, big int64) (err error) {
	agent, err := filepath.Abs("build/citel-agent")
	if err != nil {
		return err
	}
	s, err := stack.New(filepath.Join(dir, "town"), agent, "")
	if err != nil {
		return err
	}
	slot, _, err := s.Card(pki.CNS, pki.RSA2048, pki.Citizens[0], pin)
	if err != nil {
		return err
	}
	if err := s.Publish(); err != nil {
		return err
	}
	if err := start(ctx, t, s); err != nil {
		return err
	}
	p, port, err := s.StartAgent(ctx, stack.AgentOptions{PIN: pin, Origin: origin})
	if err != nil {
		return err
	}
	whole, err := logins(ctx, port)
	rss, err2 := p.Memory()
	if err := errors.Join(err, err2, p.Stop()); err != nil {
		return err
	}
	key, err := keyAlone(ctx, s, slot.ID)
	if err != nil {
		return err
	}
	t.add(Row{Name: "login through the agent, key's time included", Value: whole, Unit: "ms", Peer: "the key alone", Ratio: whole / key})
	t.add(Row{Name: "the key alone: session, PIN, signature", Value: key, Unit: "ms"})
	t.add(Row{Name: "the agent's own part of a login, median", Value: whole - key, Unit: "ms", Target: "under 5"})
	t.add(Row{Name: "agent's memory after " + strconv.Itoa(rounds) + " logins, idle", Value: float64(rss) / (1 << 20), Unit: "MB", Target: "under 40"})
	return memory(ctx, t, s, dir, big)
}

// start measures from the start of the process to its listening.
func start(ctx context.Context, t *table, s *stack.Stack) error {
	var times []float64
	for range 11 {
		begin := time.Now()
		p, _, err := s.StartAgent(ctx, stack.AgentOptions{PIN: pin, Origin: origin})
		if err != nil {
			return err
		}
		times = append(times, ms(time.Since(begin)))
		if err := p.Stop(); err != nil {
			return err
		}
	}
	t.add(Row{Name: "agent's start to listening, median", Value: median(times), Unit: "ms", Target: "under 150"})
	return nil
}

// logins gives the median of whole logins, as a page sees them.
func logins(ctx context.Context, port int) (float64, error) {
	l, err := page.Dial(ctx, port, origin)
	if err != nil {
		return 0, err
	}
	defer func() { _ = l.Close() }()
	if _, err := l.Hello(); err != nil {
		return 0, err
	}
	var times []float64
	for range rounds {
		// A person does not log in twice in a row: the next helper is warm by then.
		time.Sleep(200 * time.Millisecond)
		nonce := make([]byte, 33)
		if _, err := rand.Read(nonce); err != nil {
			return 0, err
		}
		begin := time.Now()
		if _, _, err := l.Login(base64.StdEncoding.EncodeToString(nonce), 5*time.Minute); err != nil {
			return 0, err
		}
		times = append(times, ms(time.Since(begin)))
	}
	return median(times), nil
}

// keyAlone gives the median of what the key itself takes: a session, the PIN, one
// signature. The module is loaded in this process.
func keyAlone(ctx context.Context, s *stack.Stack, slot uint) (float64, error) {
	for _, kv := range s.Cards.Env() {
		k, v, _ := strings.Cut(kv, "=")
		if err := os.Setenv(k, v); err != nil {
			return 0, err
		}
	}
	m, err := token.Open(s.Cards.Module())
	if err != nil {
		return 0, err
	}
	defer func() { _ = m.Close() }()
	digest := make([]byte, crypto.SHA256.Size())
	var times []float64
	for range rounds {
		begin := time.Now()
		if err := signOnce(m, slot, digest); err != nil {
			return 0, err
		}
		times = append(times, ms(time.Since(begin)))
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
	}
	return median(times), nil
}

func signOnce(m *token.Module, slot uint, digest []byte) (err error) {
	session, err := m.Session(slot)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, session.Close()) }()
	if err := session.Login([]byte(pin)); err != nil {
		return err
	}
	ids, err := session.Identities()
	if err != nil {
		return err
	}
	if len(ids) == 0 {
		return errors.New("no key on the token")
	}
	key, err := session.Key(ids[0])
	if err != nil {
		return err
	}
	_, err = key.Sign(rand.Reader, digest, crypto.SHA256)
	return err
}

// memory runs the agent's own commands on a large document.
func memory(ctx context.Context, t *table, s *stack.Stack, dir string, big int64) error {
	doc := filepath.Join(dir, "large.bin")
	if err := fill(doc, big); err != nil {
		return err
	}
	pinFile := filepath.Join(dir, "pin")
	if err := os.WriteFile(pinFile, []byte(pin), 0o600); err != nil {
		return err
	}
	sign := []string{"sign", "--module", s.Cards.Module(), "--pin-file", pinFile, "--force"}
	verify := []string{"verify", "--offline", "--trust", filepath.Join(s.Dir, "ca.pem")}
	for _, job := range []struct {
		name string
		args []string
	}{
		{"sign-detached", append(sign, "--detached", "--out", doc+".p7s", doc)},
		{"verify-detached", append(verify, "--content", doc, doc+".p7s")},
		{"sign-enveloping", append(sign, "--out", doc+".p7m", doc)},
		{"verify-enveloping", append(verify, doc+".p7m")},
	} {
		cmd := exec.CommandContext(ctx, s.Agent, job.args...) //nolint:gosec // our own program
		cmd.Env = append(os.Environ(), s.Cards.Env()...)
		p, err := stack.Start(cmd, nil)
		if err != nil {
			return err
		}
		peak := 0
		for done := false; !done; {
			select {
			case <-p.Done():
				done = true
			case <-time.After(2 * time.Millisecond):
				if m, err := p.PeakMemory(); err == nil {
					peak = max(peak, m)
				}
			}
		}
		if err := p.Err(); err != nil {
			return fmt.Errorf("%s: %w\n%s", job.name, err, p.Log())
		}
		t.add(Row{Name: fmt.Sprintf("peak memory, %s, %.4g GiB", job.name, float64(big)/(1<<30)), Value: float64(peak) / (1 << 20), Unit: "MB", Target: "under 64"})
	}
	for _, f := range []string{doc, doc + ".p7s", doc + ".p7m"} {
		if err := os.Remove(f); err != nil {
			return err
		}
	}
	return nil
}

// fill writes a file that is not sparse.
func fill(name string, size int64) (err error) {
	f, err := os.Create(name) //nolint:gosec // in our own folder
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	block := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	for left := size; left > 0; left -= int64(len(block)) {
		if _, err := f.Write(block[:min(int64(len(block)), left)]); err != nil {
			return err
		}
	}
	return nil
}
