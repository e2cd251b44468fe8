# SPDX-License-Identifier: MIT
"""Time limits count what an emulator does, however busy the build machine is; and the exit status of a run."""

import contextlib
import os
import re
import subprocess
import sys
import time

import conftest
import emu
import emulators
import image
import labnet
import pytest

SPIN = ("sh", "-c", "while :; do :; done")
SECONDS = 4


@contextlib.contextmanager
def running(*command):
    process = subprocess.Popen(command)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def watched(process):
    """The Work, the seconds that it counts, and the least and the most that they can be: this process may have to wait,
    too."""
    before, work, start, least = time.monotonic(), emu.Work(process.pid, 0.2), time.monotonic(), 0
    while least < SECONDS:
        time.sleep(0.1)
        least = time.monotonic() - start
        counted = work.seconds()
    return work, counted, least, time.monotonic() - before


def test_idle_seconds_count():
    with running("sleep", "60") as process:
        work, counted, least, most = watched(process)
    assert work.busy < 0.1 and 0.5 * least < counted <= most    # it may still have been starting


def test_waiting_for_a_processor_does_not_count():
    """Four processes on one processor: each gets a quarter of it."""
    one = {min(os.sched_getaffinity(0))}
    with contextlib.ExitStack() as stack:
        processes = [stack.enter_context(running(*SPIN)) for _ in range(4)]
        for process in processes:
            os.sched_setaffinity(process.pid, one)
        work, counted, least, _ = watched(processes[0])
    assert 0 < work.busy and counted < 0.6 * least, str(work)


def test_gone_process():
    with running("true") as process:
        process.wait()
        assert emu.Work(process.pid).seconds() == 0


@pytest.mark.parametrize("name", emulators.BY_NAME)
def test_version(name):
    """Each build has the version that its deviations are listed for; the fetched ones must be there."""
    if name in emulators.INSTALLED.values() and emulators.missing(name):
        pytest.skip(emulators.missing(name))
    assert not emulators.missing(name)


def test_fetched_qemu_is_mended():
    """Rows with several CPUs would fail now and then without it; emulators/mend_qemu.py says why."""
    program = emulators.get("qemu").command[-1]
    subprocess.run([emulators.FETCHED.parent.parent / "tests/emulators/mend_qemu.py", "--check", program], check=True)


@pytest.mark.skipif(not labnet.alone(), reason="no network namespace can be made here")
def test_machines_in_bochs_do_not_share_ports(tmp_path):
    """Each has a network namespace of its own for its display's port: they can start at the same time."""
    iso = tmp_path / "empty.iso"
    iso.write_bytes(bytes(1 << 20))
    with contextlib.ExitStack() as stack:
        processes = ["self", *(stack.enter_context(emu.Machine(iso, "bochs-2.7", mem=64)).process.pid
                               for _ in range(2))]
        deadline, networks = time.monotonic() + 60, set()
        while len(networks) < 3 and time.monotonic() < deadline:
            networks = {os.readlink(f"/proc/{process}/ns/net") for process in processes}
    assert len(networks) == 3


@pytest.mark.parametrize("guest, cmdline, status", (
    ("debugexit", "", 0), ("debugexit", "status=1", 1), ("triplefault", "", 1)))
def test_exit_status(guest, cmdline, status, tmp_path):
    """A script sees by the exit status of `make run` whether each VM ended well."""
    image.build(tmp_path / "iso", conftest.BUILD / "lamina.elf", "console=com1,115200 onend=poweroff onfail=poweroff", [
        image.Module(conftest.BUILD / f"guests/{guest}.elf", guest, f"vm={guest} mem=16M -- {cmdline}")], True)
    result = subprocess.run([sys.executable, emu.__file__, tmp_path / "iso", "--mem", "16M", "--timeout", "120"],
                            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert result.returncode == status, result.stdout[-2000:]
    assert ("1 of 1 VMs did not end well" in result.stdout) == bool(status), result.stdout[-2000:]


def test_packages_are_fetched_in_one_place():
    """The mirror, apt's private configuration and its user are tests/debian.sh's alone; setup.sh installs."""
    own = [str(path.relative_to(conftest.ROOT)) for path in sorted((conftest.ROOT / "tests").rglob("*.sh"))
           if re.search(r"indextargets|Dir::|Sandbox|(?<!private )apt-get (?:-q )?update|sudo", path.read_text())]
    assert own == ["tests/debian.sh", "tests/setup.sh"], own
