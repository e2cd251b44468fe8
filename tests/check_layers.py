# SPDX-License-Identifier: MIT
"""Check the include directions: lib <- arch <- core <- vmx, svm, dev <- boot, and no other; and those
between the subfolders of arch, core and dev."""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

# What a folder may include besides its own files.
MAY_INCLUDE = {
    "lib": set(),
    "arch": {"lib"},
    "core": {"lib", "arch"},
    "vmx": {"lib", "arch", "core"},
    "svm": {"lib", "arch", "core"},
    "dev": {"lib"},
    "boot": {"lib", "arch", "core", "vmx", "svm", "dev"},
}
# A device model reaches its guest through these only, so that it can move out of ring 0 some day.
DEVICE_FACING = {f"core/{name}.h" for name in
                 ("device", "mem/guest_mem", "vtimer", "pace", "irqchip", "posted", "startup", "vm_alloc", "vm_console",
                  "vm_log", "work", "vm_devices", "disk", "random")}
# Within a folder: its subfolders, the lowest first. Each may include those before it. Files at the top of
# arch and dev may include all subfolders; files at the top of core and its subfolders may include each other,
# except that nothing at the top of core may call the emulator, which is built on it.
ORDER = {
    "arch": ("cpu", "mem", "fault", "pci", "bootinfo", "acpi", "time", "apic", "console"),
    "core": ("mem", "observe", "cpu", "emulate", "load"),
    "dev": ("isa", "irq", "pci", "net", "virtio", "firmware"),
}
# Exceptions that include upward, with the reason: a header that any file may include, or one file's.
UPWARD = {
    "arch/fault/panic.h": "it includes nothing itself: what it needs from above comes by hooks",
    "arch/fault/extable.h": "a macro for instructions that may fault, and the search of its table",
    "dev/platform.h": "a device finds its VM's other devices in struct platform",
    ("arch/cpu/gdt.c", "arch/mem/memory.h"): "a CPU's tables are pages of the pool",
    ("arch/cpu/gdt.c", "arch/mem/pool.h"): "a CPU's tables are pages of the pool",
    ("arch/cpu/gdt.h", "arch/mem/paging.h"): "where the stacks' address space lies",
    ("arch/cpu/percpu.c", "arch/mem/memory.h"): "a CPU's stacks are pages of the pool",
    ("arch/cpu/percpu.c", "arch/mem/pool.h"): "a CPU's stacks are pages of the pool",
    ("arch/cpu/percpu.c", "arch/fault/trap.h"): "a CPU with its own stacks can have interrupts use them",
    ("arch/mem/mapping.c", "arch/bootinfo/bootinfo.h"): "what the boot loader calls RAM is no device",
    ("arch/fault/trap.c", "arch/apic/irq.h"): "vectors from 32 on are interrupts",
    ("arch/acpi/power.c", "arch/time/clock.h"): "each wait for a register is bounded",
    ("arch/time/clock.c", "arch/apic/lapic_timer.h"): "the local APIC's timer is calibrated with the TSC",
}
USED = set()        # of UPWARD
FREESTANDING = {"stdarg.h", "stdbool.h", "stddef.h", "stdint.h"}
# Unit tests are hosted programs and include the host's C library instead of Lamina's.
HOST_ONLY = re.compile(r"^#ifdef LAMINA_HOST_TEST$.*?^#(?:else|endif)", re.MULTILINE | re.DOTALL)
INCLUDE = re.compile(r'^\s*[#%]\s*include\s*(?:"([^"]*)"|<([^>]*)>)', re.MULTILINE)
# core calls the vendors through their operations tables only.
VENDOR_WORD = re.compile(r"\b(?:vmx|svm|vmcs|vmcb)_(?!ops\b)\w+\s*\(")
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)


def blank(match):
    """Replace the text by its line ends, to keep line numbers."""
    return "\n" * match[0].count("\n")


def goes_upward(path, target):
    """Does the file include a header of a subfolder above its own?"""
    if path.parts[0] != target.parts[0] or path.parts[0] not in ORDER or path.parent == target.parent:
        return False
    order = ORDER[path.parts[0]]
    if len(target.parts) == 2:      # the top of the folder
        return path.parts[0] == "dev"
    if len(path.parts) == 2:
        return path.parts[0] == "core" and target.parts[1] in ("emulate",)
    return order.index(target.parts[1]) > order.index(path.parts[1])


def explanations(path, ours):
    return {key for key in (ours, (str(path), ours)) if key in UPWARD}


def problems_of(path):
    folder, text = path.parts[0], (ROOT / path).read_text()
    if "SPDX-License-Identifier: MIT" not in text.split("\n", 1)[0]:
        yield 1, "the first line does not name the licence"
    if path.suffix == ".h" and not re.search(r"^#pragma once$", text, re.MULTILINE):
        yield 1, "no #pragma once"
    text = COMMENT.sub(blank, HOST_ONLY.sub(blank, text))
    for match in INCLUDE.finditer(text):
        line, ours, systems = text.count("\n", 0, match.start(1 if match[1] else 2)) + 1, *match.groups()
        if systems and systems not in FREESTANDING:
            yield line, f"<{systems}> is not among the freestanding headers"
        if not ours or ours == "version.h":
            continue
        if goes_upward(path, pathlib.PurePath(ours)):
            if not explanations(path, ours):
                yield line, f'"{ours}" lies above {path.parent}, by the order in check_layers.py'
            USED.update(explanations(path, ours))
        target = ours.split("/")[0]
        if target not in MAY_INCLUDE:
            yield line, f'"{ours}" is not named from the project root'
        elif target == "core" and folder == "dev":
            if ours not in DEVICE_FACING:
                yield line, f'dev may include {", ".join(sorted(DEVICE_FACING))}; not "{ours}"'
        elif target != folder and target not in MAY_INCLUDE[folder]:
            yield line, f'{folder} may not include "{ours}"'
    if folder == "core":
        for match in VENDOR_WORD.finditer(text):
            yield text.count("\n", 0, match.start()) + 1, f"core names a vendor: {match[0]})"


def main():
    files = [path.relative_to(ROOT) for folder in MAY_INCLUDE
             for path in sorted((ROOT / folder).rglob("*")) if path.suffix in (".c", ".h", ".asm")]
    count = 0
    for path in files:
        for line, problem in problems_of(path):
            print(f"{path}:{line}: {problem}")
            count += 1
    for stale in UPWARD.keys() - USED:
        print(f"tests/check_layers.py: UPWARD explains {stale}, which is not there")
        count += 1
    print(f"check-layers: {len(files)} files, {count} problems")
    return 1 if count or not files else 0


if __name__ == "__main__":
    sys.exit(main())
