# SPDX-License-Identifier: MIT
"""The self-test of VMRUN: each rule broken alone, entered for real, and named by the checker."""

import re

import pytest

import emu
import emulators
import image
from conftest import BUILD, LOGS
from test_selftest import CHECKS, COVERAGE, ENOUGH, LIMIT, SPEED

VERDICT = re.compile(
    r"selftest svm-entry: (\d+) proven, (\d+) exceptions, (\d+) not judgeable, (\d+) failed")


@pytest.fixture(scope="module", params=("qemu:EPYC", "qemu-7.2:EPYC", "bochs:ryzen", "bochs-2.7:ryzen"))
def said(request, tmp_path_factory):
    """The log of one boot of the self-test."""
    emulator, model = request.param.split(":")
    if emulators.missing(emulator):
        pytest.skip(emulators.missing(emulator))
    LOGS.mkdir(parents=True, exist_ok=True)
    iso = tmp_path_factory.mktemp("selftest") / "selftest.iso"
    modules = [image.Module(BUILD / "guests/debugexit.elf", "mutations.elf", "vm=mutations mem=16M")]
    image.build(iso, BUILD / "selftest.elf",
                "console=com1,115200 loglevel=info onend=poweroff onfail=poweroff check=entries", modules,
                small=True)
    log = LOGS / f"selftest-{emulator}-{model}.log"
    with emu.Machine(iso, emulator, model, 128, ips=SPEED, log=log) as machine:
        if not machine.wait(LIMIT):
            pytest.fail(machine.report(f"it did not power off within {LIMIT} s"), pytrace=False)
        if not VERDICT.search(machine.text()):
            pytest.fail(machine.report("no verdict"), pytrace=False)
        return machine.text()


def test_every_mutation(said):
    proven, _, _, failed = map(int, VERDICT.search(said).groups())
    assert not re.findall(r"^\[.*cpu0[^\]]*\] (?:error: )?(FAIL .*)", said, re.MULTILINE)
    assert failed == 0 and proven > 30


def test_coverage(said):
    (proven, judged, _, _, title), = COVERAGE.findall(said)
    assert title.strip() == "VMRUN" and int(proven) >= ENOUGH * int(judged) > 0


def test_exceptions_have_reasons(said):
    exceptions = re.findall(r"\] EXCEPT (\S+)(.*)", said)
    assert len(exceptions) == int(VERDICT.search(said)[2])
    assert all(len(reason) > len(": ") for _, reason in exceptions)


def test_check_sees_what_was_refused(said):
    """The processor may overwrite a state that it refuses, so check=entries checks before the entry."""
    checked, alarms = map(int, CHECKS.search(said).groups())
    proven, exceptions, _, _ = map(int, VERDICT.search(said).groups())
    assert checked >= 2 * (proven + exceptions) and alarms == exceptions
    assert re.search(r"error: vcpu 0: check: refused for guest\.efer\.svme: EFER\.SVME must be 1 "
                     r"\(EFER 0x[0-9a-f]+\) \[APM, \"", said)


def test_words_of_the_report(said):
    assert re.search(
        r"^\[[^\]]* mutations\] error: vcpu 0: VM entry failed: invalid guest state "
        r"\(exit code 0x(?:f{8}){1,2}\): guest\.efer\.svme: EFER\.SVME must be 1 "
        r"\(EFER 0x[0-9a-f]+\) \[APM, \"Canonicalization and Consistency Checks\"\]\r?$",
        said, re.MULTILINE)
