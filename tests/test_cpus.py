# SPDX-License-Identifier: MIT
"""Machines with several CPUs: all are started, compared with the boot CPU, and parked."""

import re

import pytest

import matrix

GUEST = (matrix.Module("guests/hltoff.elf", "vm=one mem=16M limit=600"),)


def several(setup, cpus):
    return setup._replace(name=f"{setup.name}-{cpus}-cpus", cpus=cpus)


SETUPS = (
    several(matrix.QEMU_SVM, 4), several(matrix.UEFI, 4), several(matrix.PC, 8),
    several(matrix.QEMU_X2APIC, 3), several(matrix.QEMU_7, 2),
    several(matrix.BOCHS_VMX, 2), several(matrix.BOCHS_VMX, 4), several(matrix.BOCHS_SVM, 4),
    several(matrix.BOCHS_2_VMX, 2), several(matrix.BOCHS_2_SVM, 2),
)
BOOTS = [matrix.Boot("cpus", setup, GUEST, lines=(
    rf"CPUs: {setup.cpus} of {setup.cpus} can be used \(packages: \d+, cores: \d+\)", matrix.ENDED_BADLY % (1, 1)),
    absent=("left out", "does not stop", "panic"), memory=256) for setup in SETUPS]


@pytest.mark.parametrize("boot", BOOTS, ids=str)
def test_all_are_started(boot, run):
    assert not run.error, run.error
    for line in boot.lines:
        assert re.search(line, run.text, re.MULTILINE), run.text[-3000:]
    for words in boot.absent:
        assert words not in run.text, run.text[-3000:]
