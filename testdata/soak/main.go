// Command soak does the main job again and again with the same agent and server
// and fails when one of them keeps something: descriptors, threads or memory.
// `make soak` runs it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/citel-pa/citel/testdata/page"
	"github.com/citel-pa/citel/testdata/pki"
	"github.com/citel-pa/citel/testdata/stack"
)

const pin = "24680"

// Growth that is allowed from the end of the warm-up to the end: Go's runtime
// and SQLite's cache move a little.
const (
	warmUp       = 20
	maxThreads   = 8
	maxDescribed = 8
	maxMemory    = 20 << 20
	// pace is what the server's limit of one address lets through for good.
	pace = time.Second
)

func main() {
	rounds := flag.Int("rounds", 200, "how often")
	card := flag.String("card", "", "cns or cie: a virtual card behind the real pcscd, put in and taken out each time; empty: SoftHSM")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *rounds, *card)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, rounds int, kind string) (err error) {
	dir, err := filepath.Abs("build/soak")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	s, err := stack.New(dir, filepath.Join(filepath.Dir(dir), "citel-agent"), filepath.Join(filepath.Dir(dir), "citel-server"))
	if err != nil {
		return err
	}
	if _, _, err := s.Card(pki.CNS, pki.RSA2048, pki.Citizens[0], pin); err != nil {
		return err
	}
	if err := s.Publish(); err != nil {
		return err
	}
	server, origin, err := s.StartServer(ctx, stack.ServerOptions{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	c, err := newCard(ctx, s, kind)
	if err != nil {
		return err
	}
	defer c.stop()
	c.agent.Origin = origin
	agent, port, err := s.StartAgent(ctx, c.agent)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, agent.Stop()) }()

	programs := map[string]*stack.Process{"agent": agent, "server": server}
	before := map[string]usage{}
	for i := 1; i <= rounds; i++ {
		if err := c.in(); err != nil {
			return fmt.Errorf("round %d: %w", i, err)
		}
		if err := job(ctx, origin, port); err != nil {
			return fmt.Errorf("round %d: %w", i, err)
		}
		c.out()
		time.Sleep(pace)
		if i != min(warmUp, rounds) && i != rounds {
			continue
		}
		time.Sleep(time.Second) // what was let go is gone by then
		for name, p := range programs {
			now, err := measure(p)
			if err != nil {
				return err
			}
			fmt.Printf("round %4d  %-6s  %3d descriptors  %3d threads  %5.1f MB\n", i, name, now.descriptors, now.threads, float64(now.memory)/(1<<20))
			if old, ok := before[name]; ok {
				if err := old.grown(now); err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
			}
			before[name] = now
		}
	}
	return nil
}

type usage struct{ descriptors, threads, memory int }

func measure(p *stack.Process) (usage, error) {
	d, err1 := p.Descriptors()
	t, err2 := p.Threads()
	m, err3 := p.Memory()
	return usage{d, t, m}, errors.Join(err1, err2, err3)
}

func (u usage) grown(now usage) error {
	switch {
	case now.descriptors > u.descriptors+maxDescribed:
		return fmt.Errorf("%d descriptors more", now.descriptors-u.descriptors)
	case now.threads > u.threads+maxThreads:
		return fmt.Errorf("%d threads more", now.threads-u.threads)
	case now.memory > u.memory+maxMemory:
		return fmt.Errorf("%d bytes more", now.memory-u.memory)
	}
	return nil
}

// job is a login and a signed application, by a new browser.
func job(ctx context.Context, origin string, port int) (err error) {
	l, err := page.Dial(ctx, port, origin)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	if _, err := l.Hello(); err != nil {
		return err
	}
	site := page.NewSite(origin)
	nonce, life, err := site.Nonce(ctx)
	if err != nil {
		return err
	}
	login, key, err := l.Login(nonce, life)
	if err != nil {
		return err
	}
	if err := site.Login(ctx, login.Token, login.Nonce, key); err != nil {
		return err
	}
	draft, err := site.Apply(ctx, page.Enrolment, page.Nursery())
	if err != nil {
		return err
	}
	content, _, err := site.Get(ctx, draft+"/documento.pdf")
	if err != nil {
		return err
	}
	signed, err := l.Sign([]page.Document{{Name: "istanza.pdf", MediaType: "application/pdf", Bytes: content}}, false, pki.Citizens[0].CF, key)
	if err != nil {
		return err
	}
	_, _, err = site.Submit(ctx, draft, signed[0])
	return err
}
