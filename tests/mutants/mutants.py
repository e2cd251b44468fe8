# SPDX-License-Identifier: MIT
"""Change single lines of the product, and list the changes that no unit test notices.

The seed chooses the mutants. Each is built into the unit tests that execute its line, in a copy of
the tree, until one of them fails: first without sanitizers, which is faster, then with them. Only
lines that some unit test executes are chosen; how many are not is said beside the result.
"""

import argparse
import collections
import concurrent.futures
import dataclasses
import itertools
import os
import pathlib
import queue
import random
import re
import shutil
import sys
import threading
import time

import c_source
import equivalents
import operators
import unit_tests

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
FOLDERS = ("core", "vmx", "svm", "dev", "lib")
LEAST = 95               # percent that must be killed, in each folder
COPIED = {".c", ".h", ".inc", ".txt", ".awk", ".asm", ""}


@dataclasses.dataclass
class Verdict:
    mutant: operators.Mutant
    kind: str            # "killed", "survived", "same code" or "invalid"
    by: str = ""         # the test that noticed


# --- what can be mutated ---

def read_candidates(tree):
    """{path: Source} and {path: [mutants]} of all the product's C files."""
    found = {}
    for folder in FOLDERS:
        for path in sorted((tree / folder).rglob("*.[ch]")):
            name = str(path.relative_to(tree))
            if path.name != "offsets.c":        # offsets for NASM, not compiled into the product
                found[name] = c_source.Source(name, path.read_text())
    return found, {name: operators.mutants_of(source) for name, source in found.items()}


class Reach:
    """Knows which tests execute a line, and in which of their objects."""

    def __init__(self, sources, coverage):
        self.coverage = coverage          # {test: {file: {line: [units]}}}
        self.begins = {path: _begins(source) for path, source in sources.items()}
        self.shares = {test: _executed(files) for test, files in coverage.items()}

    def tests(self, path, line):
        """{test: units}: where the compiler has no code for the line, those of the statement that it is in."""
        found = {}
        for test, files in self.coverage.items():
            lines = files.get(path, {})
            units = next((lines[str(at)] for at in range(line, self.begins[path].get(line, line) - 1, -1)
                          if str(at) in lines), [])
            if units:
                found[test] = set(units)
        return found

    def of(self, mutant):
        """The tests that execute every line of the mutant."""
        found = self.tests(mutant.path, mutant.line)
        for line in mutant.lines[1:]:
            others = self.tests(mutant.path, line)
            found = {test: units | others[test] for test, units in found.items() if test in others}
        return found

    def share(self, test, path):
        """The share of the test's executed lines that are in this file; the most specific test runs first."""
        executed = self.shares[test]
        return executed.get(path, 0) / max(1, sum(executed.values()))


def _begins(source):
    return {line: statement.first_line for statement in source.statements()
            for line in range(statement.first_line, statement.last_line + 1)}


def _executed(files):
    return {path: sum(map(bool, lines.values())) for path, lines in files.items()
            if path.split("/")[0] in FOLDERS}


# --- which of them are tried ---

def draw(mutants, seed, path):
    """The mutants of one file in the order in which they are tried: each line once, then again."""
    chance = random.Random(f"{seed} {path}")
    lines = collections.defaultdict(lambda: collections.defaultdict(list))
    for mutant in mutants:
        lines[mutant.line][mutant.operator].append(mutant)
    order = sorted(lines)
    chance.shuffle(order)
    drawn = {line: _draw_line(lines[line], chance) for line in order}
    rounds = itertools.zip_longest(*(drawn[line] for line in order))
    return [mutant for row in rounds for mutant in row if mutant]


def _draw_line(by_operator, chance):
    names = sorted(by_operator)
    chance.shuffle(names)
    for name in names:
        chance.shuffle(by_operator[name])
    rounds = itertools.zip_longest(*(by_operator[name] for name in names))
    return [mutant for row in rounds for mutant in row if mutant]


def share_out(count, weights, seed):
    """{path: number}, in proportion to the weights; the seed decides how it is rounded."""
    total, sum_before = sum(weights.values()), 0
    offset = random.Random(f"{seed} shares").random()
    shares = {}
    for path in sorted(weights):
        sum_after = sum_before + weights[path]
        shares[path] = int(count * sum_after / total + offset) - int(count * sum_before / total + offset)
        sum_before = sum_after
    return shares


def is_chosen(path, only):
    return not only or path == only or path.startswith(only.rstrip("/") + "/")


# --- one mutant ---

class Worker:
    """Builds and runs mutants in its own copy of the tree."""

    def __init__(self, number, folder, baseline, tests, reach):
        self.baseline, self.tests, self.reach = baseline, tests, reach
        self.tree = folder / f"work-{number}"
        copy_tree(baseline.tree, self.tree)
        self.compiler = unit_tests.Compiler(self.tree, folder / f"out-{number}", baseline.compiler.compiler)

    def judge(self, mutant):
        path = self.tree / mutant.path
        original = path.read_text()
        path.write_text(mutant.apply(original))
        try:
            return self._judge(mutant)
        finally:
            path.write_text(original)

    def _judge(self, mutant):
        reached = self.reach.of(mutant)
        built = {}
        for variant in ("plain", "sanitized"):
            for name in self._order(mutant, reached, variant):
                good = self._passes(self.tests[name], reached[name], variant, built)
                if good is None:
                    return Verdict(mutant, "invalid")
                if not good:
                    return Verdict(mutant, "killed", f"{name} {variant}")
            if variant == "plain" and reached and self._same_code(reached):
                return Verdict(mutant, "same code")
        return Verdict(mutant, "survived")

    def _order(self, mutant, reached, variant):
        """The fast and specific tests first, without those that fail in this variant anyway."""
        costs = {name: self.baseline.seconds(self.tests[name], variant) for name in reached}
        return sorted((name for name in reached if costs[name] is not None), key=lambda name: (
            (costs[name] + 0.1 * len(reached[name])) / (self.reach.share(name, mutant.path) + 0.02), name))

    def _passes(self, test, changed, variant, built):
        """None: the mutant does not compile."""
        objects = []
        for unit in test.units:
            if unit.name not in changed:
                objects.append(self.baseline.object(unit, variant))
                continue
            if (unit, variant) not in built:
                built[unit, variant] = self.compiler.compile(unit, variant)[0]
            if not built[unit, variant]:
                return None
            objects.append(self.compiler.object(unit, variant))
        program = self.compiler.out / "program"
        if not self.compiler.link(test, variant, objects, program)[0]:
            return None
        seconds = self.baseline.seconds(test, variant)
        return unit_tests.run_test(program, self.tree, variant, 3 * seconds + 2)

    def _same_code(self, reached):
        """Whether optimization gives the same machine code: then the mutant is equivalent."""
        units = {unit for name, changed in reached.items() for unit in self.tests[name].units if unit.name in changed}
        for unit in sorted(units, key=lambda unit: unit.name):
            original = self.baseline.object(unit, "optimized").read_bytes()
            self.compiler.compile(unit, "optimized")
            if self.compiler.object(unit, "optimized").read_bytes() != original:
                return False
        return True


def copy_tree(source, to):
    """The C files with all that they include; what is there already and the same stays."""
    wanted = set()
    for top in sorted(source.iterdir()):
        if top.name in ("build", "docs") or top.name.startswith(".") or not top.is_dir():
            continue
        for path in top.rglob("*"):
            if path.is_file() and (path.suffix in COPIED or path.name == "Makefile"):
                wanted.add(path.relative_to(source))
    for name in sorted(wanted):
        target = to / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists() or target.read_bytes() != (source / name).read_bytes():
            shutil.copyfile(source / name, target)
    for path in [path for path in to.rglob("*") if path.is_file() and path.relative_to(to) not in wanted]:
        path.unlink()


# --- all of them ---

class Run:
    """Tries each file's share of mutants; one that does not compile is replaced by the next."""

    def __init__(self, workers, orders, shares, listed):
        self.idle = queue.SimpleQueue()
        for worker in workers:
            self.idle.put(worker)
        self.orders = {path: iter(order) for path, order in orders.items()}
        self.slots = [path for path in sorted(shares) for _ in range(shares[path])]
        self.listed, self.lock = listed, threading.Lock()
        self.verdicts, self.start = [], time.monotonic()

    def go(self, jobs):
        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            waiting = [pool.submit(self._slot, path) for path in self.slots]
            try:
                for each in waiting:
                    each.result()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        return sorted(self.verdicts, key=lambda verdict: (verdict.mutant.path, verdict.mutant.line,
                                                          verdict.mutant.edits))

    def _slot(self, path):
        worker = self.idle.get()
        try:
            while True:
                with self.lock:
                    mutant = next(self.orders[path], None)
                if not mutant:
                    return
                verdict = worker.judge(mutant)
                self._note(verdict)
                if verdict.kind != "invalid":
                    return
        finally:
            self.idle.put(worker)

    def _note(self, verdict):
        with self.lock:
            self.verdicts.append(verdict)
            tried = sum(each.kind != "invalid" for each in self.verdicts)
            if verdict.kind == "survived" and not self.listed.reason(verdict.mutant):
                print(describe(verdict.mutant), flush=True)
            if verdict.kind != "invalid" and tried % 25 == 0:
                print(f"mutants: {tried} of {len(self.slots)} tried in {time.monotonic() - self.start:.0f} s",
                      flush=True)


# --- the report ---

def describe(mutant):
    return "\n".join([f"{mutant.path}:{mutant.line}: {mutant.operator}", *(f"\t- {line}" for line in mutant.before),
                      *(f"\t+ {line}" for line in mutant.after)])


def folder_of(path):
    return path.split("/")[0]


def report(verdicts, listed, unreached):
    """Print the table; returns whether each folder's rate is good."""
    good = True
    print(f"\n{'folder':8}{'mutants':>8}{'killed':>8}{'survived':>9}{'equivalent':>11}{'rate':>8}"
          f"{'not reached by unit tests':>34}")
    for folder in FOLDERS:
        lines, missed = unreached[folder]
        share = f"{missed} of {lines} lines, {100 * missed / max(1, lines):.0f}%"
        mine = [verdict for verdict in verdicts if folder_of(verdict.mutant.path) == folder]
        kinds = collections.Counter(kind_of(verdict, listed) for verdict in mine)
        killed, survived, equivalent = (kinds[kind] for kind in ("killed", "survived", "equivalent"))
        rate = 100 * killed / (killed + survived) if killed + survived else None
        good &= rate is None or rate >= LEAST
        print(f"{folder:8}{killed + survived + equivalent:8}{killed:8}{survived:9}{equivalent:11}"
              f"{'-' if rate is None else f'{rate:.1f}%':>8}{share:>34}")
    return good


def kind_of(verdict, listed):
    if verdict.kind == "same code" or (verdict.kind == "survived" and listed.reason(verdict.mutant)):
        return "equivalent"
    return verdict.kind


def count_unreached(candidates, reached):
    """{folder: (lines, those of them that no test executes)}, and {path: the same}."""
    files = {}
    for path, mutants in candidates.items():
        lines = {mutant.line for mutant in mutants}
        files[path] = (len(lines), len(lines - {mutant.line for mutant in reached[path]}))
    folders = {folder: tuple(sum(pair[i] for path, pair in files.items() if folder_of(path) == folder)
                             for i in range(2)) for folder in FOLDERS}
    return folders, files


def write_lists(folder, verdicts, listed, files):
    survivors = [verdict.mutant for verdict in verdicts if kind_of(verdict, listed) == "survived"]
    (folder / "survivors.txt").write_text("".join(describe(mutant) + "\n" for mutant in survivors))
    (folder / "results.txt").write_text("".join(
        f"{verdict.kind} {verdict.by}\n{describe(verdict.mutant)}\n" for verdict in verdicts))
    (folder / "unreached.txt").write_text("".join(
        f"{path}: {missed} of {lines} lines\n" for path, (lines, missed) in sorted(files.items()) if missed))


# --- the command ---

def parse_arguments(arguments):
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--seed", default="1")
    parser.add_argument("--count", default=300, type=int, help="how many mutants; 0 for all that there are")
    parser.add_argument("--only", default="", help="a folder or a file of the product")
    parser.add_argument("--jobs", default=2, type=int)
    parser.add_argument("--again", action="store_true", help="only those that survived the run before")
    parser.add_argument("--build", default=ROOT / "build", type=pathlib.Path)
    parser.add_argument("--include-unreached", action="store_true",
                        help="choose among all lines; those that no unit test executes survive")
    parser.add_argument("--list", action="store_true", help="print the chosen mutants, and try none")
    return parser.parse_args(arguments)


def measure(baseline, tests, jobs):
    """The coverage of all tests, with as many at a time."""
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        found = list(pool.map(baseline.coverage, tests))
        list(pool.map(lambda test: baseline.seconds(test, "plain"), tests))
    baseline.save()
    return {test.name: files for test, files in zip(tests, found, strict=True)}


def read_survivors(path):
    """{file: what describe() wrote of its survivors, without the lines' numbers}"""
    found = collections.defaultdict(set)
    for block in re.split(r"\n(?=\S)", path.read_text().rstrip("\n")):
        if block:
            head, *changes = block.split("\n")
            found[head.split(":")[0]].add("\n".join(changes))
    return found


def changes_of(mutant):
    return describe(mutant).split("\n", 1)[1]


def only_survivors(candidates, survivors):
    return {path: [mutant for mutant in mutants if changes_of(mutant) in survivors.get(path, ())]
            for path, mutants in candidates.items()}


def choose(candidates, options):
    orders = {path: draw(mutants, options.seed, path) for path, mutants in candidates.items()
              if mutants and is_chosen(path, options.only)}
    if not orders:
        raise unit_tests.TestProblem(f"no unit test executes anything of {options.only or 'the product'}")
    if not options.count:
        return orders, {path: len(order) for path, order in orders.items()}
    weights = {path: len({mutant.line for mutant in order}) for path, order in orders.items()}
    return orders, share_out(options.count, weights, options.seed)


def main(arguments):
    options = parse_arguments(arguments)
    folder = options.build.resolve() / "mutants"
    copy_tree(ROOT, folder / "tree")
    sources, candidates = read_candidates(folder / "tree")
    listed = equivalents.read(ROOT / "tests/mutants/equivalent.txt")
    for problem in (problems := listed.stale(candidates)):
        print(problem)
    if problems:
        return 2

    baseline = unit_tests.Baseline(folder / "tree", folder)
    tests = unit_tests.read_tests(folder / "tree")
    start = time.monotonic()
    reach = Reach(sources, measure(baseline, tests, options.jobs))
    print(f"mutants: coverage of {len(tests)} unit tests, {time.monotonic() - start:.0f} s")
    reached = {path: [mutant for mutant in mutants if reach.of(mutant)] for path, mutants in candidates.items()}
    chosen = candidates if options.include_unreached else reached
    if options.again:
        chosen = only_survivors(chosen, read_survivors(folder / "survivors.txt"))
        options.count = 0
    orders, shares = choose(chosen, options)
    if options.list:
        for path, count in shares.items():
            print("\n".join(describe(mutant) for mutant in orders[path][:count]))
        return 0
    workers = [Worker(number, folder, baseline, {test.name: test for test in tests}, reach)
               for number in range(options.jobs)]
    run = Run(workers, orders, shares, listed)
    verdicts = run.go(options.jobs)
    baseline.save()
    return conclude(folder, verdicts, listed, count_unreached(candidates, reached), time.monotonic() - run.start)


def conclude(folder, verdicts, listed, unreached, seconds):
    write_lists(folder, verdicts, listed, unreached[1])
    good = report(verdicts, listed, unreached[0])
    kinds = collections.Counter(verdict.kind for verdict in verdicts)
    wrong = [verdict for verdict in verdicts if verdict.kind == "killed" and listed.own_reason(verdict.mutant)]
    for verdict in wrong:
        print(f"{describe(verdict.mutant)}\n\tis listed as equivalent, but {verdict.by} notices it")
    print(f"\nmutants: {len(verdicts) - kinds['invalid']} in {seconds:.0f} s; {kinds['same code']} give the same "
          f"machine code, {kinds['invalid']} more did not compile")
    print(f"mutants: survivors are in {os.path.relpath(folder / 'survivors.txt')}, files with lines that no unit "
          f"test executes in {os.path.relpath(folder / 'unreached.txt')}")
    print(f"mutants: {'at least' if good else 'FAILED: not'} {LEAST}% killed in each folder")
    return 2 if wrong else 0 if good else 1


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (unit_tests.TestProblem, equivalents.ListProblem, c_source.SyntaxProblem) as problem:
        sys.exit(f"mutants: {problem}")
