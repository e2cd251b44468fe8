#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Fetch more kernels that users bring, from Debian's packages, without installing them: Debian 12's full kernel, the
# real-time one, two for 32 bits, and Xen, and Debian 13's cloud kernel with its modules.
# Usage: fetch_more.sh FOLDER; makes vmlinuz-full, vmlinuz-rt, vmlinuz-686, vmlinuz-686-pae, busybox-686, xen,
# vmlinuz-6.12 and modules-6.12.tar in it.
# A file that exists is not fetched again.
set -eu
. "$(dirname "$0")/../debian.sh"

need_apt "these kernels come"
folder=$(mkdir -p "$1" && cd "$1" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# open_package PACKAGE PATTERN...: put these files of the package, or of the kernel that is its only dependency, into
# $work/root.
open_package()
{
	real=$(private apt-cache depends "$1" | sed -n 's/^ *Depends: \(linux-image-.*\)$/\1/p' | head -n 1)
	package=${real:-$1}
	shift
	rm -rf "$work/root"
	mkdir "$work/root"
	(cd "$work/root" && private apt-get download "$package" && dpkg-deb --fsys-tarfile ./*.deb |
		tar -x --wildcards "$@")
}

# keep FILE IN_ROOT: move it from $work/root into the folder.
keep()
{
	mv "$work/root/"$2 "$folder/$1"
	touch "$folder/$1"		# make expects its targets to be new
}

# fetch FILE IN_PACKAGE PACKAGE: put the package's file into the folder.
fetch()
{
	[ ! -e "$folder/$1" ] || return 0
	open_package "$3" "./$2"
	keep "$1" "$2"
}

# The kernel and its modules, which Debian 13 compresses: busybox's depmod looks into them.
fetch_6_12()
{
	[ ! -e "$folder/modules-6.12.tar" ] || return 0
	configure_private "$work/trixie" amd64 trixie
	private apt-get update
	open_package linux-image-cloud-amd64 './boot/vmlinuz-*' './usr/lib/modules/*'
	find "$work/root" -name '*.ko.xz' -exec xz -d {} +
	tar -C "$work/root/usr" --sort=name --owner=0 --group=0 --numeric-owner -cf "$work/root/modules.tar" lib/modules
	keep vmlinuz-6.12 'boot/vmlinuz-*'
	keep modules-6.12.tar modules.tar
}

configure_private "$work" amd64,i386 bookworm
private apt-get update
fetch vmlinuz-full 'boot/vmlinuz-*' linux-image-amd64
fetch vmlinuz-rt 'boot/vmlinuz-*' linux-image-rt-amd64
fetch vmlinuz-686 'boot/vmlinuz-*' linux-image-686:i386
fetch vmlinuz-686-pae 'boot/vmlinuz-*' linux-image-686-pae:i386
fetch busybox-686 bin/busybox busybox-static:i386
[ -e "$folder/xen" ] || fetch xen.gz 'boot/xen-*-amd64.gz' xen-hypervisor-4.17-amd64
[ -e "$folder/xen" ] || gzip -d "$folder/xen.gz"
fetch_6_12
