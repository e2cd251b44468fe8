# SPDX-License-Identifier: MIT
"""Run a boot image in QEMU or Bochs, with input from a person or from a script.

As a program this is `make run` and `make debug`; as a module it is how the tests control a machine.
"""

import argparse
import collections
import contextlib
import fcntl
import os
import pathlib
import re
import select
import signal
import string
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
import tty

import emulators
import image
import labnet

HERE = pathlib.Path(__file__).resolve().parent

# The lines with which Lamina reports how a run ended; their prefix distinguishes them from a guest's output.
PREFIX = r"^\[ *\d+\.\d+ cpu\d+\] (?:error: |warning: )?"
ENDED_WELL = re.compile(PREFIX + r"Lamina: all VMs ended, powering off", re.MULTILINE)
STOPPED = re.compile(PREFIX + r"Lamina: stopped: *(.*)$", re.MULTILINE)

BOCHS_MODELS = {"intel": "corei7_skylake_x", "amd": "ryzen"}
# Bochs counts time in instructions: few per second make waits short, many give the guest more
# instructions between two timer ticks.
BOCHS_IPS = 100_000_000

PREFIX_KEY = b"\x01"  # Ctrl-A: with x it quits, twice it goes to the guest


class MachineError(AssertionError):
    """The machine did not do what was expected of it; the text ends with its last lines."""


Accelerator = collections.namedtuple("Accelerator", "args model why")


def kvm_gives_virtualization():
    """(whether a KVM guest here can have VMX or SVM, the reason)."""
    create_vm, get_supported_cpuid = 0xAE01, 0xC008AE05
    try:
        kvm = os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        return False, f"/dev/kvm cannot be opened ({error.strerror})"
    try:
        os.close(fcntl.ioctl(kvm, create_vm, 0))
        entries = 256
        table = bytearray(struct.pack("II", entries, 0) + bytes(40 * entries))
        fcntl.ioctl(kvm, get_supported_cpuid, table)
        for number in range(struct.unpack_from("I", table)[0]):
            function, _, _, _, _, ecx = struct.unpack_from("6I", table, 8 + 40 * number)
            if (function == 1 and ecx & 1 << 5) or (function == 0x80000001 and ecx & 1 << 2):
                return True, "/dev/kvm offers its guests VMX or SVM"
        return False, "/dev/kvm works, but offers its guests neither VMX nor SVM"
    except OSError as error:
        return False, f"/dev/kvm makes no VM ({error.strerror})"
    finally:
        os.close(kvm)


def choose_accelerator(model=None):
    """How QEMU is to run: with nested KVM where that has VMX or SVM, else with TCG, which emulates SVM only."""
    good, why = kvm_gives_virtualization()
    if good and not model:
        return Accelerator(["-accel", "kvm"], "host", f"KVM, since {why}")
    if model:
        why = "a CPU model was named"
    return Accelerator(["-accel", "tcg"], model or "EPYC", f"TCG, since {why}")


class Work:
    """The work of a process, in seconds: its CPU time, and the time in which it was idle, since the
    emulated machine's time may pass then, too. The time in which it waits for a CPU of a busy build
    machine does not count."""

    IDLE = 0.02                 # idle: at most this share of a CPU was used

    def __init__(self, pid, sample=1.0):
        """sample: the interval between two measurements, in seconds of real time."""
        self.pid, self.sample = pid, sample
        self.idle = self.busy = self.used = 0.0
        self.start = self.before = time.monotonic()
        self.used = self._used()

    def _used(self):
        """The CPU time of all its threads since it started, in seconds."""
        try:
            fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:         # it is gone
            return self.used
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def seconds(self):
        now = time.monotonic()
        if now - self.before >= self.sample:
            used = self._used()
            if used - self.used <= self.IDLE * (now - self.before):
                self.idle += now - self.before
            self.busy += used - self.used
            self.before, self.used = now, used
        return self.busy + self.idle

    def __str__(self):
        return (f"{self.busy:.0f} s of work and {self.idle:.0f} s idle, "
                f"within {time.monotonic() - self.start:.0f} s")


class Machine:
    """One emulated machine, from power-on to its end; use it in a with statement."""

    def __init__(self, iso, emulator="qemu", model=None, mem=512, ips=BOCHS_IPS, log=None,
                 echo=None, accel=("-accel", "tcg"), extra=(), board="q35",
                 serial=("-serial", "chardev:com1"), prefix=(), debugger=(), ignore_bad_msrs=False, cpus=1):
        """iso: the boot image, or None where `extra` names what QEMU boots; mem: MiB;
        emulator: one of emulators.py, by name;
        log: a file for the serial port's bytes; echo: a file descriptor that gets them too;
        extra: more QEMU arguments, the last word on each; board: QEMU's machine type;
        serial: QEMU arguments for the port behind which com1, the character device used here, is;
        prefix: a command that runs QEMU, for example in another network namespace;
        debugger: commands for Bochs' debugger, instead of the one that lets the machine run;
        ignore_bad_msrs: in Bochs, MSRs that it lacks read as 0, as Linux needs of the machine;
        cpus: how many the machine has."""
        self.iso = iso and pathlib.Path(iso).resolve()
        self.emulator, self.mem, self.ips, self.board = emulators.get(emulator), mem, ips, board
        self.model = model or {"qemu": "EPYC", "bochs": BOCHS_MODELS["intel"]}[self.emulator.kind]
        self.accel, self.extra, self.echo = list(accel), list(extra), echo
        self.serial, self.prefix, self.debugger = list(serial), prefix, list(debugger)
        self.ignore_bad_msrs, self.cpus = ignore_bad_msrs, cpus
        self.log = open(log, "wb", buffering=0) if log else None
        self.output = bytearray()
        self.position = 0          # where the next expect() starts
        self.changed = threading.Condition()
        self.ended = False

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="lamina-emu-"))
            self.folder = pathlib.Path(folder)
            self.messages = self.folder / "messages"
            start = {"qemu": self._start_qemu, "bochs": self._start_bochs}[self.emulator.kind]
            with open(self.messages, "wb") as messages:
                start(messages)
            stack.callback(self.stop)
            self.reader = threading.Thread(target=self._read, daemon=True)
            self.reader.start()
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *exception):
        self.stack.close()
        for fd in self.own_fds:
            os.close(fd)
        for file in (self.process.stdin, self.process.stdout, self.log):
            if file:
                with contextlib.suppress(OSError):
                    file.close()

    # -- the two emulators

    def _start_qemu(self, messages):
        command = [*self.prefix, *self.emulator.prefix(), "-M", self.board, *self.accel, "-cpu", self.model,
                   "-m", str(self.mem), "-smp", str(self.cpus), "-display", "none", "-vga", "none", "-no-reboot",
                   "-monitor", "none", "-chardev", "stdio,id=com1,signal=off",
                   *self.serial, *(("-cdrom", str(self.iso)) if self.iso else ()), *self.extra]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=messages, start_new_session=True)
        self.input, self.source = self.process.stdin.fileno(), self.process.stdout.fileno()
        # Room for what comes while this process has to wait for a CPU: a port that takes nothing for long is given up.
        with contextlib.suppress(OSError):
            fcntl.fcntl(self.source, fcntl.F_SETPIPE_SZ, 1 << 20)
        self.own_fds = []

    def _start_bochs(self, messages):
        ours, theirs = os.openpty()
        tty.setraw(theirs)
        amd = self.model in ("ryzen", "zambezi", "trinity_apu")
        template = string.Template((HERE / "bochs/bochsrc").read_text())
        (self.folder / "bochsrc").write_text(template.substitute(
            model=self.model, cpus=self.cpus, ips=self.ips, mem=self.mem, bios=self.emulator.bios,
            vgabios=self.emulator.vgabios, iso=self.iso, tty=os.ttyname(theirs),
            log=self.folder / "bochs.log", ignore_bad_msrs=int(self.ignore_bad_msrs),
            cpu_panic="report" if amd else "fatal"))
        # The debugger stops at each panic, even one that is only reported: make it continue.
        commands = self.debugger or ["c"] * (2000 if amd else 1)
        (self.folder / "commands").write_text("\n".join([*commands, "q", ""]))
        debugger = [*self.emulator.debugger, "-rc", "commands"]
        if not (self.debugger or self.emulator.always_debugger):
            debugger = []
        # Bochs' display is a VNC server at the first free port, and of two that look at the same time one
        # panics: give each ports of its own.
        self.process = subprocess.Popen(
            [*labnet.alone(), *self.emulator.prefix(), "-q", "-f", "bochsrc", *debugger], cwd=self.folder,
            stdin=subprocess.DEVNULL, stdout=messages, stderr=messages, start_new_session=True)
        self.input = self.source = ours
        # Kept open, so that the last bytes can be read after Bochs has ended.
        self.own_fds = [ours, theirs]

    def stop(self):
        """Kill the emulator; does nothing if it has ended already."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(3)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.reader.join(3)

    # -- the serial port

    def _read(self):
        while True:
            gone = self.process.poll() is not None
            ready = select.select([self.source], [], [], 0 if gone else 0.2)[0]
            data = os.read(self.source, 65536) if ready else b""
            if not data and (gone or ready):
                break
            if data:
                self._take(data)
        self.process.wait()
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def _take(self, data):
        if self.log:
            self.log.write(data)
        if self.echo is not None:
            os.write(self.echo, data)
        with self.changed:
            self.output += data.replace(b"\r", b"")
            self.changed.notify_all()

    def text(self, last=0):
        """The serial port's output, or its last `last` bytes; without carriage returns."""
        with self.changed:
            return self.output[-last:].decode("utf-8", "replace")

    def send(self, data):
        """Type into the serial port; a str or bytes, with "\\r" for the Enter key."""
        with contextlib.suppress(BrokenPipeError):
            os.write(self.input, data.encode() if isinstance(data, str) else data)

    def work(self):
        """A Work that counts from now on."""
        return Work(self.process.pid)

    def expect(self, pattern, timeout):
        """Wait until new output matches the regular expression; return it up to there.

        timeout: seconds of the emulator's work, not of real time; see Work."""
        regex, work = re.compile(pattern, re.MULTILINE), self.work()
        while True:
            with self.changed:
                text, ended = self.output[self.position:].decode("latin-1"), self.ended
            match = regex.search(text)          # not while the port's reader waits for it
            if match:
                self.position += match.end()
                return text[:match.end()]
            if ended:
                raise MachineError(self.report(f"it ended without saying {pattern!r}"))
            if work.seconds() >= timeout:
                raise MachineError(self.report(f"no {pattern!r} in {work}"))
            with self.changed:
                if not self.ended and len(self.output) == self.position + len(text):
                    self.changed.wait(work.sample)

    def wait(self, timeout):
        """Wait until the machine has powered itself off; False if it has not within `timeout` seconds of
        the emulator's work."""
        work = Work(self.process.pid, min(1.0, timeout))
        with self.changed:
            while not self.ended and work.seconds() < timeout:
                self.changed.wait(work.sample)
            return self.ended

    def report(self, what):
        """The text `what`, followed by the last lines of the serial port and of the emulator."""
        tail = self.text(last=8192).splitlines()[-30:]
        lines = [f"{self.emulator}, {self.model}: {what}", "--- its last lines:", *tail]
        complaints = self._complaints()
        if complaints:
            lines += ["--- the emulator says:", *complaints[-10:]]
        return "\n".join(lines)

    def _complaints(self):
        lines = self.messages.read_text(errors="replace").splitlines()
        if self.emulator.kind == "qemu":
            return [line for line in lines if "TCG doesn't support" not in line]
        log = self.folder / "bochs.log"
        lines = log.read_text(errors="replace").splitlines() if log.exists() else lines
        return [line for line in lines if re.search(r"PANIC|^\d+[ep]|exception\(\): 3rd", line)]


class Keyboard:
    """Keys from this program's standard input, on their way to a machine."""

    def __init__(self, machine):
        self.machine, self.open, self.prefixed = machine, True, False

    def carry(self, seconds):
        """Pass on what is typed within `seconds`; False if that was the quit key."""
        if not self.open:
            self.machine.wait(seconds)
        elif select.select([0], [], [], seconds)[0]:
            data = os.read(0, 1024)
            self.open = bool(data)
            if not os.isatty(0):
                self.machine.send(data)
            else:
                return self._typed(data)
        return True

    def _typed(self, data):
        for key in (data[i:i + 1] for i in range(len(data))):
            if self.prefixed and key in b"xX":
                return False
            if key == PREFIX_KEY and not self.prefixed:
                self.prefixed = True
                continue
            self.machine.send(PREFIX_KEY + key if self.prefixed and key != PREFIX_KEY else key)
            self.prefixed = False
        return True


def watch(machine, timeout):
    """Pass a person's keys to the machine until the run has ended; returns the exit status."""
    def say(text):
        sys.stdout.write(f"\r\n{text}\r\n")
        sys.stdout.flush()

    keyboard, verdict_at = Keyboard(machine), None
    deadline = time.monotonic() + timeout if timeout else float("inf")
    while not machine.wait(0):
        if not keyboard.carry(0.05):
            say("Quit by Ctrl-A x.")
            return 1
        now, text = time.monotonic(), machine.text(last=8192)
        if verdict_at is None and (ENDED_WELL.search(text) or STOPPED.search(text)):
            verdict_at = now
        if verdict_at and now > verdict_at + 3:
            break
        if now > deadline:
            say(f"No end within {timeout} s.")
            return 1
    stopped = STOPPED.search(machine.text())
    if stopped:
        say(f"Lamina stopped: {stopped[1]}")
        return 1
    if not ENDED_WELL.search(machine.text()):
        print(machine.report("it ended, and Lamina did not say that all VMs ended well"))
        return 1
    if not machine.wait(0):
        say("All VMs ended well, but the machine did not power off.")
        return 1
    say("All VMs ended well and the machine powered off.")
    return 0


@contextlib.contextmanager
def raw_terminal():
    """All keys go to the guest, Ctrl-C too; the terminal's settings are restored at the end."""
    if not os.isatty(0):
        yield
        return
    before = termios.tcgetattr(0)
    try:
        tty.setraw(0)
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)


def mebibytes(text):
    """512M or 2G as a number of MiB."""
    match = re.fullmatch(r"(\d+)([MG])", text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r} is no size like 512M or 2G")
    return int(match[1]) * {"M": 1, "G": 1024}[match[2]]


def machine_memory(args):
    """In MiB: the VMs' memory, what Lamina and the boot loader need, the images of further VMs and CPUs, and disks."""
    return args.vms * args.mem + 256 + (args.vms - 1) * 48 + args.smp + \
        (image.disk_memory(args.disk, args.vms) if args.disk else 0)


def without_race(installed):
    """The fetched QEMU if it is there: tests/emulators/mend_qemu.py says what installed ones do with several CPUs."""
    mended = [HERE / "emulators/mend_qemu.py", "--check", emulators.get("qemu").command[-1]]
    if not subprocess.run(mended, stderr=subprocess.DEVNULL, check=False).returncode:
        return "qemu"
    print("Note: with several CPUs QEMU's TCG now and then ends without a word, or hangs, by a fault of its own.\n"
          "      \"make emulators\" fetches a QEMU without that fault, which is used then.")
    return installed


def main():
    parser = argparse.ArgumentParser(description="Boot an ISO in an emulator, COM1 on this terminal.")
    parser.add_argument("iso")
    parser.add_argument("--emu", choices=("qemu", "bochs"), default="qemu")
    parser.add_argument("--cpu", choices=("intel", "amd"), help="the vendor, in Bochs")
    parser.add_argument("--model", help="the emulator's name of a CPU model")
    parser.add_argument("--mem", type=mebibytes, default=512, metavar="SIZE",
                        help="a VM's memory, like 512M; the machine gets that of all VMs, and more for the rest")
    parser.add_argument("--vms", type=int, default=1, help="how many VMs the image has")
    parser.add_argument("--disk", action="append", default=[], help="a disk of each VM, as for image.py")
    parser.add_argument("--log", help="a file for what the serial port says")
    parser.add_argument("--smp", type=int, default=1, help="how many CPUs the machine has")
    parser.add_argument("--timeout", type=int, default=0, help="give up after so many seconds")
    parser.add_argument("--gdb", metavar="ELF", help="start stopped, with a GDB port; QEMU only")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))

    # The installed emulators, which users have, and not those that the tests have fetched, with one exception.
    emulator = emulators.INSTALLED[args.emu]
    accel, extra = ("-accel", "tcg"), []
    if args.emu == "qemu":
        if args.cpu == "intel":
            parser.error("QEMU emulates no VMX: say EMU=bochs CPU=intel")
        accel, model, why = choose_accelerator(args.model or (args.cpu and "EPYC"))
        if args.smp > 1 and "tcg" in accel:
            emulator = without_race(emulator)
    else:
        model, why = args.model or BOCHS_MODELS[args.cpu or "intel"], ""
    name, version = {"qemu": "QEMU", "bochs": "Bochs"}[args.emu], emulators.get(emulator).says_version()
    print(f"{name} {version}{why and ', '}{why}; CPU model {model}.")
    if args.gdb:
        if args.emu != "qemu":
            parser.error("the GDB port is QEMU's: leave EMU=bochs out")
        extra = ["-s", "-S"]
        print("QEMU waits for GDB. In another terminal:\n"
              f"    gdb {args.gdb} -ex 'target remote :1234'\n"
              "and there, for example:\n    hbreak boot_main\n    continue")
    print("Ctrl-A x quits.", flush=True)
    with raw_terminal(), Machine(args.iso, emulator, model, machine_memory(args), log=args.log, echo=1,
                                 accel=accel, extra=extra, cpus=args.smp) as machine:
        status = watch(machine, args.timeout)
    sys.exit(status)


if __name__ == "__main__":
    main()
