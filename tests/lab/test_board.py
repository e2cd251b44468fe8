# SPDX-License-Identifier: MIT
"""Boots of the matrix on a machine that labgrid controls: the one in the environment of --lg-env.

The machine boots by PXE. Before each boot its TFTP root gets the menu, Lamina and the modules; then
its power is cycled, and its serial console is read and typed at.
"""

import dataclasses
import os
import pathlib
import re
import time

import labgrid
import pexpect
import pytest

import conftest
import emu
import image
import matrix
import media
import test_boot

HERE = pathlib.Path(__file__).resolve().parent
LOGS = conftest.LOGS / "lab"
LOOK_BACK = 4096    # characters: what is waited for is no longer
QUIET = 5       # seconds of silence after its last line, after which a machine counts as off

LINUX = dataclasses.replace(matrix.MEDIA_BOOTS[0], name="linux")
# A machine whose time is counted in instructions takes minutes for guests that spin until their limit.
GUEST_BOOTS = {boot: guests for boot, guests in matrix.GUEST_BOOTS.items()
               if boot.setup.name == matrix.QEMU_SVM.name and guests is not matrix.SPINNING and
               boot not in matrix.SMP_GUEST_BOOTS}


class Board:
    """A labgrid target, used as an emu.Machine is."""

    def __init__(self, target, log):
        self.target, self.log = target, log
        self.power = target.get_driver("PowerProtocol")
        self.console = target.get_driver("ConsoleProtocol")
        self.output, self.position = "", 0

    def _read(self):
        """Take what there is, or wait a moment. labgrid's driver for a command does not wait, and
        loses what one read() does not take."""
        try:
            data = self.console.read(size=4096, timeout=0.1)
        except pexpect.TIMEOUT:
            return
        if not data:
            time.sleep(0.1)
            return
        # A port that is not read fast enough stands still: take all that has come before anything else is done.
        try:
            while len(data) < 65536 and (more := self.console.read(size=4096, timeout=0.001)):
                data += more
        except pexpect.TIMEOUT:
            pass
        self.log.write(data)
        self.output += data.decode("latin-1").replace("\r", "")

    def text(self):
        return self.output

    def send(self, text):
        if text:
            self.console.write(text.encode())

    def expect(self, pattern, timeout):
        """Wait until new output matches the regular expression; return it up to there."""
        regex, deadline = re.compile(pattern, re.MULTILINE), time.monotonic() + timeout
        begin = looked_at = self.position
        while True:
            # A search through all of it, at each byte, would be so slow that the machine's port stands still.
            match = regex.search(self.output, max(begin, looked_at - LOOK_BACK))
            if match:
                self.position = match.end()
                return self.output[begin:match.end()]
            if time.monotonic() > deadline:
                raise emu.MachineError(self.report(f"no {pattern!r} within {timeout} s"))
            looked_at = len(self.output)
            self._read()

    def expect_silence(self):
        """Check that the machine is off: one that restarted would print something."""
        self.expect("\n", 60)          # the end of the line that was its last
        before, deadline = len(self.output), time.monotonic() + QUIET
        while time.monotonic() < deadline:
            self._read()
        more = self.output[before:]
        if more.strip():
            raise emu.MachineError(self.report(f"it goes on after its end: {more!r}"))

    def report(self, what):
        return f"{self.target.name}: {what}\n--- its last lines:\n{test_boot.tail(self.output)}"


def on_console(menu, env):
    """The menu for the UART that the environment's options name: GRUB's console and Lamina's."""
    port, baud = env.config.get_option("console", "com1,115200").split(",")
    return (menu.replace("--unit=0 --speed=115200", f"--unit={int(port[3:]) - 1} --speed={baud}")
            .replace("console=com1,115200", f"console={port},{baud}"))


def boot_once(env, target, boot):
    """The output of the machine's serial console, from power-on to the end."""
    root = pathlib.Path(env.config.get_path("tftp"))
    root.mkdir(parents=True, exist_ok=True)
    cmdline, modules = conftest.contents(boot)
    menu = image.menu(cmdline, modules, folder="/lamina")
    media.tftp_files(root, conftest.BUILD / "lamina.elf", modules, on_console(menu, env))
    LOGS.mkdir(parents=True, exist_ok=True)
    with open(LOGS / f"{boot.name}.log", "wb", buffering=0) as log:
        board = Board(target, log)
        board.power.cycle()
        try:
            conftest.take_steps(boot, board)
            if not boot.steps:
                board.expect(f"{emu.ENDED_WELL.pattern}|{emu.STOPPED.pattern}",
                             boot.limit * len(boot.modules))
            board.expect_silence()
        finally:
            board.power.off()
    return board.text()


@pytest.fixture(scope="session")
def said(env, target):
    """The output of a boot of the matrix, which is run on the first call."""
    texts = {}

    def of(boot):
        if boot not in texts:
            try:
                texts[boot] = boot_once(env, target, boot)
            except emu.MachineError as error:
                texts[boot] = error
        if isinstance(texts[boot], emu.MachineError):
            pytest.fail(str(texts[boot]), pytrace=False)
        return texts[boot]
    return of


@pytest.fixture(scope="session")
def emulator(env):
    """Whose deviations to expect: one of emulators.py, by the environment's option; none of a real board."""
    return env.config.data.get("options", {}).get("emulator", "")


@pytest.mark.parametrize("boot", (LINUX, *GUEST_BOOTS), ids=lambda boot: boot.name)
def test_boot_of_board(boot, said):
    test_boot.check_lines(boot, said(boot))


@pytest.mark.parametrize(
    "boot, guest", [(boot, guest) for boot, guests in GUEST_BOOTS.items() for guest in guests], ids=str)
def test_guest_of_board(boot, guest, said, emulator):
    test_boot.check_guest(guest, said(boot), emulator)


# ---------------------------------------------------------------------------
# The environments beside this test, checked without their machines.

# Records its arguments, and is a console that echoes what is typed.
IPMITOOL = """\
#!/bin/sh
echo "$*" >> {calls}
case "$*" in *"sol activate") exec cat ;; esac
"""


@pytest.fixture
def ipmitool(tmp_path, monkeypatch):
    """A BMC's client without a BMC; the file in which it writes down how it was called."""
    calls, program = tmp_path / "calls", tmp_path / "ipmitool"
    program.write_text(IPMITOOL.format(calls=calls))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return calls


@pytest.mark.parametrize("file", sorted(HERE.glob("*.yaml")), ids=lambda file: file.name)
def test_environment(file, ipmitool):
    """Each gives labgrid a target with power, a console and a TFTP root."""
    environment = labgrid.Environment(str(file))
    target = environment.get_target("main")
    for protocol in ("PowerProtocol", "ConsoleProtocol"):
        target.get_driver(protocol, activate=False)
    assert environment.config.get_path("tftp")
    assert "console=com" in on_console("console=com1,115200", environment)
    environment.cleanup()


def test_bmc(ipmitool, tmp_path, monkeypatch):
    """The BMC is made to switch the power, and the output on its console is found."""
    monkeypatch.setitem(globals(), "QUIET", 1)
    target = labgrid.Environment(str(HERE / "bmc.yaml")).get_target("main")
    with open(tmp_path / "log", "wb") as log:
        board = Board(target, log)
        board.power.delay = 0.0
        board.power.cycle()
        board.send("Lamina 0.1\r\n")
        board.expect(r"^Lamina 0\.1$", 60)
        with pytest.raises(emu.MachineError, match="no 'first entry' within 1 s"):
            board.expect(r"first entry", 1)
        board.expect_silence()
        board.power.off()
    said = [line.split("-E ")[1] for line in ipmitool.read_text().splitlines()]
    assert sorted(said) == ["chassis power off", "chassis power off", "chassis power on",
                            "sol activate"]
    target.cleanup()
