# SPDX-License-Identifier: MIT
"""An entry that the processor refuses, from its cause to the next VM, on the same path as in the product.

build/selftest.elf breaks the state of the VM "refused" before its first entry (selftest/run.c).
"""

import re
import subprocess
import sys

import pytest

import conftest
import emu
import image
import matrix

SVM_RULE = r"guest\.efer\.svme: EFER\.SVME must be 1 \(EFER 0x0\) \[APM, \"Canonicalization and Consistency Checks\"\]"
VMX_RULE = r"guest\.cr0\.fixed: .* \[SDM, \"Checks on Guest Control Registers, Debug Registers, and MSRs\"\]"
MACHINES = {
    "qemu-svm": (matrix.QEMU_SVM, r"invalid guest state \(exit code 0x\w+\)", SVM_RULE, 0xffffffff),
    "bochs-svm": (matrix.BOCHS_SVM, r"invalid guest state \(exit code 0x\w+\)", SVM_RULE, 0xffffffff),
    "bochs-vmx": (matrix.BOCHS_VMX, r"invalid guest state \(reason 0x80000021\)", VMX_RULE, 0x80000021),
}
LIMIT = 60


@pytest.fixture(scope="module", params=MACHINES)
def refused(request, tmp_path_factory):
    """The log of the machine, and what is expected in it."""
    setup, *expected = MACHINES[request.param]
    iso = tmp_path_factory.mktemp("refused") / "refused.iso"
    modules = [image.Module(conftest.BUILD / "guests/debugexit.elf", vm, f"vm={vm} mem=16M")
               for vm in ("refused", "next")]
    image.build(iso, conftest.BUILD / "selftest.elf",
                "console=com1,115200 onend=poweroff onfail=poweroff start=sequence check=entries trace=console stats=lines",
                modules, True)
    conftest.LOGS.mkdir(parents=True, exist_ok=True)
    with emu.Machine(iso, setup.emulator, setup.model, 128, ips=setup.ips,
                     log=conftest.LOGS / f"refused-{request.param}.log") as machine:
        assert machine.wait(LIMIT), machine.report("it did not power off")
        return machine.text().replace("\r", ""), *expected


def test_message_then_dump_then_end(refused):
    text, failure, rule, _ = refused
    said = [re.search(rf"^\[[^\]]* refused\] {words}", text, re.MULTILINE) for words in (
        rf"error: vcpu 0: check: refused for {rule}$",
        rf"error: vcpu 0: VM entry failed: {failure}: ",
        r"vcpu 0(?: VMCB:|, what is not listed is 0:)$",        # the dump
        r"trace vm-1 \[000\] \S+ lamina_entry_failed: ",
        r"error: vm ended: the processor refused the VM entry$")]
    assert all(said), (said, text)
    assert [match.start() for match in said] == sorted(match.start() for match in said)


def test_it_is_counted(refused):
    totals = re.search(r"stat vm=refused vcpu=0 entries=1 none=0 handled=0 reenter=0 failed=1 ", refused[0])
    assert totals and "stat vm=refused vcpu=0 exit=" not in refused[0]
    assert re.search(r" refused\] vcpu 0: check: 1 entries checked, 0 alarms$", refused[0], re.MULTILINE)


def test_the_next_vm_runs(refused):
    assert re.search(r"^guest debugexit: [1-9]\d* passed, 0 failed", refused[0], re.MULTILINE)
    assert re.search(r"Lamina: stopped: 1 of 2 VMs did not start, or were ended by an error", refused[0])


def test_viewer_shows_it(refused, tmp_path):
    text, _, _, code = refused
    log, folder = tmp_path / "serial.log", tmp_path / "ctf"
    log.write_text(text)
    subprocess.run([sys.executable, conftest.ROOT / "tools/trace2ctf.py", log, folder], check=True, timeout=600)
    shown = subprocess.run(["babeltrace2", folder], check=True, timeout=600, capture_output=True, text=True).stdout
    (line,) = [line for line in shown.splitlines() if "lamina_entry_failed" in line]
    assert "INVALID_STATE" in line
    assert re.search(rf"code = (?:0x{code:x}|{code})\b", line, re.IGNORECASE), line
