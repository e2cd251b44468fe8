# SPDX-License-Identifier: MIT
"""Check the log of each boot of the matrix."""

import re

import pytest

import matrix


def require(condition, *words):
    """Assert; a failure shows the serial log, not this file."""
    if not condition:
        pytest.fail("\n".join(words), pytrace=False)


def tail(text):
    return "\n".join(text.splitlines()[-40:])


def mine(name):
    """The prefix of Lamina's lines about a VM."""
    return rf"^\[[^\]]* {re.escape(name)}\] (?:error: )?"


def vm_lines(text, name):
    """From a VM's first entry to its last line."""
    lines = text.splitlines()
    numbers = [number for number, line in enumerate(lines) if re.match(mine(name), line)]
    first = [number for number in numbers if "] first entry" in lines[number]]
    if first:
        # A VM that did not end is the last one: its part extends to the end of the log.
        ended = any("] vm ended" in lines[number] for number in numbers)
        numbers = range(first[0], numbers[-1] + 1 if ended else len(lines))
    return [lines[number] for number in numbers]


def vm_part(text, name):
    """The same without the prefixes of Lamina's lines."""
    return "\n".join(re.sub(mine(name), "", line) for line in vm_lines(text, name))


def guest_said(text, name, pattern):
    """Whether the guest has printed a line like this. Lamina gives a line that has begun 0.2 s to end: where a busy build
    machine lets the guest wait for longer, lines of the log come in its middle."""
    own = "\n".join(vm_lines(text, name)) + "\n"
    joined = re.sub(r"\n(?:\[ *\d+\.\d+ cpu.*\n)+", "", own)
    return re.search(pattern, own, re.MULTILINE) or re.search(pattern, joined, re.MULTILINE)


def check_lines(boot, text):
    for pattern in boot.lines:
        require(re.search(pattern, text, re.MULTILINE),
                f"{boot}: nothing matches {pattern!r} in", tail(text))
    for pattern in boot.absent:
        found = re.search(pattern, text)
        require(not found, f"{boot}: it says {found and found[0]!r} in",
                tail(text[:found and found.end()]))


def check_guest(guest, text, emulator):
    part = vm_part(text, guest.name)
    shown = "\n".join(re.findall(r"^FAIL .*", part, re.MULTILINE)) + "\n...\n" + tail(part)
    known = matrix.deviations(emulator, guest.image or guest.name)
    failed, total = matrix.failed_checks(emulator, part)
    require(failed == known, f"{guest}: of the checks fail {dict(failed)}, and {dict(known)} are to:", shown)
    says, ends = guest.says, guest.ends
    if total:
        says = says.replace("0 failed", f"{total} failed")
        ends = ends.replace("status 0x0", "status 0x1")
    require(guest_said(text, guest.name, says), f"{guest}: nothing matches {says!r} in", shown)
    require(re.search(rf"^vm ended: .*{ends}", part, re.MULTILINE),
            f"{guest} did not end by {ends!r}:", shown)
    fixed = [reason for reason in matrix.FIXED_LATER.get(emulator, ())
              if re.search(rf"^SKIP .*: {re.escape(reason)}$", part, re.MULTILINE)]
    require(not fixed, f"{guest}: {emulator} has fixed this, and the guest skips a check for it: {fixed}")


def rows(boots):
    """The boots as parameters; the long ones are marked."""
    return [pytest.param(boot, marks=[pytest.mark.long] * boot.long) for boot in boots]


@pytest.mark.parametrize("boot", rows(matrix.BOOTS), ids=str)
def test_boot(boot, run):
    require(not run.error, run.error)
    check_lines(boot, run.text)
    require(run.powered_off == boot.powers_off,
            f"{boot}: it powered off" if run.powered_off else f"{boot}: it did not power off",
            tail(run.text))


CHECKED_BOOTS = [boot for boot in matrix.BOOTS if boot.options == matrix.CHECKED]
ENTRIES = re.compile(r"^\[[^\]]* (\S+)\] vcpu 0: (\d+) entries: .* (\d+) failed", re.MULTILINE)
CHECKS = re.compile(r"^\[[^\]]* (\S+)\] vcpu 0: check: (\d+) entries checked, (\d+) alarms",
                    re.MULTILINE)
LEAST_ENTRIES = 40          # of the shortest guest: it prints one line and halts forever
LEAST_ENTRIES_OF_LINUX = 20_000


@pytest.mark.parametrize("boot", rows(CHECKED_BOOTS), ids=str)
def test_no_false_alarm(boot, run):
    """Each entry of each VM was checked against the manual's rules and broke none."""
    entries = {vm: int(count) for vm, count, _ in ENTRIES.findall(run.text)}
    checked = {vm: int(count) for vm, count, _ in CHECKS.findall(run.text)}
    vms = {re.search(r"vm=(\S+)", module.cmdline)[1] for module in boot.modules}
    least = LEAST_ENTRIES_OF_LINUX if vms == {"linux"} else LEAST_ENTRIES
    require(vms and set(checked) == vms and checked == entries, f"{boot}: {entries}, {checked}",
            tail(run.text))
    assert all(count >= least for count in checked.values()), checked
    assert all(alarms == "0" for _, _, alarms in CHECKS.findall(run.text))
    found = re.findall(r"^\[.*\] error: vcpu \d+: check: .*", run.text, re.MULTILINE)
    require(not found, *found)


@pytest.mark.parametrize(
    "boot, guest", [pytest.param(boot, guest, marks=[pytest.mark.long] * boot.long)
                    for boot, guests in matrix.GUEST_BOOTS.items() for guest in guests],
    ids=str)
def test_guest(boot, guest, run):
    reason = dict(guest.cannot).get(boot.setup)
    if reason:
        pytest.skip(reason)
    check_guest(guest, run.text, boot.setup.emulator)
