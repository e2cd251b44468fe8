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
    ("measuring the clock, a wait of 5 ms", "guests_enable_virtualization"),
    ("capabilities, virtualization on", "guests_run"),
    ("the VM and its tables", "guest_mem_clear"),
    ("zeroing the VM's 256 MiB", "platform_create"),
    ("devices, ACPI tables", "loader_load"),
    ("the kernel's file", "bzimage_checksum_matches"),
    ("its checksum", "load_copy"),
    ("copying kernel and initrd", "clock_refine"),
    ("to the first entry", "svm_vmenter"),
)
# Parts that do not count as Lamina's work: waiting, and loops over memory.
BULK = ("measuring", "zeroing", "its checksum", "copying", "waiting")
WAIT = "waiting until the clock can be measured again"


def boot_counts(folder, initrd, names):
    """How many instructions Lamina has executed since GRUB's jump when it comes to each of these functions."""
    symbols = profile.Code(bench.BUILD / "lamina.debug").functions
    entry = symbols["entry"] & 0x7fffffff       # physical, as GRUB jumps to it
    start, counts = 0, []
    with gdbport.machine(SETUP, lamina_iso(folder, linux_modules(initrd)), 512, record=True) as port:
        # GRUB's code was at that address, too: only the last time counts.
        port.break_at(entry)
        port.break_at(symbols[names[0]])
        while port.go() != symbols[names[0]]:
            start = port.executed()
        counts.append(port.executed() - start)
        for name in names[1:]:
            port.run_to(symbols[name])
            counts.append(port.executed() - start)
    return counts


def boot_phases(folder, initrd):
    """
    What Lamina executes from GRUB's jump to the first entry of Debian's kernel: {words: instructions}. Time passes
    while the machine is stopped between two parts, so the whole is counted once more without stops: the difference is
    a wait.
    """
    counts = boot_counts(folder, initrd, [name for _, name in PHASES])
    phases = {words: after - before for (words, _), before, after in zip(PHASES, [0, *counts], counts)}
    whole, = boot_counts(folder, initrd, [PHASES[-1][1]])
    return {**phases, WAIT: max(whole - counts[-1], 0)}


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


def outside_stamps(folder):
    """The instructions of an exit that its statistics do not see: before its first time stamp, after its last one."""
    iso = lamina_iso(folder, [bench.MODULE])
    instructions = profile.profile(SETUP, ["long.cpuid-0"], iso)["long.cpuid-0"]
    names = [i.mnemonic for i in instructions if not i.function.startswith("guest")]
    stamps = [at for at, name in enumerate(names) if name == "rdtsc"]
    return stamps[0] + len(names) - stamps[-1]


def laminas_part(said, entries, outside):
    """Instructions of Lamina while the guest ran, without idle time, by the statistics in its output."""
    return sum(map(int, re.findall(r"stat vm=linux vcpu=0 exit=.* ticks=(\d+)", said))) + entries * outside


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
        "boot": boot_phases(folder, initrd),
        "lamina in linux": laminas_part(said, entries, outside_stamps(folder)),
        "image": (bench.BUILD / "lamina.elf").stat().st_size,
        "memory": memory, "tables": tables,
        "linux alone": alone, "linux in lamina": guest, "linux entries": entries,
        "idle exits": round(idle_exits(folder), 1),
    }


def table(figures):
    boot = figures["boot"]
    share = figures["lamina in linux"] / figures["linux in lamina"]
    yield ["what", "figure"]
    for words, count in boot.items():
        yield [f"start: {words}", f"{count:,}"]
    yield ["start: from GRUB's jump to the first instruction of Debian's kernel", f"{sum(boot.values()):,}"]
    work = sum(count for words, count in boot.items() if not words.startswith(BULK))
    yield ["the same without waiting, zeroing, checking and copying", f"{work:,}"]
    yield ["size of the image, bytes", f"{figures['image']:,}"]
    yield ["memory owned for a Linux guest of 256 MiB, KiB", f"{figures['memory']:,}"]
    yield ["page tables for it, KiB", f"{figures['tables']:,}"]
    yield ["Linux from its entry to power-off, without Lamina", f"{figures['linux alone']:,}"]
    yield ["Linux from its entry to power-off, in a VM", f"{figures['linux in lamina']:,}"]
    yield ["Lamina's own share of that", f"{figures['lamina in linux']:,} ({share:.2%})"]
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
