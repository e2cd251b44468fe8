#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Fetch the other hypervisors for the benchmark guest from Debian's packages, without
# installing them. Usage: fetch.sh FOLDER; leaves FOLDER/vmlinuz, FOLDER/modules/, FOLDER/modules-network/ and
# FOLDER/xen.gz.
set -eu
. "$(dirname "$0")/../../debian.sh"

need_apt "KVM and Xen come"
mkdir -p "$1"
cd "$1"

# The cloud kernel that the tests boot has no KVM.
kernel=$(depends linux-image-amd64 linux-image-)
[ -n "$kernel" ] || update_lists
[ -n "$kernel" ] || kernel=$(depends linux-image-amd64 linux-image-)
xen=$(apt-cache pkgnames xen-hypervisor-4 | grep -- '-amd64$' | sort -V | tail -n 1)
[ -n "$kernel" ] && [ -n "$xen" ] || fail "apt-get knows no linux-image-amd64 or no xen-hypervisor-*-amd64"

rm -rf packages modules modules-network
mkdir -p packages/root modules modules-network
cd packages
download "$kernel" "$xen"
unpack root
# Numbered in the order of their dependencies.
modules=$(echo root/lib/modules/*/kernel)
cp "$modules/virt/lib/irqbypass.ko" ../modules/1-irqbypass.ko
cp "$modules/arch/x86/kvm/kvm.ko" ../modules/2-kvm.ko
cp "$modules/drivers/crypto/ccp/ccp.ko" ../modules/3-ccp.ko
cp "$modules/arch/x86/kvm/kvm-amd.ko" ../modules/4-kvm-amd.ko
cp "$modules/arch/x86/kvm/kvm-intel.ko" ../modules/4-kvm-intel.ko
number=5
for module in drivers/net/tun drivers/net/tap drivers/vhost/vhost_iotlb drivers/vhost/vhost drivers/vhost/vhost_net \
		net/llc/llc net/802/stp net/bridge/bridge; do
	cp "$modules/$module.ko" "../modules-network/$(printf %02d $number)-${module##*/}.ko"
	number=$((number + 1))
done
mv root/boot/vmlinuz-* ../vmlinuz
mv root/boot/xen-*.gz ../xen.gz
cd ..
{ echo "$kernel"; echo "$xen"; } > versions
rm -rf packages
touch vmlinuz xen.gz	# make expects its targets to be new
