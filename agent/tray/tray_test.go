package tray_test

import (
	"bytes"
	"context"
	"image/png"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/citel-pa/citel/agent/tray"
	"github.com/citel-pa/citel/pkcs/message"
)

// The tests are one process, and the library has one icon for a process: what they
// share is a session bus of their own.
func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	cmd := exec.Command("dbus-daemon", "--session", "--nofork", "--print-address")
	out, err := cmd.StdoutPipe()
	if err != nil {
		panic(err)
	}
	if err := cmd.Start(); err != nil {
		panic("dbus-daemon is missing; `make deps` installs dbus: " + err.Error())
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	address := make([]byte, 512)
	n, err := out.Read(address)
	if err != nil {
		panic(err)
	}
	if err := os.Setenv("DBUS_SESSION_BUS_ADDRESS", strings.TrimSpace(string(address[:n]))); err != nil {
		panic(err)
	}
	return m.Run()
}

// watcher is a desktop's StatusNotifierWatcher, and its notifications.
type watcher struct {
	items chan dbus.Sender
	notes chan string
}

func (w *watcher) RegisterStatusNotifierItem(_ string, sender dbus.Sender) *dbus.Error {
	w.items <- sender
	return nil
}

func (w *watcher) Notify(_ string, _ uint32, _, title, body string, _ []string, _ map[string]dbus.Variant, _ int32) (uint32, *dbus.Error) {
	w.notes <- title + ": " + body
	return 1, nil
}

// desktop is a connection of its own to the bus, as a panel has.
func desktop(t *testing.T) *dbus.Conn {
	t.Helper()
	conn, err := dbus.ConnectSessionBus()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// line is an entry of com.canonical.dbusmenu.
type line struct {
	id      int32
	label   string
	enabled bool
}

// menu reads the item's menu as a panel does.
func menu(t *testing.T, conn *dbus.Conn, owner string) []line {
	t.Helper()
	var revision uint32
	var root struct {
		ID         int32
		Properties map[string]dbus.Variant
		Children   []dbus.Variant
	}
	call := conn.Object(owner, "/StatusNotifierItem/menu").Call("com.canonical.dbusmenu.GetLayout", 0, int32(0), int32(-1), []string{})
	if err := call.Store(&revision, &root); err != nil {
		t.Fatal(err)
	}
	var lines []line
	for _, child := range root.Children {
		parts, ok := child.Value().([]any)
		if !ok || len(parts) < 2 {
			t.Fatalf("a menu's line: %v", child)
		}
		properties, _ := parts[1].(map[string]dbus.Variant)
		l := line{enabled: true}
		l.id, _ = parts[0].(int32)
		if v, ok := properties["label"]; ok {
			l.label, _ = v.Value().(string)
		}
		if v, ok := properties["enabled"]; ok {
			l.enabled, _ = v.Value().(bool)
		}
		if l.label != "" {
			lines = append(lines, l)
		}
	}
	return lines
}

// A tray without a watcher is no error; when one comes the icon is there, with its
// menu, in the person's language, and the menu's entries do what they say.
func TestTray(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var english atomic.Bool
	lang := func() message.Lang {
		if english.Load() {
			return message.English
		}
		return message.Italian
	}
	states, opened, quit := make(chan tray.State, 1), make(chan string, 1), make(chan struct{}, 1)
	states <- tray.NoReader
	tr := &tray.Tray{Lang: lang, States: states, Open: func(p string) { opened <- p }, Quit: func() { quit <- struct{}{} }}
	go tr.Run(ctx)
	time.Sleep(300 * time.Millisecond) // nobody is there

	conn := desktop(t)
	w := &watcher{items: make(chan dbus.Sender, 4), notes: make(chan string, 1)}
	for path, iface := range map[dbus.ObjectPath]string{"/StatusNotifierWatcher": "org.kde.StatusNotifierWatcher", "/org/freedesktop/Notifications": "org.freedesktop.Notifications"} {
		if err := conn.Export(w, path, iface); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.RequestName(iface, dbus.NameFlagDoNotQueue); err != nil {
			t.Fatal(err)
		}
	}
	var owner string
	select {
	case s := <-w.items:
		owner = string(s)
	case <-time.After(time.Minute):
		t.Fatal("no icon was registered")
	}
	has := func(label string, enabled bool) line {
		t.Helper()
		for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
			lines := menu(t, conn, owner)
			for _, l := range lines {
				if l.label == label && l.enabled == enabled {
					return l
				}
			}
			if time.Now().After(end) {
				t.Fatalf("no %q in %+v", label, lines)
			}
		}
	}
	has(message.Text(message.Italian, "hand.state-no-reader"), false)
	click := func(label string) {
		t.Helper()
		l := has(label, true)
		call := conn.Object(owner, "/StatusNotifierItem/menu").Call("com.canonical.dbusmenu.Event", 0, l.id, "clicked", dbus.MakeVariant(int32(0)), uint32(0))
		if call.Err != nil {
			t.Fatal(call.Err)
		}
	}
	for label, page := range map[string]string{"Apri CiTel": "home", "Usi recenti": "history", "La mia carta: PIN, PUK, scadenza": "card", "Impostazioni": "settings", "Collega l'estensione Web eID…": "settings", message.Text(message.Italian, "hand.tray-doctor"): "doctor"} {
		click(label)
		select {
		case got := <-opened:
			if got != page {
				t.Errorf("%s opened %s", label, got)
			}
		case <-time.After(time.Minute):
			t.Errorf("%s opened nothing", label)
		}
	}
	// The state changes, and the language with it.
	before := pixmap(t, conn, owner)
	english.Store(true)
	states <- tray.Card
	has("There is a card in the reader.", false)
	has("Quit CiTel", true)
	if after := pixmap(t, conn, owner); len(after) == 0 || bytes.Equal(before, after) {
		t.Error("the icon does not change with the state")
	}
	click("Quit CiTel")
	select {
	case <-quit:
	case <-time.After(time.Minute):
		t.Error("quit did nothing")
	}
	if err := tray.Notify("titolo", "testo"); err != nil {
		t.Error(err)
	}
	if got := <-w.notes; got != "titolo: testo" {
		t.Errorf("%q", got)
	}
}

func pixmap(t *testing.T, conn *dbus.Conn, owner string) []byte {
	t.Helper()
	v, err := conn.Object(owner, "/StatusNotifierItem").GetProperty("org.kde.StatusNotifierItem.IconPixmap")
	if err != nil {
		t.Fatal(err)
	}
	var list []struct {
		W, H int32
		Pix  []byte
	}
	if err := v.Store(&list); err != nil || len(list) != 1 {
		t.Fatalf("%v %v", v, err)
	}
	return list[0].Pix
}

// Without a session bus nothing happens, and nothing is started to have one.
func TestNoBus(t *testing.T) {
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "")
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	done := make(chan struct{})
	go func() {
		(&tray.Tray{Lang: func() message.Lang { return message.Italian }}).Run(t.Context())
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Error("it waits for a bus")
	}
	if tray.Notify("a", "b") == nil {
		t.Error("somebody was told")
	}
}

func TestIcons(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range []tray.State{tray.NoService, tray.NoCard, tray.Card} {
		b := tray.Icon(s)
		img, err := png.Decode(bytes.NewReader(b))
		if err != nil || img.Bounds().Dx() != 48 || seen[string(b)] {
			t.Errorf("%d: %v", s, err)
		}
		seen[string(b)] = true
	}
}
