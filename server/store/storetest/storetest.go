// Package storetest runs a test on both real databases: SQLite in a folder of the
// test's own, and a PostgreSQL server that is started for the test program, listens on
// a socket in a temporary folder and nowhere else, and ends with it.
package storetest

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/stdlib"

	"github.com/citel-pa/citel/server/store"
)

// Each runs f as a subtest on every engine, with an empty database.
func Each(t *testing.T, f func(t *testing.T, s *store.Store)) {
	t.Helper()
	for _, e := range []store.Engine{store.SQLite, store.Postgres} {
		t.Run(string(e), func(t *testing.T) { f(t, New(t, e)) })
	}
}

// New makes an empty database of an engine, which goes with the test.
func New(t testing.TB, e store.Engine) *store.Store {
	t.Helper()
	s, err := store.OpenURL(t.Context(), Address(t, e), Dir(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// Dir is a folder for a test, in memory where the system has such a place: what is
// synced to disk there costs nothing, and the code is the same.
func Dir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp(memory(), "citel-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func memory() string {
	const shm = "/dev/shm"
	if st, err := os.Stat(shm); err == nil && st.IsDir() {
		return shm
	}
	return ""
}

// Address makes an empty database and gives its address for store.OpenURL; it is empty
// for SQLite.
func Address(t testing.TB, e store.Engine) string {
	t.Helper()
	if e != store.Postgres {
		return ""
	}
	c, err := cluster()
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("t%d", c.next())
	if err := c.exec("CREATE DATABASE " + name + " TEMPLATE migrated"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.exec("DROP DATABASE " + name + " WITH (FORCE)") })
	return c.address(name)
}

// server is a PostgreSQL cluster.
type server struct {
	dir   string
	db    *sql.DB
	mu    sync.Mutex
	count int
	alive io.WriteCloser // open as long as this program lives
}

func (c *server) address(name string) string {
	return "postgres:///" + name + "?host=" + c.dir + "&port=5432&user=citel"
}

func (c *server) next() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count++
	return c.count
}

func (c *server) exec(q string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, err := c.db.ExecContext(ctx, q)
	return err
}

var cluster = sync.OnceValues(start)

// tool finds one of PostgreSQL's programs; Debian keeps them out of the path.
func tool(name string) (string, error) {
	if p, err := exec.LookPath(name); err == nil {
		return p, nil
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if len(found) == 0 {
		return "", fmt.Errorf("storetest: PostgreSQL's %s is missing: make deps", name)
	}
	slices.Sort(found)
	return found[len(found)-1], nil
}

// start makes a cluster and starts it. A shell stands between: when this program ends,
// however it ends, the shell's standard input closes and it ends the server.
func start() (*server, error) {
	initdb, err := tool("initdb")
	if err != nil {
		return nil, err
	}
	postgres, err := tool("postgres")
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(memory(), "citel-pg-")
	if err != nil {
		return nil, err
	}
	c := &server{dir: dir}
	who, err := ordinary(dir)
	if err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "data")
	run := exec.Command(initdb, "-D", data, "-U", "citel", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync") //nolint:gosec // a program of the system
	run.SysProcAttr, run.Dir = &syscall.SysProcAttr{Credential: who}, dir
	if out, err := run.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("storetest: initdb: %w\n%s", err, out)
	}
	// Each line that it reads is a crash: QUIT is PostgreSQL's immediate shutdown, which
	// writes nothing back, so that the next start recovers from the log.
	script := `run() { "$1" -D "$2" -k "$3" -c listen_addresses= -c max_connections=200 -c shared_buffers=32MB >>"$3/log" 2>&1 & p=$!; }
run "$@"; while read -r x; do kill -QUIT $p; wait $p; run "$@"; done; kill -INT $p; wait $p; rm -rf "$3" 2>/dev/null || rm -rf "$3"/*`
	run = exec.Command("/bin/sh", "-c", script, "sh", postgres, data, dir) //nolint:gosec // the words above
	run.SysProcAttr, run.Dir = &syscall.SysProcAttr{Credential: who, Setpgid: true}, dir
	if c.alive, err = run.StdinPipe(); err != nil {
		return nil, err
	}
	if err := run.Start(); err != nil {
		return nil, err
	}
	if c.db, err = sql.Open("pgx", c.address("postgres")); err != nil {
		return nil, err
	}
	c.db.SetMaxOpenConns(2)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if err = c.exec("SELECT 1"); err == nil {
			return c, c.template()
		}
		if time.Now().After(deadline) {
			log, _ := os.ReadFile(filepath.Join(dir, "log")) //nolint:gosec // our own folder
			return nil, fmt.Errorf("storetest: PostgreSQL does not start: %w\n%s", err, log)
		}
	}
}

// Crash stops the PostgreSQL server as a power cut would, starts it again, and waits until
// it answers. Tests that run at the same time on it feel it.
func Crash(t testing.TB) {
	t.Helper()
	c, err := cluster()
	if err == nil {
		_, err = io.WriteString(c.alive, "crash\n")
	}
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(100 * time.Millisecond) // the old one has gone
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if err = c.exec("SELECT 1"); err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("PostgreSQL does not come back: %v", err)
		}
	}
}

// template makes the database that the tests' are copies of, so that the migrations run
// once.
func (c *server) template() error {
	if err := c.exec("CREATE DATABASE migrated"); err != nil {
		return err
	}
	s, err := store.OpenURL(context.Background(), c.address("migrated"), c.dir)
	if err != nil {
		return err
	}
	return s.Close()
}

// Empty makes a PostgreSQL database without a table and gives its address.
func Empty(t testing.TB) string {
	t.Helper()
	c, err := cluster()
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("t%d", c.next())
	if err := c.exec("CREATE DATABASE " + name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.exec("DROP DATABASE " + name + " WITH (FORCE)") })
	return c.address(name)
}

var _ = stdlib.RegisterConnConfig // the driver "pgx"

// ordinary gives the user that the server runs as: PostgreSQL refuses root, then it is
// "postgres", whom the package makes.
func ordinary(dir string) (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("storetest: %w: make deps", err)
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	if err1 != nil || err2 != nil {
		return nil, fmt.Errorf("storetest: user postgres: %s %s", u.Uid, u.Gid)
	}
	if err := os.Chown(dir, int(uid), int(gid)); err != nil { //nolint:gosec // 32 bits
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

// Count gives a single number, for tests.
func Count(t testing.TB, s *store.Store, query string, args ...any) int {
	t.Helper()
	var n int
	if err := s.QueryRowContext(t.Context(), query, args...).Scan(&n); err != nil {
		t.Fatalf("%s: %v", strings.TrimSpace(query), err)
	}
	return n
}
