#!/bin/sh
# Installs what CiTel needs to build, to run the demo, or to be tested, and
# nothing when all is there already. Debian 12 is the system that is tested;
# Ubuntu builds and runs the demo.
#
#   installer/deps.sh build|demo|test|windows|pack|install
set -eu

want=${1:-build}
case "$want" in build | demo | test | windows | pack | install) ;; *)
	echo "usage: installer/deps.sh build|demo|test|windows|pack|install" >&2
	exit 64
	;;
esac

id=unknown
[ -r /etc/os-release ] && id=$(. /etc/os-release && echo "${ID:-unknown}")
case "$id" in
debian)
	browsers="chromium firefox-esr"
	virtual="pcscd=/usr/sbin/pcscd vsmartcard-vpcd=@vsmartcard-vpcd iproute2=ip util-linux=unshare"
	;;
ubuntu)
	# Ubuntu ships its browsers as snaps, which a test cannot start with a
	# profile of its own.
	browsers=""
	virtual=""
	if [ "$want" = test ] || [ "$want" = install ]; then
		echo "make test needs Debian 12 (its chromium and firefox-esr packages); on Ubuntu use: make build, make demo" >&2
		exit 69
	fi
	;;
*)
	echo "This system ($id) is not one that CiTel can install packages on." >&2
	echo "Install by hand: gcc, pkg-config, PC/SC headers (libpcsclite-dev), GTK 3 and WebKitGTK 4.1, node and npm," >&2
	echo "softhsm2, openssl; for the tests also pcscd, opensc, vsmartcard-vpcd, chromium," >&2
	echo "firefox-esr, xvfb, poppler-utils, qpdf, libxml2-utils, xmlsec1. Then call make again with CITEL_DEPS=skip." >&2
	[ "${CITEL_DEPS:-}" = skip ] && exit 0
	exit 69
	;;
esac
[ "${CITEL_DEPS:-}" = skip ] && exit 0

# Debian's own Go is too old to read go.mod.
go=none
command -v "${GO:-go}" >/dev/null 2>&1 && go=$("${GO:-go}" env GOVERSION 2>&1) || :
case "$go" in
go1.2[6-9]* | go1.[3-9][0-9]* | devel*) ;;
*)
	echo "Go 1.26 or newer is needed, and must be on the PATH. Found: $go" >&2
	echo "It comes from https://go.dev/dl/ (unpack it into /usr/local, then: export PATH=/usr/local/go/bin:\$PATH)." >&2
	exit 69
	;;
esac

# package=proof: a path or a command that shows that the package is there. A
# command may come from elsewhere than the package (node, for one).
build="gcc=cc libc6-dev=/usr/include/stdlib.h pkg-config=pkg-config libpcsclite-dev=/usr/include/PCSC/winscard.h libgtk-3-dev=/usr/include/gtk-3.0/gtk/gtk.h libwebkit2gtk-4.1-dev=/usr/include/webkitgtk-4.1 ca-certificates=/etc/ssl/certs/ca-certificates.crt nodejs=node npm=npm"
demo="softhsm2=softhsm2-util openssl=openssl poppler-utils=pdfsig"
# The virtual card of the demo; without it the demo takes SoftHSM.
demo="$demo ${virtual:-}"
windows="gcc-mingw-w64-x86-64=x86_64-w64-mingw32-gcc"
test="postgresql=/usr/lib/postgresql scdaemon=/usr/lib/gnupg/scdaemon gpg-agent=gpg-connect-agent opensc=opensc-tool xvfb=Xvfb dbus=dbus-daemon python3-gi=@python3-gi gir1.2-atspi-2.0=@gir1.2-atspi-2.0 at-spi2-core=@at-spi2-core xdotool=xdotool imagemagick=import poppler-utils=pdftotext qpdf=qpdf libxml2-utils=xmllint xmlsec1=xmlsec1 c-icap=c-icap libssl-dev=@libssl-dev fonts-dejavu-core=@fonts-dejavu-core procps=ps rpm=rpm"
# Packages of Windows are made and signed in a test too.
msi="wixl=wixl msitools=msiinfo osslsigncode=osslsigncode openssl=openssl"
windows="$windows $msi"
test="$test $msi"
pack=""
# The trial of packages and of the Windows programs: a fresh root, Wine, lintian.
install="debootstrap=debootstrap lintian=lintian desktop-file-utils=desktop-file-validate appstream=appstreamcli wine=wine wine64=@wine64"
for b in $browsers; do test="$test $b=$b"; done

need=$build
case "$want" in demo | test) need="$need $demo" ;; windows) need="$need $windows" ;; pack) need="$need $pack" ;; install) need="$need $demo $windows $pack $install" ;; esac
case "$want" in test | install) need="$need $test" ;; esac

missing=""
for entry in $need; do
	package=${entry%%=*}
	proof=${entry#*=}
	case "$proof" in
	/*) [ -e "$proof" ] && continue ;;
	@*) dpkg-query -W -f '${Status}' "${proof#@}" 2>/dev/null | grep -q 'ok installed' && continue ;;
	*) command -v "$proof" >/dev/null 2>&1 && continue ;;
	esac
	missing="$missing $package"
done
[ -z "$missing" ] && exit 0

root=""
if [ "$(id -u)" != 0 ]; then
	if ! command -v sudo >/dev/null 2>&1; then
		echo "These packages are missing and only root can install them:" >&2
		echo "  apt-get install$missing" >&2
		exit 69
	fi
	root=sudo
fi
echo "Installing with apt-get (some minutes):$missing"
$root apt-get update -qq
# A service that starts by itself is not wanted on a developer's machine, but
# Debian's way is to start it; pcscd is started by its socket and does no harm.
# sudo passes nothing of the environment on, so that it is set behind it: a question of
# debconf would wait unseen.
$root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
