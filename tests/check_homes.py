# SPDX-License-Identifier: MIT
"""Check where functions are declared: in the header of the file that defines them.

That header has the file's name (`core/event.c`, `core/event.h`), or the name up to an underscore where
one concept takes several files (`vlapic_timer.c`, `vlapic.h`), or is its folder's own, which lists what
the files of the folder share (`vmx/vmx.h`, `core/load/load.h`).
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDERS = ("boot", "arch", "core", "vmx", "svm", "dev", "lib")

COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
# Definitions begin at the beginning of a line, and the opening brace is on a line of its own.
DEFINED = re.compile(r"^(?!static\b)[a-z][^;{}()#=]*?\b(\w+)\([^;{}]*\)\n\{", re.MULTILINE)
DECLARED = re.compile(r"^(?!static\b|typedef\b)[a-z][^;{}()#=]*?\b(\w+)\([^;{}]*\)[^;{}]*;", re.MULTILINE)


def names_in(path, pattern):
    return set(pattern.findall(COMMENT.sub("", path.read_text())))


def is_home(header, source):
    return header.parent == source.parent and (
        header.stem == source.stem or source.stem.startswith(header.stem + "_")
        or header.stem == header.parent.name)


def main():
    files = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.[ch]"))]
    declared = {}
    for path in files:
        if path.suffix == ".h":
            for name in names_in(path, DECLARED):
                declared.setdefault(name, []).append(path)
    functions = problems = 0
    for path in files:
        for name in sorted(names_in(path, DEFINED) if path.suffix == ".c" else ()):
            functions += name in declared
            for header in declared.get(name, ()):
                if not is_home(header, path):
                    problems += 1
                    print(f"{path.relative_to(ROOT)}: {name}() is declared in {header.relative_to(ROOT)}")
    print(f"check-homes: {functions} functions, {problems} declared elsewhere")
    return 1 if problems or not functions else 0


if __name__ == "__main__":
    sys.exit(main())
