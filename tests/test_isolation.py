# SPDX-License-Identifier: MIT
"""While a VM runs, no page table that its CPU uses maps memory of another VM: walked on each CPU, at each slice."""

import re

import pytest

import emu
import emulators
import image
import matrix
from conftest import BUILD, LOGS

SETUPS = (matrix.QEMU_SVM, matrix.BOCHS_VMX, matrix.BOCHS_SVM)
VMS = ("apart1", "apart2", "apart3")
WALK = re.compile(r"(PASS|FAIL) isolation: VM (\S+): (\d+) leaves, (\d+) of the VM, (\d+) of other VMs")


@pytest.mark.parametrize("setup", SETUPS, ids=lambda setup: setup.name)
def test_no_cpu_maps_memory_of_another_vm(setup, tmp_path):
    if emulators.missing(setup.emulator):
        pytest.skip(emulators.missing(setup.emulator))
    LOGS.mkdir(parents=True, exist_ok=True)
    iso = tmp_path / "isolation.iso"
    modules = [image.Module(BUILD / "guests/smpspin.elf", vm, f"vm={vm} mem=16M limit=600 -- ms=200") for vm in VMS]
    image.build(iso, BUILD / "selftest.elf", "console=com1,115200 onend=poweroff onfail=poweroff", modules, True)
    with emu.Machine(iso, setup.emulator, setup.model, 256, ips=setup.ips, cpus=2,
                     log=LOGS / f"isolation-{setup.name}.log") as machine:
        if not machine.wait(120):
            pytest.fail(machine.report("it did not power off"), pytrace=False)
        text = machine.text()
    walks = WALK.findall(text)
    assert {vm for _, vm, *_ in walks} == set(VMS), text[-3000:]
    assert all(verdict == "PASS" and int(own) > 0 and int(foreign) == 0 for verdict, _, _, own, foreign in walks), walks
    cpus = set(re.findall(r"cpu(\d+)\] PASS isolation", text))
    assert cpus == {"0", "1"}, cpus
