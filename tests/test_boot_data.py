# SPDX-License-Identifier: MIT
"""Unusual data from the boot loader and the firmware, with the real GRUB: hundreds of modules, very large
and empty ones, odd command lines, and ACPI tables with addresses where nothing is.
"""

import re
import struct

import pytest

import conftest
import matrix
from matrix import Boot, Module, QEMU_SVM, error_line
from test_boot import require, tail, test_boot as check_boot

TINY = "guests/debugexit.elf"
MADE = conftest.BUILD / "damaged"
MANY = 260          # more than 512 are tested by tests/unit/test_bootinfo.c, since GRUB would take long


def many(number):
    return tuple(Module(TINY, f"vm=vm{n} mem=2M -- number={n}") for n in range(number))


# The kernel reads an initramfs up to the zeros that follow it.
LARGE = Boot("large-initrd", QEMU_SVM, (
    Module("linux/vmlinuz", "vm=linux role=kernel mem=700M -- console=ttyS0"),
    Module("damaged/initramfs-300M", "vm=linux role=initrd")),
    (matrix.Step("", matrix.PROMPT), matrix.Step("poweroff\r", matrix.ENDED_WELL)),
    lines=(r"module 1: 307200 KiB at ",), limit=300, memory=1500)

# Both VMs together need more than the machine has: a module's memory must be reused as RAM.
AGAIN = Boot("large-again", QEMU_SVM, (
    Module("damaged/initramfs-300M", "vm=broken mem=256M"), Module(TINY, "vm=next mem=380M")),
    lines=(r"vm ended: debug exit", r"next\] 380 MiB"), limit=120, memory=512)


def hpet_table(address, length=56):
    """An HPET description table as in ACPI; QEMU fills in the checksum."""
    body = struct.pack("<IBBBBQBHB", 0x8086a201, 0, 64, 0, 0, address, 0, 0x80, 0)
    head = struct.pack("<4sIBB6s8sI4sI", b"HPET", length, 1, 0, b"LAMINA", b"TESTTEST", 1, b"TEST", 1)
    return (head + body)[:length]


TABLES = {
    "hpet-in-ram": (hpet_table(0x1000000),
                    r"error: 0x1000000 is memory, where a device was expected"),
    "hpet-nowhere": (hpet_table(0xfff0000000000000),
                     r"error: there is no physical address 0xfff0000000000000 in this machine"),
    "hpet-absent": (hpet_table(0xfed00000), r"clock: TSC .*\(ACPI PM timer\)"),
    "hpet-short": (hpet_table(0, 40), r"the HPET's table has 40 bytes, expected at least 52: ignored"),
}


def with_table(name, words):
    setup = QEMU_SVM._replace(extra=("-machine", "hpet=off", "-acpitable", f"file={MADE / name}"))
    return Boot(f"acpi-{name}", setup, matrix.ONE_GUEST,
                lines=(words, r"clock: TSC .*\(ACPI PM timer\)", matrix.RAN, matrix.ENDED_WELL))


def intel_update(signature, revision):
    """Intel SDM, "Microcode Update": a header, and data that no processor takes."""
    def update(checksum):
        return struct.pack("<9I12x", 1, revision, 0x01022020, signature, checksum, 1, 0, 976, 1024) + bytes(976)
    return update(-sum(struct.unpack("<256I", update(0))) & 0xffffffff)


def amd_container(signature, revision):
    """A table with one processor and the end, then one patch that no processor takes."""
    table = struct.pack("<III", 0x414d44, 0, 32) + struct.pack("<IIIHH", signature, 0, 0, 0x8010, 0) + bytes(16)
    patch = struct.pack("<IIHBBIIIH", 0x01022020, revision, 0, 0, 0, 0, 0, 0, 0x8010)
    return table + struct.pack("<II", 1, 256) + patch.ljust(256, b"\0")


def cpio(name, data):
    """One file and the end, in the format that Linux takes in front of its initramfs."""
    archive = b""
    for path, text in ((name, data), ("TRAILER!!!", b"")):
        fields = (1, 0o100644, 0, 0, 1, 0, len(text), 0, 0, 0, 0, len(path) + 1, 0)
        archive += b"070701" + b"".join(b"%08x" % field for field in fields) + path.encode() + b"\0"
        archive += bytes(-len(archive) % 4) + text
        archive += bytes(-len(archive) % 4)
    return archive


# QEMU's EPYC and Bochs' Core i7-7800X, and revisions that they do not have.
MICROCODE = {
    "microcode-amd": cpio("kernel/x86/microcode/AuthenticAMD.bin", amd_container(0x800f12, 0x8009999)),
    "microcode-intel": intel_update(0x50654, 0x2009999),
    "microcode-damaged": intel_update(0x50654, 0x2009999)[:1000],
}
MICROCODE_MODULES = (
    *(Module(f"damaged/{name}", "role=microcode") for name in MICROCODE), *matrix.ONE_GUEST)
# Neither emulator loads microcode.
MICROCODE_BOOTS = (
    Boot("microcode-qemu", QEMU_SVM, MICROCODE_MODULES, lines=(
        r"microcode: module 1 has none for this processor \(signature 0x800f12, platform 0x0\)",
        r"warning: microcode: this processor refuses revision 0x8009999, and stays at 0x[0-9a-f]+: it is a virtual one",
        matrix.RAN, matrix.ENDED_WELL)),
    Boot("microcode-bochs", matrix.BOCHS_VMX, MICROCODE_MODULES, lines=(
        r"microcode: module 0 has none for this processor \(signature 0x50654, platform 0x[0-9a-f]+\)",
        r"warning: microcode: module 2 is damaged, or none of",
        r"warning: microcode: this processor refuses revision 0x2009999, and stays at 0x[0-9a-f]+$",
        matrix.RAN, matrix.ENDED_WELL)),
)


BOOTS = (
    Boot("many-modules", QEMU_SVM, many(MANY), lines=(matrix.ENDED_WELL,), limit=120),
    LARGE, AGAIN,
    # GRUB puts a backslash before each quote and each backslash.
    Boot("odd-modules", QEMU_SVM, (
        Module("damaged/empty", "vm=empty mem=16M"),
        Module(TINY, "vm=long mem=16M -- " + "x" * 2048),
        Module(TINY, 'vm="open mem=16M'),
        Module(TINY, 'vm=quoted mem=16M -- "a b" \\ "'),
        Module(TINY, ""),
    ), lines=(error_line("the kernel's file is empty", "empty"),
              error_line("2048 characters: expected at most 2047"),
              error_line(r"module 2 .*open: expected vm=NAME"), r"quoted\] vm ended: debug exit",
              r'^loaded by Multiboot2, command line "kernel \\"a b\\" \\\\ \\""$',
              r"guest\] vm ended: debug exit", error_line("3 of 5 VMs did not start")), memory=512),
    *(with_table(name, words) for name, (_, words) in TABLES.items()),
    *MICROCODE_BOOTS,
)


def make_files():
    """Make the files for the boots."""
    MADE.mkdir(parents=True, exist_ok=True)
    (MADE / "empty").write_bytes(b"")
    for name, (table, _) in TABLES.items():
        (MADE / name).write_bytes(table)
    for name, data in MICROCODE.items():
        (MADE / name).write_bytes(data)
    initramfs = conftest.BUILD / "linux/initramfs"
    if initramfs.exists():
        with open(MADE / "initramfs-300M", "wb") as file:
            file.write(initramfs.read_bytes())
            file.truncate(300 << 20)


make_files()


@pytest.mark.parametrize("boot", BOOTS, ids=str)
def test_boot_data(boot, run):
    check_boot(boot, run)


def test_each_of_many_modules_ran(runs):
    said = re.findall(r"^loaded by Multiboot2, command line \"kernel number=(\d+)\"", runs.of(BOOTS[0]).text,
                      re.MULTILINE)
    require(said == [str(n) for n in range(MANY)], f"{len(said)} of {MANY} guests ran, in this order:",
            " ".join(said), tail(runs.of(BOOTS[0]).text))


test_each_of_many_modules_ran.boots = BOOTS[:1]
