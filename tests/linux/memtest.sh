#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Fetch Debian's memtest86+ without installing it: an installed one would touch the boot loader.
# Usage: memtest.sh FOLDER; leaves FOLDER/memtest86+.
set -eu

mkdir -p "$1/memtest"
cd "$1/memtest"
# _apt, apt-get's own user, may not be allowed to write here.
apt-get -q -o APT::Sandbox::User=root download memtest86+
dpkg-deb -x memtest86+_*.deb .
mv boot/memtest86+x64.bin ../memtest86+
cd ..
rm -rf memtest
touch memtest86+
