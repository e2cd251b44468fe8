# SPDX-License-Identifier: MIT
"""The option trace.stop=: a VM stops at the requested record and executes nothing more."""

import re
import subprocess

import pytest

import conftest
import matrix
from test_boot import require, tail

GUEST = conftest.BUILD / "guests/tracestop.elf"
SETUPS = (matrix.QEMU_SVM, matrix.BOCHS_VMX, matrix.BOCHS_SVM)

# The condition, the label at which RIP must be, and the record that must be the last one except entries.
STOPS = {
    "port:0xe0": ("behind_port", r"kvm_pio: pio_write at 0xe0 size 1 count 1 val 0x5a"),
    "msr:0x1b": ("behind_msr", r"kvm_msr: msr_read 1b = 0xfee00900"),
    "mmio:0xfee00080": ("behind_mmio", r"kvm_mmio: mmio write len 4 gpa 0xfee00080 val 0x0"),
    "exit:CPUID": ("behind_cpuid", r"kvm_exit: vcpu 0 reason CPUID rip 0x{at_cpuid:x} "),
    "rip:{at_cpuid:#x}": ("behind_cpuid", r"kvm_exit: vcpu 0 reason CPUID rip 0x{at_cpuid:x} "),
    # Part of the instruction is done: as much as one exit can do.
    "port:0xe1": ("at_string", r"kvm_pio: pio_write at 0xe1 size 1 count 1 "),
    # The interrupt that the access has raised waits ...
    "mmio:0xfee00300": ("behind_ipi", r"kvm_mmio: mmio write len 4 gpa 0xfee00300 val 0x44050"),
    # ... and the exception that is part of the instruction is delivered, by an entry with a forced exit.
    "msr:0x12345": ("at_general_protection", r"kvm_msr: msr_read 12345 = 0x0 \(#GP\)"),
}


def symbols():
    """The guest's labels, where it has been built."""
    if not GUEST.exists():
        return {}
    listing = subprocess.run(["nm", GUEST], check=True, capture_output=True, text=True).stdout
    return {line.split()[2]: int(line.split()[0], 16) for line in listing.splitlines()}


def trace(text):
    """The records in a part of the log."""
    return re.findall(r"tracestop\] trace vm-\d+ \[\d+\] \S+ (.*)", text)


def stopping(setup, stop):
    return matrix.Boot(f"stop-{re.sub('[:{].*', '', stop)}-{STOPS[stop][0]}", setup,
                       (matrix.Module("guests/tracestop.elf", "vm=tracestop mem=16M limit=300"),),
                       lines=(matrix.ENDED_BADLY % (1, 1),), limit=60,
                       options="onend=poweroff onfail=poweroff stats=lines trace=console trace.stop="
                               + stop.format_map(symbols() or {"at_cpuid": 0}))


STOPPING = [(stopping(setup, stop), stop) for setup in SETUPS for stop in STOPS]


@pytest.mark.parametrize("boot, stop", STOPPING, ids=str)
def test_stop(boot, stop, run):
    label, record = STOPS[stop]
    labels = symbols()
    require(not run.error, run.error)
    ended = re.search(r"vm ended: stopped by the trace at (\S+) \(RIP 0x([0-9a-f]+)\)", run.text)
    require(ended, "it did not stop in", tail(run.text))
    assert ended[1] == stop.format_map(labels)
    assert int(ended[2], 16) == labels[label], f"not at {label}: {sorted(labels.items())}"
    before, after = run.text.replace("\r", "").split("vm ended: ")
    assert re.match(record.format_map(labels), trace(before)[-1]), before
    forced = int(re.search(r" forced=(\d+) timer_soft", run.text)[1])
    assert forced == (label == "at_general_protection")
    if forced:      # the event went in, and the exit came before its handler's first instruction
        injection, entry, exit_ = trace(after)[-3:]
        assert injection == "kvm_inj_exception: #GP (0x0)"
        assert re.fullmatch(r"kvm_entry: vcpu 0, rip 0x\w+ \[immediate exit\]", entry), entry
        assert re.match(rf"kvm_exit: .* rip 0x{labels[label]:x} ", exit_), exit_
