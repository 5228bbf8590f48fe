package installer

import (
	"crypto/sha1" //nolint:gosec // RFC 9562, 5.5: a name, not a proof
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
)

// UpgradeCode is the agent's on every Windows computer, for ever: an installer knows by
// it what it replaces.
const UpgradeCode = "6C1D0E52-7A0B-4B5E-9C57-0C1A1E0D52B1"

// RegistryValue is a value below HKEY_LOCAL_MACHINE. [INSTALLDIR] stands for the folder.
type RegistryValue struct{ Key, Name, Value string }

// WindowsRegistry is what the installer writes for all users; it goes with the
// program. The firewall is not touched: the agent listens on loopback alone.
func WindowsRegistry() []RegistryValue {
	open := `"[INSTALLDIR]citel-start.exe" link "%1"`
	return []RegistryValue{
		{`Software\Microsoft\Windows\CurrentVersion\Run`, "CiTel", `"[INSTALLDIR]citel-start.exe" run --session`},
		{`Software\Classes\` + Scheme, "", "URL:CiTel"},
		{`Software\Classes\` + Scheme, "URL Protocol", ""},
		{`Software\Classes\` + Scheme + `\shell\open\command`, "", open},
	}
}

// UUID names something by a version's text, the same in every build. RFC 9562, 5.5
// UUID Version 5, in the name space of the upgrade code.
func UUID(name string) string {
	space, err := hex.DecodeString(strings.ReplaceAll(UpgradeCode, "-", ""))
	if err != nil {
		panic(err) // a constant
	}
	h := sha1.New() //nolint:gosec // a name
	h.Write(space)
	h.Write([]byte(name))
	b := h.Sum(nil)[:16]
	b[6], b[8] = b[6]&0x0f|0x50, b[8]&0x3f|0x80
	return strings.ToUpper(fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]))
}

var numeric = regexp.MustCompile(`^(\d+)\.(\d+)(?:\.(\d+))?(?:[+](\d+))?`)

// WindowsVersion is the version as Windows Installer compares it: three numbers. What
// is between two releases counts in the third. Windows Installer, ProductVersion.
func (r Release) WindowsVersion() string {
	m := numeric.FindStringSubmatch(r.Number())
	if m == nil {
		return "0.0.0"
	}
	n := func(s string) int {
		var v int
		_, _ = fmt.Sscan(s, &v)
		return v
	}
	return fmt.Sprintf("%d.%d.%d", n(m[1])%256, n(m[2])%256, (n(m[3])*100+n(m[4]))%65536)
}
