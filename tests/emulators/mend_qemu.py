#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Take a race out of a QEMU that emulates several CPUs with SVM: mend_qemu.py [--check] PROGRAM

--check changes nothing: the exit status says whether the program is mended.

In QEMU each FXRSTOR, XRSTOR, FRSTOR or FLDENV, on any CPU, calls cpu_clear_ignne(), which reads, changes and
writes the flags `hflags2` of CPU 0, without a lock. CPU 0 keeps there whether nested paging and the global
interrupt flag are on, and changes them at each VMRUN and #VMEXIT. So CPU 0 loses such a change now and then:
its host runs with nested paging (a triple fault without a word), its guest without it (a triple fault of the
guest), or GIF stays clear (it answers no interrupt any more). Several virtual CPUs per CPU under load show it
within a minute. Seen in 10.0.2 and 10.0.13; 7.2 and 11.1 have the same function.

The function only serves the IGNNE# pin, by which DOS reports x87 errors: after an OUT to port F0h, which no test
does, it would end what that began. Here it does nothing.
"""

import re
import subprocess
import sys

FUNCTION = "cpu_clear_ignne"
RETURN = b"\xc3"


def output(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def address(program):
    """Where the function is in memory: QEMU exports it to its modules."""
    symbols = output("nm", "-D", "--defined-only", program)
    found = re.search(rf"^([0-9a-f]+) T {FUNCTION}(?:@|$)", symbols, re.MULTILINE)
    if not found:
        sys.exit(f"{program}: it exports no function {FUNCTION}: see tests/emulators/mend_qemu.py")
    return int(found[1], 16)


def file_offset(program):
    where = address(program)
    for line in output("readelf", "-lW", program).splitlines():
        fields = line.split()
        if fields and fields[0] == "LOAD":
            offset, start, size = (int(fields[i], 16) for i in (1, 2, 4))
            if start <= where < start + size:
                return offset + where - start
    sys.exit(f"{program}: no part of the file holds {FUNCTION} at {where:#x}")


def is_mended(program, offset):
    with open(program, "rb") as file:
        file.seek(offset)
        return file.read(1) == RETURN


def mend(program):
    offset = file_offset(program)
    if is_mended(program, offset):
        return
    with open(program, "r+b") as file:
        file.seek(offset)
        file.write(RETURN)
    print(f"{program}: {FUNCTION}() does nothing now")


if __name__ == "__main__":
    try:
        if sys.argv[1] != "--check":
            mend(sys.argv[1])
        elif not is_mended(sys.argv[2], file_offset(sys.argv[2])):
            sys.exit(f"{sys.argv[2]}: it is not mended: run make emulators")
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"tests/emulators/mend_qemu.py: {error}; it needs binutils, and write access to the program")
