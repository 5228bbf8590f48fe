package submission_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/citel-pa/citel/server/ente"
	"github.com/citel-pa/citel/server/keys"
	"github.com/citel-pa/citel/server/register"
	"github.com/citel-pa/citel/server/rooms"
	"github.com/citel-pa/citel/server/session"
	"github.com/citel-pa/citel/server/store"
	"github.com/citel-pa/citel/server/store/storetest"
	"github.com/citel-pa/citel/server/submission"
)

// TestMain is the crash test's other process too: a server process without pages, that
// takes applications in until it is killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv("CITEL_CRASH_DIR"); dir != "" {
		if err := serveUntilKilled(dir, os.Getenv("CITEL_CRASH_DATABASE")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// open joins the rooms on a database, as a server process does.
func openRooms(ctx context.Context, dir, address string) (*rooms.Rooms, error) {
	s, err := store.OpenURL(ctx, address, dir)
	if err != nil {
		return nil, err
	}
	ring, err := keys.Open(dir, nil)
	if err != nil {
		return nil, err
	}
	r := rooms.New(rooms.Options{Store: s, Keys: ring, Origin: "http://127.0.0.1:8480", Demo: true, Log: slog.New(slog.DiscardHandler)})
	_, err = r.Enti.Ensure(ctx, ente.Ente{Code: "prova", Name: "Comune di Prova", Origin: "http://127.0.0.1:8480"})
	return r, err
}

const crashWorkers = 16

// serveUntilKilled sends applications, each by two requests at once, and writes a line for
// each receipt that it gives.
func serveUntilKilled(dir, address string) error {
	go func() { // the test that started it has gone
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	ctx := context.Background()
	r, err := openRooms(ctx, dir, address)
	if err != nil {
		return err
	}
	var wait sync.WaitGroup
	for w := range crashWorkers {
		wait.Go(func() {
			v := submission.Visitor{Ente: "prova", Level: session.Debole, Credential: fmt.Sprintf("%d-%d", os.Getpid(), w)}
			for {
				if err := sendOne(ctx, r.Applications, v); err != nil {
					time.Sleep(20 * time.Millisecond) // the database is away
				}
			}
		})
	}
	wait.Wait()
	return nil
}

func sendOne(ctx context.Context, d *submission.Desk, v submission.Visitor) error {
	a, err := d.Start(ctx, v, "instradamento")
	if err != nil {
		return err
	}
	values := map[string]string{"topic": "waste", "subject": "Cassonetto " + a.ID, "text": "È pieno"}
	if _, err := d.Save(ctx, v, a.ID, get(values), true); err != nil {
		return err
	}
	if _, err := d.Make(ctx, v, a.ID, true, a.Service.Privacy.Version); err != nil {
		return err
	}
	var wait sync.WaitGroup
	for range 2 {
		wait.Go(func() {
			for range 200 { // whoever gets an error sends again
				if a, err := d.Send(ctx, v, a.ID); err == nil {
					_, _ = fmt.Fprintf(os.Stdout, "%s %s %s\n", a.ID, a.Protocol(), a.Fingerprint())
					return
				}
				time.Sleep(50 * time.Millisecond)
			}
		})
	}
	wait.Wait()
	return nil
}

// crashTotal is how many receipts the test waits for: CITEL_CRASH in `make test-full`.
func crashTotal(t *testing.T) int {
	t.Helper()
	if s := os.Getenv("CITEL_CRASH"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 10 {
			t.Fatalf("CITEL_CRASH=%q is no number from 10 on", s)
		}
		return n
	}
	return 160
}

// process runs a server process, until it has given n receipts and done was called, and
// kills it with all that it has under way. What it said up to then is given.
func process(t *testing.T, dir, address string, n int, meanwhile func()) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0]) //nolint:gosec // this program
	cmd.Env = append(os.Environ(), "CITEL_CRASH_DIR="+dir, "CITEL_CRASH_DATABASE="+address)
	cmd.Stderr = os.Stderr
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	var lines []string
	scan := bufio.NewScanner(out)
	killed := false
	for scan.Scan() {
		lines = append(lines, scan.Text())
		if len(lines) == n/2 && meanwhile != nil {
			meanwhile()
		}
		if len(lines) >= n && !killed {
			killed = true
			if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = cmd.Wait() // it was killed
	if !killed {
		t.Fatalf("the process ended by itself after %d receipts", len(lines))
	}
	return lines
}

// Kill -9 in the middle of many concurrent submissions, and PostgreSQL that crashes under
// them: each receipt that was given is there afterwards with its document, none twice, and
// the numbers have no gap and no double.
func TestKilledUnderLoad(t *testing.T) {
	for _, e := range []store.Engine{store.SQLite, store.Postgres} {
		t.Run(string(e), func(t *testing.T) {
			dir, address := storetest.Dir(t), storetest.Address(t, e)
			if _, err := keys.Open(dir, nil); err != nil {
				t.Fatal(err)
			}
			total, rounds := crashTotal(t), 4
			var said []string
			for round := range rounds {
				var crash func()
				if e == store.Postgres && round%2 == 1 {
					crash = func() { storetest.Crash(t) }
				}
				said = append(said, process(t, dir, address, total/rounds, crash)...)
			}
			r, err := openRooms(t.Context(), dir, address)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = r.Store.Close() }()
			afterwards(t, r, said, total)
		})
	}
}

func afterwards(t *testing.T, r *rooms.Rooms, said []string, total int) {
	t.Helper()
	numbers, receipts := map[string]string{}, map[string]string{}
	for _, line := range said {
		f := strings.Fields(line)
		if len(f) != 3 {
			t.Fatalf("%q", line)
		}
		if receipts[f[0]] == "" { // both requests got the same
			receipts[f[0]] = f[1]
		}
		if receipts[f[0]] != f[1] || numbers[f[1]] != "" && numbers[f[1]] != f[0] {
			t.Errorf("%s has the numbers %s and %s, or %s has two applications", f[0], receipts[f[0]], f[1], f[1])
		}
		numbers[f[1]] = f[0]
		var credential string
		if err := r.Store.QueryRowContext(t.Context(), "SELECT credential FROM application WHERE id = ?", f[0]).Scan(&credential); err != nil {
			t.Fatalf("%s is lost: %v", line, err)
		}
		a, err := r.Applications.Get(t.Context(), submission.Visitor{Ente: "prova", Level: session.Debole, Credential: credential}, f[0])
		if err != nil || a.Protocol() != f[1] || a.Fingerprint() != f[2] || a.State != submission.StateSent {
			t.Fatalf("%s: %+v, %v", line, a, err)
		}
		doc, err := r.Applications.Document(t.Context(), a)
		if err != nil {
			t.Fatalf("%s has no document: %v", line, err)
		}
		h := sha256.New()
		_, err = io.Copy(h, doc)
		if err := errors.Join(err, doc.Close()); err != nil || hex.EncodeToString(h.Sum(nil)) != f[2] {
			t.Errorf("%s: another document: %v", line, err)
		}
	}
	if len(said) < total {
		t.Errorf("%d lines", len(said))
	}
	n, gaps, err := r.Register.Verify(t.Context(), "prova", time.Now().In(register.Rome()).Year())
	if err != nil || len(gaps) > 0 || n < len(receipts) {
		t.Error(n, gaps, err)
	}
	count := func(q string) int { return storetest.Count(t, r.Store, q) }
	entries, documents, sent := count("SELECT count(*) FROM register_entry"), count("SELECT count(DISTINCT document) FROM register_entry"), count("SELECT count(*) FROM application WHERE number > 0 AND state = 'sent'")
	logged := count("SELECT count(*) FROM journal WHERE kind = 'submitted'")
	if entries != n || documents != n || sent != n || logged != n {
		t.Errorf("%d numbers, %d entries, %d documents, %d applications, %d in the log", n, entries, documents, sent, logged)
	}
}
