# SPDX-License-Identifier: MIT
"""Print the size of the image by folder, and compare it with docs/size.md.

    python3 tests/size.py build                     print the table
    python3 tests/size.py build --compiler ... --docs    write it into docs/size.md
    python3 tests/size.py build --compiler ... --check   fail where docs/size.md differs by more than the tolerance

The linker's map (build/lamina.map) names each input section that is in the image, after
--gc-sections, with its size and its object file. The sums are of these.
"""

import argparse
import collections
import os
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs/size.md"

BEGIN, END = "<!-- Made by `make size-docs`: do not edit. -->", "<!-- End of the table. -->"
COLUMNS = ("code", "constants", "data", "bss")
# Output sections of linker.ld. The build ID is a constant in the image like any other.
COLUMN_OF = {".text": "code", ".rodata": "constants", ".note.gnu.build-id": "constants",
             ".data": "data", ".bss": "bss"}
# Parts that come from no object file: alignment between sections, and what the linker itself adds.
FILLED, LINKER = "(alignment)", "(linker)"
FILE, TOTAL = "(file format)", "total"

# A documented figure may differ from the real one by the larger of these.
TOLERANCE_SHARE, TOLERANCE_BYTES = 0.03, 512

OUTPUT = re.compile(r"^(\.[\w.-]+)(?:\s+0x([0-9a-f]+)\s+0x([0-9a-f]+).*)?$")
INPUT = re.compile(r"^ (\S+)\s+0x([0-9a-f]+)\s+0x([0-9a-f]+)(?: (.*))?$")
LONG_NAME = re.compile(r"^ (?:\.[\w.$-]+|COMMON)$")
CONTINUED = re.compile(r"^\s+0x[0-9a-f]+\s+0x[0-9a-f]+")


class SizeError(Exception):
    """A map or a document that cannot be read; the message says why."""


def joined_lines(text):
    """The map's lines, with a long section name and its figures, which follow on the next line, joined."""
    name = None
    for line in text.splitlines():
        if name is not None and CONTINUED.match(line):
            yield f"{name} {line.strip()}"
            name = None
            continue
        if name is not None:
            yield name
        name = line if LONG_NAME.match(line) or re.fullmatch(r"\.[\w.-]+", line) else None
        if name is None:
            yield line
    if name is not None:
        yield name


def folder_of(path, build):
    """The source folder of an object file: build/core/emulate/emulate.o is from core/emulate."""
    if path is None or path.startswith("*") or not path.endswith(".o"):
        return LINKER
    folder = os.path.dirname(os.path.relpath(path, build))
    if folder.startswith(".."):
        raise SizeError(f"{path} is not below {build}")
    return folder


def input_sections(text, build):
    """For each output section that is loaded: (column, address, size, [(address, size, folder)...])."""
    current = None
    for line in joined_lines(text):
        if match := OUTPUT.match(line):
            if current:
                yield current
            current = None
            if match[1] in COLUMN_OF and match[3]:
                current = (COLUMN_OF[match[1]], int(match[2], 16), int(match[3], 16), [])
        elif current and (match := INPUT.match(line)) and (match[4] or match[1] == "*fill*"):
            folder = FILLED if match[1] == "*fill*" else folder_of(match[4], build)
            if match[1] == ".note.gnu.build-id":
                folder = LINKER
            current[3].append((int(match[2], 16), int(match[3], 16), folder))
    if current:
        yield current


def read_map(text, build):
    """{folder: Counter of columns}, and {column: size of the output sections}."""
    start = text.find("\nLinker script and memory map\n")
    if start < 0:
        raise SizeError("this is no map of GNU ld")
    folders, outputs = collections.defaultdict(collections.Counter), collections.Counter()
    for column, address, size, inputs in input_sections(text[start:], build):
        outputs[column] += size
        at, end = address, address + size
        # Common strings of several sections are merged: such a section ends where the next one begins.
        following = [entry[0] for entry in inputs[1:]] + [end]
        for (begin, length, folder), limit in zip(inputs, following):
            if not at <= begin <= limit <= end:
                raise SizeError(f"a section at {begin:#x} is out of order in the map")
            folders[FILLED][column] += begin - at
            at = begin + min(length, limit - begin)
            folders[folder][column] += at - begin
        folders[FILLED][column] += end - at
    return folders, outputs


def rows_of(folders, outputs, file_size):
    """Rows of (name, code, constants, data, bss, file): the folders by name, then the rest, then the sums."""
    named = sorted(name for name in folders if not name.startswith("("))
    rows = []
    for name in named + [name for name in (LINKER, FILLED) if sum(folders[name].values())]:
        sizes = [folders[name][column] for column in COLUMNS]
        rows.append((name, *sizes, sum(sizes[:3])))
    in_sections = sum(outputs[column] for column in COLUMNS[:3])
    rows.append((FILE, 0, 0, 0, 0, file_size - in_sections))
    rows.append((TOTAL, *(outputs[column] for column in COLUMNS), file_size))
    return rows


def as_text(rows):
    head = ("folder", *COLUMNS, "in the file")
    lines = [f"{head[0]:<16}" + "".join(f"{word:>13}" for word in head[1:])]
    lines += [f"{row[0]:<16}" + "".join(f"{number:>13}" for number in row[1:]) for row in rows]
    return "\n".join(lines)


def as_table(rows, compiler):
    lines = [BEGIN, f"Compiler: {compiler}", "", f"| folder | {' | '.join(COLUMNS)} | in the file |",
             "|---|" + "---:|" * (len(COLUMNS) + 1)]
    lines += ["| " + " | ".join([row[0] if row[0].startswith("(") or row[0] == TOTAL else f"`{row[0]}`",
                                 *(str(number) for number in row[1:])]) + " |" for row in rows]
    return "\n".join(lines + [END])


def read_table(text):
    """The document's compiler, and {folder: figures}."""
    match = re.search(re.escape(BEGIN) + r"\nCompiler: ([^\n]*)\n(.*?)" + re.escape(END), text, re.DOTALL)
    if not match:
        raise SizeError(f"{DOCS.name} has no table between its marks")
    rows = re.findall(r"^\| `?([^|`]+?)`? \|((?: \d+ \|)+)$", match[2], re.MULTILINE)
    return match[1], {name: [int(number) for number in re.findall(r"\d+", cells)] for name, cells in rows}


def differences(documented, rows):
    real = {row[0]: list(row[1:]) for row in rows}
    for name in sorted(documented.keys() | real.keys()):
        if name not in documented or name not in real:
            where = "image" if name in real else "document"
            yield f"{name} is in the {where} only"
            continue
        for column, old, new in zip((*COLUMNS, "in the file"), documented[name], real[name]):
            if abs(new - old) > max(TOLERANCE_BYTES, TOLERANCE_SHARE * old):
                yield f"{name}, {column}: {old} in the document, {new} in the image"


def check(text, rows, compiler):
    made_by, documented = read_table(text)
    if made_by != compiler:
        print(f"size: not compared: docs/{DOCS.name} was made with {made_by}, this build by {compiler}")
        return 0
    problems = list(differences(documented, rows))
    for problem in problems:
        print(f"size: {problem}")
    print(f"size: docs/{DOCS.name}: {len(documented)} rows, {len(problems)} differences"
          + ("; make size-docs writes it anew" if problems else ""))
    return 1 if problems else 0


def without_package(text):
    """The compiler's name and version without the revision of its package, as in tests/bench/bench.py."""
    return re.sub(r"\([^)]*\) ", "", text)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", type=pathlib.Path, help="the build folder")
    parser.add_argument("--compiler", default="an unnamed compiler", type=without_package)
    parser.add_argument("--docs", action="store_true", help="write docs/size.md's table")
    parser.add_argument("--check", action="store_true", help="compare docs/size.md's table")
    args = parser.parse_args()
    try:
        folders, outputs = read_map((args.build / "lamina.map").read_text(), str(args.build))
        rows = rows_of(folders, outputs, (args.build / "lamina.elf").stat().st_size)
        if args.check:
            return check(DOCS.read_text(), rows, args.compiler)
        if args.docs:
            text = DOCS.read_text()
            read_table(text)
            before, after = text[:text.index(BEGIN)], text[text.index(END) + len(END):]
            DOCS.write_text(before + as_table(rows, args.compiler) + after)
        else:
            print(as_text(rows))
    except (SizeError, OSError) as error:
        print(f"size: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
