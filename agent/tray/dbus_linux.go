package tray

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/godbus/dbus/v5"
)

// quits: the icon goes with the process's connection.
const quits = false

// errNoBus: a session without a bus.
var errNoBus = errors.New("tray: no session bus")

// bus is the session's, and never one that would be started for us.
func bus() (*dbus.Conn, error) {
	if os.Getenv("DBUS_SESSION_BUS_ADDRESS") == "" {
		dir := os.Getenv("XDG_RUNTIME_DIR")
		if _, err := os.Stat(filepath.Join(dir, "bus")); err != nil || !filepath.IsAbs(dir) {
			return nil, errNoBus
		}
	}
	return dbus.SessionBus()
}

func reachable() bool {
	_, err := bus()
	return err == nil
}

// Notify shows a notification (Desktop Notifications Specification, 1.2). The error
// says that nobody shows it.
func Notify(title, body string) error {
	conn, err := bus()
	if err != nil {
		return err
	}
	return conn.Object("org.freedesktop.Notifications", "/org/freedesktop/Notifications").Call("org.freedesktop.Notifications.Notify", 0,
		"CiTel", uint32(0), "", title, body, []string{}, map[string]dbus.Variant{"urgency": dbus.MakeVariant(byte(1))}, int32(-1)).Err
}
