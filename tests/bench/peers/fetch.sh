#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Fetch the other hypervisors for the benchmark guest from Debian's packages, without
# installing them. Usage: fetch.sh FOLDER; leaves FOLDER/vmlinuz, FOLDER/modules/ and FOLDER/xen.gz.
set -eu

mkdir -p "$1"
cd "$1"
if ! command -v apt-get >/dev/null 2>&1 || ! command -v dpkg-deb >/dev/null 2>&1; then
	echo "KVM and Xen come from Debian's packages, and this system has no apt-get." >&2
	exit 1
fi

# The package that a name without a version depends on.
depends()
{
	apt-cache depends "$1" 2>/dev/null | sed -n "s/^ *Depends: \($2.*\)\$/\1/p" | head -n 1
}

# The cloud kernel that the tests boot has no KVM.
kernel=$(depends linux-image-amd64 linux-image-)
if [ -z "$kernel" ]; then
	if [ "$(id -u)" = 0 ]; then apt-get update -q; else sudo apt-get update -q; fi
	kernel=$(depends linux-image-amd64 linux-image-)
fi
xen=$(apt-cache pkgnames xen-hypervisor-4 | grep -- '-amd64$' | sort -V | tail -n 1)
if [ -z "$kernel" ] || [ -z "$xen" ]; then
	echo "apt-get knows no linux-image-amd64 or no xen-hypervisor-*-amd64." >&2
	exit 1
fi

rm -rf packages modules
mkdir -p packages/root modules
cd packages
# _apt, apt-get's own user, may not be allowed to write here.
apt-get -q -o APT::Sandbox::User=root download "$kernel" "$xen"
for package in ./*.deb; do
	dpkg-deb -x "$package" root
done
# Numbered in the order of their dependencies.
modules=$(echo root/lib/modules/*/kernel)
cp "$modules/virt/lib/irqbypass.ko" ../modules/1-irqbypass.ko
cp "$modules/arch/x86/kvm/kvm.ko" ../modules/2-kvm.ko
cp "$modules/drivers/crypto/ccp/ccp.ko" ../modules/3-ccp.ko
cp "$modules/arch/x86/kvm/kvm-amd.ko" ../modules/4-kvm-amd.ko
cp "$modules/arch/x86/kvm/kvm-intel.ko" ../modules/4-kvm-intel.ko
mv root/boot/vmlinuz-* ../vmlinuz
mv root/boot/xen-*.gz ../xen.gz
cd ..
{ echo "$kernel"; echo "$xen"; } > versions
rm -rf packages
touch vmlinuz xen.gz	# make expects its targets to be new
