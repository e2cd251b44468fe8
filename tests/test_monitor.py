# SPDX-License-Identifier: MIT
"""Several VMs at one serial line, and the monitor: its keys, its command line at the console and at a port of its own."""

import contextlib
import json
import re
import socket
import time

import pytest

import conftest
import emu
import image
import matrix

LIMIT = 120
OPTIONS = "console=com1,115200 loglevel=info onend=poweroff onfail=poweroff start=together"
# Lamina's own key and those that may follow it.
KEY, NEXT, PREVIOUS, COMMAND = b"\x1f", b"\x1fn", b"\x1fp", b"\x1f:"
SETUPS = {"qemu": ("qemu", "EPYC"), "bochs-vmx": ("bochs", "corei7_skylake_x"), "bochs-svm": ("bochs", "ryzen")}


def vm(name, guest="keys", keys="", cmdline=""):
    return image.Module(conftest.BUILD / f"guests/{guest}.elf", name, f"vm={name} mem=16M {keys} -- {cmdline}")


def build(tmp_path, modules, options=""):
    iso = tmp_path / "monitor.iso"
    image.build(iso, conftest.BUILD / "lamina.elf", f"{OPTIONS} {options}", modules, True)
    return iso


class Console:
    """The serial line of a machine whose VMs are the guest `keys`."""

    def __init__(self, machine):
        self.machine = machine

    def expect(self, pattern):
        return self.machine.expect(pattern, LIMIT)

    def wait_for_vms(self, names):
        """The first in front, as it is, the others behind their names; in any order."""
        said, work = "guest keys: now", self.machine.work()

        def started(lines):
            # A line of the log may have come in the middle of the one in front.
            front = any(line and len(line) < 16 and said.endswith(line) for line in lines)
            return front and all(f"{name}| {said}" in lines for name in names[1:])

        while not started(self.machine.text().partition("what is typed goes to the VM")[2].split("\n")[1:]):
            assert work.seconds() < LIMIT, self.machine.report("not all VMs have started")
            time.sleep(0.2)
        self.machine.position = len(self.machine.output)

    def press(self, keys, line):
        self.machine.send(keys)
        return self.expect(line)

    def command(self, line):
        """The reply to a command, of an open command line, up to "ok" or "error"."""
        self.machine.send(f"{line}\r")
        self.expect(rf"{re.escape(line)}$")             # typed behind the prompt
        return self.expect(r"^(?:ok|error: .*)\n").rstrip("\n")

    def open(self):
        self.press(COMMAND, r"lamina> $")

    def close(self):
        assert self.command("quit").endswith("ok")

    def end(self, badly=0):
        """badly: how many VMs did so, of two."""
        self.expect(matrix.ENDED_BADLY % (badly, 2) if badly else emu.ENDED_WELL.pattern)
        assert self.machine.wait(LIMIT), self.machine.report("it did not power off")


@contextlib.contextmanager
def console_of(tmp_path, request, names, setup="qemu", modules=None, cpus=1, **rest):
    emulator, model = SETUPS[setup]
    iso = build(tmp_path, modules or [vm(name) for name in names])
    conftest.LOGS.mkdir(parents=True, exist_ok=True)
    with emu.Machine(iso, emulator, model, mem=192, cpus=cpus, log=conftest.LOGS / f"{request.node.name}.log",
                     **rest) as machine:
        console = Console(machine)
        console.wait_for_vms(names)
        yield console


class Port:
    """The monitor's own port, behind a socket: one command, one reply."""

    def __init__(self, path, machine):
        self.machine = machine
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(path))
        self.socket.settimeout(10 * LIMIT)      # of real time
        self.file = self.socket.makefile("rw", newline="\n")

    def ask(self, command):
        """The members of the reply to `command -j`."""
        self.file.write(f"{command} -j\n")
        self.file.flush()
        return json.loads(self.file.readline())

    def lines(self, command):
        self.file.write(f"{command}\n")
        self.file.flush()
        lines = []
        while not lines or not re.match(r"ok$|error: ", lines[-1]):
            lines.append(self.file.readline().rstrip("\r\n"))
            assert lines[-1], lines
        return lines

    def states(self):
        return {each["name"]: each["state"] for each in self.ask("vms")["vms"]}

    def wait_for(self, name, *states):
        work = self.machine.work()
        while self.states()[name] not in states:
            assert work.seconds() < LIMIT, self.machine.report(f"{name} is {self.states()[name]}, not {states}")
            time.sleep(0.2)


@contextlib.contextmanager
def port_of(tmp_path, request, modules, cpus=1, mem=192, options=""):
    path = tmp_path / "monitor"
    iso = build(tmp_path, modules, f"monitor=com2 {options}")
    conftest.LOGS.mkdir(parents=True, exist_ok=True)
    with emu.Machine(iso, mem=mem, cpus=cpus, log=conftest.LOGS / f"{request.node.name}.log",
                     extra=("-chardev", f"socket,id=com2,path={path},server=on,wait=off",
                            "-serial", "chardev:com2")) as machine:
        machine.expect(r"monitor: command line at serial port 0x2f8, 115200 baud", LIMIT)
        port = Port(path, machine)
        with port.socket:
            yield machine, port


# --- the console

@pytest.mark.parametrize("setup", SETUPS)
def test_two_vms_share_the_line(setup, tmp_path, request):
    """What is typed reaches the VM in front; the other's lines come whole, behind its name; it is replayed."""
    with console_of(tmp_path, request, ["one", "two"], setup) as console:
        console.press(b"a", r"^keys: 1 a$")
        console.press(NEXT, r"\[console: two is in front\]$")
        console.expect(r"^guest keys: now$")            # replayed: it was printed in the back
        console.press(b"b", r"^keys: 1 b$")
        console.press(PREVIOUS, r"\[console: one is in front\]$")
        console.press(b"c", r"^keys: 2 c$")             # `one` got nothing of what was typed at `two`
        console.press(KEY + b"2", r"\[console: two is in front\]$")
        console.press(b"q", r"two\] vm ended: debug exit, status 0x0$")
        console.expect(r"\[console: one is in front\]$")
        console.press(b"q", r"one\] vm ended: debug exit, status 0x0$")
        console.end()


def test_lines_of_the_back_come_whole(tmp_path, request):
    with console_of(tmp_path, request, ["one", "two", "three"], cpus=2) as console:
        console.press(b"l" + NEXT, r"two is in front")
        # Its parts came some time apart; escape sequences and control characters are left out.
        console.expect(r"^one\| first part, second part, third$")
        console.press(KEY + b"1", r"one is in front")
        console.expect(r"^\x1b\[1mfirst\x1b\[0m part, second\x07 part, third$")     # replayed, as it was printed
        console.press(KEY + b"3", r"three is in front")
        console.press(KEY + b"7", r"console: there is no VM number 7$")
        console.press(KEY + b"?", r"  :: command line$")
        console.press(KEY + KEY, r"^keys: 1 \x1f$")     # passed on
        console.press(b"q", r"\[console: (?:one|two) is in front\]$")
        console.press(b"q", r"vm ended: debug exit")
        console.expect(r"\[console: (?:one|two) is in front\]$")
        console.press(b"q", r"vm ended: debug exit")
        console.end()


@pytest.mark.parametrize("setup", SETUPS)
def test_command_line(setup, tmp_path, request):
    with console_of(tmp_path, request, ["one", "two"], setup) as console:
        console.open()
        vms = console.command("vms")
        assert re.search(r"^\*  1 one +running +vcpus 1, 16 MiB, up \d+ s$", vms, re.MULTILINE), vms
        assert re.search(r"^   2 two +running ", vms, re.MULTILINE), vms
        assert re.search(r"^  0 APIC ID 0x0, load \d+ %, (?:idle|one/0|two/0)$", console.command("cpus"), re.MULTILINE)
        assert console.command("pause two").endswith("ok")
        assert re.search(r"^   2 two +paused ", console.command("vms"), re.MULTILINE)
        assert console.command("pause two").endswith("error: that is not possible in the VM's state")
        assert console.command("pause three").endswith("error: there is no such VM")
        assert console.command("nothing").endswith("error: there is no such command; help lists them")
        assert console.command("resume two").endswith("ok")
        assert console.command("console two").endswith("ok")
        console.close()
        console.press(b"a", r"^keys: 1 a$")
        console.press(b"q", r"two\] vm ended: debug exit, status 0x0$")
        console.open()
        assert re.search(r"^   2 two +ended ", console.command("vms"), re.MULTILINE)
        assert console.command("start two").endswith("ok")
        console.close()
        console.expect(r"^two\| guest keys: now$")
        console.open()
        assert console.command("stop one").endswith("ok")
        console.expect(r"\[console: two is in front\]$")
        console.close()
        console.press(b"q", r"two\] vm ended: debug exit, status 0x0$")
        console.end()
        assert re.search(r"one\] vm ended: stopped by request", console.machine.text())


def test_vm_that_prints_without_end(tmp_path, request):
    """Neither does it keep others' lines away nor Lamina's keys, in the front or in the back."""
    with console_of(tmp_path, request, ["one", "two"]) as console:
        console.press(b"f", r"^keys: flood 100$")
        console.press(NEXT, r"\[console: two is in front\]$")
        console.press(b"a", r"^keys: 1 a$")
        console.expect(r"^one\| keys: flood \d+$")
        console.press(b"b", r"^keys: 2 b$")
        console.open()
        assert console.command("stop one").endswith("ok")
        console.expect(r"one\] vm ended: stopped by request")
        console.close()
        console.press(b"q", r"two\] vm ended: debug exit")
        console.end()


# --- VMs that reset

def test_reset_restarts_one_vm_and_no_other(tmp_path, request):
    with console_of(tmp_path, request, ["one", "two"]) as console:
        console.press(b"a", r"^keys: 1 a$")
        console.press(NEXT, r"two is in front")
        console.press(b"b", r"^keys: 1 b$")
        console.press(PREVIOUS, r"one is in front")
        console.press(b"r", r"one\] vm ended: reset by the guest")
        console.expect(r"one\] restarting$")
        console.expect(r"\[console: two is in front\]$")
        console.expect(r"\[console: one is in front\]$")       # it was there before
        console.expect(r"^guest keys: now$")
        console.press(b"c", r"^keys: 1 c$")             # anew
        console.press(NEXT, r"two is in front")
        console.press(b"d", r"^keys: 2 d$")             # the other has gone on
        console.press(b"q", r"one is in front")
        console.press(b"t", r"one\] vm ended: triple fault")
        console.end(badly=1)                            # a triple fault is not a reset
        assert console.machine.text().count("] restarting") == 1


@pytest.mark.parametrize("setup", SETUPS)
def test_onreset_stop(setup, tmp_path, request):
    modules = [vm("one", keys="onreset=stop"), vm("two")]
    with console_of(tmp_path, request, ["one", "two"], setup, modules) as console:
        console.press(b"r", r"one\] vm ended: reset by the guest")
        console.expect(r"two is in front")
        console.press(b"q", r"two\] vm ended: debug exit")
        console.end(badly=1)
        assert "] restarting" not in console.machine.text()


# --- the port

def test_port_in_json(tmp_path, request):
    with port_of(tmp_path, request, [vm("one"), vm("two")], cpus=2) as (machine, port):
        port.wait_for("two", "running")
        reply = port.ask("vms")
        assert reply["ok"] is True
        assert [(each["index"], each["name"], each["vcpus"], each["memory"]) for each in reply["vms"]] == [
            (1, "one", 1, 16 << 20), (2, "two", 1, 16 << 20)]
        assert [each["front"] for each in reply["vms"]].count(True) == 1
        cpus = port.ask("cpus")["cpus"]
        assert [each["index"] for each in cpus] == [0, 1] and all(0 <= each["load"] <= 100 for each in cpus)
        mem = port.ask("mem")
        assert mem["guests"] >= 32 << 20 and mem["total"] > mem["guests"] + mem["pool"] and mem["pool_used"] <= mem["pool"]
        assert "vms" in port.ask("help")["commands"]
        assert port.ask("pause one") == {"ok": True}
        assert port.states() == {"one": "paused", "two": "running"}
        assert port.ask("pause one") == {"ok": False, "error": "that is not possible in the VM's state"}
        assert port.ask("resume one") == {"ok": True}
        assert port.ask("start one")["ok"] is False
        assert port.ask("no such command")["ok"] is False
        assert port.ask("vms two")["error"] == "too many words"
        for command, says in (("dump one", r"one\] .*RIP"), ("stats one", r"one\] vcpu 0: \d+ entries"),
                              ("trace one", r"one")):
            assert port.ask(command) == {"ok": True}
            machine.expect(says, LIMIT)
        assert port.ask("log shout") == {"ok": False, "error": "expected error, warn, info or debug"}
        assert port.ask("log error") == {"ok": True} and port.ask("log info") == {"ok": True}
        assert port.lines("vms")[-1] == "ok" and port.lines("stop nobody") == ["error: there is no such VM"]
        assert port.lines("x" * 300) == ["error: the line is too long"]
        assert port.ask("console two") == {"ok": True}
        assert [each["front"] for each in port.ask("vms")["vms"]] == [False, True]
        assert port.ask("reset two") == {"ok": True}
        machine.expect(r"two\] restarting", LIMIT)
        port.wait_for("two", "running")
        assert port.ask("stop one") == {"ok": True}
        port.wait_for("one", "ended")
        assert port.ask("start one") == {"ok": True}
        port.wait_for("one", "running")
        assert port.ask("stop 1") == {"ok": True}       # by its number
        assert port.ask("stop two") == {"ok": True}
        machine.expect(emu.ENDED_WELL.pattern, LIMIT)
        assert machine.wait(LIMIT)


def test_resets_of_a_hypervisor(tmp_path, request):
    """A VM is reset, dumped and reset again while its own guest runs or does not: nothing of the other level is left."""
    module = vm("nest", "nestedsvmfuzz", "nested=on", "rounds=1000000")
    with port_of(tmp_path, request, [module]) as (machine, port):
        for turn in range(20):
            machine.expect(r"nest\] first entry", LIMIT)
            time.sleep(0.05 * (turn % 7))
            assert port.ask("dump nest") == {"ok": True}
            assert port.ask("reset nest") == {"ok": True}
        machine.expect(r"nest\] first entry", LIMIT)
        assert port.states()["nest"] == "running"
        assert port.ask("stop nest") == {"ok": True}
        machine.expect(r"nest\] vm ended: stopped", LIMIT)


def test_port_answers_while_all_cpus_are_busy(tmp_path, request):
    """VMs that hang with interrupts off, one on each CPU, and one that is entered again and again."""
    modules = [vm("hang", "spin", "cpus=0"), vm("loop", "spin", "cpus=1"),
               vm("exits", "spin", "cpus=0", "exit=1"), vm("text", "smpflood", "vcpus=2 cpus=0-1", "what=2 ms=4000000")]
    with port_of(tmp_path, request, modules, cpus=2) as (machine, port):
        for name in ("hang", "loop", "exits", "text"):
            port.wait_for(name, "running")
        for _ in range(5):
            assert set(port.states().values()) == {"running"}
        assert {each["index"] for each in port.ask("cpus")["cpus"]} == {0, 1}
        assert port.ask("dump hang") == {"ok": True}
        machine.expect(r"hang\] .*RIP", LIMIT)
        for name in ("hang", "loop", "exits", "text"):
            assert port.ask(f"stop {name}") == {"ok": True}
        machine.expect(emu.ENDED_WELL.pattern, LIMIT)
        assert machine.wait(LIMIT)
        text = machine.text()
        assert len(re.findall(r"vm ended: stopped by request", text)) == 4, text[-3000:]


# --- Linux

def test_three_linux_together(tmp_path, request):
    """On 4 CPUs, with 2 each; one is reset, and starts again while the others go on."""
    names = ("web", "db", "mail")
    modules = [module for name in names for module in (
        image.Module(conftest.BUILD / "linux/vmlinuz", "vmlinuz",
                     f"vm={name} role=kernel mem=128M vcpus=2 -- console=ttyS0 quiet"),
        image.Module(conftest.BUILD / "linux/initramfs", "initrd", f"vm={name} role=initrd"))]
    prompt = r"^~ # "
    with port_of(tmp_path, request, modules, cpus=4, mem=768) as (machine, port):
        for name in names:
            assert port.ask(f"console {name}") == {"ok": True}
            machine.expect(prompt, 2 * LIMIT)
            machine.send(f"echo {name} $(nproc)\r")
            machine.expect(rf"^{name} 2$", LIMIT)
            machine.expect(prompt, LIMIT)           # or it would be taken for that of the next one
        machine.send("reboot -f\r")
        machine.expect(r"mail\] vm ended: reset by the guest", LIMIT)
        machine.expect(r"mail\] restarting", LIMIT)
        assert port.ask("console web") == {"ok": True}
        machine.send("echo $((6*7))\r")
        machine.expect(r"^42$", LIMIT)
        port.wait_for("mail", "running")
        assert port.ask("stop mail") == {"ok": True}
        for name in ("web", "db"):
            assert port.ask(f"console {name}") == {"ok": True}
            machine.send("poweroff\r")
            machine.expect(rf"{name}\] vm ended: power-off by the guest", LIMIT)
        machine.expect(emu.ENDED_WELL.pattern, LIMIT)
        assert machine.wait(LIMIT)
        for complaint in (r"soft lockup", r"Call Trace", r"Kernel panic", r"rcu.*stall"):
            assert not re.search(complaint, machine.text()), complaint
