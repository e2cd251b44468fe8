#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Make the initramfs of the default Linux guest: busybox and the files beside
# this one. The same input gives the same bytes.
# Usage: initramfs.sh BUSYBOX OUTPUT [PROGRAM]...
#	PROGRAM: more programs for its /bin, statically linked.
#	LISTER=BUSYBOX in the environment: one of the same version that this machine can execute.
#	MODULES=TAR in the environment: a kernel's modules, of which those for virtio devices go into it, with
#		an /init that loads them and goes on from the disk that root= names.
#	TOOLS=CPIO in the environment: an archive to append.
set -eu

here=$(dirname "$0")
busybox=$1 output=$2
shift 2
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

umask 022
mkdir -p "$root/bin" "$root/etc" "$root/dev" "$root/proc" "$root/sys" "$root/root" "$root/tmp"
cp "$busybox" "$root/bin/busybox"
chmod 755 "$root/bin/busybox"
for applet in $("${LISTER:-$busybox}" --list); do
	[ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"
done
for program; do
	cp "$program" "$root/bin/"
done
ln -s bin "$root/sbin"
if [ -n "${MODULES-}" ]; then
	all=$(mktemp -d)
	trap 'rm -rf "$root" "$all"' EXIT
	tar -xf "$MODULES" -C "$all"
	version=$(ls "$all/lib/modules")
	"$busybox" depmod -b "$all" "$version"
	# Each of these that the kernel does not have built in, and what modules.dep names behind it.
	for module in virtio_pci virtio_blk virtio_net virtio_console virtio-rng; do
		grep "/$module\.ko:" "$all/lib/modules/$version/modules.dep" ||
			grep -q "/$module\.ko\$" "$all/lib/modules/$version/modules.builtin"
	done | tr -d : | tr ' ' '\n' | sort -u | while read -r file; do
		mkdir -p "$root/lib/modules/$version/$(dirname "$file")"
		cp "$all/lib/modules/$version/$file" "$root/lib/modules/$version/$file"
	done
	"$busybox" depmod -b "$root" "$version"
	cp "$here/init" "$root/init"
	chmod 755 "$root/init"
else
	ln -s bin/busybox "$root/init"
fi
cp "$here/inittab" "$here/profile" "$here/passwd" "$here/group" "$root/etc/"
cp "$here/start" "$root/etc/start"
chmod 755 "$root/etc/start"

find "$root" -exec touch -h -d @0 {} +
(cd "$root" && find . | LC_ALL=C sort | cpio -o -H newc -R 0:0 --reproducible --quiet) > "$output"
[ -z "${TOOLS-}" ] || cat "$TOOLS" >> "$output"
