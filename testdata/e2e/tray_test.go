package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/citel-pa/citel/agent/control"
	"github.com/citel-pa/citel/testdata/pki"
)

// panel is a desktop's StatusNotifierWatcher.
type panel struct{ items chan dbus.Sender }

func (p *panel) RegisterStatusNotifierItem(_ string, sender dbus.Sender) *dbus.Error {
	p.items <- sender
	return nil
}

// The running agent has its icon on a desktop that shows icons: the menu says what is
// in the reader, opens a page, and quits the agent.
func TestTrayOfTheAgent(t *testing.T) {
	t.Parallel()
	a := newAt(t, pki.CNS)
	var address string
	for _, kv := range a.env {
		if v, ok := strings.CutPrefix(kv, "DBUS_SESSION_BUS_ADDRESS="); ok {
			address = v
		}
	}
	conn, err := dbus.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	p := &panel{items: make(chan dbus.Sender, 4)}
	if err := conn.Export(p, "/StatusNotifierWatcher", "org.kde.StatusNotifierWatcher"); err != nil {
		t.Fatal(err)
	}
	var owner string
	for end := time.Now().Add(time.Minute); owner == ""; {
		if _, err := conn.RequestName("org.kde.StatusNotifierWatcher", dbus.NameFlagDoNotQueue); err != nil {
			t.Fatal(err)
		}
		select {
		case s := <-p.items:
			owner = string(s)
		case <-time.After(5 * time.Second):
			// A panel that came between the agent's first try and its listening for panels is
			// not seen by the icon's library: it comes anew, as panels do.
			if time.Now().After(end) {
				t.Fatal("no icon")
			}
			if _, err := conn.ReleaseName("org.kde.StatusNotifierWatcher"); err != nil {
				t.Fatal(err)
			}
		}
	}
	menu := conn.Object(owner, "/StatusNotifierItem/menu")
	entry := func(label string) int32 {
		t.Helper()
		for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
			var revision uint32
			var root struct {
				ID         int32
				Properties map[string]dbus.Variant
				Children   []dbus.Variant
			}
			if err := menu.Call("com.canonical.dbusmenu.GetLayout", 0, int32(0), int32(-1), []string{}).Store(&revision, &root); err != nil {
				t.Fatal(err)
			}
			for _, child := range root.Children {
				parts, ok := child.Value().([]any)
				if !ok || len(parts) < 2 {
					continue
				}
				properties, _ := parts[1].(map[string]dbus.Variant)
				if properties["label"].Value() == label {
					id, _ := parts[0].(int32)
					return id
				}
			}
		}
		t.Fatalf("no %q in the menu", label)
		return 0
	}
	click := func(label string) {
		t.Helper()
		if err := menu.Call("com.canonical.dbusmenu.Event", 0, entry(label), "clicked", dbus.MakeVariant(int32(0)), uint32(0)).Err; err != nil {
			t.Fatal(err)
		}
	}
	entry("Il lettore è pronto: inserisci la carta.")
	a.put(nil)
	entry("C'è una carta nel lettore.")
	click(doctorPage)
	a.reader("wait", "heading", doctorPage)
	// Chosen in the settings, the language counts at once, in window and menu.
	a.open("settings", "Impostazioni")
	a.key("Tab", "Down", "Down", "Return")
	a.eventually("Saved.")
	a.reader("wait", "heading", "Settings")
	a.shot("hand-english")
	a.d.pcsc.Readers[0].Remove()
	entry("The reader is ready: put the card in.")
	path := a.socket()
	click("Quit CiTel")
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if _, err := control.Send(t.Context(), path, control.Request{Command: control.Status}); err != nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal("it does not quit")
		}
	}
}

// socket is the control socket of the agent that runs on this desktop.
func (a *at) socket() string {
	a.t.Helper()
	found, err := filepath.Glob(filepath.Join(a.home(), "citel", "*.sock"))
	if err != nil || len(found) != 1 {
		a.t.Fatalf("sockets: %v %v", found, err)
	}
	return found[0]
}

// `open` starts an agent where none runs; where none can listen the pages come all the
// same, with the doctor that says why.
func TestOpenStartsTheAgent(t *testing.T) {
	t.Parallel()
	s := newScreen(t)
	t.Cleanup(func() { time.Sleep(time.Second) })
	d := newDesk(t, pki.CNS)
	a := &at{screen: s, d: d, config: filepath.Join(d.Dir, "own")}
	a.env = append(append(a.env, d.pcsc.Env()...), "LANG=it_IT.UTF-8", "LC_ALL=", "XDG_CONFIG_HOME=", "XDG_STATE_HOME=")
	a.open("home", "La carta e CiTel")
	path := a.socket()
	if _, err := control.Send(t.Context(), path, control.Request{Command: control.Status}); err != nil {
		t.Errorf("no agent was started: %v", err)
	}
	a.open("history", "Usi recenti") // the same window
	windows := strings.TrimSpace(a.must("", "xdotool", "search", "--onlyvisible", "--class", "citel-window"))
	if strings.Contains(windows, "\n") {
		t.Errorf("more than one window: %s", windows)
	}
	if _, err := control.Send(t.Context(), path, control.Request{Command: control.Quit}); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)

	// Settings that cannot be read: an agent does not start on them.
	if err := os.MkdirAll(a.config, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(a.config, "settings.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), d.Agent, "open", "doctor", "--config", a.config)
	cmd.Env = append(os.Environ(), a.env...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	a.eventually("Le impostazioni di CiTel non si leggono")
	settle()
	a.shot("open-alone")
	a.reader("press", "Riparti con impostazioni nuove")
	a.eventually("settings.json) con un altro nome")
	a.reader("press", "Sì, fallo")
	a.eventually("Fatto: Riparti")
	if out, err := a.run("", "xdotool", "search", "--onlyvisible", "--class", "citel-window", "windowclose"); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("it does not end with its window: %v", err)
	}
	if _, err := os.Stat(filepath.Join(a.config, "settings.json")); err == nil {
		t.Error("the settings are still there")
	}
	if out, code := a.citel("open", "nowhere"); code != 64 || !strings.Contains(out, "doctor") {
		t.Errorf("%d %s", code, out)
	}
	a.env = append(a.env, "DISPLAY=", "WAYLAND_DISPLAY=")
	if out, code := a.citel("open", "--port"+strconv.Itoa(0)); code != 64 {
		t.Errorf("a flag that is not there: %d %s", code, out)
	}
	if out, code := a.citel("open"); code != 69 || !strings.Contains(out, "citel-agent doctor") {
		t.Errorf("without a screen: %d %s", code, out)
	}
}
