# SPDX-License-Identifier: MIT
"""The list of equivalent mutants: equivalent.txt, which describes its format."""

import collections


class ListProblem(Exception):
    """The list has a wrong format."""


class Equivalents:
    def __init__(self, path, entries):
        self.path, self.entries = path, entries    # {(file, before, after): (line, reason)}

    def reason(self, mutant):
        return self.entries.get((mutant.path, mutant.before, mutant.after), (0, ""))[1]

    def stale(self, candidates):
        """Errors in the list: entries that fit no line of the product."""
        there = {(path, mutant.before, mutant.after) for path, mutants in candidates.items() for mutant in mutants}
        return [f"{self.path}:{line}: {key[0]} has no such mutant any more"
                for key, (line, _) in self.entries.items() if key not in there]


def read(path):
    return Equivalents(path, parse(path.read_text(), path))


def parse(text, path="equivalent.txt"):
    entries, block = {}, []
    for number, line in enumerate(text.split("\n") + [""], 1):
        if line.startswith("#"):
            continue
        if line.strip():
            block.append((number, line))
        elif block:
            key, reason = _entry(block, path)
            if key in entries:
                raise ListProblem(f"{path}:{block[0][0]}: the same as in line {entries[key][0]}")
            entries[key] = (block[0][0], reason)
            block = []
    return entries


def _entry(block, path):
    parts = collections.defaultdict(list)
    for _, line in block[1:]:
        mark, rest = line.split(maxsplit=1) if len(line.split()) > 1 else (line.strip(), "")
        parts[mark if mark in ("-", "+", "=") else "other"].append(" ".join(rest.split()))
    if parts["other"] or not parts["-"] or len(parts["-"]) != len(parts["+"]) or not "".join(parts["="]):
        raise ListProblem(f"{path}:{block[0][0]}: not a file, lines with -, as many with +, and a reason with =")
    return (block[0][1].strip().split(":")[0], tuple(parts["-"]), tuple(parts["+"])), " ".join(parts["="])
