package installer

// Server is what goes onto a municipality's machine.
func Server() Package {
	p := Package{
		Name: "citel-server", Section: "web",
		Summary: "telematic counter of an Italian municipality",
		Description: `CiTel's server lets citizens log in with their smart card, takes in
applications that they sign with it, verifies every signature by itself,
and gives a protocol number and a receipt.
.
It stores everything in one folder and runs as a user of its own without
any privilege. It is not started before it was configured.`,
		Programs: []Program{{Name: "citel-server", Go: "./server/cmd/citel-server", Cgo: true, Text: true}},
		Depends: map[Format][]string{
			Deb: {"libc6 (>= 2.34)", "ca-certificates"},
			RPM: {"ca-certificates"},
		},
		Services: []string{"citel-server.service"},
		Scripts: map[Format]map[Script]string{
			Deb: {PostInstall: serverPostInstallDeb, PreRemove: serverPreRemoveDeb, PostRemove: serverPostRemoveDeb},
			RPM: {PostInstall: serverPostInstallRPM, PreRemove: serverPreRemoveRPM, PostRemove: serverPostRemoveRPM},
		},
		Overrides: []Override{
			{"spelling-error-in-binary *", "Italian words, not misspelt English ones"},
			{"package-supports-alternative-init-but-no-init.d-script *", "the service's protections are systemd's; without it the program is started by hand"},
		},
	}
	p.Files = append([]File{
		{Path: "/usr/bin/citel-server", Mode: 0o755, Program: "citel-server"},
		{Path: "/usr/lib/systemd/system/citel-server.service", Mode: 0o644, Text: func(Release) string { return serverUnit }},
		{Path: "/etc/default/citel-server", Mode: 0o644, Kind: Config, Text: func(Release) string { return serverDefaults }},
	}, common(p)...)
	return p
}

// serverUnit: a user of its own that exists while the service runs, one folder that
// may be written, no privilege, no device, no other process in sight.
// systemd.exec(5), Sandboxing; `systemd-analyze security` gives the figure.
const serverUnit = `[Unit]
Description=CiTel, the municipality's telematic counter
Documentation=man:citel-server(1) https://github.com/citel-pa/citel
After=network-online.target postgresql.service
Wants=network-online.target

[Service]
Type=exec
EnvironmentFile=/etc/default/citel-server
ExecStart=/usr/bin/citel-server serve --data ${STATE_DIRECTORY} $CITEL_OPTIONS
Restart=on-failure
RestartSec=5s
# Requests that are at work are finished first.
TimeoutStopSec=45s

DynamicUser=yes
User=citel-server
StateDirectory=citel-server
StateDirectoryMode=0700
ConfigurationDirectory=citel-server
ConfigurationDirectoryMode=0755
# Secrets stay root's; the service sees copies: --tls-key ${CREDENTIALS_DIRECTORY}/secrets_tls.key
LoadCredential=secrets:/etc/citel-server/secrets
UMask=0077

NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
PrivateDevices=yes
PrivateTmp=yes
PrivateUsers=yes
PrivateIPC=yes
ProtectSystem=strict
ProtectHome=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProcSubset=pid
RemoveIPC=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM
LimitCORE=0
LimitNOFILE=65536

[Install]
WantedBy=multi-user.target
`

const serverDefaults = `# Options of citel-server.service; "man citel-server" lists them all.
#
#   1. Write the options below.
#   2. Put secrets (the key of TLS, a token's PIN) into /etc/citel-server/secrets, mode 700:
#      the service gets a copy of each as ${CREDENTIALS_DIRECTORY}/secrets_NAME.
#   3. systemctl enable --now citel-server
#
# The port must be 1024 or higher: put a reverse proxy before it (--behind-proxy), or
# redirect port 443 to it.
#
# Attachments are scanned with --scanner icap://host:1344/service; receipts get a time-stamp
# with --tsa ADDRESS --tsa-trust FILE; packages for conservazione go below the data folder, or
# into --deposit DIR (which a drop-in has to allow: ReadWritePaths=DIR); an ente with a
# protocol system of its own needs --protocol ENTE=https://... --protocol-token ENTE=FILE.
#
# CITEL_OPTIONS="--origin https://sportello.comune.example --name 'Comune di Esempio' --listen 0.0.0.0:8443 --tls-cert /etc/citel-server/tls.pem --tls-key ${CREDENTIALS_DIRECTORY}/secrets_tls.key --trust cns=/etc/citel-server/cns.pem --trust cie=/etc/citel-server/cie.pem"
CITEL_OPTIONS=""
`

// The credentials' folder is made so that the unit finds it; it belongs to root.
const serverPostInstallDeb = `#!/bin/sh
set -e
case "$1" in
configure | abort-upgrade | abort-deconfigure | abort-remove)
	install -d -m 755 /etc/citel-server
	install -d -m 700 /etc/citel-server/secrets
	if [ -d /run/systemd/system ]; then
		systemctl --system daemon-reload >/dev/null || true
		# An upgrade goes on where it stopped; nothing starts that was not running.
		if [ -n "$2" ]; then
			deb-systemd-invoke try-restart citel-server.service >/dev/null || true
		fi
	fi
	;;
esac
`

const serverPreRemoveDeb = `#!/bin/sh
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
	deb-systemd-invoke stop citel-server.service >/dev/null || true
fi
`

// A purge takes the settings; the data are applications of citizens and stay, which
// is said.
const serverPostRemoveDeb = `#!/bin/sh
set -e
if [ -d /run/systemd/system ]; then
	systemctl --system daemon-reload >/dev/null || true
fi
if [ "$1" = remove ] && command -v deb-systemd-helper >/dev/null; then
	deb-systemd-helper mask citel-server.service >/dev/null || true
fi
if [ "$1" = purge ]; then
	if command -v deb-systemd-helper >/dev/null; then
		deb-systemd-helper purge citel-server.service >/dev/null || true
		deb-systemd-helper unmask citel-server.service >/dev/null || true
	fi
	rmdir /etc/citel-server/secrets /etc/citel-server 2>/dev/null || true
	if [ -d /var/lib/private/citel-server ]; then
		echo "citel-server: citizens' applications stay in /var/lib/private/citel-server; remove them yourself when the law lets you." >&2
	fi
fi
`

const serverPostInstallRPM = `install -d -m 755 /etc/citel-server
install -d -m 700 /etc/citel-server/secrets
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload >/dev/null || :
	if [ "$1" -ge 2 ]; then systemctl try-restart citel-server.service >/dev/null || :; fi
fi
`

const serverPreRemoveRPM = `if [ "$1" = 0 ] && [ -d /run/systemd/system ]; then
	systemctl disable --now citel-server.service >/dev/null || :
fi
`

const serverPostRemoveRPM = `if [ -d /run/systemd/system ]; then
	systemctl daemon-reload >/dev/null || :
fi
if [ "$1" = 0 ]; then
	rmdir /etc/citel-server/secrets /etc/citel-server 2>/dev/null || :
fi
`
