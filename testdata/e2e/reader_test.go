package e2e

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ebfe/scard"

	"github.com/citel-pa/citel/agent/card/virtual"
	"github.com/citel-pa/citel/agent/wire"
	"github.com/citel-pa/citel/testdata/page"
	"github.com/citel-pa/citel/testdata/pki"
	"github.com/citel-pa/citel/testdata/stack"
)

// holderCommand makes the test's binary a program that keeps the card for itself
// until its standard input ends.
const holderCommand = "hold-card"

func hold() int {
	pc, err := scard.EstablishContext()
	if err != nil {
		fmt.Println(err)
		return 1
	}
	readers, err := pc.ListReaders()
	if err != nil || len(readers) == 0 {
		fmt.Println("no readers", err)
		return 1
	}
	card, err := pc.Connect(readers[0], scard.ShareExclusive, scard.ProtocolAny)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("held")
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
	_ = card.Disconnect(scard.LeaveCard)
	_ = pc.Release()
	return 0
}

// holder starts a program that has the card for itself; let ends it.
func holder(t *testing.T, d *desk) (let func()) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, holderCommand)
	cmd.Env = append(os.Environ(), d.pcsc.Env()...)
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, _ := bufio.NewReader(out).ReadString('\n'); strings.TrimSpace(line) != "held" {
		t.Fatalf("the holder says %q", line)
	}
	return func() {
		_ = in.Close()
		_ = cmd.Wait()
	}
}

// Another program has the card for itself: it is waited for, and named when it does
// not let go.
func TestAnotherProgramHoldsTheCard(t *testing.T) {
	t.Parallel()
	d := newDesk(t, pki.CNS)
	origin := serve(t, d.Stack)
	l := dial(t, agent(t, d.Stack, stack.AgentOptions{PIN: d.pin, Origin: origin, Native: true, Env: d.pcsc.Env()}), origin)
	d.insert(t, nil)
	site := page.NewSite(origin)
	if _, _, err := login(t, l, site, never); err != nil {
		t.Fatal(err)
	}
	let := holder(t, d)
	begin := time.Now()
	time.AfterFunc(3*time.Second, let)
	if _, _, err := login(t, l, site, never); err != nil {
		t.Errorf("a program that let go after 3 s: %v", err)
	}
	if took := time.Since(begin); took < 2*time.Second {
		t.Errorf("it took %s: it was not waited for", took)
	}
	let = holder(t, d)
	defer let()
	if _, _, err := login(t, l, site, never); code(err) != wire.CodeCardBusy {
		t.Errorf("a program that keeps it: %v", err)
	}
	// The person at the command line learns which program it is; the page does not.
	cmd := exec.CommandContext(t.Context(), d.Agent, "certs", "--config", t.TempDir())
	cmd.Env = append(os.Environ(), append(d.pcsc.Env(), "HOME="+t.TempDir(), "LANG=it_IT.UTF-8", "LC_ALL=")...)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	name := self[strings.LastIndexByte(self, '/')+1:]
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), name) {
		t.Errorf("not named (%s): %v\n%s", name, err, out)
	}
}

// A card is put in, signs, and is taken out, again and again: nothing is kept.
func TestRounds(t *testing.T) {
	t.Parallel()
	d := newDesk(t, pki.CNS)
	origin := serve(t, d.Stack)
	p, port, err := d.StartAgent(t.Context(), stack.AgentOptions{PIN: d.pin, Origin: origin, Native: true, Env: d.pcsc.Env()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Stop() })
	l := dial(t, port, origin)
	site := page.NewSite(origin)
	var files, threads, memory [2]int
	const rounds = 20
	for i := range rounds {
		d.insert(t, nil)
		if _, _, err := login(t, l, site, never); err != nil {
			t.Fatalf("round %d: %v", i+1, err)
		}
		d.pcsc.Readers[0].Remove()
		time.Sleep(600 * time.Millisecond)
		if i != 4 && i != rounds-1 {
			continue
		}
		at := i / (rounds - 1)
		if files[at], err = p.Descriptors(); err != nil {
			t.Fatal(err)
		}
		if threads[at], err = p.Threads(); err != nil {
			t.Fatal(err)
		}
		if memory[at], err = p.Memory(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("descriptors %v, threads %v, resident %v bytes (after 5 and %d rounds)", files, threads, memory, rounds)
	if files[1] > files[0]+2 || threads[1] > threads[0]+4 || memory[1] > memory[0]+10<<20 {
		t.Error("the agent keeps something of every card")
	}
}

// A card that is removed while the person reads the question.
func TestRemovedDuringTheQuestion(t *testing.T) {
	t.Parallel()
	d := newDesk(t, pki.CIE)
	origin := serve(t, d.Stack)
	l := dial(t, agent(t, d.Stack, stack.AgentOptions{PIN: d.pin, Origin: origin, Native: true, Env: d.pcsc.Env()}), origin)
	site := page.NewSite(origin)
	var once atomic.Bool
	d.insert(t, &virtual.Faults{At: func(_ int, apdu []byte) (virtual.Action, []byte) {
		// The key agreement begins after the person said yes.
		if len(apdu) > 3 && apdu[1] == 0x22 && once.CompareAndSwap(false, true) {
			return virtual.CutBefore, nil
		}
		return virtual.Pass, nil
	}})
	if _, _, err := login(t, l, site, never); code(err) != wire.CodeCardRemoved && code(err) != wire.CodeCardFailed {
		t.Errorf("%v", err)
	}
	if d.card.TriesLeft() != 3 {
		t.Error("a try was used")
	}
}
