#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Make the initramfs of the default Linux guest: busybox and the files beside
# this one. The same input gives the same bytes.
# Usage: initramfs.sh BUSYBOX OUTPUT [PROGRAM]...
#	PROGRAM: more programs for its /bin, statically linked.
#	LISTER=BUSYBOX in the environment: one of the same version that this machine can execute.
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
ln -s bin/busybox "$root/init"
ln -s bin "$root/sbin"
cp "$here/inittab" "$here/profile" "$here/passwd" "$here/group" "$root/etc/"
cp "$here/start" "$root/etc/start"
chmod 755 "$root/etc/start"

find "$root" -exec touch -h -d @0 {} +
(cd "$root" && find . | LC_ALL=C sort | cpio -o -H newc -R 0:0 --reproducible --quiet) > "$output"
