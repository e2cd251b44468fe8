#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Fetch Debian's cloud kernel and static busybox into a folder, without
# installing them: an installed kernel would touch the boot loader.
# Usage: fetch.sh FOLDER; leaves FOLDER/vmlinuz, FOLDER/busybox and FOLDER/modules.tar, the kernel's modules.
set -eu
. "$(dirname "$0")/../debian.sh"

other="name a guest of your own: make run KERNEL=<bzImage> INITRD=<initramfs>"
command -v apt-get >/dev/null 2>&1 && command -v dpkg-deb >/dev/null 2>&1 ||
	fail "the default guest comes from Debian's packages, and this system has no apt-get: $other"
mkdir -p "$1"
cd "$1"
meta=linux-image-cloud-amd64
kernel=$(depends "$meta" linux-image-)
[ -n "$kernel" ] || update_lists
[ -n "$kernel" ] || kernel=$(depends "$meta" linux-image-)
[ -n "$kernel" ] || fail "apt-get knows no $meta: $other"

rm -rf packages
mkdir -p packages/root
cd packages
download "$kernel" busybox-static
unpack root
mv root/bin/busybox ../busybox
mv root/boot/vmlinuz-* ../vmlinuz
tar -C root --sort=name --owner=0 --group=0 --numeric-owner -cf ../modules.tar lib/modules
cd ..
rm -rf packages
touch vmlinuz busybox modules.tar	# make expects its targets to be new
