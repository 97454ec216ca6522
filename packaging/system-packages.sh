#!/bin/sh
# Installs the Debian packages that `make` needs and that are missing; with `package`, those of `make deb` and `make rpm`,
# with `test`, those of `make test`.
# Without root it names them in one line with the command to run.
set -eu

python=${PYTHON:-python3}
missing=
servers=
need() { missing="$missing $*"; }

command -v c++ >/dev/null || need g++
command -v make >/dev/null || need make
command -v pkg-config >/dev/null || need pkg-config
pkg-config --exists libsystemd 2>/dev/null || need libsystemd-dev
"$python" -c 'import ensurepip' 2>/dev/null || need python3-venv
"$python" -c 'import os, sysconfig; os.stat(sysconfig.get_path("include") + "/Python.h")' 2>/dev/null || need python3-dev
if [ "${1:-}" = package ]; then
    command -v dh >/dev/null || need debhelper
    command -v rpmbuild >/dev/null || need rpm
    command -v cmake >/dev/null || need cmake
    command -v ninja >/dev/null || need ninja-build
    # The packages are for the distribution's own Python, whatever `make` uses.
    dpkg -s python3-dev >/dev/null 2>&1 || need python3-dev
    /usr/bin/python3 -c 'import ensurepip' 2>/dev/null || need python3-venv
fi
if [ "${1:-}" = test ]; then
    command -v lintian >/dev/null || need lintian
    command -v rpmlint >/dev/null || need rpmlint
    command -v qemu-x86_64 >/dev/null || need qemu-user
    command -v debootstrap >/dev/null || need debootstrap
    command -v chromium >/dev/null || need chromium
    command -v shellcheck >/dev/null || need shellcheck
    command -v git >/dev/null || need git
    command -v bwrap >/dev/null || need bubblewrap
    command -v appstreamcli >/dev/null || need appstream
    command -v uscan >/dev/null || need devscripts
    command -v dpkg-parsechangelog >/dev/null || need dpkg-dev
    # What boots a systemd in a container (tests/systemd), and what runs in it.
    command -v systemd-nspawn >/dev/null || need systemd-container
    [ -e /usr/lib/systemd/systemd ] || [ -e /lib/systemd/systemd ] || need systemd
    command -v dbus-daemon >/dev/null || need dbus
    [ -e /usr/lib/polkit-1/polkitd ] || need polkitd
    [ -e /usr/lib/systemd/user/dbus.socket ] || need dbus-user-session
    find /lib /usr/lib -name pam_systemd.so 2>/dev/null | grep -q . || need libpam-systemd
    command -v curl >/dev/null || need curl
    command -v man >/dev/null || need man-db
    command -v groff >/dev/null || need groff
    command -v zsh >/dev/null || need zsh
    command -v fish >/dev/null || need fish
    command -v pkill >/dev/null || need procps
    command -v ss >/dev/null || need iproute2
    # What makes certificates, and the proxies of docs/listening.md.
    command -v openssl >/dev/null || need openssl
    [ -x /usr/sbin/nginx ] || { need nginx-light && servers="$servers nginx"; }
    command -v caddy >/dev/null || { need caddy && servers="$servers caddy"; }
fi

[ -n "$missing" ] || exit 0
if [ "$(id -u)" -ne 0 ]; then
    echo "missing system packages; run: sudo apt-get install$missing" >&2
    exit 1
fi
echo "installing system packages:$missing"
apt-get update -qq
if [ -n "$servers" ] && [ ! -e /usr/sbin/policy-rc.d ]; then
    # The tests start what they need themselves: no web server of theirs is to serve this machine.
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
    chmod 755 /usr/sbin/policy-rc.d
fi
# shellcheck disable=SC2086 # a list of words
DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $missing
# shellcheck disable=SC2086 # as above
[ -z "$servers" ] || systemctl --quiet disable $servers 2>/dev/null || true
