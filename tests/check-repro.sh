#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Build the last commit from two clones in two folders: the images must be the same, byte for byte.
set -eu

root=$(git -C "$(dirname "$0")" rev-parse --show-toplevel)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

for clone in one/lamina another/place/lamina; do
	git clone -q "$root" "$work/$clone"
	env -u MAKEFLAGS -u MFLAGS make -s -j2 -C "$work/$clone" all >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
done
for file in lamina.elf lamina.debug; do
	cmp "$work/one/lamina/build/$file" "$work/another/place/lamina/build/$file"
done
echo "check-repro: two clones of $(git -C "$root" rev-parse --short=12 HEAD) give the same bytes"
