# SPDX-License-Identifier: MIT
"""Several VMs at the same time on the same CPUs: each gets its share, none sees another's registers, and a bad
neighbour delays the others by a bounded time."""

import re

import pytest

import matrix
from conftest import all_passed, front_text

ONE_CPU = matrix.QEMU_SVM
TWO_CPUS = matrix.with_cpus(matrix.QEMU_SVM, 2)
SLICE_MS = 10


def vm(name, guest, cmdline="", vcpus=1, cpus="0"):
    return matrix.Module(f"guests/{guest}.elf",
                         f"vm={name} mem=16M limit=2400 vcpus={vcpus} cpus={cpus} -- {cmdline}")


def together(name, setup, *modules, **rest):
    return matrix.Boot(name, setup, modules, lines=(matrix.ENDED_WELL,), limit=300, memory=256,
                       options=f"{matrix.Boot.options} start=together", **rest)


# Where time is counted in instructions, so that a busy build machine gives none of them more.
SETUPS = (matrix.in_counted_time(ONE_CPU), matrix.BOCHS_VMX, matrix.BOCHS_SVM)
FAIR = [together("smp-fair", setup, vm("one", "smpspin", "ms=2000"), vm("two", "smpspin", "ms=2000"))
        for setup in SETUPS]
LATE = [together("smp-late", setup, vm("late", "smpspin", "what=1 ms=1000"), vm("busy", "smpspin", "ms=3000"))
        for setup in SETUPS]
LEAK = [together("smp-leak", setup, vm("one", "smpfpu", "seed=1 ms=500", 2, "0-1"),
                 vm("two", "smpfpu", "seed=2 ms=500 xcr0=1", 2, "0-1"))
        for setup in (TWO_CPUS, matrix.with_cpus(matrix.BOCHS_VMX, 2), matrix.with_cpus(matrix.BOCHS_SVM, 2))]
FLOOD = [together(f"smp-flood-{what}", TWO_CPUS, vm("late", "smpspin", "what=1 ms=1000"),
                  vm("bad", "smpflood", f"what={what} ms=2000", 2, "0-1"))
         for what in (0, 1, 3)]


def text_of(run):
    assert not run.error, run.error
    assert re.search(matrix.ENDED_WELL, run.text, re.MULTILINE), run.text[-3000:]
    return run.text


@pytest.mark.parametrize("boot", FAIR, ids=str)
def test_two_vms_get_the_same_share(boot, run):
    text = text_of(run)
    all_passed(text, ("one", "two"))
    # At the same time, not one after the other. They need not end together: each measures beside the other how long a ms is.
    starts, ends = ([float(time) for time in re.findall(rf"^\[ *([\d.]+) cpu0 (?:one|two)\] {what}", text, re.MULTILINE)]
                    for what in ("first entry", "vm ended"))
    assert len(starts) == len(ends) == 2
    assert min(ends) - max(starts) > 0.5 * (max(ends) - min(starts)), (starts, ends)
    # Once each, though a line of the VM in the back is replayed when it comes to the front.
    said = set(re.findall(r"smpspin: cpu 0: (\d+) loops in (\d+)", front_text(text)))
    rates = [int(loops) / int(time) for loops, time in said]
    assert len(rates) == 2, text[-3000:]
    assert 0.48 <= rates[0] / sum(rates) <= 0.52, rates


def latest_ms(text):
    worst, per_ms = re.search(r"smpspin: late by at most (\d+) of (\d+) ticks per ms", front_text(text)).groups()
    return int(worst) / int(per_ms)


@pytest.mark.parametrize("boot", LATE, ids=str)
def test_a_timer_waits_for_one_slice_of_another_vm(boot, run):
    """A vCPU that was halted comes next when its timer is due: after one slice of the other at most."""
    text = text_of(run)
    all_passed(text, ("late", "busy"))
    assert latest_ms(text) <= 1.5 * SLICE_MS


@pytest.mark.parametrize("boot", LEAK, ids=str)
def test_registers_of_another_vm_are_not_seen(boot, run):
    all_passed(text_of(run), ("one", "two"))


@pytest.mark.parametrize("boot", FLOOD, ids=str)
def test_a_bad_neighbour_stops_nobody(boot, run):
    all_passed(text_of(run), ("late", "bad"))
