# SPDX-License-Identifier: MIT
"""What a machine boots from: how it is made from Lamina and its modules, and QEMU's arguments for it."""

import collections
import contextlib
import dataclasses
import json
import pathlib
import shutil
import subprocess
import typing

import image
import labnet

LAB = pathlib.Path(__file__).resolve().parent.parent / "docs/lab"

# For the emulator: the ISO in its CD drive, QEMU arguments, and a command that runs it.
Inserted = collections.namedtuple("Inserted", "iso arguments prefix", defaults=(None, (), ()))


@dataclasses.dataclass(frozen=True)
class Medium:
    name: str
    # make(path, kernel, cmdline, modules, small): a file or folder, which any number of machines read
    make: typing.Callable
    # insert(path, log): a context manager of an Inserted; log: a file for what a server says
    insert: typing.Callable
    missing: typing.Callable = lambda: ""       # why it is not available here

# ---------------------------------------------------------------------------
# A CD, and the same image written to a disk or a stick.


@contextlib.contextmanager
def in_cd_drive(path, log):
    yield Inserted(iso=path)


def hybrid(path, kernel, cmdline, modules, small):
    image.build(path, kernel, cmdline, modules)


def disk(name, *device):
    """The hybrid ISO as a disk; writes to it are discarded, so that other machines can use the same file."""
    @contextlib.contextmanager
    def attached(path, log):
        yield Inserted(arguments=(
            "-drive", f"file={path},format=raw,if=none,id=disk,snapshot=on", *device))
    return Medium(name, hybrid, attached)


def build_multiboot1(path, kernel, cmdline, modules, small):
    image.build(path, kernel, cmdline, modules, small, multiboot=1)


CD = Medium("cd", image.build, in_cd_drive)
CD_MULTIBOOT1 = Medium("multiboot1", build_multiboot1, in_cd_drive)
SATA = disk("sata", "-device", "ide-hd,drive=disk")
USB = disk("usb", "-device", "qemu-xhci", "-device", "usb-storage,drive=disk")
NVME = disk("nvme", "-device", "nvme,serial=lamina,drive=disk")
VIRTIO = disk("virtio", "-device", "virtio-blk-pci,drive=disk")
DISKS = (SATA, USB, NVME, VIRTIO)

# ---------------------------------------------------------------------------
# No medium: QEMU itself loads the files.


def kernel_arguments(path, kernel, cmdline, modules, small):
    path.write_text(json.dumps(image.qemu_arguments(kernel, cmdline, modules)))


@contextlib.contextmanager
def named_to_qemu(path, log):
    yield Inserted(arguments=json.loads(path.read_text()))


KERNEL = Medium("kernel", kernel_arguments, named_to_qemu)

# ---------------------------------------------------------------------------
# The network, set up as docs/lab.md describes, with the files of docs/lab.

PLATFORMS = ("i386-pc", "x86_64-efi")
BIOS, UEFI = "boot/grub/i386-pc/core.0", "boot/grub/x86_64-efi/core.efi"


def tftp_files(root, kernel, modules, menu):
    """Fill a TFTP root: GRUB for both kinds of firmware, its menu, Lamina and its modules."""
    for platform in PLATFORMS:
        subprocess.run(["grub-mknetdir", f"--net-directory={root}", "--subdir=boot/grub", "-d",
                        f"/usr/lib/grub/{platform}"], check=True, stdout=subprocess.DEVNULL)
    (root / "boot/grub/grub.cfg").write_text(menu)
    (root / "lamina").mkdir(exist_ok=True)
    shutil.copyfile(kernel, root / "lamina/lamina.elf")
    for module in modules:
        shutil.copyfile(module.path, root / "lamina" / module.name)


def guide(file, *lines):
    """One of the lab guide's files; it must have the lines that the row of the matrix needs."""
    text = (LAB / file).read_text()
    for line in lines:
        if line not in map(str.strip, text.splitlines()):
            raise ValueError(f"docs/lab/{file} has no line {line!r}")
    return text


def lab_root(root, kernel, cmdline, modules, small):
    """A TFTP root as in the lab guide."""
    modules = [module._replace(name=module.path.name) for module in modules]
    menu = guide("grub.cfg", f"multiboot2 /lamina/lamina.elf {cmdline}",
                 *(f"module2 /lamina/{module.name} {module.cmdline}" for module in modules))
    root.mkdir()
    tftp_files(root, kernel, modules, menu)


def ipxe_root(root, kernel, cmdline, modules, small):
    """A TFTP root for iPXE, as in the guide."""
    lab_root(root, kernel, cmdline, modules, small)
    (root / "boot.ipxe").write_text(guide(
        "boot.ipxe", f"kernel lamina/lamina.elf {cmdline}",
        *(f"module lamina/{module.path.name} {module.cmdline}" for module in modules)))
    for program in ("undionly.kpxe", "ipxe.efi"):
        shutil.copy(f"/usr/lib/ipxe/{program}", root)


def card(nic):
    return "-device", f"{nic},netdev=net,bootindex=0"


def served_by_dnsmasq(name, nic, make=lab_root, more=""):
    @contextlib.contextmanager
    def connected(root, log):
        with labnet.Network(root, log, more) as network:
            yield Inserted(arguments=(
                "-netdev", f"tap,id=net,ifname={network.tap},script=no,downscript=no", *card(nic)),
                prefix=network.prefix)
    return Medium(name, make, connected, labnet.missing)


def pxe(nic):
    """GRUB by PXE."""
    return served_by_dnsmasq("pxe", nic)


def ipxe(nic):
    """iPXE, from the card's ROM or, if it has none, loaded by PXE; then iPXE's script."""
    return served_by_dnsmasq("ipxe", nic, ipxe_root, (LAB / "dnsmasq-ipxe.conf").read_text())


def pxe_slirp(nic, boot_file):
    """GRUB by PXE from QEMU's own DHCP and TFTP server."""
    @contextlib.contextmanager
    def connected(root, log):
        yield Inserted(arguments=(
            "-netdev", f"user,id=net,tftp={root},bootfile=/{boot_file}", *card(nic)))
    return Medium("pxe-slirp", lab_root, connected)
