#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Make a cpio archive, to be loaded behind the initramfs, with Debian's mkfs.ext4 and e2fsck and the libraries that they
# need. They are fetched as packages and never installed. The same packages give the same bytes.
# Usage: tools.sh OUTPUT
set -eu

. "$(dirname "$0")/../debian.sh"

need_apt "these tools come"
output=$(realpath "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

fetch_closure e2fsprogs '^(e2fsprogs|libext2fs2|libcom-err2|libblkid1|libuuid1|libc6)$' root

umask 022
mkdir -p archive/bin archive/lib64 archive/lib/x86_64-linux-gnu
cp root/sbin/mke2fs archive/bin/mkfs.ext4
cp root/sbin/e2fsck archive/bin/e2fsck
find root -name ld-linux-x86-64.so.2 -exec cp -L {} archive/lib64/ \;
# The libraries that they name, and those that these name.
needed() { LC_ALL=C readelf -d "$@" | sed -n 's/.*(NEEDED).*\[\(.*\)\]$/\1/p' | sort -u; }
wanted=$(needed archive/bin/*)
while [ -n "$wanted" ]; do
	for library in $wanted; do
		find root -name "$library" -exec cp -L {} archive/lib/x86_64-linux-gnu/ \;
		[ -e "archive/lib/x86_64-linux-gnu/$library" ] || { echo "tools.sh: $library is missing" >&2; exit 1; }
	done
	wanted=$(for library in $(needed archive/lib/x86_64-linux-gnu/*); do
		[ -e "archive/lib/x86_64-linux-gnu/$library" ] || echo "$library"
	done)
done
find archive -exec touch -h -d @0 {} +
(cd archive && find . ! -name . | LC_ALL=C sort | cpio -o -H newc -R 0:0 --reproducible --quiet) > "$output.new"
mv "$output.new" "$output"
