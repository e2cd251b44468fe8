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
. "$(dirname "$0")/../debian.sh"

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

# spare FILE: write the list of installed packages that apt is to believe in.
spare()
{
	for package in $spared; do
		printf 'Package: %s\nStatus: install ok installed\nArchitecture: all\nMulti-Arch: foreign\n' "$package"
		printf 'Version: 9999\nMaintainer: none\nDescription: taken as installed\n\n'
	done > "$1"
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
	need_apt "the newer emulators come"
	work="$folder/$part.new"
	rm -rf "$work" "${folder:?}/$part"
	configure_private "$work" amd64 "$suites"
	spare "$work/status"
	private apt-get update > "$work/log" 2>&1 ||
		fail "the package lists of $suites cannot be fetched from $uri: $(cat "$work/log")"
	private apt-get -o APT::Default-Release="$preferred" install --download-only -y --no-install-recommends "$@" \
		> "$work/log" 2>&1 ||
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
