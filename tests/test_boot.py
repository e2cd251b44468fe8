# SPDX-License-Identifier: MIT
"""What each boot of the matrix must have said."""

import re

import pytest

import matrix


def require(condition, *words):
    """An assertion that shows the serial log, not this file."""
    if not condition:
        pytest.fail("\n".join(words), pytrace=False)


def tail(text):
    return "\n".join(text.splitlines()[-40:])


def vm_lines(text, name):
    """Lamina's lines about one VM, without their prefix."""
    return "\n".join(re.findall(rf"^\[[^\]]* {re.escape(name)}\] (.*)$", text, re.MULTILINE))


@pytest.mark.parametrize("boot", matrix.BOOTS, ids=str)
def test_boot(boot, run):
    require(not run.error, run.error)
    for pattern in boot.lines:
        require(re.search(pattern, run.text, re.MULTILINE),
                f"{boot}: nothing matches {pattern!r} in", tail(run.text))
    for pattern in boot.absent:
        found = re.search(pattern, run.text)
        require(not found, f"{boot}: it says {found and found[0]!r} in",
                tail(run.text[:found and found.end()]))
    require(run.powered_off == boot.powers_off,
            f"{boot}: it powered off" if run.powered_off else f"{boot}: it did not power off",
            tail(run.text))


@pytest.mark.parametrize("guest", matrix.GUESTS, ids=lambda guest: guest.name)
@pytest.mark.parametrize("boot", matrix.GUEST_BOOTS, ids=str)
def test_guest(boot, guest, run):
    complaints = re.findall(rf"^FAIL .*|^guest {guest.name}:.*", run.text, re.MULTILINE)
    require(re.search(guest.verdict, run.text, re.MULTILINE),
            f"{guest.name}: nothing matches {guest.verdict!r} in",
            *(complaints or [tail(run.text)]))
    require(re.search(rf"vm ended: .*{guest.end}", vm_lines(run.text, guest.name), re.MULTILINE),
            f"{guest.name} did not end by {guest.end!r}:", vm_lines(run.text, guest.name))
