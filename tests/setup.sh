#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Install the packages for building, running and testing, on Debian and its derivatives.
# Prints nothing when all are installed. Usage: setup.sh [check|root]
#	without a word: what "make run" needs; check: what "make check" needs too; root: what tests/linux/root.sh needs too.
set -eu

# A file or command that proves that a package is installed, then the package.
need="
gcc gcc
ld binutils
nasm nasm
git git
python3 python3
qemu-system-x86_64 qemu-system-x86
bochs-bin bochs
/usr/share/bochs/BIOS-bochs-latest bochsbios
/usr/share/vgabios/vgabios.bin vgabios
grub-mkrescue grub-common
/usr/lib/grub/i386-pc/boot.img grub-pc-bin
/usr/lib/grub/x86_64-efi/moddep.lst grub-efi-amd64-bin
xorriso xorriso
mformat mtools
cpio cpio"
[ "${1-}" != check ] || need="$need
clang clang
spin spin
/usr/share/doc/libclang-rt-dev libclang-rt-dev
/usr/include/cmocka.h libcmocka-dev
/usr/include/Zydis/Zydis.h libzydis-dev
/usr/share/ovmf/OVMF.fd ovmf
iasl acpica-tools
babeltrace2 babeltrace2
/usr/lib/x86_64-linux-gnu/libc.a libc6-dev
/usr/lib/python3/dist-packages/pytest/__init__.py python3-pytest
dnsmasq dnsmasq-base
ip iproute2
setpriv util-linux
/usr/lib/ipxe/ipxe.efi ipxe
/usr/lib/python3/dist-packages/labgrid/__init__.py python3-labgrid"

[ "${1-}" != root ] || need="$need
mmdebstrap mmdebstrap
/sbin/mkfs.ext4 e2fsprogs
ssh-keygen openssh-client"

missing=$(echo "$need" | while read -r proof package; do
	[ -n "$proof" ] || continue
	[ -e "$proof" ] || command -v "$proof" >/dev/null 2>&1 || echo "$package"
done)
[ -n "$missing" ] || exit 0

# shellcheck disable=SC2086
set -- $missing
if ! command -v apt-get >/dev/null 2>&1; then
	echo "Missing, by their Debian names: $*" >&2
	echo "Install them with this system's package manager, then try again." >&2
	exit 1
fi
if [ "$(id -u)" = 0 ]; then
	sudo=
elif command -v sudo >/dev/null 2>&1; then
	sudo=sudo
else
	echo "Missing, and neither root nor sudo to install them with. As root:" >&2
	echo "	apt-get install --no-install-recommends $*" >&2
	exit 1
fi

# Any front end satisfies bochs; take the one without a desktop.
case " $* " in *" bochs "*) set -- "$@" bochs-term ;; esac
echo "Installing: $*"
$sudo apt-get update -q
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@"
