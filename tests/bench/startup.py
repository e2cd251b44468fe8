# SPDX-License-Identifier: MIT
"""Count instructions: of Lamina's start up to the guest's first one, and of Linux with and without Lamina.

QEMU counts what the processor executes; time spent in HLT is none. How far the machine is, is seen
by breakpoints on functions of Lamina and on the kernel's 64-bit entry.
"""

import argparse
import json
import pathlib
import re
import subprocess
import sys
import tempfile

import bench
import gdbport
import image
import profile

LINUX = bench.BUILD / "linux"
SETUP = bench.SETUPS[0]
# The 64-bit entry of a kernel at its preferred address.
LINUX_ENTRY = 0x1000200
# Boots to the shell, which powers off.
CMDLINE = "console=ttyS0 nokaslr"
IDLE = 20           # seconds of the guest's time
PROMPT = r"^~ # "
STATISTICS_KEY = b"\x1fs"


def initramfs(folder):
    """The tests' initramfs, with a second archive after it whose start-up file only powers the machine off."""
    root = pathlib.Path(folder, "root")
    (root / "etc").mkdir(parents=True)
    inittab = (bench.HERE.parent / "linux/inittab").read_text()
    changed = inittab.replace("::respawn:/bin/cttyhack /bin/sh -l", "::once:/bin/sh -lc 'poweroff -f'")
    if changed == inittab:
        raise bench.BenchError("tests/linux/inittab starts its shell in a way unknown here")
    (root / "etc/inittab").write_text(changed)
    addition = subprocess.run(["sh", "-c", "find . | LC_ALL=C sort | cpio -o -H newc -R 0:0 --quiet"],
                              cwd=root, check=True, stdout=subprocess.PIPE).stdout
    path = pathlib.Path(folder, "initramfs")
    whole = (LINUX / "initramfs").read_bytes()
    path.write_bytes(whole + bytes(-len(whole) % 512) + addition)
    return path


def lamina_iso(folder, modules, options=""):
    iso = pathlib.Path(folder, "lamina.iso")
    image.build(iso, bench.BUILD / "lamina.elf", f"{bench.OPTIONS} {options}", modules, small=True)
    return iso


def linux_modules(initrd):
    return [image.Module(LINUX / "vmlinuz", "kernel", f"vm=linux role=kernel mem=256M -- {CMDLINE}"),
            image.Module(initrd, "initrd", "vm=linux role=initrd")]


# -- Lamina's own start

# The function of Lamina at which each part ends.
PHASES = (
    ("mode switch, first page tables", "boot_main"),
    ("measuring the clock roughly, a wait of 1 ms", "boot_info_init"),
    ("log, GRUB's information, memory, paging, ACPI, interrupt controllers", "clock_init"),
    ("measuring the clock, a wait of 10 ms", "guests_enable_virtualization"),
    ("capabilities, virtualization on", "guests_run"),
    ("the VM and its tables", "guest_mem_clear"),
    ("zeroing the VM's 128 MiB", "platform_create"),
    ("devices, ACPI tables", "loader_load"),
    ("loading and overwriting the module", "vm_start"),
    ("to the first entry", "svm_vmenter"),
)
# Functions that do not count as Lamina's work: waiting, and loops over memory.
BULK = ("measuring", "zeroing", "loading")


def boot_phases(folder):
    """What Lamina executes from GRUB's jump to the first entry of its guest: {words: instructions}."""
    symbols = profile.Code(bench.BUILD / "lamina.debug").functions
    entry = symbols["entry"] & 0x7fffffff       # physical, as GRUB jumps to it
    counts = []
    with gdbport.machine(SETUP, lamina_iso(folder, [bench.MODULE]), record=True) as port:
        # GRUB's code was at that address, too: only the last time counts.
        port.break_at(entry)
        port.break_at(symbols[PHASES[0][1]])
        while port.go() != symbols[PHASES[0][1]]:
            counts = [port.executed()]
        counts.append(port.executed())
        for _, name in PHASES[1:]:
            port.run_to(symbols[name])
            counts.append(port.executed())
    return {words: after - before for (words, _), before, after in zip(PHASES, counts, counts[1:])}


# -- Linux

def linux_in_lamina(folder, initrd):
    """From the kernel's entry to the guest's power-off; entries; and the whole output."""
    symbols = profile.Code(bench.BUILD / "lamina.debug").functions
    iso = lamina_iso(folder, linux_modules(initrd), "stats=lines")
    with gdbport.machine(SETUP, iso, 512, record=True) as port:
        port.run_to(symbols["svm_vmenter"])
        port.run_to(LINUX_ENTRY)
        start = port.executed()
        port.run_to(symbols["vm_end"])
        end = port.executed()
        port.go()               # to the power-off, where QEMU stops
        said = port.running.text()
        entries = re.search(r"stat vm=linux vcpu=0 entries=(\d+)", said)
        if not entries:
            raise bench.BenchError(port.running.report("no statistics of the Linux guest"))
        return end - start, int(entries[1]), said


def linux_alone(folder, initrd):
    """The same kernel, on the same machine without Lamina."""
    iso = pathlib.Path(folder, "linux.iso")
    image.build_other(iso, "Linux", [f"linux /boot/kernel {CMDLINE}", "initrd /boot/initrd"],
                      [image.Module(LINUX / "vmlinuz", "kernel"), image.Module(initrd, "initrd")])
    with gdbport.machine(SETUP, iso, 512, record=True) as port:
        port.run_to(LINUX_ENTRY)
        start = port.executed()
        port.go()               # to the power-off
        return port.executed() - start


def idle_exits(folder):
    """The exits per second of a guest that waits at its shell's prompt."""
    # Time and entries, of Lamina's statistics.
    line = r"^\[ *([\d.]+) cpu0 linux\] stat vm=linux vcpu=0 entries=(\d+) "
    iso = lamina_iso(folder, linux_modules(LINUX / "initramfs"), "stats=lines")
    with bench.machine(SETUP, iso, 512) as running:
        def entries():
            running.send(STATISTICS_KEY)
            said = running.expect(line, bench.LIMIT)
            return map(float, re.findall(line, said, re.MULTILINE)[-1])

        running.expect(PROMPT, bench.LIMIT)
        before, entries_before = entries()
        running.send(f"sleep {IDLE}\r")
        running.expect(PROMPT, bench.LIMIT)
        after, entries_after = entries()
        return (entries_after - entries_before) / (after - before)


def owned(said):
    """The memory that Lamina owns for a VM, by its log: KiB, and KiB of page tables."""
    return tuple(map(int, re.search(r"Lamina owns (\d+) KiB for it, and (\d+) KiB of page tables",
                                    said).groups()))


def measure(folder):
    initrd = initramfs(folder)
    alone = linux_alone(folder, initrd)
    guest, entries, said = linux_in_lamina(folder, initrd)
    memory, tables = owned(said)
    return {
        "boot": boot_phases(folder),
        "image": (bench.BUILD / "lamina.elf").stat().st_size,
        "memory": memory, "tables": tables,
        "linux alone": alone, "linux in lamina": guest, "linux entries": entries,
        "idle exits": round(idle_exits(folder), 1),
    }


def table(figures):
    boot = figures["boot"]
    share = figures["linux in lamina"] / figures["linux alone"]
    yield ["what", "figure"]
    for words, count in boot.items():
        yield [f"start: {words}", f"{count:,}"]
    yield ["start: from GRUB's jump to the guest's first instruction", f"{sum(boot.values()):,}"]
    work = sum(count for words, count in boot.items() if not words.startswith(BULK))
    yield ["the same without waiting, zeroing and loading", f"{work:,}"]
    yield ["size of the image, bytes", f"{figures['image']:,}"]
    yield ["memory owned for a Linux guest of 256 MiB, KiB", f"{figures['memory']:,}"]
    yield ["page tables for it, KiB", f"{figures['tables']:,}"]
    yield ["Linux from its entry to power-off, without Lamina", f"{figures['linux alone']:,}"]
    yield ["Linux from its entry to power-off, in a VM", f"{figures['linux in lamina']:,} ({share:.1%})"]
    yield ["entries into the guest meanwhile", f"{figures['linux entries']:,}"]
    yield ["exits per second of an idle Linux guest", str(figures["idle exits"])]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--docs", action="store_true", help="put the table into docs/bench.md")
    args = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory(prefix="lamina-startup-") as folder:
            figures = measure(folder)
        if args.docs:
            bench.update_docs("startup", bench.markdown_table(table(figures)))
    except bench.BenchError as error:
        print(f"bench-startup: error: {error}")
        return 1
    (bench.OUTPUT / "startup.json").write_text(json.dumps(figures, indent=1) + "\n")
    (bench.OUTPUT / "startup.md").write_text(bench.markdown_table(table(figures)))
    print(bench.text_table(table(figures)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
