# SPDX-License-Identifier: MIT
"""Machine checks that QEMU's monitor injects into the host, while its guest halts.

Only there: QEMU ignores the intercept of #MC, and Bochs has no machine checks. Machine checks while a
guest runs are tested by tests/unit/test_machine_check.c, test_vmx_run.c and test_svm_run.c.
"""

import re
import time

import pytest

import conftest
import emu
import image
import screen

# EPYC has no recovery from uncorrected errors (SUCCOR). QEMU's Intel models have (MCG_CAP.SER_P), and can
# be given SVM, too.
AMD, INTEL = "EPYC", "Skylake-Server,+svm,+npt"
LIMIT = 30

VAL, UC, EN, MISCV, ADDRV, PCC, S, AR = (1 << bit for bit in (63, 61, 60, 59, 58, 57, 56, 55))
CODE = 0x134                                        # a read in a data cache
RIPV, EIPV, MCIP = 1, 2, 4
LOST = VAL | UC | EN | MISCV | ADDRV

# CPU model, bank's status, MCG_STATUS, the line about the bank; whether Lamina continues
CASES = {
    "corrupt-context": (AMD, LOST | PCC, RIPV, "uncorrected, processor context corrupt", False),
    "no-recovery": (AMD, LOST, RIPV | EIPV, "uncorrected", False),
    "not-enabled": (AMD, LOST & ~EN, RIPV, "uncorrected, not enabled", True),
    "no-way-back": (AMD, LOST & ~EN, EIPV, "uncorrected, not enabled", False),
    "action-optional": (INTEL, LOST | S, RIPV, "uncorrected, action optional", True),
    "not-used": (INTEL, LOST, RIPV, "uncorrected, not used yet", True),
    "action-required": (INTEL, LOST | S | AR, RIPV | EIPV, "uncorrected, action required", False),
    "corrupt-context-intel": (INTEL, LOST | S | AR | PCC, RIPV | EIPV, "processor context corrupt",
                              False),
}


class Monitor:
    """QEMU's human monitor at a socket."""

    def __init__(self, path):
        self.socket = screen.connect(path)
        self._read()

    def _read(self):
        said = b""
        while not said.endswith(b"(qemu) "):
            data = self.socket.recv(4096)
            if not data:
                break
            said += data
        return said.decode(errors="replace")

    def __call__(self, command):
        self.socket.sendall(command.encode() + b"\n")
        return self._read()


def build_iso(folder, options=""):
    path = folder / "mce.iso"
    image.build(path, conftest.BUILD / "lamina.elf",
                f"console=com1,115200 onend=poweroff onfail=poweroff{options}",
                [image.Module(conftest.BUILD / "guests/idle.elf", "idle", "vm=idle mem=16M limit=600 -- tick=0")], True)
    return path


@pytest.fixture(scope="module")
def iso(tmp_path_factory):
    return build_iso(tmp_path_factory.mktemp("mce"))


@pytest.fixture(scope="module")
def iso_one_cpu(tmp_path_factory):
    """Guests run on CPU 0 alone: the others stay parked."""
    return build_iso(tmp_path_factory.mktemp("parked"), " cpus=0")


def await_halted(ask):
    """Until all CPUs halt. A guest that nothing wakes executes no instruction from then on, until a key is typed: an
    error that QEMU injects into a running guest would be the guest's. ask: gives QEMU's monitor a command."""
    end = time.monotonic() + 10 * LIMIT
    while set(re.findall(r"\bHLT=(\d)", said := ask("info registers -a"))) != {"1"}:
        assert time.monotonic() < end, said
        time.sleep(0.05)


def inject(path, status, mcg_status, bank, cpu="0"):
    """cpu: its number; "-b 0" sends the error to all, as Intel's processors do."""
    monitor = Monitor(path)
    await_halted(monitor)
    said = monitor(f"mce {cpu} {bank} {status | CODE:#x} {mcg_status | MCIP:#x} 0x1234040 0x86")
    assert "MCE" not in said.replace("mce", ""), said


@pytest.mark.parametrize("case", CASES)
def test_host_machine_check(case, iso, tmp_path):
    model, status, mcg_status, words, goes_on = CASES[case]
    socket_path = tmp_path / "monitor"
    conftest.LOGS.mkdir(parents=True, exist_ok=True)
    with emu.Machine(iso, "qemu", model, 128, log=conftest.LOGS / f"mce-{case}.log",
                     extra=("-monitor", f"unix:{socket_path},server,nowait")) as machine:
        machine.expect(r"guest idle: now", LIMIT)
        inject(socket_path, status, mcg_status, 5)
        said = machine.expect(r"machine check: bank 5: .*\n", LIMIT)
        assert re.search(rf"machine check: MCG_STATUS {mcg_status | MCIP:#x}, in Lamina", said), said
        assert f"status {status | CODE:#018x} address 0x1234040 misc 0x86: " in said, said
        assert words in said, said
        if goes_on:
            machine.expect(r"machine check: nothing is lost, going on", LIMIT)
            # The bank is free and MCIP is clear: another one is reported, too.
            inject(socket_path, status, mcg_status, 6)
            machine.expect(r"machine check: bank 6: .*\n", LIMIT)
            machine.send(b"x")
            machine.expect(r"guest idle: 1 passed, 0 failed", LIMIT)
            machine.expect(emu.ENDED_WELL.pattern, LIMIT)
        else:
            machine.expect(r"Lamina: stopped: machine check that the processor cannot recover from",
                           LIMIT)
        assert machine.wait(LIMIT), machine.report("it did not power off")
    # The page was free, or belonged to the VM that has ended: no VM may get it again.
    damaged = re.search(r"memory: 0x1234000 \+ 0x1000 is damaged and stays unused", machine.text())
    # AMD's banks give a physical address with poisoned data only, which QEMU's models do not know.
    assert (goes_on and model == INTEL) == bool(damaged), machine.text()
    assert goes_on == bool(emu.ENDED_WELL.search(machine.text()))


def test_errors_from_before_the_boot(iso, tmp_path):
    """What the banks hold may be the reason of the last reset: it is told, for each CPU, and cleared."""
    before = VAL | EN | ADDRV | MISCV | CODE    # with UC QEMU resets a machine that cannot take the exception
    with emu.Machine(iso, "qemu", INTEL, 128, log=conftest.LOGS / "mce-before.log", cpus=2,
                     extra=("-S", "-monitor", f"unix:{tmp_path / 'monitor'},server,nowait")) as machine:
        monitor = Monitor(tmp_path / "monitor")
        for cpu, bank in ((0, 3), (1, 7)):
            said = monitor(f"mce {cpu} {bank} {before:#x} 0 0x1234040 0x86")
            assert "MCE" not in said.replace("mce", ""), said
        monitor("cont")
        machine.expect(r"guest idle: now", LIMIT)
        for cpu, bank in ((0, 3), (1, 7)):
            assert re.search(rf"warning: machine check before this boot, CPU {cpu}: bank {bank}: status "
                             rf"{before:#018x} address 0x1234040 misc 0x86: corrected", machine.text())
        machine.send(b"x")
        machine.expect(emu.ENDED_WELL.pattern, LIMIT)
        assert machine.wait(LIMIT), machine.report("it did not power off")
    assert len(re.findall("before this boot", machine.text())) == 2, machine.text()


def with_cpus(iso, model, name, tmp_path):
    conftest.LOGS.mkdir(parents=True, exist_ok=True)
    return emu.Machine(iso, "qemu", model, 128, log=conftest.LOGS / f"mce-{name}.log", cpus=4,
                       extra=("-monitor", f"unix:{tmp_path / 'monitor'},server,nowait"))


def await_lines(machine, patterns):
    """Until each has been printed, in any order: CPUs that do the same at the same time print when they come to it."""
    work = emu.Work(machine.process.pid)
    while missing := [pattern for pattern in patterns if not re.search(pattern, machine.text())]:
        assert work.seconds() < LIMIT, machine.report(f"never printed: {missing}")
        time.sleep(0.05)


def test_error_for_all_cpus(iso, tmp_path):
    """CPUs that run guests look at their own banks, find nothing of importance, and go on."""
    with with_cpus(iso, INTEL, "broadcast", tmp_path) as machine:
        machine.expect(r"guest idle: now", LIMIT)
        inject(tmp_path / "monitor", LOST | S, RIPV, 5, "-b 0")
        await_lines(machine, [rf"cpu{cpu}\] error: machine check: nothing is lost, going on" for cpu in range(4)])
        machine.send(b"x")
        machine.expect(emu.ENDED_WELL.pattern, LIMIT)
        assert machine.wait(LIMIT), machine.report("it did not power off")
    assert len(re.findall(r"machine check: bank 5: ", machine.text())) == 1, machine.text()


def test_error_for_parked_cpus(iso_one_cpu, tmp_path):
    """The CPUs that the error is not about go on halting, and leave it to the one that it is about."""
    with with_cpus(iso_one_cpu, INTEL, "broadcast-parked", tmp_path) as machine:
        machine.expect(r"guest idle: now", LIMIT)
        inject(tmp_path / "monitor", LOST | S, RIPV, 5, "-b 0")
        await_lines(machine, [r"machine check: nothing is lost, going on", *(
            rf"cpu{cpu}\] error: machine check on a parked CPU: it goes on halting" for cpu in (1, 2, 3))])
        machine.send(b"x")
        machine.expect(emu.ENDED_WELL.pattern, LIMIT)
        assert machine.wait(LIMIT), machine.report("it did not power off")
    text = machine.text()
    assert len(re.findall(r"machine check on a parked CPU", text)) == 3, text
    assert len(re.findall(r"machine check: bank 5: ", text)) == 1, text


def test_crash_of_a_parked_cpu(iso_one_cpu, tmp_path):
    """It reports, and stops the others, one of which runs a guest."""
    with with_cpus(iso_one_cpu, AMD, "parked", tmp_path) as machine:
        machine.expect(r"guest idle: now", LIMIT)
        inject(tmp_path / "monitor", LOST | PCC, RIPV, 5, "2")
        machine.expect(r"Lamina: stopped: machine check on a parked CPU", LIMIT)
        assert machine.wait(LIMIT), machine.report("it did not power off")
    text = machine.text()
    assert re.search(r"cpu2\] error: the crash is CPU 2's", text), text
    assert f"cpu2] error: machine check: bank 5: status {LOST | PCC | CODE:#018x} address 0x1234040 misc 0x86" in text
    assert "does not stop" not in text, text
    assert not emu.ENDED_WELL.search(text), text


def test_crash_of_the_boot_cpu(iso, tmp_path):
    with with_cpus(iso, AMD, "boot-cpu", tmp_path) as machine:
        machine.expect(r"guest idle: now", LIMIT)
        inject(tmp_path / "monitor", LOST | PCC, RIPV, 5)
        machine.expect(r"Lamina: stopped: machine check that the processor cannot recover from", LIMIT)
        assert machine.wait(LIMIT), machine.report("it did not power off")
    assert "does not stop" not in machine.text(), machine.text()
    assert "the crash is CPU" not in machine.text(), machine.text()


def test_fatal_error_for_all_cpus(iso, tmp_path):
    """All handle it at the same time: one reports, with the bank, and all others stop."""
    with with_cpus(iso, INTEL, "fatal-broadcast", tmp_path) as machine:
        machine.expect(r"guest idle: now", LIMIT)
        inject(tmp_path / "monitor", LOST | S | AR | PCC, RIPV | EIPV, 5, "-b 0")
        machine.expect(r"Lamina: stopped: machine check ", LIMIT)
        assert machine.wait(LIMIT), machine.report("it did not power off")
    text = machine.text()
    assert f"machine check: bank 5: status {LOST | S | AR | PCC | CODE:#018x}" in text, text
    assert "does not stop" not in text, text
    assert len(re.findall(r"Lamina: stopped: ", text)) == 1, text
