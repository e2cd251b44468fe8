#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Fetch Debian's memtest86+ without installing it: an installed one would touch the boot loader.
# Usage: memtest.sh FOLDER; leaves FOLDER/memtest86+.
set -eu
. "$(dirname "$0")/../debian.sh"

need_apt "memtest86+ comes"
mkdir -p "$1/memtest"
cd "$1/memtest"
apt-cache show memtest86+ >/dev/null 2>&1 || update_lists
download memtest86+
unpack .
mv boot/memtest86+x64.bin ../memtest86+
cd ..
rm -rf memtest
touch memtest86+
