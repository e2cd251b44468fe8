# SPDX-License-Identifier: MIT
"""VMs that start with a PC firmware: what a ROM finds, SeaBIOS and iPXE with their own virtio drivers."""

import dataclasses
import pathlib
import shutil
import subprocess
import tempfile

import pytest

import conftest
import image
import matrix
from matrix import Boot, Module, Step
from test_boot import rows, test_boot as check_boot

MADE = conftest.BUILD / "firmware"
LINUX = conftest.BUILD / "linux"
SEABIOS = "/usr/share/seabios"

# GRUB and Linux by the firmware's services alone: INT 10h, 13h, 15h and 16h. linux16 enters Linux where these can be
# called, and Linux asks them for the memory map and the disks.
LINUX_DISK = """\
set timeout=0
menuentry linux {
	linux16 /boot/vmlinuz console=ttyS0
	initrd16 /boot/initramfs
}
"""
# iPXE starts over until the other VM's server answers.
IPXE_DISK = r"""
set timeout=0
menuentry ipxe {
	linux16 /boot/ipxe.lkrn dhcp \&\& chain tftp://\$\{next-server\}/\$\{filename\} \|\| reboot
}
"""
DNSMASQ = "/usr/sbin/dnsmasq"
SERVED = "served.elf"


def make_disk(name, config, *files):
    """A disk image with GRUB, its configuration and these files."""
    if all(file.exists() for file, _ in files):
        image.build_iso(MADE / name, config, [image.Module(*file) for file in files], small=True)


def make_server(output):
    """An initramfs with dnsmasq, its libraries and the file that it serves, behind the usual one."""
    libraries = [line.split("=> ")[-1].split()[0] for line in
                 subprocess.run(["ldd", DNSMASQ], check=True, text=True, stdout=subprocess.PIPE).stdout.splitlines()
                 if "/" in line]
    with tempfile.TemporaryDirectory() as root:
        for file, place in ((DNSMASQ, "bin/dnsmasq"), (conftest.BUILD / "guests/debugexit-mb1.elf", f"srv/{SERVED}"),
                            *((file, file.lstrip("/")) for file in libraries)):
            place = pathlib.Path(root, place)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, place)
        archive = subprocess.run("find . ! -name . | cpio -o -H newc -R 0:0 --quiet", cwd=root, shell=True, check=True,
                                 stdout=subprocess.PIPE).stdout
    output.write_bytes((LINUX / "initramfs-virtio").read_bytes() + archive)


def make_files():
    MADE.mkdir(parents=True, exist_ok=True)
    make_disk("linux.disk", LINUX_DISK, (LINUX / "vmlinuz", "vmlinuz"), (LINUX / "initramfs-virtio", "initramfs"))
    make_disk("ipxe.disk", IPXE_DISK, (pathlib.Path("/usr/lib/ipxe/ipxe.lkrn"), "ipxe.lkrn"))
    if (LINUX / "initramfs-virtio").exists():
        make_server(MADE / "server")


make_files()

SHOWN = (r"^\[.* a\] loaded: a PC firmware's ROM, in real mode, entry 0xfffffff0",
         # The tables are Lamina's, where the firmware has put them.
         r"BIOS-e820: \[mem 0x00000000000f0000-0x00000000000fffff\] reserved",
         r"DMI: Lamina Lamina VM", r"ACPI: RSDP 0x00000000000F[0-9A-F]{4} 000024 \(v02 LAMINA\)",
         r"ACPI: DSDT 0x0000000[0-9A-F]{9} [0-9A-F]{6} \(v02 LAMINA LAMINAVM",
         r"\[vda\] \d+ 512-byte logical blocks")
BY_SERIAL = (r"SeaBIOS \(version ", r"Booting from Hard Disk\.\.\.", r"GRUB loading\.")


def linux(setup, rom, keys, steps, lines=()):
    return Boot(f"firmware-linux-{rom}", setup, (
        Module(f"{SEABIOS}/{rom}.bin", f"vm=a mem=256M disk=root {keys}"),
        Module("firmware/linux.disk", "role=disk name=root")),
        (*steps, Step("poweroff\r", matrix.ENDED_WELL)), lines=(*SHOWN, *lines), absent=matrix.LINUX_COMPLAINTS,
        limit=400, memory=512)


def rom(setup):
    """One of our own, which stays where a processor starts."""
    return Boot("firmware-rom", setup, (Module("guests/rom.bin", "vm=rom mem=16M limit=300 pci=none"),),
                lines=(r"^guest rom: 10 passed, 0 failed", r"rom\] vm ended: debug exit, status 0x0$",
                       r"write to 0xffff[0-9a-f]{4}, which is ROM, is dropped", matrix.ENDED_WELL), absent=("^FAIL",))


PROMPT = Step("", matrix.PROMPT)
# If the port gets its IPv6 address while dnsmasq starts, it takes its standard input for the pipe of its events, and reads
# what is typed later.
SERVE = (f"dnsmasq -C /dev/null -u root -x /tmp/pid -l /tmp/leases -p 0 -i eth0 -F 10.0.0.100,10.0.0.200 "
         f"-M {SERVED} --enable-tftp --tftp-root=/srv </dev/null && echo ser''ving\r")


def ipxe(setup):
    """What it loads, a Multiboot kernel, ends the VM; the other VM is in front."""
    return Boot("firmware-ipxe", setup, (
        Module("linux/vmlinuz", "vm=server mem=256M net=lan -- console=ttyS0 ip=10.0.0.1/24"),
        Module("firmware/server", "vm=server role=initrd"),
        Module(f"{SEABIOS}/bios-256k.bin", "vm=client mem=64M disk=ipxe net=lan"),
        Module("firmware/ipxe.disk", "role=disk name=ipxe")),
        (PROMPT, Step(SERVE, r"^serving"), Step("", r"^\[.* client\] vm ended: debug exit, status 0x0"),
         Step("poweroff\r", matrix.ENDED_WELL)),
        lines=(r"client\| guest debugexit-mb1: [1-9]\d* passed, 0 failed",),
        options=f"{Boot.options} start=together", limit=400, memory=640)


BOOTS = (
    # And once more after a reset: the ROM is as it was, and so is all that the firmware finds.
    linux(matrix.QEMU_SVM, "bios-256k", "", (PROMPT, Step("reboot\r", r"^\[.* a\] restarting"), PROMPT), BY_SERIAL),
    linux(matrix.QEMU_SVM, "bios", "vcpus=2", (PROMPT, Step("nproc\r", matrix.PROMPT, r"^2$")), BY_SERIAL),
    *(linux(setup, "bios-256k", "", (PROMPT,), BY_SERIAL)
      for setup in map(matrix.fast, (matrix.BOCHS_VMX, matrix.BOCHS_SVM))),
    *map(rom, (matrix.QEMU_SVM, matrix.BOCHS_VMX, matrix.BOCHS_SVM)),
    ipxe(matrix.QEMU_SVM),
    *(dataclasses.replace(ipxe(matrix.fast(setup)), long=True) for setup in (matrix.BOCHS_VMX, matrix.BOCHS_SVM)),
)


@pytest.mark.parametrize("boot", rows(BOOTS), ids=str)
def test_firmware(boot, run):
    check_boot(boot, run)
