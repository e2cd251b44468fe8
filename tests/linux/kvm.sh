#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Make a cpio archive, to be loaded behind the initramfs, with the kernel's KVM modules in /kvm, and a Linux for
# a VM of KVM; /kvm/run loads the modules and starts that Linux, with its arguments on the kernel's command line.
# Usage: kvm.sh VMLINUZ INITRAMFS MODULES PROGRAM OUTPUT
#	MODULES: a tar of the kernel's modules; PROGRAM: kvm_linux, statically linked
set -eu

vmlinuz=$(realpath "$1") initramfs=$(realpath "$2") modules=$(realpath "$3")
program=$(realpath "$4") output=$(realpath "$5")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

umask 022
mkdir -p all archive/kvm
# Which of them are modules depends on the kernel.
tar -xf "$modules" -C all
find all -name irqbypass.ko -o -name 'kvm*.ko' -o -name ccp.ko | while read -r module; do
	cp "$module" archive/kvm/
done
cp "$vmlinuz" archive/kvm/vmlinuz
cp "$initramfs" archive/kvm/initramfs
cp "$program" archive/kvm/kvm_linux
cat > archive/kvm/run <<'END'
#!/bin/sh
# Usage: run MIB [KERNEL ARGUMENT]...
mib=$1
shift
cd /kvm
for module in irqbypass ccp kvm; do
	[ ! -e $module.ko ] || insmod $module.ko 2>/dev/null
done
if grep -q vmx /proc/cpuinfo; then
	insmod kvm-intel.ko
else
	insmod kvm-amd.ko
fi
[ -e /dev/kvm ] || mknod /dev/kvm c 10 232
exec ./kvm_linux vmlinuz initramfs "$mib" \
	"console=ttyS0 quiet reboot=t panic=-1 pci=off nokaslr mitigations=off random.trust_cpu=on $*"
END
chmod 755 archive/kvm/run archive/kvm/kvm_linux

cd archive
find . -exec touch -h -d @0 {} +
find . | LC_ALL=C sort | cpio -o -H newc -R 0:0 --reproducible --quiet > "$output"
