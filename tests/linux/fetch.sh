#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Fetch Debian's cloud kernel and static busybox into a folder, without
# installing them: an installed kernel would touch the boot loader.
# Usage: fetch.sh FOLDER; leaves FOLDER/vmlinuz and FOLDER/busybox.
set -eu

mkdir -p "$1"
cd "$1"
if ! command -v apt-get >/dev/null 2>&1 || ! command -v dpkg-deb >/dev/null 2>&1; then
	echo "The default guest comes from Debian's packages, and this system has no apt-get." >&2
	echo "Name a guest of your own: make run KERNEL=<bzImage> INITRD=<initramfs>" >&2
	exit 1
fi

meta=linux-image-cloud-amd64
kernel_package()
{
	apt-cache depends "$meta" 2>/dev/null | sed -n 's/^ *Depends: \(linux-image-.*\)$/\1/p' | head -n 1
}

kernel=$(kernel_package)
if [ -z "$kernel" ]; then
	if [ "$(id -u)" = 0 ]; then apt-get update -q; else sudo apt-get update -q; fi
	kernel=$(kernel_package)
fi
if [ -z "$kernel" ]; then
	echo "apt-get knows no $meta: name a guest of your own by KERNEL= and INITRD=." >&2
	exit 1
fi

rm -rf packages
mkdir -p packages/root
cd packages
# _apt, apt-get's own user, may not be allowed to write here.
apt-get -q -o APT::Sandbox::User=root download "$kernel" busybox-static
for package in ./*.deb; do
	dpkg-deb -x "$package" root
done
mv root/bin/busybox ../busybox
mv root/boot/vmlinuz-* ../vmlinuz
cd ..
rm -rf packages
touch vmlinuz busybox	# make expects its targets to be new
