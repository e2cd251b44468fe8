# SPDX-License-Identifier: MIT
"""The list of mutants that change nothing: equivalent.txt, which describes its format."""

import collections
import dataclasses
import fnmatch


class ListProblem(Exception):
    """The list has a wrong format."""


@dataclasses.dataclass(frozen=True)
class Family:
    """All exchanges of a statement that begins with `start`, in the files of a pattern."""
    files: str
    start: str
    line: int
    reason: str

    def has(self, mutant):
        return (mutant.operator == "order" and fnmatch.fnmatch(mutant.path, self.files)
                and any(line.startswith(self.start) for line in mutant.before))


class Equivalents:
    def __init__(self, path, entries, families=()):
        self.path, self.entries = path, entries    # {(file, before, after): (line, reason)}
        self.families = families

    def own_reason(self, mutant):
        return self.entries.get((mutant.path, mutant.before, mutant.after), (0, ""))[1]

    def reason(self, mutant):
        return self.own_reason(mutant) or next((family.reason for family in self.families if family.has(mutant)), "")

    def stale(self, candidates):
        """Errors in the list: entries that fit no line of the product."""
        mutants = [mutant for of_file in candidates.values() for mutant in of_file]
        there = {(mutant.path, mutant.before, mutant.after) for mutant in mutants}
        alone = [(line, key[0]) for key, (line, _) in self.entries.items() if key not in there]
        families = [(family.line, family.files) for family in self.families if not any(map(family.has, mutants))]
        return [f"{self.path}:{line}: {files} has no such mutant any more" for line, files in alone + families]


def read(path):
    return Equivalents(path, *parse(path.read_text(), path))


def parse(text, path="equivalent.txt"):
    """The entries, and the families."""
    entries, families, block = {}, [], []
    for number, line in enumerate(text.split("\n") + [""], 1):
        if line.startswith("#"):
            continue
        if line.strip():
            block.append((number, line))
        elif block and any(line.split()[0] == "~" for _, line in block[1:]):
            families.append(_family(block, path))
            block = []
        elif block:
            key, reason = _entry(block, path)
            if key in entries:
                raise ListProblem(f"{path}:{block[0][0]}: the same as in line {entries[key][0]}")
            entries[key] = (block[0][0], reason)
            block = []
    return entries, families


def _parts(block, marks):
    parts = collections.defaultdict(list)
    for _, line in block[1:]:
        mark, rest = line.split(maxsplit=1) if len(line.split()) > 1 else (line.strip(), "")
        parts[mark if mark in marks else "other"].append(" ".join(rest.split()))
    return parts


def _family(block, path):
    parts = _parts(block, "~=")
    files, _, operator = block[0][1].partition(":")
    if parts["other"] or len(parts["~"]) != 1 or operator.strip() != "order" or not "".join(parts["="]):
        raise ListProblem(f"{path}:{block[0][0]}: not \"files: order\", one line with ~, and a reason with =")
    return Family(files.strip(), parts["~"][0], block[0][0], " ".join(parts["="]))


def _entry(block, path):
    parts = _parts(block, "-+=")
    if parts["other"] or not parts["-"] or len(parts["-"]) != len(parts["+"]) or not "".join(parts["="]):
        raise ListProblem(f"{path}:{block[0][0]}: not a file, lines with -, as many with +, and a reason with =")
    return (block[0][1].strip().split(":")[0], tuple(parts["-"]), tuple(parts["+"])), " ".join(parts["="])
