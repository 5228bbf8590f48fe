package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/citel-pa/citel/agent/config"
	"github.com/citel-pa/citel/agent/wire"
	"github.com/citel-pa/citel/testdata/bidi"
)

// The site of the trial; its name leads to this computer, and its page is taken for one
// of the public network.
const (
	siteHost = "sportello.example"
	site     = "https://" + siteHost
)

// agent is one that runs in the root as its session would start it.
type agent struct {
	cmd  *exec.Cmd
	port string
	gone chan struct{} // closed when nobody writes to its standard error any more
}

// use runs in a network of its own: two users' sessions, both browsers.
func use(ctx context.Context, root, when string) error {
	if _, err := sh(ctx, "ip", "link", "set", "lo", "up"); err != nil {
		return err
	}
	if when == "install" {
		// The way an administrator does it; a pattern for all sites is refused.
		out, err := inRoot(ctx, root, `
if citel-agent policy apply --site 'https://*'; then exit 1; fi
if su anna -c 'citel-agent policy apply --site `+site+`'; then exit 1; fi
citel-agent policy apply --site `+site)
		if err != nil {
			return err
		}
		if !strings.Contains(out, site) {
			return fmt.Errorf("policy apply says %q", out)
		}
		// What a person remembers, to be found again after the upgrade.
		home := filepath.Join(root, "home/anna/.config/citel")
		if err := config.Open(home).SetSite(site, config.Remembered, time.Now()); err != nil {
			return err
		}
		if _, err := sh(ctx, "chown", "-R", "2001:2001", filepath.Join(root, "home/anna/.config")); err != nil {
			return err
		}
	}
	line, err := autostart(root)
	if err != nil {
		return err
	}
	if when == "install" {
		if err := startTimes(ctx, root, line); err != nil {
			return err
		}
	}
	anna, err := start(ctx, root, "anna", line)
	if err != nil {
		return err
	}
	defer anna.end()
	bruno, err := start(ctx, root, "bruno", line)
	if err != nil {
		return err
	}
	defer bruno.end()
	if anna.port == bruno.port {
		return fmt.Errorf("two users on one port: %s", anna.port)
	}
	// A page's link, whatever it says, starts no second agent.
	if out, err := asUser(ctx, root, "anna", "citel-agent", "link", "citel:run?--developer --port=1").CombinedOutput(); err != nil || len(out) > 0 {
		return fmt.Errorf("link: %w %s", err, out)
	}
	if out, err := asUser(ctx, root, "anna", "citel-agent", "sites").CombinedOutput(); err != nil || !strings.Contains(string(out), site) {
		return fmt.Errorf("the remembered site is not there: %w %s", err, out)
	}
	listener, err := serveSite()
	if err != nil {
		return err
	}
	defer func() { _ = listener.Close() }()
	if when == "install" {
		// Without the policy the browsers let nothing through that nobody allowed.
		if err := browsers(ctx, "anna", "none"); err != nil {
			return err
		}
	}
	if err := overlay(ctx, root); err != nil {
		return err
	}
	if err := browsers(ctx, "anna", anna.port+"=hello"); err != nil {
		return err
	}
	return browsers(ctx, "bruno", bruno.port+"=hello")
}

// browsers runs both browsers as one of the users.
func browsers(ctx context.Context, name, want string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "citel-browser-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	id := users[name]
	program := filepath.Join(dir, "trial")
	if _, err := sh(ctx, "install", "-m", "755", self, program); err != nil {
		return err
	}
	if err := os.Chown(dir, int(id), int(id)); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, program, browsing, want) //nolint:gosec // ourselves
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, os.Stdout, os.Stderr
	cmd.Env = []string{"PATH=/usr/bin:/bin", "HOME=" + dir, "TMPDIR=" + dir, "LANG=C.UTF-8"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: id, Gid: id}}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s's browsers: %w", name, err)
	}
	return nil
}

// overlay lays the root's policies over this computer's, for our processes alone.
func overlay(ctx context.Context, root string) error {
	if _, err := sh(ctx, "mount", "--make-rprivate", "/"); err != nil {
		return err
	}
	upper, err := os.MkdirTemp("", "citel-etc-")
	if err != nil {
		return err
	}
	for _, dir := range []string{"chromium", "firefox"} {
		if _, err := sh(ctx, "cp", "-a", filepath.Join(root, "etc", dir), upper); err != nil {
			return err
		}
	}
	if err := os.Chmod(upper, 0o755); err != nil { //nolint:gosec // as /etc
		return err
	}
	_, err = sh(ctx, "mount", "-t", "overlay", "overlay", "-o", "lowerdir="+upper+":/etc", "/etc")
	return err
}

// autostart is the command line that a session reads.
func autostart(root string) ([]string, error) {
	text, err := os.ReadFile(filepath.Join(root, "etc/xdg/autostart/citel-agent.desktop"))
	if err != nil {
		return nil, err
	}
	for _, line := range strings.Split(string(text), "\n") {
		if v, ok := strings.CutPrefix(line, "Exec="); ok {
			return strings.Fields(v), nil
		}
	}
	return nil, errors.New("no Exec line")
}

// asUser is a command in the root as one of its users, in this network.
func asUser(ctx context.Context, root, name string, command ...string) *exec.Cmd {
	// A display, which nothing is shown on before somebody asks something.
	args := append([]string{"--mount", "--mount-proc=" + filepath.Join(root, "proc"), "--pid", "--fork", "--kill-child", "chroot", "--userspec=" + name, root,
		"env", "-i", "PATH=/usr/bin:/bin", "HOME=/home/" + name, "LANG=en_GB.UTF-8", "DISPLAY=:97"}, command...)
	cmd := exec.CommandContext(ctx, "unshare", args...) //nolint:gosec // commands of the trial
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	return cmd
}

// start starts a user's agent and waits until it says where it listens.
func start(ctx context.Context, root, name string, line []string) (*agent, error) {
	cmd := asUser(ctx, root, name, line...)
	errs, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	r := bufio.NewReader(errs)
	text, err := r.ReadString('\n')
	a := &agent{cmd: cmd, gone: make(chan struct{})}
	go func() {
		defer close(a.gone)
		_, _ = io.Copy(io.Discard, r)
	}()
	i := strings.LastIndex(text, "127.0.0.1:")
	if err != nil || i < 0 {
		a.end()
		return nil, fmt.Errorf("%s's agent says %q", name, text)
	}
	a.port, _, _ = strings.Cut(text[i+len("127.0.0.1:"):], ".")
	return a, nil
}

func (a *agent) end() {
	_ = syscall.Kill(-a.cmd.Process.Pid, syscall.SIGKILL)
	<-a.gone // the agent itself, and not only what started it: the next one would step back
	_ = a.cmd.Wait()
}

// startTimes tells how long the agent takes from its start until it listens; a figure,
// not a test.
func startTimes(ctx context.Context, root string, line []string) error {
	best, sum := time.Hour, time.Duration(0)
	const rounds = 10
	for range rounds {
		begin := time.Now()
		a, err := start(ctx, root, "anna", line)
		if err != nil {
			return err
		}
		took := time.Since(begin)
		a.end()
		best, sum = min(best, took), sum+took
	}
	fmt.Printf("  from start to listening: best %s, mean %s of %d (chroot included)\n", best.Round(time.Millisecond), (sum / rounds).Round(time.Millisecond), rounds)
	return nil
}

// serveSite serves the page on the address that its name leads to.
func serveSite() (net.Listener, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{siteHost}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		return nil, err
	}
	l, err := tls.Listen("tcp", "127.0.0.1:443", &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
	if err != nil {
		return nil, err
	}
	script, err := page()
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	s := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, script)
	})}
	go func() { _ = s.Serve(l) }()
	return l, nil
}

// page opens all ports side by side, as agent/client does, and writes who answered.
func page() (string, error) {
	hello, err := json.Marshal(wire.Hello{Head: wire.Head{Type: wire.TypeHello, ID: 1}, Version: wire.Version, Challenge: base64.StdEncoding.EncodeToString(make([]byte, wire.ChallengeLen))})
	if err != nil {
		return "", err
	}
	ports, err := json.Marshal(wire.Ports)
	if err != nil {
		return "", err
	}
	return `<!doctype html><title>trial</title><script>
const answers = [];
Promise.all(` + string(ports) + `.map(port => new Promise(done => {
	const ws = new WebSocket("ws://127.0.0.1:" + port + "/", "` + wire.Subprotocol + `");
	ws.onopen = () => ws.send(` + "`" + string(hello) + "`" + `);
	ws.onmessage = m => { answers.push(port + "=" + JSON.parse(m.data).type); ws.close(); };
	ws.onclose = done;
}))).then(() => { window.answers = answers.join() || "none"; });
setTimeout(() => { window.answers ??= "waiting: " + answers.join(); }, 15000);
</script>`, nil
}

// browse is both browsers as one user: with the policy the page finds this user's agent
// and no other, without a question.
func browse(ctx context.Context, want string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	// A browser may refuse, or wait for an answer to its question.
	good := func(got string) bool {
		return got == want || want == "none" && !strings.Contains(got, "hello")
	}
	got, err := inChromium(ctx)
	if err != nil || !good(got) {
		return fmt.Errorf("chromium: %q, want %q (%v)", got, want, err) //nolint:errorlint // for the eye
	}
	got, err = inFirefox(ctx)
	if err != nil || !good(got) {
		return fmt.Errorf("firefox: %q, want %q (%v)", got, want, err) //nolint:errorlint // for the eye
	}
	fmt.Printf("  uid %d: Chromium and Firefox found: %s\n", os.Getuid(), want)
	return nil
}

func inChromium(ctx context.Context) (string, error) {
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath("chromium"), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.IgnoreCertErrors, chromedp.Flag("host-resolver-rules", "MAP "+siteHost+" 127.0.0.1"),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		// A page of the public network: without the policy the browser would ask.
		chromedp.Flag("ip-address-space-overrides", "127.0.0.1:443=public"), chromedp.UserDataDir(filepath.Join(os.TempDir(), "chromium")))
	ctx, cancel := chromedp.NewExecAllocator(ctx, options...)
	defer cancel()
	ctx, cancel = chromedp.NewContext(ctx)
	defer cancel()
	if _, err := chromedp.Run(ctx, chromedp.Navigate(site+"/")); err != nil {
		return "", err
	}
	if _, err := chromedp.Run(ctx, chromedp.Poll[bool](`window.answers !== undefined`)); err != nil {
		return "", err
	}
	return chromedp.Run(ctx, chromedp.Evaluate[string](`window.answers`))
}

func inFirefox(ctx context.Context) (got string, err error) {
	f, err := bidi.Start(ctx, filepath.Join(os.TempDir(), "firefox"), map[string]string{
		"network.dns.localDomains": `"` + siteHost + `"`, "network.lna.address_space.public.override": `"127.0.0.1:443"`,
		// What Firefox will do by itself one day.
		"network.lna.enabled": "true", "network.lna.blocking": "true", "network.lna.websocket.enabled": "true",
	})
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := f.Navigate(site + "/"); err != nil {
		return "", err
	}
	if err := f.Until(ctx, `window.answers !== undefined`); err != nil {
		return "", err
	}
	return f.Text(`window.answers`)
}
