# SPDX-License-Identifier: MIT
"""The virtio-console of a Linux guest: hvc0 beside ttyS0, and the port through which it reports to Lamina."""

import contextlib
import re
import time

import pytest

import conftest
import emu
import image
import matrix

LIMIT = 200
OPTIONS = "console=com1,115200 loglevel=info onend=poweroff onfail=poweroff start=together"
SETUPS = {"qemu": ("qemu", "EPYC"), "bochs-vmx": ("bochs", "corei7_skylake_x"), "bochs-svm": ("bochs", "ryzen")}
PROMPT = r"~ # (?:\x1b\[6n)?$"
PORT = "/dev/virtio-ports/lamina.monitor"
COMMAND = b"\x1f:"
# Lines of the log, and what is typed and answered at the monitor's command line.
LAMINAS = re.compile(r"^\[ *\d+\.\d+ cpu\d+[^\n]*\n|^lamina> vms\n[\s\S]*?^lamina> quit\nok\n", re.MULTILINE)


def linux(cmdline, name="linux", keys="", files=("linux/vmlinuz", "linux/initramfs-virtio")):
    kernel, initrd = (conftest.BUILD / file for file in files)
    return [image.Module(kernel, "vmlinuz", f"vm={name} role=kernel mem=128M {keys} -- {cmdline} quiet"),
            image.Module(initrd, "initrd", f"vm={name} role=initrd")]


class Shell:
    def __init__(self, machine):
        self.machine = machine

    def run(self, command, says=""):
        """What is printed from the command on up to the next prompt, which must have the pattern in it."""
        self.machine.send(command + "\r")
        said = self.machine.expect(rf"{says}(?:[^#]|# [^\n])*{PROMPT}" if says else PROMPT, LIMIT)
        assert re.search(says, said, re.MULTILINE), self.machine.report(f"{command}: {says} is missing")
        return said

    def monitor(self, line, seconds=0):
        """The reply; `seconds`: how long the command line stays open after it."""
        self.machine.send(COMMAND)
        self.machine.expect(r"lamina> $", LIMIT)
        self.machine.send(f"{line}\r")
        self.machine.expect(rf"{re.escape(line)}$", LIMIT)
        reply = self.machine.expect(r"^(?:ok|error: .*)\n", LIMIT)
        time.sleep(seconds)
        self.machine.send("quit\r")
        self.machine.expect(r"^ok\n", LIMIT)
        return reply

    def end(self, command, ended, last=emu.ENDED_WELL.pattern):
        self.machine.send(command + "\r")
        self.machine.expect(ended, LIMIT)
        self.machine.expect(last, LIMIT)
        assert self.machine.wait(LIMIT), self.machine.report("it did not power off")


@contextlib.contextmanager
def shell_of(tmp_path, request, modules, setup="qemu", mem=256, cpus=1):
    emulator, model = SETUPS[setup]
    iso = tmp_path / "console.iso"
    image.build(iso, conftest.BUILD / "lamina.elf", OPTIONS, modules, True)
    conftest.LOGS.mkdir(parents=True, exist_ok=True)
    log = conftest.LOGS / f"{request.node.name}.log"
    with emu.Machine(iso, emulator, model, mem=mem, ips=matrix.FAST, log=log, ignore_bad_msrs=True,
                     cpus=cpus) as machine:
        machine.expect(PROMPT, LIMIT)
        yield Shell(machine)


def flood(shell, count):
    """
    Digits at hvc0 and letters at ttyS0, at the same time; while the monitor's command line is open, guests' output
    waits, so that the VM's ring is full. Each character comes once, and those of each port are in order.
    """
    machine = shell.machine
    shell.run("stty -F /dev/ttyS0 raw -echo; stty -F /dev/hvc0 -opost")
    machine.send(f"seq {count} > /dev/hvc0 & seq {count} | tr 0-9 a-j > /dev/ttyS0; wait; echo x'y'z\r")
    begin = machine.position
    machine.expect(r"^(?:\d|[a-j]){2,}", LIMIT)
    shell.monitor("vms", seconds=1)
    machine.expect(r"xyz", LIMIT)
    machine.expect(PROMPT, LIMIT)
    said = LAMINAS.sub("", machine.output[begin:machine.position].decode("latin-1").replace("\r", ""))
    said = said.partition("x'y'z")[2].partition("xyz")[0]
    numbers = "".join(map(str, range(1, count + 1)))
    assert re.sub(r"\D", "", said) == numbers
    assert re.sub(r"[^a-j]", "", said) == numbers.translate(str.maketrans("0123456789", "abcdefghij"))


def check_hvc0(setup, tmp_path, request, modules):
    with shell_of(tmp_path, request, modules, setup) as shell:
        shell.run("tty", r"^/dev/hvc0$")
        shell.run("cat /sys/class/virtio-ports/*/name", r"^lamina\.monitor$")
        flood(shell, 3000 if setup == "qemu" else 1200)
        shell.run("echo hel''lo", r"^hello$")
        shell.run(f"exec 3<>{PORT}; ask() {{ echo \"$@\" >&3; read -r x <&3; echo \"says $x\"; }}")
        shell.run("ask help", r"^says ok: log TEXT, result STATUS \[TEXT\], end \[STATUS\], reset, help$")
        shell.run("ask log all is well", r"linux\] guest: all is well$")
        shell.run("ask result 7 5 of 6 passed", r"linux\] result of the guest: 7, 5 of 6 passed$")
        shell.run("ask result many", r"^says error: expected a status")
        shell.run("ask stop linux", r"^says error: there is no such command")
        assert re.search(r"linux +running .*, result 7: 5 of 6 passed$", shell.monitor("vms"), re.MULTILINE)
        shell.end("echo end 0 >&3", r"linux\] vm ended: debug exit, status 0x0$")


@pytest.mark.parametrize("setup", SETUPS)
def test_linux_with_hvc0(setup, tmp_path, request):
    """It prints and reads there, floods both consoles, reports a result, and ends itself."""
    check_hvc0(setup, tmp_path, request, linux("console=hvc0"))


@pytest.mark.long
@pytest.mark.parametrize("setup", ("qemu", "bochs-vmx"))
def test_linux_6_12_with_hvc0(setup, tmp_path, request):
    newer = ("kernels/vmlinuz-6.12", "kernels/initramfs-6.12")
    check_hvc0(setup, tmp_path, request, linux("console=hvc0", files=newer))


def test_floods_from_two_cpus(tmp_path, request):
    with shell_of(tmp_path, request, linux("console=hvc0", keys="vcpus=2"), cpus=2) as shell:
        flood(shell, 3000)
        shell.run("nproc", r"^2$")
        shell.end(f"echo end > {PORT}", r"linux\] vm ended: debug exit, status 0x0$")


def test_end_with_a_bad_status(tmp_path, request):
    with shell_of(tmp_path, request, linux("console=ttyS0")) as shell:
        shell.end(f"echo end 3 > {PORT}", r"linux\] vm ended: debug exit, status 0x3$", matrix.ENDED_BADLY % (1, 1))


def test_reset(tmp_path, request):
    with shell_of(tmp_path, request, linux("console=ttyS0")) as shell:
        shell.machine.send(f"echo reset > {PORT}\r")
        shell.machine.expect(r"linux\] vm ended: reset by the guest \(lamina\.monitor\)$", LIMIT)
        shell.machine.expect(r"linux\] restarting$", LIMIT)
        shell.machine.expect(PROMPT, LIMIT)
        shell.end("poweroff", r"vm ended: power-off by the guest")


def test_com1_is_read_before_hvc0(tmp_path, request):
    """A shell on ttyS0 keeps the keyboard, whatever is printed on hvc0."""
    with shell_of(tmp_path, request, linux("console=hvc0 console=ttyS0")) as shell:
        shell.run("tty", r"^/dev/ttyS0$")
        shell.run("echo on''hvc > /dev/hvc0", r"onhvc")
        shell.run("tty", r"^/dev/ttyS0$")
        shell.end("poweroff", r"vm ended: power-off by the guest")


def test_fronts_change_while_both_consoles_flood(tmp_path, request):
    """Each VM gets what is typed while it is in front, and all of it; neither keeps the other from printing."""
    modules = [*linux("console=hvc0", keys="keyboard=hvc0"),    # and not ttyS0, while it is open
               image.Module(conftest.BUILD / "guests/keys.elf", "keys", "vm=keys mem=16M")]
    with shell_of(tmp_path, request, modules) as shell:
        machine = shell.machine
        shell.run("stty -F /dev/ttyS0 raw -echo")
        # Both go on until the input has ended, however long this test takes to type it.
        machine.send("flood() { i=0; until [ -e /tmp/typed.all ]; do i=$((i+1)); echo $1$i; done; echo $1 en''ds; }; "
                     "flood hvc > /dev/hvc0 & flood com > /dev/ttyS0 & "
                     "cat > /tmp/typed; touch /tmp/typed.all; wait; echo bo''th\r")
        machine.expect(r"^hvc\d", LIMIT)
        for i in range(1, 4):
            machine.send(f"line {i}\r".encode() + b"\x1f2")
            machine.expect(r"\[console: keys is in front\]$", LIMIT)
            machine.send(b"a")
            machine.expect(rf"^keys: {i} a$", LIMIT)
            machine.expect(r"^linux\| ", LIMIT)
            machine.send(b"\x1f1")
            machine.expect(r"\[console: linux is in front\]$", LIMIT)
            machine.expect(r"com\d", LIMIT)
        machine.send(b"\x04")                           # the end of the file
        ended = machine.expect(r"both", LIMIT)
        assert re.search(r"hvc ends", ended) and re.search(r"com ends", ended), ended[-3000:]
        machine.expect(PROMPT, LIMIT)
        shell.run("cat /tmp/typed", r"^line 1\n+line 2\n+line 3\n")
        machine.send(b"\x1f2")
        machine.expect(r"keys is in front", LIMIT)
        machine.send(b"q")
        machine.expect(r"keys\] vm ended: debug exit, status 0x0$", LIMIT)
        machine.expect(r"\[console: linux is in front\]$", LIMIT)
        shell.end("poweroff", r"linux\] vm ended: power-off by the guest")
