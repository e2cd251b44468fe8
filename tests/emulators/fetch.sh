#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Fetch newer emulators than the distribution's into a folder, without installing them: QEMU 10 of
# Debian 12's backports and Bochs 3.0 of Debian 13. Each gets a folder with all the libraries it
# needs, the C library too, and is started by that folder's own loader (tests/emulators.py): installed
# versions are not used. Works for root and for any other user.
# A race is taken out of QEMU: see mend_qemu.py.
# Usage: fetch.sh FOLDER; makes FOLDER/qemu-10 and FOLDER/bochs-3; a folder that exists is not fetched again.
set -eu

folder=$(mkdir -p "$1" && cd "$1" && pwd)

# A part, its suites, the suite to prefer, and the packages asked for; their libraries follow.
# Bochs wants one of its displays: bochs-term is the one without a desktop. Not Bochs 3.1: Linux 6.1
# divides by zero in it.
parts="
qemu-10 bookworm,bookworm-backports bookworm-backports qemu-system-x86=1:10.*
bochs-3 trixie trixie bochs=3.0* bochs-term=3.0*"

# Programs and data that libraries depend on but the emulators never use: apt is made to treat them as
# installed.
spared="adduser adwaita-icon-theme base-files dbus-user-session dconf-gsettings-backend debconf
fontconfig fontconfig-config gtk-update-icon-cache hicolor-icon-theme libpam-runtime libpam-systemd
media-types mount openssl-provider-legacy passwd procps shared-mime-info systemd systemd-sysv xkb-data"

fail()
{
	echo "tests/emulators/fetch.sh: $*" >&2
	exit 1
}

# The mirror that this system fetches Debian's packages from.
mirror()
{
	apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Component: main' \
		2>/dev/null | grep -v -e '-security/*$' | head -n 1
}

find_mirror()
{
	command -v apt-get >/dev/null 2>&1 && command -v dpkg-deb >/dev/null 2>&1 ||
		fail "the newer emulators come from Debian's packages, and this system has no apt-get"
	uri=$(mirror)
	if [ -z "$uri" ]; then
		if [ "$(id -u)" = 0 ]; then sudo=; else sudo=sudo; fi
		$sudo apt-get update -q
		uri=$(mirror)
	fi
	[ -n "$uri" ] || fail "none of this system's package sources is Debian's"
}

# apt-get with a separate configuration: other sources, and nothing is installed. The system's settings
# for reaching a mirror still apply.
private_apt()
{
	apt-get -q -o Dir::State="$work/state" -o Dir::State::status="$work/status" -o Dir::Cache="$work/cache" \
		-o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=/dev/null \
		-o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null \
		-o APT::Default-Release="$preferred" -o APT::Architecture=amd64 -o APT::Architectures::=amd64 \
		-o APT::Sandbox::User=root -o Acquire::Languages=none -o APT::Update::Error-Mode=any "$@"
}

configure()
{
	mkdir -p "$work/state/lists/partial" "$work/cache/archives/partial"
	keys=/usr/share/keyrings/debian-archive-keyring.gpg
	[ -e "$keys" ] || fail "$keys is missing: install debian-archive-keyring"
	for suite in $(echo "$suites" | tr , ' '); do
		echo "deb [arch=amd64 signed-by=$keys] $uri $suite main"
	done > "$work/sources.list"
	for package in $spared; do
		printf 'Package: %s\nStatus: install ok installed\nArchitecture: all\nMulti-Arch: foreign\n' "$package"
		printf 'Version: 9999\nMaintainer: none\nDescription: taken as installed\n\n'
	done > "$work/status"
}

# What the packages leave open: QEMU looks for its firmware and modules where it is installed, so that
# it would load an installed one's modules, unless its program's folder (by /proc/self/exe: the
# loader's) has a link of this name.
link_firmware()
{
	[ "$part" != qemu-10 ] || ln -s ../.. "$work/root/lib/x86_64-linux-gnu/qemu-bundle"
}

fetch()
{
	part=$1 suites=$2 preferred=$3
	shift 3
	set +f
	[ ! -e "$folder/$part/packages" ] || return 0
	[ -n "${uri-}" ] || find_mirror
	work="$folder/$part.new"
	rm -rf "$work" "${folder:?}/$part"
	configure
	private_apt update > "$work/log" 2>&1 ||
		fail "the package lists of $suites cannot be fetched from $uri: $(cat "$work/log")"
	private_apt install --download-only -y --no-install-recommends "$@" > "$work/log" 2>&1 ||
		fail "$part: the packages $* and their libraries cannot be fetched from $uri: $(cat "$work/log")"
	for package in "$work"/cache/archives/*.deb; do
		dpkg-deb -x "$package" "$work/root" || fail "$package cannot be unpacked"
		dpkg-deb -W --showformat '${Package} ${Version}\n' "$package" >> "$work/root/packages"
	done
	link_firmware
	mv "$work/root" "$folder/$part"
	rm -rf "$work"
	echo "$part: $(wc -l < "$folder/$part/packages") packages fetched"
}

echo "$parts" | while read -r line; do
	# Word splitting is wanted, that of file names' patterns is not.
	set -f
	# shellcheck disable=SC2086
	[ -z "$line" ] || fetch $line
done

"$(dirname "$0")/mend_qemu.py" "$folder/qemu-10/usr/bin/qemu-system-x86_64"
