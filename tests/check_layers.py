# SPDX-License-Identifier: MIT
"""Hold the include directions: lib <- arch <- core <- vmx, svm, dev <- boot, and no other."""

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
                 ("device", "mem/guest_mem", "vtimer", "irqchip", "vm_alloc", "vm_log")}
FREESTANDING = {"stdarg.h", "stdbool.h", "stddef.h", "stdint.h"}
# The unit tests, hosted programs, see the host's C library in place of ours.
HOST_ONLY = re.compile(r"^#ifdef LAMINA_HOST_TEST$.*?^#(?:else|endif)", re.MULTILINE | re.DOTALL)
INCLUDE = re.compile(r'^\s*[#%]\s*include\s*(?:"([^"]*)"|<([^>]*)>)', re.MULTILINE)
# core sees the vendors by their operations tables only.
VENDOR_WORD = re.compile(r"\b(?:vmx|svm|vmcs|vmcb)_(?!ops\b)\w+\s*\(")
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)


def blank(match):
    """Keep the line numbers of what is cut out."""
    return "\n" * match[0].count("\n")


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
    print(f"check-layers: {len(files)} files, {count} problems")
    return 1 if count or not files else 0


if __name__ == "__main__":
    sys.exit(main())
