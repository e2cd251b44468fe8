# SPDX-License-Identifier: MIT
"""Linux VMs on the disks of disk=: file systems that outlive hard stops, one image for several VMs, and no byte of one
VM in another's overlay, disk in RAM or memory."""

import contextlib
import hashlib
import random
import re

import pytest

import conftest
import emu
import image
import matrix

LIMIT = 150
OPTIONS = "console=com1,115200 loglevel=info onend=poweroff onfail=poweroff"
KEY, COMMAND = "\x1f", "\x1f:"
PROMPT = r"^~ # "
STARTED = rf"^Linux \S+ with busybox[\s\S]*?{PROMPT}"
SETUPS = {"qemu": ("qemu", "EPYC"), "bochs-vmx": ("bochs", "corei7_skylake_x"), "bochs-svm": ("bochs", "ryzen")}
MIB = 1 << 20


class Guests:
    """The serial line of a machine with Linux VMs; each command ends with a line that has its number."""

    def __init__(self, machine):
        self.machine, self.number = machine, 0

    def expect(self, pattern):
        return self.machine.expect(pattern, LIMIT)

    def run(self, command):
        """What it prints, in the VM in front, without other VMs' and Lamina's lines."""
        self.number += 1
        self.machine.send(f"stty -echo\r{command}; echo; echo en''d-{self.number}\r")
        text = re.sub(r"(?:~ # )?(?:\x1b\[6n)?", "", self.expect(rf"^end-{self.number}\n"))
        self.expect(PROMPT)             # or a later expect() would take it for its own
        return [line for line in text.split("\n") if line and not re.match(r"\[ *\d+\.\d+ cpu|\w+\| |stty|en''d|end-", line)]

    def monitor(self, *commands, until=""):
        """Give these commands, and leave the command line when that has been printed."""
        self.machine.send(COMMAND)
        self.expect(r"lamina> $")
        for command in commands:
            self.machine.send(f"{command}\r")
            self.expect(rf"{re.escape(command)}$")
            assert self.expect(r"^(?:ok|error: .*)\n").endswith("ok\n"), command
        self.expect(until)
        self.machine.send("quit\r")
        self.expect(r"quit$")
        self.expect(r"^ok\n")

    def reset(self, name, *before):
        """Stop the VM where it is, as by its reset button, and wait for its shell."""
        self.monitor(*before, f"reset {name}", until=r"] restarting")
        self.expect(STARTED)            # guests' output has waited for the end of the command line

    def front(self, number, name):
        """The VM may have shown prompts in the back, which are replayed, or none, or still be starting."""
        self.machine.send(f"{KEY}{number}")
        self.expect(rf"\[console: {name} is in front\]")
        self.machine.send("\r")
        self.expect(PROMPT)
        self.run("true")

    def mark(self, mark):
        """In /tmp/MARK 1 MiB with the mark every 128 bytes: made with few system calls, and few lines to search."""
        self.run(f"printf '{mark}%{127 - len(mark)}s\\n' > /tmp/{mark}; for i in $(seq 13); do "
                 f"cat /tmp/{mark} /tmp/{mark} > /tmp/x; mv /tmp/x /tmp/{mark}; done")


def linux(name, keys, mem="192M"):
    kernel, initrd = (conftest.BUILD / f"linux/{file}" for file in ("vmlinuz", "initramfs-virtio"))
    return [image.Module(kernel, "vmlinuz", f"vm={name} mem={mem} {keys} -- console=ttyS0 quiet"),
            image.Module(initrd, "initrd", f"vm={name} role=initrd")]


@contextlib.contextmanager
def guests_of(tmp_path, request, setup, modules, options="", mem=1024):
    emulator, model = SETUPS[setup]
    iso = tmp_path / "disks.iso"
    image.build(iso, conftest.BUILD / "lamina.elf", f"{OPTIONS} {options}", modules, True)
    conftest.LOGS.mkdir(parents=True, exist_ok=True)
    with emu.Machine(iso, emulator, model, mem=mem, log=conftest.LOGS / f"{request.node.name}.log",
                     ips=matrix.FAST) as machine:
        guests = Guests(machine)
        guests.expect(STARTED)
        yield guests


def make_image(tmp_path, size):
    """Bytes that occur nowhere else; its module, and its checksum."""
    data = random.Random(size).randbytes(size)
    path = tmp_path / "root.img"
    path.write_bytes(data)
    return image.Module(path, "root.img", "role=disk name=root"), hashlib.md5(data).hexdigest()


def count(guests, mark, *files):
    """How many lines of these files have the mark."""
    return [int(line.rpartition(":")[2]) for line in guests.run(f"grep -ac {mark} {' '.join(files)} /dev/null")[:-1]]


BOCHS = [pytest.param(setup, marks=pytest.mark.long) for setup in ("bochs-vmx", "bochs-svm")]


@pytest.mark.parametrize("setup", ["qemu", *BOCHS])
def test_file_system_and_isolation(setup, tmp_path, request):
    root, checksum = make_image(tmp_path, 16 * MIB)
    modules = [*linux("a", "disk=root,cow=24M disk=ram,size=8M"), *linux("b", "disk=root,cow=8M disk=ram,size=8M disk=root,ro"),
               root]
    with guests_of(tmp_path, request, setup, modules) as guests:
        # A file system on a's overlay, and its mark all over the disk in RAM.
        guests.mark("MARK-OF-A")
        assert guests.run("md5sum /dev/vda")[-1].startswith(checksum)
        assert guests.run("cat /sys/block/vda/serial")[-1].startswith("a:0")
        assert "made" in guests.run(
            "mkfs.ext4 -q -F /dev/vda && mkdir -p /mnt && mount -t ext4 /dev/vda /mnt && "
            "cat /tmp/MARK-OF-A /tmp/MARK-OF-A /tmp/MARK-OF-A > /mnt/mark && md5sum /mnt/mark > /mnt/sums && "
            "sync && echo made")
        guests.run("while cat /tmp/MARK-OF-A; do :; done > /dev/vdb; sync")     # until it is full
        assert all(count(guests, "MARK-OF-A", "/dev/vda", "/dev/vdb"))

        # b sees the image as it is, an empty disk, and nothing of a.
        guests.front(2, "b")
        sums = [line.split()[0] for line in guests.run("md5sum /dev/vda /dev/vdc /dev/vdb")]
        assert sums == [checksum, checksum, hashlib.md5(bytes(8 * MIB)).hexdigest()]
        assert count(guests, "MARK-OF-A", "/dev/vda", "/dev/vdb", "/dev/vdc") == [0, 0, 0]
        guests.mark("MARK-OF-B")
        assert "refused" in guests.run("dmesg -n 1; dd if=/tmp/MARK-OF-B of=/dev/vda bs=64k conv=fsync; "
                                       "echo x > /dev/vdc || echo refused")
        # The image has 16 MiB, the overlay 8.
        assert any("error" in line for line in guests.run("dd if=/dev/zero of=/dev/vda bs=64k conv=fsync; dmesg | tail -3"))
        guests.machine.position = 0
        guests.expect(r" b\] warning: disk root: its overlay of 8 MiB is full: writes fail")

        # A hard stop of a in the middle of writing: its journal mends the file system, and what was synced is there.
        guests.machine.position = len(guests.machine.output)
        guests.front(1, "a")
        guests.machine.send("dd if=/dev/zero of=/mnt/big bs=4k count=100000 &\r")
        guests.expect(PROMPT)
        guests.reset("a")
        lines = guests.run("e2fsck -p /dev/vda; echo fsck-$?; mkdir -p /mnt; mount -t ext4 /dev/vda /mnt && md5sum -c /mnt/sums")
        assert {"fsck-0", "fsck-1"} & set(lines) and "/mnt/mark: OK" in lines, lines
        assert count(guests, "MARK-OF-B", "/dev/vda", "/dev/vdb") == [0, 0]
        assert count(guests, "MARK-OF-A", "/dev/vdb")[0]

        # The overlay is dropped at the next start, and a disk in RAM is empty again.
        guests.reset("a", "disk reset a:0", "disk reset a:1")
        sums = [line.split()[0] for line in guests.run("md5sum /dev/vda /dev/vdb")]
        assert sums == [checksum, hashlib.md5(bytes(8 * MIB)).hexdigest()]


def test_reused_memory(tmp_path, request):
    """b starts when a has ended and its disks are given up; their memory shows nothing of a."""
    root, checksum = make_image(tmp_path, 4 * MIB)
    keys = "disk=root,cow=4M disk=ram,size=64M"
    modules = [*linux("a", keys, "128M"), *linux("b", keys, "128M"), root]
    with guests_of(tmp_path, request, "qemu", modules, "start=sequence", 304) as guests:
        guests.mark("MARK-OF-A")
        guests.run("for disk in vda vdb; do while cat /tmp/MARK-OF-A; do :; done > /dev/$disk; done; sync")
        assert all(count(guests, "MARK-OF-A", "/dev/vda", "/dev/vdb"))
        guests.machine.send("poweroff\r")
        guests.expect(r" b\] first entry")
        guests.expect(STARTED)
        guests.run("yes x | head -c 600 | dd of=/dev/vda bs=600 seek=1000 conv=fsync")
        sums = [line.split()[0] for line in guests.run("md5sum /dev/vdb")]
        assert sums == [hashlib.md5(bytes(64 * MIB)).hexdigest()]
        assert count(guests, "MARK-OF-A", "/dev/vda", "/dev/vdb") == [0, 0]
