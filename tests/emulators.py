# SPDX-License-Identifier: MIT
"""The builds of the emulators, and how each is started.

The tests run on those that tests/emulators/fetch.sh has fetched, `qemu` and `bochs`; a few rows, the
benchmark and `make run` with one CPU on those that are installed, which users have: `qemu-7.2` and `bochs-2.7`,
named after the versions in Debian 12. Known deviations are listed for one build each.
As a program it prints the command that starts a build.
"""

import dataclasses
import functools
import os
import pathlib
import re
import shlex
import subprocess
import sys

FETCHED = pathlib.Path(__file__).resolve().parent.parent / "build/emulators"


class MissingEmulator(Exception):
    """An emulator that has not been fetched or installed; the message says which."""


@dataclasses.dataclass(frozen=True)
class Emulator:
    name: str                   # its name in the boot matrix
    kind: str                   # "qemu" or "bochs": whose options it takes
    version: str
    command: tuple              # the command that starts it, without options
    environment: tuple = ()     # (name, value) pairs, added to the inherited ones
    bios: str = ""              # Bochs needs the paths of its BIOS files
    vgabios: str = ""
    debugger: tuple = ()        # the option that starts Bochs in its debugger
    always_debugger: bool = False

    def __str__(self):
        return {"qemu": "QEMU", "bochs": "Bochs"}[self.kind] + " " + self.version

    def prefix(self):
        """The command with its environment, so that it can follow another command."""
        program = self.command[0]
        if "/" in program and not os.path.exists(program):
            raise MissingEmulator(f"{self} is not there: run make emulators")
        return [*(("env", *(f"{name}={value}" for name, value in self.environment))
                  if self.environment else ()), *self.command]

    def says_version(self):
        """The version that the emulator itself prints."""
        option = {"qemu": "--version", "bochs": "--help"}[self.kind]
        said = subprocess.run([*self.prefix(), option], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False).stdout
        found = re.search(r"(?:QEMU emulator version|Bochs x86 Emulator) (\d+(?:\.\d+)*)", said)
        return found[1] if found else "of an unknown version"


def fetched(folder, program, libraries):
    """The command for a program of a fetched folder, run by that folder's own loader with its own libraries."""
    root = FETCHED / folder
    path = ":".join(str(root / name) for name in ("lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu"))
    return (str(root / libraries / "ld-linux-x86-64.so.2"), "--inhibit-cache", "--library-path", path,
            str(root / "usr/bin" / program))


BOCHS_3 = FETCHED / "bochs-3"
EMULATORS = (
    # It finds its firmware and modules by the link qemu-bundle, which fetch.sh makes.
    Emulator("qemu", "qemu", "10.0", fetched("qemu-10", "qemu-system-x86_64", "lib/x86_64-linux-gnu")),
    Emulator("qemu-7.2", "qemu", "7.2", ("qemu-system-x86_64",)),
    Emulator("bochs", "bochs", "3.0", fetched("bochs-3", "bochs-bin", "usr/lib/x86_64-linux-gnu"),
             (("LTDL_LIBRARY_PATH", BOCHS_3 / "usr/lib/x86_64-linux-gnu/bochs/plugins"),
              ("BXSHARE", BOCHS_3 / "usr/share/bochs")),
             str(BOCHS_3 / "usr/share/bochs/BIOS-bochs-latest"),
             str(BOCHS_3 / "usr/share/vgabios/vgabios.bin"), ("-debugger",)),
    # Debian's build always has the debugger on.
    Emulator("bochs-2.7", "bochs", "2.7", ("bochs-bin",), (), "/usr/share/bochs/BIOS-bochs-latest",
             "/usr/share/vgabios/vgabios.bin", (), True),
)
BY_NAME = {emulator.name: emulator for emulator in EMULATORS}
INSTALLED = {"qemu": "qemu-7.2", "bochs": "bochs-2.7"}


def get(name):
    return BY_NAME[name]


def kind(name):
    return BY_NAME[name].kind


@functools.lru_cache
def missing(name):
    """Why this emulator is not available here; "" if it is."""
    emulator = get(name)
    said = emulator.says_version()
    if said == emulator.version or said.startswith(emulator.version + "."):
        return ""
    return f"{emulator} is wanted, and {' '.join(emulator.command[-1:])} is {said}"


if __name__ == "__main__":
    print(shlex.join([*get(sys.argv[1]).prefix(), *get(sys.argv[1]).debugger]))
