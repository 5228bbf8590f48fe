package e2e

import (
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/testdata/pki"
)

// clinic is a computer whose ills are real: a pcscd, a card, programs in the way.
type clinic struct {
	t    *testing.T
	d    *desk
	env  []string
	args []string
}

func newClinic(t *testing.T, kind pki.Kind) *clinic {
	t.Helper()
	d := newDesk(t, kind)
	home := t.TempDir()
	env := append(d.pcsc.Env(), "HOME="+home, "LANG=it_IT.UTF-8", "LC_ALL=", "XDG_CONFIG_HOME=", "XDG_STATE_HOME=", "DISPLAY=", "GNUPGHOME="+filepath.Join(home, ".gnupg"))
	c := &clinic{t: t, d: d, env: env, args: []string{"doctor"}}
	for _, p := range freePorts(t, 4) {
		c.args = append(c.args, "--port", strconv.Itoa(p))
	}
	return c
}

func freePorts(t *testing.T, n int) (ports []int) {
	t.Helper()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

func (c *clinic) run(name string, args ...string) (string, int) {
	c.t.Helper()
	cmd := exec.CommandContext(c.t.Context(), name, args...)
	cmd.Env = append(os.Environ(), c.env...)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return string(out), exit.ExitCode()
	}
	if err != nil {
		c.t.Fatal(err)
	}
	return string(out), 0
}

// found are the checks by their ID: state, and what they are filled with.
type found map[string]struct {
	State string
	Args  map[string]string
	Cures []string
}

// examine is the real command; prefix runs it in another way (a namespace, a user).
func (c *clinic) examine(prefix []string, args ...string) found {
	c.t.Helper()
	all := append(append(append(prefix, c.d.Agent), c.args...), append(args, "--json")...)
	cmd := exec.CommandContext(c.t.Context(), all[0], all[1:]...) //nolint:gosec // our own program
	cmd.Env = append(os.Environ(), c.env...)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 69) {
		c.t.Fatalf("%v: %s", err, exit.Stderr)
	}
	var doc struct {
		Checks []struct {
			ID, State string
			Args      map[string]string
			Cures     []string
		}
	}
	if err := json.Unmarshal(out, &doc); err != nil {
		c.t.Fatalf("%v: %s", err, out)
	}
	f := found{}
	for _, x := range doc.Checks {
		f[x.ID] = struct {
			State string
			Args  map[string]string
			Cures []string
		}{x.State, x.Args, x.Cures}
	}
	return f
}

func (c *clinic) has(f found, id, state string) {
	c.t.Helper()
	if f[id].State != state {
		c.t.Errorf("%s is %q, want %q: %+v", id, f[id].State, state, f)
	}
}

// Each finding made for real, and seen by the command.
func TestDoctorFinds(t *testing.T) {
	t.Parallel()
	c := newClinic(t, pki.CNS)
	f := c.examine(nil)
	c.has(f, "service", "good")
	c.has(f, "card-none", "note")
	c.has(f, "ports", "good")
	c.has(f, "clock", "good")
	c.d.insert(t, nil)
	time.Sleep(time.Second)
	f = c.examine(nil)
	c.has(f, "card", "good")
	c.has(f, "certificate", "good")

	t.Run("the reader is held", func(t *testing.T) {
		let := holder(t, c.d)
		defer let()
		f := c.examine(nil)
		c.has(f, "card-held", "bad")
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		if p := f["program"]; p.State != "bad" || p.Args["program"] != filepath.Base(self) {
			t.Errorf("not named: %+v", f)
		}
	})
	t.Run("the clock is wrong", func(t *testing.T) {
		f := c.examine(nil, "--clock", "2020-01-01T00:00:00Z")
		c.has(f, "clock-early", "bad")
		c.has(f, "certificate-early", "bad")
		c.has(c.examine(nil, "--clock", time.Now().AddDate(4, 11, 10).Format(time.RFC3339)), "certificate-soon", "note")
		c.has(c.examine(nil, "--clock", time.Now().AddDate(9, 0, 0).Format(time.RFC3339)), "certificate-expired", "bad")
	})
	t.Run("the ports are taken", func(t *testing.T) {
		var ports []string
		for range 4 {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = l.Close() }()
			ports = append(ports, strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
		}
		full := *c
		full.args = []string{"doctor", "--port", strings.Join(ports, ",")}
		f := full.examine(nil)
		full.has(f, "ports", "bad")
		if p := f["port-taken"]; p.Args["program"] != filepath.Base(os.Args[0]) {
			t.Errorf("not named: %+v", f)
		}
	})
	t.Run("a policy is there", func(t *testing.T) {
		// A file system of its own for the browser's folder: the machine's stays as it is.
		script := `mount -t tmpfs tmpfs /etc/chromium && mkdir -p /etc/chromium/policies/managed && echo '{"LoopbackNetworkBlockedForUrls":["*"],"LoopbackNetworkAllowedForUrls":["https://sportello.example"]}' > /etc/chromium/policies/managed/lna.json && exec "$@"`
		f := c.examine([]string{"unshare", "--mount", "sh", "-c", script, "sh"})
		if p := f["policy"]; p.State != "bad" || p.Args["blocked"] != "*" || p.Args["file"] != "/etc/chromium/policies/managed/lna.json" {
			t.Errorf("%+v", f)
		}
	})
	t.Run("this session is refused", func(t *testing.T) { refused(t, c) })
	t.Run("the report names nobody", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "rossi")
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "settings.json"), []byte(`{"modules":[{"path":"`+dir+`/gone.so"}]}`), 0o600); err != nil {
			t.Fatal(err)
		}
		out, _ := c.run(c.d.Agent, append(c.args, "--report", "--config", dir)...)
		who := c.d.who
		host, _ := os.Hostname()
		secrets := []string{who.CF, who.Surname, who.Given, who.CardID, host}
		if u, err := user.Current(); err == nil && u.Username != "root" {
			secrets = append(secrets, u.Username, u.HomeDir)
		}
		for _, s := range secrets {
			if s != "" && strings.Contains(out, s) {
				t.Errorf("it tells %q:\n%s", s, out)
			}
		}
		for _, want := range []string{"[bene] card-good", "Debian", "certificate-good", "module-gone-bad"} {
			if !strings.Contains(out, want) {
				t.Errorf("without %q:\n%s", want, out)
			}
		}
	})
	t.Run("an unknown card", func(t *testing.T) {
		c.d.pcsc.Readers[0].Remove()
		time.Sleep(time.Second)
		if err := c.d.pcsc.Readers[0].Insert(t.Context(), stranger{}, nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		c.has(c.examine(nil), "card-unknown", "note")
	})
	t.Run("pcscd is stopped", func(t *testing.T) {
		c.d.pcsc.Kill()
		f := c.examine(nil)
		c.has(f, "service-stopped", "bad")
		if s := f["service-stopped"]; len(s.Cures) != 1 || s.Cures[0] != "start-service" {
			t.Errorf("%+v", s)
		}
	})
}

// stranger is a card that knows none of our commands.
type stranger struct{}

func (stranger) ATR() []byte            { return []byte{0x3B, 0x02, 0x14, 0x50} }
func (stranger) Reset()                 {}
func (stranger) Transmit([]byte) []byte { return []byte{0x6D, 0x00} }

// refused: a door that takes callers and sends them away at once, as pcscd does with
// those whom polkit does not let in ("Rejected unauthorized PC/SC client"); and one
// whose folder another user may not enter.
func refused(t *testing.T, c *clinic) {
	t.Helper()
	dir, err := os.MkdirTemp("", "citel-door-") // short, for a socket's path
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	l, err := net.Listen("unix", filepath.Join(dir, "pcscd.comm"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = conn.Close()
		}
	}()
	other := *c
	other.t = t
	other.env = append(append([]string{}, c.env...), "PCSCLITE_CSOCK_NAME="+l.Addr().String())
	other.has(other.examine(nil), "service-refused", "bad")

	program := filepath.Join(dir, "citel-agent")
	if out, err := exec.Command("cp", c.d.Agent, program).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	if err := os.Chmod(dir, 0o711); err != nil { //nolint:gosec // for the other user to start it
		t.Fatal(err)
	}
	town := *c.d.Stack
	town.Agent = program
	other.d, other.env = &desk{Stack: &town, pcsc: c.d.pcsc}, c.env
	prefix := []string{"env", "HOME=/nonexistent"}
	if os.Getuid() == 0 {
		prefix = []string{"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "env", "HOME=/nonexistent"}
	} else if err := os.Chmod(filepath.Dir(filepath.Dir(strings.TrimPrefix(c.d.pcsc.Env()[0], "PCSCLITE_CSOCK_NAME="))), 0); err != nil {
		t.Fatal(err)
	}
	other.has(other.examine(prefix), "service-refused", "bad")
	if os.Getuid() != 0 {
		_ = os.Chmod(filepath.Dir(filepath.Dir(strings.TrimPrefix(c.d.pcsc.Env()[0], "PCSCLITE_CSOCK_NAME="))), 0o700) //nolint:gosec // as it was
	}
}

// What the doctor says it can cure, it cures: on the command line scdaemon, which has
// the card for itself, and settings that were left behind.
func TestDoctorCures(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/usr/lib/gnupg/scdaemon"); err != nil {
		t.Fatal("scdaemon is missing; `make deps` installs it")
	}
	c := newClinic(t, pki.CNS)
	c.d.insert(t, nil)
	time.Sleep(time.Second)
	gnupg := filepath.Join(strings.TrimPrefix(c.env[1], "HOME="), ".gnupg")
	if err := os.MkdirAll(gnupg, 0o700); err != nil {
		t.Fatal(err)
	}
	// Through PC/SC, as where a reader is not its own; and with any card.
	if err := os.WriteFile(filepath.Join(gnupg, "scdaemon.conf"), []byte("disable-ccid\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	defer c.run("gpgconf", "--kill", "all")
	out, _ := c.run("gpg-connect-agent", "SCD SERIALNO undefined", "/bye")
	f := c.examine(nil)
	if f["card-held"].State != "bad" || f["program-scdaemon"].State != "bad" {
		t.Fatalf("scdaemon does not hold the card: %s\n%+v", out, f)
	}
	// It says what it will change; no is no.
	cmd := exec.CommandContext(t.Context(), c.d.Agent, "doctor", "--cure", "end-scdaemon")
	cmd.Env, cmd.Stdin = append(os.Environ(), c.env...), strings.NewReader("n\n")
	said, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(said), "gpgconf --kill scdaemon") {
		t.Errorf("%v %s", err, said)
	}
	c.has(c.examine(nil), "card-held", "bad")
	if out, code := c.run(c.d.Agent, "doctor", "--cure", "end-scdaemon", "--yes"); code != 0 {
		t.Fatalf("%d %s", code, out)
	}
	f = c.examine(nil)
	c.has(f, "card", "good")
	c.has(f, "program-scdaemon", "")

	dir := t.TempDir()
	settings := filepath.Join(dir, "settings.json")
	if err := os.WriteFile(settings, []byte(`{"modules":[{"path":"/gone/module.so"}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	c.has(c.examine(nil, "--config", dir), "module-gone", "bad")
	if out, code := c.run(c.d.Agent, "doctor", "--cure", "drop-modules", "--yes", "--config", dir); code != 0 {
		t.Fatalf("%d %s", code, out)
	}
	c.has(c.examine(nil, "--config", dir), "module-gone", "")
	if out, code := c.run(c.d.Agent, "doctor", "--undo", "drop-modules", "--yes", "--config", dir); code != 0 {
		t.Fatalf("%d %s", code, out)
	}
	c.has(c.examine(nil, "--config", dir), "module-gone", "bad")
	if err := os.WriteFile(settings, []byte(`{`), 0o600); err != nil {
		t.Fatal(err)
	}
	c.has(c.examine(nil, "--config", dir), "settings", "bad")
	if out, code := c.run(c.d.Agent, "doctor", "--cure", "reset-settings", "--yes", "--config", dir); code != 0 {
		t.Fatalf("%d %s", code, out)
	}
	c.has(c.examine(nil, "--config", dir), "settings", "")
}

// The service is started with a press on the page. The systemctl of this test starts
// the test's own pcscd, as systemd would start the system's.
func TestDoctorStartsTheService(t *testing.T) {
	t.Parallel()
	bin := t.TempDir()
	asked := filepath.Join(bin, "asked")
	script := "#!/bin/sh\necho \"$@\" > " + asked + "\nwhile [ ! -e " + bin + "/started ]; do sleep 0.1; done\n"
	if err := os.WriteFile(filepath.Join(bin, "systemctl"), []byte(script), 0o755); err != nil { //nolint:gosec // a program of the test
		t.Fatal(err)
	}
	a := newAtWith(t, pki.CNS, []string{"PATH=" + bin + ":" + os.Getenv("PATH")}, "--no-tray")
	a.d.pcsc.Kill()
	a.open("doctor", doctorPage)
	a.says("PC/SC) è fermo", "push button | Avvia il servizio delle smart card")
	a.shot("doctor-stopped")
	a.reader("press", "Avvia il servizio delle smart card")
	a.eventually("systemctl start pcscd.socket")
	a.shot("doctor-cure")
	if _, err := os.Stat(asked); err == nil {
		t.Fatal("it was done before the person said yes")
	}
	done := make(chan error, 1)
	go func() {
		for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
			if _, err := os.Stat(asked); err == nil {
				err := a.d.pcsc.Restart(t.Context())
				done <- errors.Join(err, os.WriteFile(filepath.Join(bin, "started"), nil, 0o600))
				return
			}
		}
		done <- errors.New("systemctl was never called")
	}()
	a.reader("press", "Sì, fallo")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	a.eventually("(PC/SC) risponde")
	a.says("Fatto: Avvia il servizio", "Si può annullare")
	a.shot("doctor-cured")
	if text, err := os.ReadFile(asked); err != nil || strings.TrimSpace(string(text)) != "start pcscd.socket" {
		t.Errorf("%q %v", text, err)
	}
}
