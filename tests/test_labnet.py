# SPDX-License-Identifier: MIT
"""The networks that machines boot from end with their tests, and report why they did not start."""

import pathlib
import subprocess
import sys
import time

import pytest

import labnet

LIMIT = 180

# Starts a network and a process in it, names both, and waits to be killed.
VICTIM = """
import signal, subprocess, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
sys.path.insert(0, {here!r})
import labnet
with labnet.Network("/tmp", {log!r}) as network:
    inside = subprocess.Popen([*network.prefix, "sh", "-c", "echo; exec sleep 600"],
                              stdout=subprocess.PIPE)
    inside.stdout.readline()
    print(network.process.pid, inside.pid, flush=True)
    time.sleep(600)
"""

pytestmark = pytest.mark.skipif(bool(labnet.missing()), reason=labnet.missing())


def is_there(pid):
    try:
        return "State:\tZ" not in pathlib.Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def gone(pids):
    deadline = time.monotonic() + LIMIT
    while any(map(is_there, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not any(map(is_there, pids))


@pytest.mark.parametrize("signal", ("kill", "interrupt"))
def test_end_of_the_test(signal, tmp_path):
    script = VICTIM.format(here=str(pathlib.Path(__file__).parent), log=str(tmp_path / "log"))
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True) as victim:
        pids = [int(word) for word in victim.stdout.readline().split()]
        assert len(pids) == 2 and all(map(is_there, pids))
        if signal == "kill":
            victim.kill()
        else:
            subprocess.run(["kill", "-INT", str(victim.pid)], check=True)
        assert gone(pids), f"still there: {[pid for pid in pids if is_there(pid)]}"


def test_two_at_once(tmp_path):
    with labnet.Network(tmp_path, tmp_path / "1") as one, labnet.Network(tmp_path, tmp_path / "2") as two:
        for network in (one, two):
            seen = subprocess.run([*network.prefix, "ip", "-brief", "address"], check=True,
                                  stdout=subprocess.PIPE, text=True).stdout
            assert labnet.SERVER in seen and labnet.SERVER6 in seen and network.tap in seen


def test_bad_configuration(tmp_path):
    with pytest.raises(RuntimeError, match="dnsmasq did not start:\n.*bad option"):
        labnet.Network(tmp_path, tmp_path / "log", "no-such-setting\n").__enter__()
