# SPDX-License-Identifier: MIT
"""Nested page tables that change under a running CPU, with build/selftest.elf, whose test device changes them."""

import re

import pytest

import conftest
import emu
import emulators
import image
import matrix

SETUPS = (matrix.QEMU_SVM, matrix.BOCHS_VMX, matrix.BOCHS_SVM)
LIMIT = 120
VERDICT = r"guest smpunmap: (\d+) passed, (\d+) failed"


@pytest.mark.parametrize("setup", SETUPS, ids=lambda setup: setup.name)
def test_changes_are_seen_by_the_other_cpu(setup, tmp_path):
    if emulators.missing(setup.emulator):
        pytest.skip(emulators.missing(setup.emulator))
    module = image.Module(conftest.BUILD / "guests/smpunmap.elf", "unmap", "vm=unmap mem=16M vcpus=2 limit=600")
    iso = tmp_path / "tdp.iso"
    image.build(iso, conftest.BUILD / "selftest.elf", "console=com1,115200 onend=poweroff onfail=poweroff", [module],
                True)
    conftest.LOGS.mkdir(parents=True, exist_ok=True)
    with emu.Machine(iso, setup.emulator, setup.model, 128, ips=setup.ips, cpus=2,
                     log=conftest.LOGS / f"tdp-{setup.name}.log") as machine:
        machine.wait(LIMIT)
        text = machine.text()
    found = re.search(VERDICT, text)
    assert found, text[-3000:]
    assert int(found[1]) >= 20 and int(found[2]) == 0, "\n".join(re.findall(r".*FAIL.*", text))
    assert "does not answer" not in text
