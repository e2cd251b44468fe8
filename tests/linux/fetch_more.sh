#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Fetch more kernels that users bring, from Debian 12's packages, without installing them: its full kernel, the
# real-time one, two for 32 bits, and Xen.
# Usage: fetch_more.sh FOLDER; makes vmlinuz-full, vmlinuz-rt, vmlinuz-686, vmlinuz-686-pae, busybox-686 and xen in it.
# A file that exists is not fetched again.
set -eu

folder=$(mkdir -p "$1" && cd "$1" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail()
{
	echo "tests/linux/fetch_more.sh: $*" >&2
	exit 1
}

mirror()
{
	apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Component: main' \
		2>/dev/null | grep -v -e '-security/*$' | head -n 1
}

# apt's programs with a configuration of their own, which knows i386's packages, too.
private()
{
	program=$1
	shift
	"$program" -q -o Dir::State="$work/state" -o Dir::State::status="$work/status" -o Dir::Cache="$work/cache" \
		-o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=/dev/null \
		-o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null \
		-o APT::Architecture=amd64 -o APT::Architectures::=amd64 -o APT::Architectures::=i386 \
		-o APT::Sandbox::User=root -o Acquire::Languages=none "$@"
}

# fetch FILE IN_PACKAGE PACKAGE: put the package's file, or the one of its only dependency, into the folder.
fetch()
{
	[ ! -e "$folder/$1" ] || return 0
	package=$3
	real=$(private apt-cache depends "$package" | sed -n 's/^ *Depends: \(linux-image-.*\)$/\1/p' | head -n 1)
	rm -rf "$work/root"
	mkdir "$work/root"
	(cd "$work/root" && private apt-get download "${real:-$package}" && dpkg-deb --fsys-tarfile ./*.deb |
		tar -x --wildcards "./$2")
	mv "$work/root/"$2 "$folder/$1"
	touch "$folder/$1"		# make expects its targets to be new
}

command -v apt-get >/dev/null 2>&1 && command -v dpkg-deb >/dev/null 2>&1 ||
	fail "these kernels come from Debian's packages, and this system has no apt-get"
uri=$(mirror)
if [ -z "$uri" ]; then
	if [ "$(id -u)" = 0 ]; then sudo=; else sudo=sudo; fi
	$sudo apt-get update -q
	uri=$(mirror)
fi
[ -n "$uri" ] || fail "none of this system's package sources is Debian's"
keys=/usr/share/keyrings/debian-archive-keyring.gpg
[ -e "$keys" ] || fail "$keys is missing: install debian-archive-keyring"
mkdir -p "$work/state/lists/partial" "$work/cache/archives/partial"
: > "$work/status"
echo "deb [arch=amd64,i386 signed-by=$keys] $uri bookworm main" > "$work/sources.list"
private apt-get update
fetch vmlinuz-full 'boot/vmlinuz-*' linux-image-amd64
fetch vmlinuz-rt 'boot/vmlinuz-*' linux-image-rt-amd64
fetch vmlinuz-686 'boot/vmlinuz-*' linux-image-686:i386
fetch vmlinuz-686-pae 'boot/vmlinuz-*' linux-image-686-pae:i386
fetch busybox-686 bin/busybox busybox-static:i386
[ -e "$folder/xen" ] || fetch xen.gz 'boot/xen-*-amd64.gz' xen-hypervisor-4.17-amd64
[ -e "$folder/xen" ] || gzip -d "$folder/xen.gz"
