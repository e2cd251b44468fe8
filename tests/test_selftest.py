# SPDX-License-Identifier: MIT
"""The self-test of VM entries: each rule broken alone, entered for real, and named by the explainer."""

import re

import pytest

import emu
import emulators
import image
from conftest import BUILD, LOGS

LIMIT = 120
SPEED = 20_000_000
ENOUGH = 0.95       # of the rules that the emulator checks, in each of the manual's lists

VERDICT = re.compile(r"selftest vmx-entry: (\d+) proven, (\d+) exceptions, (\d+) not judgeable, (\d+) failed")
COVERAGE = re.compile(r"selftest coverage: (\d+) of (\d+) judged, (\d+) exceptions, (\d+) not judgeable: (.*)")
REFUSED_FOR_MEMORY = ("control.tpr-threshold.vtpr", "guest.link-pointer.revision")
CHECKS = re.compile(r"vcpu 0: check: (\d+) entries checked, (\d+) alarms")


# Rules for controls that Bochs 3.0 offers and 2.7 does not.
JUDGED_BY_3_0 = {"control.posted-interrupts.interrupt-delivery", "control.posted-interrupts.acknowledge",
                 "control.posted-interrupts.vector", "control.posted-interrupts.descriptor",
                 "control.mode-based-execute.ept"}
# Rules for CET, PKRS and the controls that came with them, which only its newest models have.
JUDGED_WITH_CET = {"control.tertiary.reserved", "control.secondary-exit.reserved", "control.sub-page.ept",
                   "control.sub-page.address", "host.cr4.cet-wp", "host.s-cet", "host.ssp.aligned",
                   "host.ssp.canonical", "host.ssp-table", "host.pkrs", "guest.cr4.cet-wp", "guest.s-cet",
                   "guest.ssp-table", "guest.pkrs", "guest.ssp.aligned", "guest.ssp.high", "guest.ssp.width"}
SKIPPED = {("bochs", "corei7_skylake_x"): JUDGED_WITH_CET, ("bochs", "sapphire_rapids"): set(),
           ("bochs-2.7", "corei7_skylake_x"): JUDGED_BY_3_0 | JUDGED_WITH_CET}


@pytest.fixture(scope="module", params=SKIPPED, ids="-".join)
def machine(request):
    if emulators.missing(request.param[0]):
        pytest.skip(emulators.missing(request.param[0]))
    return request.param


@pytest.fixture(scope="module")
def said(machine, tmp_path_factory):
    """The log of one boot of the self-test."""
    LOGS.mkdir(parents=True, exist_ok=True)
    iso = tmp_path_factory.mktemp("selftest") / "selftest.iso"
    modules = [image.Module(BUILD / "guests/debugexit.elf", "mutations.elf", "vm=mutations mem=16M")]
    # apicv=off: the mutations begin from a VMCS without TPR shadow, and set what a rule is about.
    image.build(iso, BUILD / "selftest.elf",
                "console=com1,115200 loglevel=info onend=poweroff onfail=poweroff check=entries apicv=off", modules,
                small=True)
    with emu.Machine(iso, *machine, 128, ips=SPEED, log=LOGS / f"selftest-{'-'.join(machine)}.log") as booted:
        if not booted.wait(LIMIT):
            pytest.fail(booted.report(f"it did not power off within {LIMIT} s"), pytrace=False)
        if not VERDICT.search(booted.text()):
            pytest.fail(booted.report("no verdict"), pytrace=False)
        return booted.text()


def test_every_mutation(said):
    proven, _, _, failed = map(int, VERDICT.search(said).groups())
    assert not re.findall(r"^\[.*cpu0[^\]]*\] (?:error: )?(FAIL .*)", said, re.MULTILINE)
    assert failed == 0 and proven > 0


def test_coverage_of_each_list(said):
    lists = COVERAGE.findall(said)
    assert len(lists) == 12
    for proven, judged, _, _, title in lists:
        assert int(proven) >= ENOUGH * int(judged) > 0, f"{title}: {proven} of {judged}"


def test_what_each_version_judges(machine, said):
    skipped = set(re.findall(r"\] SKIP (\S+?):", said))
    assert skipped & (JUDGED_BY_3_0 | JUDGED_WITH_CET) == SKIPPED[machine]


def test_exceptions_have_reasons(said):
    exceptions = re.findall(r"\] EXCEPT (\S+)(.*)", said)
    assert len(exceptions) == int(VERDICT.search(said)[2])
    assert all(len(reason) > len(": ") for _, reason in exceptions)


def test_check_sees_every_mutation(said):
    """The option check=entries must report each of these; in other boots it must report nothing."""
    checked, alarms = map(int, CHECKS.search(said).groups())
    proven, exceptions, _, _ = map(int, VERDICT.search(said).groups())
    assert checked >= 2 * (proven + exceptions)
    # There is an alarm for states that are entered nevertheless, and for those refused because of data in
    # memory, which the product never uses and the option does not read.
    assert alarms == exceptions + len(REFUSED_FOR_MEMORY)
    for rule in REFUSED_FOR_MEMORY:
        assert re.search(rf"\] PASS {re.escape(rule)}", said)
    assert re.search(r"error: vcpu 0: check: refused for control\.\S+: .*\[SDM, \"", said)


@pytest.mark.parametrize("words", (
    r"VM entry failed: VMfailValid: VM entry with invalid control fields \(VM-instruction error 7\): "
    r"control\.\S+: .*\(pin-based controls 0x[0-9a-f]+, .*\) \[SDM, \"VM-Execution Control Fields\"\]",
    r"VM entry failed: VMfailValid: VM entry with invalid host-state fields \(VM-instruction error 8\): "
    r"host\.\S+: .*\(host CR0 0x[0-9a-f]+, .*\) \[SDM, \"Checks on Host Control Registers, MSRs, and SSP\"\]",
    r"VM entry failed: invalid guest state \(reason 0x80000021\): guest\.\S+: .*\(CR0 0x[0-9a-f]+, .*\) "
    r"\[SDM, \"Checks on Guest Control Registers, Debug Registers, and MSRs\"\]",
    r"VM entry failed: MSR loading \(reason 0x80000022\): entry 2 of the list is refused: "
    r"msr-load\.fs-gs-base: .*\(MSR 0xc0000100, value 0x0\) \[SDM, \"Loading MSRs\"\]",
), ids=("controls", "host", "guest", "msr"))
def test_words_of_the_report(said, words):
    assert re.search(rf"^\[[^\]]* mutations\] error: vcpu 0: {words}$", said, re.MULTILINE)
