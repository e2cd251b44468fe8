# SPDX-License-Identifier: MIT
"""Forced exits and interrupted deliveries on the emulated processors: build/selftest.elf.

A check that fails because of an emulator's bug is listed here with the reason, for each version separately.
Every entry must be needed: the test fails if the emulator has fixed the bug, or if an entry covers too much.
"""

import collections
import re

import pytest

import conftest
import emu
import emulators
import image
import matrix

Deviation = collections.namedtuple("Deviation", "checks count reason")
Machine = collections.namedtuple("Machine", "setup options deviations")

# (checks, how many of them fail, or None if that is not the same in each build, why)
QEMU_SHADOW = Deviation(
    r".* mode, IF=\d, shadow of .*no event: the interrupt shadow", 27,
    "QEMU 7.2 does not load the interrupt shadow at VMRUN")
QEMU_SHADOW_INTERRUPT = Deviation(
    r"interrupt in the shadow of (STI|MOV SS): behind the next instruction", 2,
    "QEMU 7.2 does not load the interrupt shadow at VMRUN")
BOCHS_SHADOW = Deviation(
    r".* mode, IF=\d, shadow of .*no event: 1 guest instructions ran", 27,
    "Bochs runs one instruction in a shadow before the preemption timer exits")
BOCHS_IF_0_VMX = Deviation(
    r".* mode, IF=0.*no event: 12288 guest instructions ran", 18,
    "Bochs notices no interrupt in a guest that entered with IF clear")
BOCHS_SHADOW_IPI = Deviation(
    r".* mode, IF=1, shadow of .*no event: 1 guest instructions ran", 18,
    "an interrupt waits until the shadow is over, as the manual says")
BOCHS_IF_0_SVM = Deviation(
    r".* mode, IF=0.*: 12288 guest instructions ran", 63,
    "Bochs notices no interrupt in a guest that entered with IF clear")
BOCHS_INT_N = Deviation(
    r"INT n (in ring 3 )?without its .*: its vector", 10,
    "Bochs leaves in EXITINTINFO the exception before where INT n is interrupted")
BOCHS_INT_N_REAL = Deviation(
    r"real mode: INT n without its .*: arrives once", 3, BOCHS_INT_N.reason)
BOCHS_LATE = Deviation(
    r"NMI while #UD is delivered: immediately", 1,
    "Bochs notices no interrupt in a guest that entered with IF clear")
# How many depends on which of the host's interrupts were served since the guest's STI.
BOCHS_WINDOW = Deviation(
    r"interrupt in the shadow of (STI|MOV SS): (arrives once|behind the next instruction)", None,
    "Bochs gives no VINTR exit where IF is set at VMRUN")

# Bochs 2.7 and 3.0 have the same bugs. None with apicv=full: both do not write the IDT-vectoring information where the
# delivery of a virtual interrupt is cut off, and these guests cut off each kind of delivery.
BOCHS_SVM = (BOCHS_IF_0_SVM, BOCHS_SHADOW_IPI, BOCHS_INT_N, BOCHS_INT_N_REAL, BOCHS_LATE, BOCHS_WINDOW)
MACHINES = (
    Machine(matrix.QEMU_SVM, "", ()),
    Machine(matrix.QEMU_7, "", (QEMU_SHADOW, QEMU_SHADOW_INTERRUPT)),
    Machine(matrix.BOCHS_VMX, "", (BOCHS_SHADOW,)),
    Machine(matrix.BOCHS_VMX, "apicv=off vmx.nopreempt", (BOCHS_IF_0_VMX, BOCHS_SHADOW_IPI, BOCHS_LATE)),
    Machine(matrix.BOCHS_SVM, "", BOCHS_SVM),
)
LONG_MACHINES = (
    Machine(matrix.QEMU_X2APIC, "x2apic=on", ()),
    Machine(matrix.BOCHS_VMX_NEW, "", (BOCHS_SHADOW,)),
    Machine(matrix.BOCHS_2_VMX, "", (BOCHS_SHADOW,)),
    Machine(matrix.BOCHS_2_SVM, "", BOCHS_SVM),
)


def rows(of):
    """The rows of each machine as parameters; those of the long ones are marked."""
    return [pytest.param(*row, marks=[pytest.mark.long] * (machine in LONG_MACHINES))
            for machine in (*MACHINES, *LONG_MACHINES) for row in of(machine)]


EACH = rows(lambda machine: [(machine,)])
DEVIATIONS = rows(lambda machine: [(machine, deviation) for deviation in machine.deviations])
GUESTS = (("debugexit", "forced", ""), ("delivery", "delivery", "limit=600"),
          ("delivery32", "delivery32", "limit=600"), ("deliveryreal", "deliveryreal", "limit=600"),
          ("machinecheck", "machinecheck", "limit=600"))
# The line that reports a test, and the least number of its checks.
VERDICTS = ((r"selftest forced", 150), (r"guest delivery", 80), (r"guest delivery32", 100),
            (r"guest deliveryreal", 90), (r"guest machinecheck", 49))


def name(value):
    if isinstance(value, Machine):
        return "-".join(filter(None, (value.setup.name, value.options.replace(" ", "-"))))
    return value.reason.replace(" ", "-")


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    return tmp_path_factory.mktemp("events"), {}


@pytest.fixture
def log(logs, machine):
    """The log of the machine; each machine is booted once."""
    folder, texts = logs
    if emulators.missing(machine.setup.emulator):
        pytest.skip(emulators.missing(machine.setup.emulator))
    if machine not in texts:
        iso, setup = folder / f"{name(machine)}.iso", machine.setup
        modules = [image.Module(conftest.BUILD / f"guests/{file}.elf", vm, f"vm={vm} mem=16M {keys}")
                   for file, vm, keys in GUESTS]
        image.build(iso, conftest.BUILD / "selftest.elf",
                    f"console=com1,115200 onend=poweroff onfail=poweroff start=sequence {machine.options}", modules, True)
        conftest.LOGS.mkdir(parents=True, exist_ok=True)
        with emu.Machine(iso, setup.emulator, setup.model, 128, ips=setup.ips,
                         log=conftest.LOGS / f"events-{name(machine)}.log") as booted:
            booted.wait(120)
            texts[machine] = booted.text()
    return texts[machine]


def failures(text):
    return re.findall(r"^(?:\[[^\]]*\] )?FAIL (.*)", text, re.MULTILINE)


@pytest.mark.parametrize("machine", EACH, ids=name)
def test_events(machine, log):
    unexplained = [check for check in failures(log)
                   if not any(re.match(known.checks, check) for known in machine.deviations)]
    assert not unexplained, "\n".join(unexplained)
    failed = 0
    for who, least in VERDICTS:
        found = re.search(rf"{who}: (\d+) passed, (\d+) failed", log)
        assert found, f"no verdict of {who!r} in\n" + "\n".join(log.splitlines()[-20:])
        assert int(found[1]) + int(found[2]) >= least, found[0]
        failed += int(found[2])
    assert failed == len(failures(log)), "a failure was not seen"


@pytest.mark.parametrize("machine, deviation", DEVIATIONS, ids=name)
def test_deviation(machine, deviation, log):
    count = sum(bool(re.match(deviation.checks, check)) for check in failures(log))
    assert deviation.count in (count, None), f"{count} checks are excused by {deviation}"
    pytest.skip(f"{count} checks: {deviation.reason}")


@pytest.mark.parametrize("machine", EACH, ids=name)
def test_distribution(machine, log):
    """How many guest instructions ran before each of the forced exits."""
    counts = [int(n) for n in re.findall(
        r"^\[[^\]]*\]   (?:none|1|2 to 15|16 to 255|more|all until HLT) +(\d+)$", log.replace("\r", ""),
        re.MULTILINE)]
    assert len(counts) == 6 and sum(counts) > 1000, counts
    assert counts[0] * 2 >= sum(counts), f"half and more must run nothing: {counts}"
    assert sum(counts[2:5]) == 0, f"2 instructions or more, but not until HLT: {counts}"
