package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/citel-pa/citel/agent/wire"
	"github.com/citel-pa/citel/testdata/page"
	"github.com/citel-pa/citel/testdata/pki"
	"github.com/citel-pa/citel/testdata/stack"
)

// screen is a desktop of its own: a display, a session bus, and a person who uses a
// screen reader and a keyboard.
type screen struct {
	t   *testing.T
	env []string
}

func newScreen(t *testing.T) *screen {
	t.Helper()
	display := xvfb(t)
	home := homeDir(t)
	cmd := exec.Command("dbus-daemon", "--session", "--nofork", "--print-address")
	cmd.Env = append(os.Environ(), "HOME="+home, "DISPLAY="+display)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v; `make deps` installs dbus", err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	address := make([]byte, 512)
	n, err := out.Read(address)
	if err != nil {
		t.Fatal(err)
	}
	return &screen{t: t, env: []string{"DISPLAY=" + display, "DBUS_SESSION_BUS_ADDRESS=" + strings.TrimSpace(string(address[:n])), "HOME=" + home,
		"XDG_RUNTIME_DIR=" + home, "WAYLAND_DISPLAY=", "GTK_THEME=Adwaita", "NO_AT_BRIDGE=0"}}
}

// run runs a program on this desktop.
func (s *screen) run(in string, name string, args ...string) (string, error) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), s.env...)
	cmd.Stdin = strings.NewReader(in)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		err = errors.Join(err, errors.New(stderr.String()))
	}
	return string(out), err
}

func (s *screen) must(in, name string, args ...string) string {
	s.t.Helper()
	out, err := s.run(in, name, args...)
	if err != nil {
		s.shot("window-failed")
		s.t.Fatalf("%s %v: %v", name, args, err)
	}
	return out
}

// reader is the screen reader.
func (s *screen) reader(args ...string) string {
	s.t.Helper()
	return s.must("", "/usr/bin/python3", append([]string{"-W", "ignore", "atspi.py"}, args...)...)
}

func (s *screen) shot(name string) {
	s.t.Helper()
	file := filepath.Join("..", "..", "build", "screenshots", name+".png")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil { //nolint:gosec // pictures of test pages
		s.t.Fatal(err)
	}
	if out, err := s.run("", "import", "-window", "root", file); err != nil {
		s.t.Errorf("screenshot: %v %s", err, out)
	}
}

// keys types on the keyboard; what is typed comes through standard input.
func (s *screen) keys(text string) { s.must(text, "xdotool", "type", "--delay", "20", "--file", "-") }

func (s *screen) key(names ...string) {
	s.must("", "xdotool", append([]string{"key", "--delay", "60"}, names...)...)
}

// settle waits until a window takes input: half a second after it has drawn itself. How long
// it draws on a busy machine is told by how long a small program takes.
func settle() {
	begin := time.Now()
	_ = exec.Command("true").Run()
	time.Sleep(700*time.Millisecond + 40*time.Since(begin))
}

// The main job with the window: found by a screen reader, answered on the keyboard.
func TestWindow(t *testing.T) {
	t.Parallel()
	for _, kind := range []pki.Kind{pki.CNS, pki.CIE} {
		t.Run(string(kind), func(t *testing.T) { windowJob(t, kind) })
	}
}

type loginResult struct {
	reply *wire.LoginReply
	key   string
	err   error
}

func windowJob(t *testing.T, kind pki.Kind) {
	t.Helper()
	s := newScreen(t)
	d := newDesk(t, kind)
	d.insert(t, nil)
	time.Sleep(time.Second) // pcscd looks at its virtual reader every 400 ms
	origin := serve(t, d.Stack)
	l := dial(t, agent(t, d.Stack, stack.AgentOptions{Native: true, Env: append(d.pcsc.Env(), s.env...)}), origin)
	site := page.NewSite(origin)
	ask := func() <-chan loginResult {
		done := make(chan loginResult, 1)
		go func() {
			nonce, life, err := site.Nonce(t.Context())
			if err != nil {
				done <- loginResult{err: err}
				return
			}
			reply, key, err := l.Login(nonce, life)
			done <- loginResult{reply, key, err}
		}()
		return done
	}
	wrong := strings.Repeat("9", len(d.pin))

	// A wrong PIN, by a person who listens.
	result := ask()
	s.reader("wait", "password text", "PIN della carta")
	settle()
	tree := s.reader("tree")
	for _, want := range []string{"heading | Un sito chiede di farti entrare con la carta", origin, "push button | Entra", "push button | Rinuncia", "timer |", "check box | Ricorda questo sito", "Il PIN resta su questo computer"} {
		if !strings.Contains(tree, want) {
			t.Errorf("the screen reader does not say %q:\n%s", want, tree)
		}
	}
	if kind == pki.CIE && (!strings.Contains(tree, "Carta d'identità elettronica numero "+stack.VirtualService) || !strings.Contains(tree, "Servono tutte le 8 cifre")) {
		t.Errorf("a CIE is not explained:\n%s", tree)
	}
	if kind == pki.CNS && !strings.Contains(tree, d.who.CF) {
		t.Errorf("the holder is not named:\n%s", tree)
	}
	s.shot("window-login-" + string(kind))
	if kind == pki.CIE {
		s.keys("5678") // half a PIN, as other programs want it
		s.key("Return")
		s.reader("wait", "", "nulla alla carta")
	}
	s.keys(wrong)
	s.key("Return")
	if r := <-result; code(r.err) != wire.CodePINWrong {
		t.Fatalf("a wrong PIN: %v", r.err)
	}
	s.reader("wait", "", "PIN errato")
	s.shot("window-wrong-pin-" + string(kind))
	s.reader("press", "Chiudi")

	// Refused with the keyboard.
	result = ask()
	s.reader("wait", "password text", "PIN della carta")
	if tree := s.reader("tree"); !strings.Contains(tree, "Tentativi rimasti: 2") {
		t.Errorf("the tries left are not said:\n%s", tree)
	}
	settle()
	s.key("Escape")
	if r := <-result; code(r.err) != wire.CodeRefused {
		t.Fatalf("refused: %v", r.err)
	}

	// And the login.
	result = ask()
	s.reader("wait", "password text", "PIN della carta")
	settle()
	s.keys(d.pin)
	told := s.awaits("", "Fatto")
	s.key("Return")
	r := <-result
	if r.err != nil {
		t.Fatal(r.err)
	}
	if err := site.Login(t.Context(), r.reply.Token, r.reply.Nonce, r.key); err != nil {
		t.Fatal(err)
	}
	told()
	s.shot("window-done-" + string(kind))
	s.sign(t, d, l, site, r.key)
}

// sign signs the kindergarten's form: the document is read, then the PIN is asked.
func (s *screen) sign(t *testing.T, d *desk, l *page.Link, site *page.Site, key string) {
	t.Helper()
	draft, err := site.Apply(t.Context(), page.Enrolment, page.Nursery())
	if err != nil {
		t.Fatal(err)
	}
	content, _, err := site.Get(t.Context(), draft+"/documento.pdf")
	if err != nil {
		t.Fatal(err)
	}
	type result struct {
		signed [][]byte
		err    error
	}
	done := make(chan result, 1)
	go func() {
		signed, err := l.Sign([]page.Document{{Name: "istanza.pdf", MediaType: "application/pdf", Bytes: content},
			{Name: "nota.txt", MediaType: "text/plain", Bytes: []byte("Una nota <b>di prova</b> da leggere.")}}, false, d.who.CF, key)
		done <- result{signed, err}
	}()
	s.reader("wait", "push button", "Ho letto")
	s.reader("wait", "", "Una nota <b>di prova</b>")
	s.reader("wait", "heading", "Iscrizione al nido")
	settle()
	if tree := s.reader("tree"); !strings.Contains(tree, "Pagina 1 di") || strings.Contains(tree, "password text") || !strings.Contains(tree, "Impronta (SHA-256)") {
		t.Errorf("the review:\n%s", tree)
	}
	s.shot("window-review-" + d.who.Sex)
	s.reader("press", "Ho letto")
	s.reader("wait", "password text", "PIN della carta")
	settle()
	if tree := s.reader("tree"); strings.Contains(tree, "Iscrizione al nido") || !strings.Contains(tree, "istanza.pdf") || !strings.Contains(tree, "push button | Firma") {
		t.Errorf("the PIN's window:\n%s", tree)
	}
	s.shot("window-sign-" + d.who.Sex)
	s.keys(d.pin)
	s.reader("press", "Firma")
	r := <-done
	if r.err != nil || len(r.signed) != 2 {
		t.Fatalf("%d signatures: %v", len(r.signed), r.err)
	}
}

// hostilePDF has what a reader must be told of before the PIN: a script, an embedded
// file and a layer; and no structure.
func hostilePDF() []byte {
	objects := []string{
		"<< /Type /Catalog /Pages 2 0 R /OpenAction << /S /JavaScript /JS (app.alert\\(1\\)) >> /Names << /EmbeddedFiles << /Names [(a.txt) 6 0 R] >> >> /OCProperties << /OCGs [8 0 R] /D << /Order [8 0 R] /ON [8 0 R] >> >> >>",
		"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
		"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 200] /Contents 4 0 R /Annots [<< /Type /Annot /Subtype /Link /Rect [10 10 90 40] /A << /S /URI /URI (https://evil.example/) >> >>] /Resources << /Font << /F 5 0 R >> /Properties << /L 8 0 R >> >> >>",
		"", // the content
		"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
		"<< /Type /Filespec /F (a.txt) /EF << /F 7 0 R >> >>",
		"<< /Type /EmbeddedFile /Length 4 >>\nstream\nciao\nendstream",
		"<< /Type /OCG /Name (nascosto) >>",
	}
	content := "/OC /L BDC BT /F 18 Tf 20 100 Td (Cedo la mia casa) Tj ET EMC"
	objects[3] = fmt.Sprintf("<< /Length %d >>\nstream\n%s\nendstream", len(content), content)
	var b bytes.Buffer
	b.WriteString("%PDF-1.7\n")
	offsets := make([]int, len(objects))
	for i, o := range objects {
		offsets[i] = b.Len()
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", i+1, o)
	}
	start := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(objects)+1)
	for _, o := range offsets {
		fmt.Fprintf(&b, "%010d 00000 n \n", o)
	}
	fmt.Fprintf(&b, "trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n", len(objects)+1, start)
	return b.Bytes()
}

// A PDF that is more than what it shows is named so before the PIN; the person
// refuses, and nothing is signed. One that is no PDF at all says so.
func TestHostileDocuments(t *testing.T) {
	t.Parallel()
	s := newScreen(t)
	d := newDesk(t, pki.CNS)
	d.insert(t, nil)
	time.Sleep(time.Second)
	origin := serve(t, d.Stack)
	l := dial(t, agent(t, d.Stack, stack.AgentOptions{Native: true, Env: append(d.pcsc.Env(), s.env...)}), origin)
	files := []struct {
		name  string
		bytes []byte
		says  []string
	}{
		{"script.pdf", hostilePDF(), []string{"contiene programmi (script)", "contiene altri file", "livelli che si possono nascondere", "contenuti esterni", "non ha una struttura", "Cedo la mia casa"}},
		{"broken.pdf", []byte("%PDF-1.7\n%%EOF"), []string{"non è un PDF leggibile"}},
		{"program.pdf", []byte{0x7F, 'E', 'L', 'F'}, []string{"non si può mostrare qui"}},
	}
	var documents []page.Document
	for _, f := range files {
		documents = append(documents, page.Document{Name: f.name, MediaType: "application/pdf", Bytes: f.bytes})
	}
	done := make(chan error, 1)
	go func() {
		_, err := l.Sign(documents, false, d.who.CF, "")
		done <- err
	}()
	// A site that was never let in asks for that first; nothing of the card is told.
	s.reader("wait", "push button", "Sì, può usare CiTel")
	if tree := s.reader("tree"); strings.Contains(tree, "password text") || strings.Contains(tree, d.who.CF) {
		t.Errorf("the question about the site:\n%s", tree)
	}
	settle()
	s.shot("window-origin")
	s.reader("press", "Sì, può usare CiTel")
	for _, f := range files {
		s.reader("wait", "heading", f.name)
		for _, want := range f.says {
			s.reader("wait", "", want)
		}
	}
	s.shot("window-hostile")
	settle()
	s.reader("press", "Rinuncia")
	if err := <-done; code(err) != wire.CodeRefused {
		t.Errorf("%v", err)
	}
}

// After a login in the window no process of ours that is still alive holds the PIN.
func TestNoProcessKeepsThePIN(t *testing.T) {
	t.Parallel()
	s := newScreen(t)
	d := newDesk(t, pki.CIE)
	d.insert(t, nil)
	time.Sleep(time.Second)
	origin := serve(t, d.Stack)
	p, port, err := d.StartAgent(t.Context(), stack.AgentOptions{Native: true, Origin: origin, Env: append(d.pcsc.Env(), s.env...)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Stop() })
	l := dial(t, port, origin)
	site := page.NewSite(origin)
	nonce, life, err := site.Nonce(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, _, err := l.Login(nonce, life)
		done <- err
	}()
	s.reader("wait", "password text", "PIN della carta")
	settle()
	s.keys(d.pin)
	told := s.awaits("", "Fatto")
	s.key("Return")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	told()
	freeze(t, p.Pid())
	if occurrences(t, p.Pid(), []byte(origin)) == 0 {
		t.Error("not even the site's address is found in the agent's memory: the search does not work")
	}
	looked := 0
	for _, pid := range append(descendants(t, p.Pid()), p.Pid()) {
		n := occurrences(t, pid, []byte(d.pin)) + occurrences(t, pid, utf16(d.pin))
		if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); err == nil {
			looked++
		}
		if n > 0 {
			name, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
			t.Errorf("%s (%d) holds the PIN %d times", filepath.Base(name), pid, n)
		}
	}
	// The agent, the window that tells the end, and what WebKit started for it.
	if looked < 3 {
		t.Errorf("only %d processes were looked at", looked)
	}
	t.Logf("%d processes", looked)
}

func utf16(s string) []byte {
	var b []byte
	for _, c := range []byte(s) {
		b = append(b, c, 0)
	}
	return b
}

// descendants are the processes that a process started, directly or not.
func descendants(t *testing.T, of int) []int {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	parents := map[int]int{}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue
		}
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if parents[pid], err = strconv.Atoi(fields[1]); err != nil {
			t.Fatal(err)
		}
	}
	var list []int
	for pid := range parents {
		for up := parents[pid]; up > 1; up = parents[up] {
			if up == of {
				list = append(list, pid)
				break
			}
		}
	}
	return list
}

// occurrences counts a secret in the writable memory of a process.
func occurrences(t *testing.T, pid int, secret []byte) (n int) {
	t.Helper()
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return 0 // it has ended
	}
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return 0 // it has ended meanwhile
	}
	if err != nil {
		t.Fatalf("the memory of %d: %v", pid, err)
	}
	defer func() { _ = mem.Close() }()
	for line := range strings.Lines(string(maps)) {
		var from, to int64
		var flags string
		if _, err := fmt.Sscanf(line, "%x-%x %s", &from, &to, &flags); err != nil || !strings.HasPrefix(flags, "rw") || to-from > 512<<20 {
			continue
		}
		buf := make([]byte, to-from)
		got, _ := mem.ReadAt(buf, from) // pages that are not there are not read
		n += bytes.Count(buf[:got], secret)
	}
	return n
}

// homeDir is a person's home. The web engine's own processes may write there until a moment
// after their window has ended, so that it is not always gone at once.
func homeDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "citel-home-*")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
			if err = os.RemoveAll(dir); err == nil {
				return
			}
		}
		t.Error(err)
	})
	return dir
}
