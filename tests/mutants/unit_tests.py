# SPDX-License-Identifier: MIT
"""The unit tests' programs: builds their objects, runs them, and collects the lines that they execute."""

import collections
import dataclasses
import hashlib
import json
import math
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import threading
import time

# Variants of compiler flags. A mutant that survives `plain` is tried with `sanitized`; `optimized` is only compared.
VARIANTS = {
    "plain": ("-O1",),
    "sanitized": ("-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
    "coverage": ("-O0", "--coverage"),
    "optimized": ("-O2",),
}
# These flags of tests/unit/Makefile are replaced by those above.
REPLACED = re.compile(r"-O.|-g|-W.*|-fsanitize.*|-fno-sanitize.*")
# Options whose value is the next word.
WITH_VALUE = {"--param", "-z", "-Xlinker"}
# A failed test ends its program.
TEST_ENVIRONMENT = {"CMOCKA_TEST_ABORT": "1"}


class TestProblem(Exception):
    """The unit tests do not work even without a mutant."""


@dataclasses.dataclass(frozen=True)
class Unit:
    """A C file with the flags that a test compiles it with."""
    source: str
    flags: tuple

    @property
    def name(self):
        flags = hashlib.sha256(" ".join(self.flags).encode()).hexdigest()[:6]
        return f"{self.source.replace('/', '-')}-{flags}"


@dataclasses.dataclass(frozen=True)
class Test:
    name: str
    units: tuple
    flags: tuple
    libs: tuple


def run_quietly(command, **options):
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, **options)


def read_tests(tree):
    """The commands of tests/unit/Makefile, as make prints them."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    made = run_quietly(["make", "-n", "-B", "-C", str(tree / "tests/unit"), "all"], env=environment)
    tests = [parse_command(line, tree) for line in made.stdout.replace("\\\n", " ").splitlines() if "-lcmocka" in line]
    if made.returncode or not tests:
        raise TestProblem(f"tests/unit/Makefile names no tests: {made.stderr}")
    # Assembly sources have no mutants: their objects are linked as they are.
    objects = {word for test in tests for word in test.libs if word.endswith(".o")}
    made = run_quietly(["make", "-C", str(tree / "tests/unit"), *objects], env=environment) if objects else made
    if made.returncode:
        raise TestProblem(f"tests/unit/Makefile does not make {objects}: {made.stderr}")
    return tests


def parse_command(line, tree):
    """The test that this command of the compiler builds."""
    words = shlex.split(line)[1:]
    out = words.index("-o")
    name = pathlib.Path(words[out + 1]).name
    del words[out:out + 2]
    words = [word.replace(str(tree), ".") for word in words if not REPLACED.fullmatch(word)]
    flags = tuple(word for before, word in zip(["", *words], words)
                  if before in WITH_VALUE or (word.startswith("-") and not word.startswith("-l")))
    sources = [os.path.normpath(word if "/" in word else f"tests/unit/{word}") for word in words if word.endswith(".c")]
    # Other trees are linked with this tree's objects.
    libs = (str(tree / word) if word.endswith(".o") else word
            for word in words if word.startswith("-l") or word.endswith(".o"))
    return Test(name, tuple(Unit(source, flags) for source in sources), flags, tuple(libs))


class Compiler:
    """Objects and programs of one tree, in a folder of their own."""

    def __init__(self, tree, out, compiler):
        self.tree, self.out, self.compiler = tree, out, compiler

    def object(self, unit, variant):
        return self.out / variant / f"{unit.name}.o"

    def command(self, unit, variant):
        path = self.object(unit, variant)
        return [self.compiler, *unit.flags, "-w", *VARIANTS[variant], "-MMD", "-MF", str(path.with_suffix(".d")),
                "-c", "-o", str(path), unit.source]

    def compile(self, unit, variant):
        """(whether it compiles, the compiler's messages)."""
        self.object(unit, variant).parent.mkdir(parents=True, exist_ok=True)
        done = run_quietly(self.command(unit, variant), cwd=self.tree)
        return done.returncode == 0, done.stderr

    def link(self, test, variant, objects, program):
        done = run_quietly([self.compiler, *test.flags, *VARIANTS[variant], "-o", str(program), *map(str, objects),
                            *test.libs], cwd=self.tree)
        return done.returncode == 0, done.stderr


def run_test(program, tree, variant, seconds, extra=None):
    """Whether the test passes within this CPU time."""
    limits = f"ulimit -t {math.ceil(seconds)}; ulimit -c 0; ulimit -f 262144; "
    if variant == "plain":
        limits += "ulimit -v 8388608; "
    process = subprocess.Popen(["sh", "-c", limits + 'exec "$0"', str(program)], cwd=tree / "tests/unit",
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               start_new_session=True, env=os.environ | TEST_ENVIRONMENT | (extra or {}))
    try:
        return process.wait(timeout=10 * seconds + 20) == 0
    except subprocess.TimeoutExpired:
        return False
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()


class Baseline:
    """The tests without any mutant: their objects, how long they take, and what they execute."""

    def __init__(self, tree, folder, compiler="gcc"):
        self.tree, self.folder = tree, folder
        self.compiler = Compiler(tree, folder / "objects", compiler)
        self.cache_path = folder / "cache.json"
        self.cache = json.loads(self.cache_path.read_text()) if self.cache_path.exists() else {}
        self.version = run_quietly([compiler, "--version"]).stdout
        self.locks = collections.defaultdict(threading.Lock)
        self.lock = threading.Lock()
        self.hashes, self.ready = {}, set()

    def save(self):
        self.cache_path.write_text(json.dumps(self.cache))

    def _lock(self, name):
        with self.lock:
            return self.locks[name]

    def hash_of(self, path):
        if path not in self.hashes:
            file = self.tree / path
            self.hashes[path] = hashlib.sha256(file.read_bytes()).hexdigest() if file.exists() else None
        return self.hashes[path]

    def _key(self, unit, variant):
        """A hash of all files that the object is made from; None if they are not known yet."""
        depends = self.compiler.object(unit, variant).with_suffix(".d")
        if not depends.exists():
            return None
        paths = depends.read_text().replace("\\\n", " ").split(":", 1)[1].split()
        command = [self.version, *self.compiler.command(unit, variant)]
        return hashlib.sha256(repr((command, [(path, self.hash_of(path)) for path in paths])).encode()).hexdigest()

    def object(self, unit, variant):
        """The object of the unmodified source, compiled if anything in it is new."""
        name = f"{variant} {unit.name}"
        with self._lock(name):
            path = self.compiler.object(unit, variant)
            if name in self.ready:
                return path
            if not path.exists() or self.cache.get(name) != self._key(unit, variant):
                good, words = self.compiler.compile(unit, variant)
                if not good:
                    raise TestProblem(f"{unit.source} does not compile: {words}")
                self.cache[name] = self._key(unit, variant)
            self.ready.add(name)
            return path

    def signature(self, test, variant):
        for unit in test.units:
            self.object(unit, variant)
        return "".join(self.cache[f"{variant} {unit.name}"] for unit in test.units)

    def program(self, test, variant):
        objects = [self.object(unit, variant) for unit in test.units]
        path = self.folder / "programs" / f"{variant}-{test.name}"
        path.parent.mkdir(parents=True, exist_ok=True)
        good, words = self.compiler.link(test, variant, objects, path)
        if not good:
            raise TestProblem(f"{test.name} does not link: {words}")
        return path

    def seconds(self, test, variant):
        """How long the test takes; None: it fails in this variant without a mutant."""
        name = f"seconds {variant} {test.name}"
        with self._lock(name):
            signature = self.signature(test, variant)
            known = self.cache.get(name)
            if not known or known["signature"] != signature:
                program = self.program(test, variant)
                start = time.monotonic()
                passed = run_test(program, self.tree, variant, 300)
                known = {"signature": signature, "seconds": time.monotonic() - start if passed else None}
                self.cache[name] = known
            if known["seconds"] is None and variant == "sanitized":
                raise TestProblem(f"{test.name} fails without any mutant")
            return known["seconds"]

    def coverage(self, test):
        """{file: {line: [units that execute it]}}, with an empty list for a line that is not executed."""
        name = f"coverage {test.name}"
        signature = self.signature(test, "coverage")
        known = self.cache.get(name)
        if not known or known["signature"] != signature:
            known = {"signature": signature, "files": self._measure(test)}
            self.cache[name] = known
        return known["files"]

    def _measure(self, test):
        folder = self.folder / "coverage" / test.name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        objects = self.compiler.out / "coverage"
        strip = len(objects.parts) - 1
        if not run_test(self.program(test, "coverage"), self.tree, "coverage", 600,
                        {"GCOV_PREFIX": str(folder), "GCOV_PREFIX_STRIP": str(strip)}):
            raise TestProblem(f"{test.name} fails without any mutant when its coverage is measured")
        files = {}
        for unit in test.units:
            self._read_coverage(unit, folder, files)
        return files

    def _read_coverage(self, unit, folder, files):
        if not (folder / f"{unit.name}.gcda").exists():
            return
        shutil.copy(self.compiler.object(unit, "coverage").with_suffix(".gcno"), folder)
        said = run_quietly(["gcov", "--json-format", "--stdout", str(folder / f"{unit.name}.gcda")], cwd=self.tree)
        for record in map(json.loads, said.stdout.splitlines()):
            for file in record["files"]:
                lines = files.setdefault(os.path.normpath(file["file"]), {})
                for line in file["lines"]:
                    units = lines.setdefault(str(line["line_number"]), [])
                    if line["count"] and unit.name not in units:
                        units.append(unit.name)
