# SPDX-License-Identifier: MIT
"""Run the boots that the selected tests need, two at a time, before the first test."""

import concurrent.futures
import contextlib
import dataclasses
import pathlib
import re
import threading
import time

import pytest

import emu
import emulators
import image

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
LOGS = BUILD / "boot-logs"
AT_ONCE = 2
GIVEN_UP = "Kernel panic - not syncing"   # no step ends after that
TRIES = 3               # of a boot that a known fault of the emulator ends


@dataclasses.dataclass
class Run:
    """The result of a boot."""
    text: str            # all of the serial port's output
    powered_off: bool    # by itself
    error: str           # the message of a step that failed, with the last lines, or ""
    seconds: float


def all_passed(text, vms):
    """The guests' own verdicts, by their exit status: a log line can come in the middle of what the front prints."""
    assert not re.search("FAIL", text), re.findall(r"FAIL.*", text)
    for vm in vms:
        assert re.search(rf"^\[[^\]]* {vm}\] vm ended: debug exit, status 0x0$", text, re.MULTILINE), vm


def front_text(text):
    """What VMs in front have printed, as one line, without what came in the middle of it; then the others' lines."""
    other = re.compile(r"^(?:\[ *\d+\.\d+ cpu|\[console: |\w+\| ).*\n", re.MULTILINE)
    return other.sub("", text).replace("\n", "") + "\n" + "".join(other.findall(text))


def damage(path):
    """A bzImage that ends in the middle, as after an interrupted download."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes((BUILD / "linux/vmlinuz").read_bytes()[:1 << 20])


def contents(boot):
    """Lamina's command line, and the modules for the boot loader."""
    # Guests that test themselves run one after the other; what runs together has rows of its own.
    vms = {re.search(r"vm=(\S+)", module.cmdline)[1] for module in boot.modules if "vm=" in module.cmdline}
    order = "start=sequence " if len(vms) > 1 else ""
    return f"console=com1,115200 loglevel=info {order}{boot.options}{boot.setup.options}", [
        image.Module(BUILD / module.file, f"{number}-{pathlib.Path(module.file).name}",
                     module.cmdline)
        for number, module in enumerate(boot.modules)]


class EmulatorFault(emu.MachineError):
    """The setup's known fault of the emulator has hit the guest."""


def take_steps(boot, machine):
    """Type the text of each step, and check that the expected lines follow."""
    fault = boot.setup.fault
    until = "|".join(f"(?:{pattern})" for pattern in (GIVEN_UP, fault) if pattern)
    for step in boot.steps:
        machine.send(step.send)
        said = machine.expect(f"(?:{step.until})|{until}", boot.limit)
        if fault and re.search(fault, said, re.MULTILINE):
            raise EmulatorFault(machine.report(f"the emulator's fault {fault!r}, {TRIES} times"))
        if re.search(GIVEN_UP, said):
            raise emu.MachineError(machine.report("the guest's kernel has given up"))
        if not re.search(step.says, said, re.MULTILINE):
            raise emu.MachineError(machine.report(
                f"{step.send!r} was not followed by {step.says!r}"))


class Runs:
    """The boots of one test run, by their rows of the matrix."""

    def __init__(self, folder, boots):
        self.folder = folder
        self.images, self.images_lock = {}, threading.Lock()
        self.machines, self.closed = set(), False
        self.repeated = []      # boots, once for each time that their emulator's fault ended them
        LOGS.mkdir(parents=True, exist_ok=True)
        damage(BUILD / "damaged/vmlinuz")
        self.pool = concurrent.futures.ThreadPoolExecutor(AT_ONCE)
        self.futures = {boot: self.pool.submit(self._run_again, boot) for boot in boots
                        if not missing(boot)}

    def of(self, boot):
        return self.futures[boot].result()

    def close(self):
        self.closed = True
        self.pool.shutdown(wait=False, cancel_futures=True)
        for machine in list(self.machines):
            machine.stop()

    def _image(self, boot):
        small = "-bios" not in boot.setup.extra    # UEFI needs the whole of GRUB
        key = (boot.modules, boot.options, boot.setup.options, boot.medium.make, small)
        with self.images_lock:
            if key not in self.images:
                path = self.folder / f"{len(self.images)}-{boot.medium.name}"
                boot.medium.make(path, BUILD / "lamina.elf", *contents(boot), small)
                self.images[key] = path
            return self.images[key]

    def _run_again(self, boot):
        for number in range(1, TRIES + 1):
            run, faulty = self._run(boot)
            if not faulty:
                break
            self.repeated.append(boot)
            (LOGS / f"{boot}.log").replace(LOGS / f"{boot}.fault-{number}.log")
        return run

    def _run(self, boot):
        """The run, and whether the emulator's known fault ended it."""
        setup, start, error, faulty = boot.setup, time.monotonic(), "", False
        server_log = LOGS / f"{boot}.server.log"
        server_log.unlink(missing_ok=True)
        with contextlib.ExitStack() as stack:
            inserted = stack.enter_context(boot.medium.insert(self._image(boot), server_log))
            machine = stack.enter_context(emu.Machine(
                inserted.iso, setup.emulator, setup.model, boot.memory, ips=setup.ips,
                log=LOGS / f"{boot}.log", extra=(*setup.extra, *inserted.arguments),
                board=setup.board, prefix=inserted.prefix, cpus=setup.cpus))
            self.machines.add(machine)
            try:
                take_steps(boot, machine)
                self._await_end(boot, machine)
            except emu.MachineError as failure:
                error, faulty = str(failure), isinstance(failure, EmulatorFault)
                if server_log.exists():
                    error += "\n--- its server says:\n" + "\n".join(
                        server_log.read_text(errors="replace").splitlines()[-20:])
            self.machines.discard(machine)
            powered_off = machine.wait(0)
        return Run(machine.text(), powered_off, error, time.monotonic() - start), faulty

    @staticmethod
    def _await_end(boot, machine):
        if not boot.powers_off:
            machine.wait(boot.watched or boot.limit)
        elif not machine.wait(boot.limit):
            raise emu.MachineError(machine.report(f"it did not power off after {boot.limit} s of its work"))


def missing(boot):
    """Why this boot is not possible here; "" if it is."""
    return boot.medium.missing() or emulators.missing(boot.setup.emulator)


def boots_of(item):
    """The boots that a test needs: its parameter, or the list in the function's .boots."""
    params = getattr(getattr(item, "callspec", None), "params", {})
    return [params["boot"]] if "boot" in params else getattr(item.function, "boots", ())


@pytest.fixture(scope="session")
def runs(request, tmp_path_factory):
    boots = dict.fromkeys(boot for item in request.session.items for boot in boots_of(item))
    runs = request.config.lamina_runs = Runs(tmp_path_factory.mktemp("images"), boots)
    yield runs
    runs.close()


@pytest.fixture
def run(runs, boot):
    """The result of this test's boot; waits for its end."""
    if missing(boot):
        pytest.skip(missing(boot))
    return runs.of(boot)


def pytest_configure(config):
    config.addinivalue_line("markers", "long: run by `make check-long`, not by `make check`")


def pytest_terminal_summary(terminalreporter):
    runs = getattr(terminalreporter.config, "lamina_runs", None)
    if not runs:
        return
    terminalreporter.section("boots")
    for boot, future in runs.futures.items():
        if future.done() and not future.cancelled() and not future.exception():
            again = runs.repeated.count(boot)
            terminalreporter.write_line(f"{future.result().seconds:7.1f} s  {boot}" +
                                        (f", after {again} that a known fault of the emulator ended" if again else ""))
