# SPDX-License-Identifier: MIT
"""Where the boot loader puts things, and how far the start-up comes: its stage codes on port 0x80."""

import re
import struct
import subprocess

import pytest

import conftest
import emu
import image
from conftest import BUILD, ROOT

LIMIT = 90
OPTIONS = "console=com1,115200 onend=poweroff onfail=poweroff"
ONE = (image.Module(BUILD / "guests/debugexit.elf", "guest", "vm=one mem=16M limit=600"),)
RAN = r"^guest debugexit: [1-9]\d* passed, 0 failed"
UEFI = ("-bios", "/usr/share/ovmf/OVMF.fd")


def boot(name, iso, extra=(), board="q35", model="EPYC", mem=256, powers_off=True):
    """Run to the end; return the serial port's output."""
    conftest.LOGS.mkdir(parents=True, exist_ok=True)
    with emu.Machine(iso, "qemu", model, mem, log=conftest.LOGS / f"startup-{name}.log",
                     extra=extra, board=board) as machine:
        if powers_off:
            assert machine.wait(LIMIT), machine.report("it did not power off")
        else:
            machine.expect(r"Lamina: stopped: .*\n", LIMIT)
        return machine.text()


def image_place(text):
    match = re.search(r"image at 0x([0-9a-f]+) up to 0x([0-9a-f]+)$", text, re.MULTILINE)
    assert match, text[-2000:]
    return int(match[1], 16), int(match[2], 16)


def assert_ran_well(text):
    assert re.search(RAN, text, re.MULTILINE), text[-3000:]
    assert emu.ENDED_WELL.search(text), text[-3000:]


# ---------------------------------------------------------------------------
# Relocation. Multiboot2's checksum covers the header's first four words only, so that a copy of the
# image can ask for another address.

LOWEST, HIGHEST = 1, 2
PLACES = {
    "just-above": (0x101000, 0xffffffff, 4096, LOWEST),
    "odd-page": (0x1234000, 0x2000000, 4096, LOWEST),
    "crosses-2M": (0x3ff000, 0xffffffff, 4096, LOWEST),
    "high": (0x100000, 0xffffffff, 4096, HIGHEST),
    "large-aligned": (0x4000000, 0xffffffff, 0x400000, LOWEST),
}


def moved(path, low, high, align, preference):
    """A copy of the image with these values in its header's relocatable tag."""
    data = bytearray((BUILD / "lamina.elf").read_bytes())
    tag = data.index(struct.pack("<HHI", 10, 1, 24))
    struct.pack_into("<4I", data, tag + 8, low, high, align, preference)
    path.write_bytes(data)
    return path


def test_relocation_above_2g(tmp_path):
    """Addresses that do not fit into a signed 32-bit number."""
    kernel = moved(tmp_path / "lamina.elf", 0x80000000, 0xffffffff, 4096, HIGHEST)
    image.build(tmp_path / "iso", kernel, OPTIONS, ONE, small=True)
    text = boot("above-2g", tmp_path / "iso", board="pc", mem=3200)
    assert image_place(text)[0] > 0xc0000000
    assert_ran_well(text)


@pytest.mark.parametrize("firmware", ("bios", "uefi"))
@pytest.mark.parametrize("place", PLACES)
def test_relocation(place, firmware, tmp_path):
    low, high, align, preference = PLACES[place]
    kernel = moved(tmp_path / "lamina.elf", *PLACES[place])
    image.build(tmp_path / "iso", kernel, OPTIONS, ONE, small=firmware == "bios")
    text = boot(f"{place}-{firmware}", tmp_path / "iso", UEFI if firmware == "uefi" else ())
    start, end = image_place(text)
    assert low <= start and end <= high + 1 and start % align == 0
    if preference == HIGHEST:
        assert start > 0x8000000    # the machine has 256 MiB
    elif firmware == "bios":        # a UEFI firmware may use that memory
        assert start == low
    assert_ran_well(text)


def test_headers():
    """The header requires only what every GRUB supports; Multiboot1's header is where loaders look."""
    data = (BUILD / "lamina.elf").read_bytes()
    at = data.index(struct.pack("<II", 0xe85250d6, 0))
    end, at = at + struct.unpack_from("<I", data, at + 8)[0], at + 16
    tags = []
    while at < end:
        kind, optional, size = struct.unpack_from("<HHI", data, at)
        tags.append((kind, optional))
        at += (size + 7) & ~7
    entry_address, module_alignment = 3, 6
    assert tags[-1] == (0, 0)
    assert {kind for kind, optional in tags[:-1] if not optional} == {entry_address, module_alignment}
    assert not {kind for kind, _ in tags} & {7, 8, 9}
    flags = 3
    assert 0 < data.find(struct.pack("<3I", 0x1badb002, flags, -(0x1badb002 + flags) & 0xffffffff)) < 8192 - 12


def test_elf_addresses():
    """All of them are physical, as kexec needs: it jumps to the entry as it is."""
    data = (BUILD / "lamina.elf").read_bytes()
    entry, headers = struct.unpack_from("<2I", data, 24)
    count = struct.unpack_from("<H", data, 44)[0]
    segments = [struct.unpack_from("<8I", data, headers + 32 * i) for i in range(count)]
    assert segments and all(virtual == physical for _, _, virtual, physical, *_ in segments)
    assert segments[0][2] == 0x100000 <= entry < 0x100000 + segments[0][5]


def test_default_place(tmp_path):
    image.build(tmp_path / "iso", BUILD / "lamina.elf", OPTIONS, ONE, small=True)
    text = boot("default-place", tmp_path / "iso")
    assert re.search(r"PCI: bus mastering switched off in [1-9]", text)    # of the disk controller
    assert image_place(text)[0] == 0x100000
    assert_ran_well(text)


def test_first_mebibyte_taken(tmp_path):
    """The firmware keeps 1 MiB up to 2 MiB: the image and all other memory must be elsewhere."""
    program = tmp_path / "take.efi"
    flags = ("-Os -Wall -Wextra -Werror -ffreestanding -fno-ident -fno-stack-protector -fpic "
             "-fcf-protection=none -fno-asynchronous-unwind-tables -mno-red-zone "
             "-DTAKE_START=0x100000 -DTAKE_PAGES=256").split()
    subprocess.run(["gcc", *flags, "-c", "-o", tmp_path / "take.o", ROOT / "tests/efi/take.c"],
                   check=True)
    subprocess.run(["ld", "-m", "i386pep", "--subsystem", "10", "--image-base", "0x4000000",
                    "-e", "efi_main", "-o", program, tmp_path / "take.o"], check=True)
    image.build(tmp_path / "iso", BUILD / "lamina.elf", OPTIONS, ONE,
                before=("chainloader /boot/take.efi", "boot"), files=(program,))
    text = boot("taken", tmp_path / "iso", UEFI)
    assert re.search(r" 000000100000 - 0000001fffff reserved", text), text[:4000]
    assert image_place(text)[0] == 0x200000
    pool = re.search(r"MiB at 0x([0-9a-f]+) for the hypervisor", text)
    assert int(pool[1], 16) >= 0x200000
    assert_ran_well(text)


def test_loaded_where_the_map_has_no_memory(tmp_path):
    """GRUB's cutmem removes memory from the map that Lamina gets, not from the memory that GRUB loads into."""
    image.build(tmp_path / "iso", BUILD / "lamina.elf", OPTIONS, ONE, small=True,
                before=("cutmem 1M 24M",))
    text = boot("cutmem", tmp_path / "iso", board="pc")
    assert image_place(text)[0] == 0x100000
    assert "warning: memory: the image lies where the memory map has no usable memory" in text
    assert "warning: memory: module 0 lies where the memory map has no usable memory" in text
    assert_ran_well(text)


@pytest.mark.long        # GRUB takes some 20 seconds for it
def test_map_of_many_pieces(tmp_path):
    """256 holes of 4 KiB, as for bad pages: no more is lost. For more pieces see tests/unit/test_memory_map.c."""
    image.build(tmp_path / "iso", BUILD / "lamina.elf", OPTIONS, ONE, small=True,
                before=("badram 0x100000000,0xffffffffe01ff000",))
    text = boot("pieces", tmp_path / "iso", mem=6144)
    assert len(re.findall(r"usable \(type 1\)$", text, re.MULTILINE)) > 256
    usable = re.search(r"memory: (\d+) MiB usable", text)
    assert 6140 < int(usable[1]) < 6144
    assert_ran_well(text)


def test_hardware_reduced_acpi():
    """A machine with no PM1 registers is powered off by its sleep control register."""
    text = boot("reduced", None, image.qemu_arguments(BUILD / "lamina.elf", OPTIONS, ONE), board="microvm,acpi=on,pic=off")
    assert "ACPI: the hardware is a reduced one" in text
    assert_ran_well(text)


# ---------------------------------------------------------------------------
# Stage codes.

def stages():
    text = (ROOT / "arch/fault/stage.h").read_text()
    return {name: int(code, 16) for name, code in
            re.findall(r"^\t(STAGE_\w+) = (0x[0-9a-f]{2}),$", text, re.MULTILINE)}


def codes_of(name, tmp_path, **arguments):
    """The bytes written to port 0x80 from Lamina's first one on, and the serial port's output."""
    post = tmp_path / "post"
    image.build(tmp_path / "iso", BUILD / "lamina.elf", f"{OPTIONS} start=sequence", arguments.pop("modules", ONE),
                small=True)
    text = boot(name, tmp_path / "iso", extra=("-chardev", f"file,id=post,path={post}", "-device",
                                               "isa-debugcon,iobase=0x80,chardev=post", *arguments.pop("extra", ())), **arguments)
    codes = list(post.read_bytes())
    return codes[codes.index(stages()["STAGE_ENTRY"]):], text


def test_stages_are_documented():
    """The header, the table and the code agree: each stage has a row, and begins at one place."""
    rows = dict(re.findall(r"^\| (0x[0-9a-f]{2}) \| `(STAGE_\w+)` \|",
                           (ROOT / "docs/stages.md").read_text(), re.MULTILINE))
    assert {name: int(code, 16) for code, name in rows.items()} == stages()
    assert len(set(stages().values())) == len(stages())
    code = "".join(path.read_text() for path in sorted((ROOT / "boot").glob("*.*")))
    begun = re.findall(r"stage_begins[ (]+(STAGE_\w+)", code)
    assert sorted(begun) == sorted(stages())


def test_stages_of_a_good_run(tmp_path):
    """Two VMs: the stages in their order, those of a VM twice, and none from a guest's own writes."""
    all_stages = stages()
    # This guest compares clocks with each other.
    codes, text = codes_of("stages", tmp_path, extra=("-icount", "shift=4,sleep=off"), modules=(
        *ONE, image.Module(BUILD / "guests/portio.elf", "second", "vm=two mem=16M limit=600")))
    assert emu.ENDED_WELL.search(text), text[-3000:]
    of_vm = [code for name, code in all_stages.items() if name.startswith("STAGE_VM_")]
    once = [code for code in all_stages.values() if code not in of_vm and code != all_stages["STAGE_DONE"]]
    assert codes == [*once, *of_vm, *of_vm, all_stages["STAGE_DONE"]]


@pytest.mark.parametrize("model, mem, words, last", (
    ("qemu32", 256, "64-bit processor", "STAGE_PROCESSOR"),
    ("qemu64,-nx", 256, "no-execute pages", "STAGE_PROCESSOR"),
    ("EPYC", 8, "too little memory", "STAGE_MEMORY"),
    ("EPYC,-apic", 256, "without a local APIC", "STAGE_LAPIC"),
    ("Nehalem", 256, "no hardware virtualization", "STAGE_VIRTUALIZATION"),
), ids=lambda value: str(value).replace(" ", "-"))
def test_last_stage(model, mem, words, last, tmp_path):
    """A machine that stops early leaves the code of the stage that did not finish."""
    codes, text = codes_of(f"stage-{model}-{mem}", tmp_path, model=model, mem=mem, powers_off=False)
    assert words in text
    assert codes[-1] == stages()[last], [hex(code) for code in codes]


@pytest.mark.parametrize("model, value, words", (
    ("Nehalem,level=3", 0x400400001, r"IA32_MISC_ENABLE: the firmware hides no-execute pages and CPUID leaves above 3: "
                                     r"switched back$(.*\n)*.*CPUs: 2 of 2 can be used"),
    ("Nehalem,-nx", 0x400000001, r"Lamina needs no-execute pages \(NX\)"),
), ids=("switched-back", "for-good"))
def test_what_firmware_hides(model, value, words, tmp_path):
    """GRUB writes IA32_MISC_ENABLE as a firmware does that hides features. QEMU keeps the value, and hides what its
    model says. Two CPUs: the other one has the MSR written, too."""
    image.build(tmp_path / "iso", BUILD / "lamina.elf", OPTIONS, ONE, small=True,
                before=("insmod wrmsr", f"wrmsr 0x1a0 {value:#x}"))
    text = boot(f"hidden-{value:x}", tmp_path / "iso", ("-smp", "2"), model=model, powers_off=False)
    assert re.search(words, text, re.MULTILINE), text[-3000:]


@pytest.mark.parametrize("model, words", (("qemu32", "64-bit processor"), ("qemu64,-nx", "no-execute pages")))
def test_refusal_by_multiboot1(model, words):
    """Started by QEMU itself: the message names the processor, not the loader."""
    text = boot(f"refused-{model}", None, image.qemu_arguments(BUILD / "lamina.elf", OPTIONS, ONE),
                model=model, powers_off=False)
    assert words in text


def test_refusal_of_another_loader(tmp_path):
    """A copy of the image that expects another magic number must refuse GRUB as an unknown loader."""
    data = bytearray((BUILD / "lamina.elf").read_bytes())
    magic = struct.pack("<I", 0x36d76289)
    assert data.count(magic) >= 1
    (tmp_path / "lamina.elf").write_bytes(data.replace(magic, struct.pack("<I", 0x36d76288)))
    image.build(tmp_path / "iso", tmp_path / "lamina.elf", OPTIONS, ONE, small=True)
    text = boot("another-loader", tmp_path / "iso", powers_off=False)
    assert "it must be started by a Multiboot or Multiboot2 boot loader" in text
