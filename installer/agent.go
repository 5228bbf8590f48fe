package installer

import "strings"

// Names that other programs know the agent by.
const (
	Scheme = "citel" // of links: a page's citel: link starts the agent
	// AppID is the desktop's name for it, the base of file names that the desktop reads.
	AppID = "citel-agent"
)

// Agent is what goes onto a citizen's computer.
func Agent() Package {
	p := Package{
		Name: "citel-agent", Section: "utils",
		Summary: "smart card login and signature for municipal web pages",
		Description: `CiTel's agent reads the Italian identity card (CIE), the services card
(CNS) and the health card (TS-CNS) through PC/SC, asks its person in a
window of its own who asks and what for, and signs logins and documents
with the key of the card. Web pages of municipalities talk to it over a
local connection.
.
It needs no browser extension, changes no trust store, and opens no port
to the network.`,
		Programs: []Program{
			{Name: "citel-agent", Go: "./agent/cmd/citel-agent", Cgo: true, WindowsCgo: true, Text: true},
			{Name: "citel-window", Go: "./agent/cmd/citel-window", Tags: []string{"production", "gtk3"}, Cgo: true, GUI: true},
			{Name: "citel-start", Go: "./agent/cmd/citel-start", GUI: true, WindowsOnly: true},
		},
		Depends: map[Format][]string{
			Deb: {"libc6 (>= 2.34)", "libpcsclite1", "pcscd", "libgtk-3-0 (>= 3.24) | libgtk-3-0t64", "libwebkit2gtk-4.1-0 (>= 2.40)",
				"libsoup-3.0-0", "libjavascriptcoregtk-4.1-0", "libglib2.0-0 (>= 2.74) | libglib2.0-0t64", "libcairo2", "libgdk-pixbuf-2.0-0"},
			RPM: {"pcsc-lite", "pcsc-lite-libs", "gtk3", "webkit2gtk4.1"},
		},
		Recommends: map[Format][]string{Deb: {"libccid", "default-dbus-session-bus | dbus-session-bus"}, RPM: {"pcsc-lite-ccid"}},
		Schemes:    []string{Scheme},
		Scripts: map[Format]map[Script]string{
			Deb: {PreRemove: agentPreRemoveDeb},
			RPM: {PreRemove: agentPreRemoveRPM},
		},
		Overrides: []Override{
			{"spelling-error-in-binary *", "Italian words, not misspelt English ones"},
		},
	}
	p.Files = append([]File{
		{Path: "/usr/bin/citel-agent", Mode: 0o755, Program: "citel-agent"},
		// Started by the agent alone, so not on the PATH.
		{Path: "/usr/libexec/citel/citel-window", Mode: 0o755, Program: "citel-window"},
		{Path: "/usr/share/applications/" + AppID + ".desktop", Mode: 0o644, Text: func(Release) string { return DesktopEntry("/usr/bin/citel-agent") }},
		// Desktop Application Autostart Specification: with the session, for every user;
		// a file of the same name in the user's own folder wins over it.
		{Path: "/etc/xdg/autostart/" + AppID + ".desktop", Mode: 0o644, Kind: Config, Text: func(Release) string { return AutostartEntry("/usr/bin/citel-agent") }},
		{Path: "/usr/share/icons/hicolor/scalable/apps/" + AppID + ".svg", Mode: 0o644, Text: func(Release) string { return Icon() }},
		// How this copy came here, for who looks for updates.
		{Path: "/usr/share/citel-agent/deb", Mode: 0o644, Only: Deb, Text: func(r Release) string { return r.Number() + "\n" }},
		{Path: "/usr/share/citel-agent/rpm", Mode: 0o644, Only: RPM, Text: func(r Release) string { return r.Number() + "\n" }},
		{Path: "/usr/share/metainfo/" + AppID + ".metainfo.xml", Mode: 0o644, Text: metainfo},
	}, common(p)...)
	return p
}

// DesktopEntry is the entry of the menu and the handler of citel: links. The link's
// own text is given to the command and ignored there: desktops want %u of whoever
// handles a scheme. Desktop Entry Specification 1.5.
func DesktopEntry(program string) string {
	return `[Desktop Entry]
Version=1.0
Type=Application
Name=CiTel
GenericName=Smart card login and signature
GenericName[it]=Accesso e firma con la carta
Comment=Log in and sign with CIE, CNS or health card
Comment[it]=Accesso e firma con CIE, CNS o tessera sanitaria
Exec=` + quoteExec(program) + ` link %u
Icon=` + AppID + `
Terminal=false
StartupNotify=false
Categories=System;Security;
Keywords=smart card;CIE;CNS;signature;firma;tessera sanitaria;
MimeType=x-scheme-handler/` + Scheme + `;
`
}

// AutostartEntry starts the agent with the session.
func AutostartEntry(program string) string {
	return `[Desktop Entry]
Version=1.0
Type=Application
Name=CiTel
Comment=Waits for web pages that ask for the smart card
Comment[it]=Attende le pagine web che chiedono la carta
Exec=` + quoteExec(program) + ` run --session
Icon=` + AppID + `
Terminal=false
NoDisplay=true
X-GNOME-Autostart-enabled=true
`
}

// quoteExec quotes a path for an Exec line. Desktop Entry Specification 1.5, The
// Exec key: reserved characters go between double quotes, with four of them escaped.
func quoteExec(path string) string {
	if !strings.ContainsAny(path, " \t\n\"'\\><~|&;$*?#()`%") {
		return path
	}
	return `"` + strings.NewReplacer("\\", `\\\\`, `"`, `\\"`, "`", "\\\\`", "$", `\\$`, "%", "%%").Replace(path) + `"`
}

// What CiTel wrote into browsers' policies is taken back before its program goes. An
// upgrade leaves it. A program that cannot run any more, for want of a library, must not
// keep its package from being removed.
const agentPreRemoveDeb = `#!/bin/sh
set -e
if [ "$1" = remove ] && command -v citel-agent >/dev/null; then
	citel-agent policy remove --all --quiet || echo "` + policiesStay + `" >&2
fi
`

const agentPreRemoveRPM = `if [ "$1" = 0 ] && [ -x /usr/bin/citel-agent ]; then
	/usr/bin/citel-agent policy remove --all --quiet || echo "` + policiesStay + `" >&2
fi
`

const policiesStay = "citel-agent: what it wrote into browsers' policies (below /etc) could not be taken back; look for citel.json and policies.json there."
