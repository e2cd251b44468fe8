# SPDX-License-Identifier: MIT
"""The serial port of the log: found by each way, abandoned where it fails; on each port a guest gets input.

Ports in memory, for which QEMU has no device, are tested by tests/unit/test_console.c.
"""

import fcntl
import json
import os
import re
import socket
import struct

import pytest

import conftest
import emu
import image
import screen

LIMIT = 60
OPTIONS = "onend=poweroff onfail=poweroff"
IDLE = [image.Module(conftest.BUILD / "guests/idle.elf", "idle", "vm=idle mem=16M limit=600")]
HELLO = [image.Module(conftest.BUILD / "guests/debugexit.elf", "hello", "vm=hello mem=16M")]
NO_ISA = ("-serial", "none")
COM2 = ("-serial", "null", "-serial", "chardev:com1")

# console=, QEMU's device, where it must be found, whether its input is by interrupt
PORTS = {
    "auto": ("", ("-serial", "chardev:com1"), "port 0x3f8, 115200 baud: the first that answers", True),
    "com2": ("console=com2,19200", COM2, "port 0x2f8, 19200 baud, as console= says", True),
    "port": ("console=0x2f8,keep", COM2, "port 0x2f8, speed as it was, as console= says", True),
    "auto-com4": ("", (*NO_ISA, "-device", "isa-serial,iobase=0x2e8,irq=3,chardev=com1"),
                  "port 0x2e8, 115200 baud: the first that answers", True),
    # Its interrupt is not the usual one, 4.
    "com3": ("console=com3", (*NO_ISA, "-device", "isa-serial,iobase=0x3e8,irq=5,chardev=com1"),
             "port 0x3e8, 115200 baud, as console= says", False),
    "auto-pci": ("", (*NO_ISA, "-device", "pci-serial,chardev=com1"),
                 r"port 0x[0-9a-f]{3,4}, 115200 baud: the first that answers on PCI", False),
    "pci": ("console=pci", (*NO_ISA, "-device", "pci-serial,chardev=com1"),
            r"port 0x[0-9a-f]{3,4}, 115200 baud, as console= says", False),
    "pci-2x": ("console=pci,1", (*NO_ISA, "-chardev", "null,id=no", "-device",
                                 "pci-serial-2x,chardev1=no,chardev2=com1"),
               r"port 0x[0-9a-f]{2,3}8, 115200 baud, as console= says", False),
    "pci-place": ("console=pci,00:1c.0,57600", (*NO_ISA, "-device", "pci-serial,chardev=com1,addr=1c.0"),
                  r"port 0x[0-9a-f]{3,4}, 57600 baud, as console= says", False),
    "wrong": ("console=com3", ("-serial", "chardev:com1"),
              "port 0x3f8, 115200 baud: the first that answers", True),
}


def build(tmp_path, options, modules=IDLE, mode=None):
    iso = tmp_path / "serial.iso"
    image.build(iso, conftest.BUILD / "lamina.elf", options, modules, True, mode=mode)
    return iso


def machine_for(name, iso, **rest):
    conftest.LOGS.mkdir(parents=True, exist_ok=True)
    return emu.Machine(iso, "qemu", mem=128, log=conftest.LOGS / f"serial-{name}.log", **rest)


def type_at_guest(machine):
    machine.expect(r"^guest idle: now", LIMIT)
    machine.send(b"x")
    machine.expect(r"^guest idle: 1 passed, 0 failed", LIMIT)
    machine.expect(emu.ENDED_WELL.pattern, LIMIT)
    assert machine.wait(LIMIT), machine.report("it did not power off")


@pytest.mark.parametrize("case", PORTS)
def test_port(case, tmp_path):
    option, serial, found, by_interrupt = PORTS[case]
    with machine_for(case, build(tmp_path, f"{option} {OPTIONS}"), serial=serial) as machine:
        machine.expect(rf"console: serial {found}", LIMIT)
        type_at_guest(machine)
    text = machine.text()
    assert re.search(r"^\[ *0\.\d+ cpu0\] Lamina 0\.", text, re.MULTILINE), "the first line is missing"
    assert by_interrupt != ("console: serial input is polled every" in text)
    assert (case == "wrong") == ("error: console: the port of console= cannot be used: "
                                 "no 16550 answers there: taking console=auto" in text)


def spcr(port, baud_code, length=80, irq=4):
    """ACPI's Serial Port Console Redirection table, for QEMU to add; QEMU fills in the checksum."""
    header = struct.pack("<4sIBB6s8sI4sI", b"SPCR", length, 2, 0, b"LAMINA", b"TEST    ", 1, b"TEST", 1)
    body = struct.pack("<B3xBBBBQBBIBBBBBBHHBBBIBI", 0, 1, 8, 0, 1, port, 3, irq, irq, baud_code, 0, 1, 0,
                       0, 0, 0xffff, 0xffff, 0, 0, 0, 0, 0, 0)
    table = bytearray((header + body)[:length])
    table[9] = -sum(table) & 0xff
    return bytes(table)


def with_table(tmp_path, table):
    path = tmp_path / "spcr"
    path.write_bytes(table)
    return "-acpitable", f"file={path}"


def test_spcr_moves_the_console(tmp_path):
    old = tmp_path / "old"
    serial = ("-serial", f"file:{old}", "-serial", "chardev:com1")
    with machine_for("spcr", build(tmp_path, OPTIONS), serial=serial,
                     extra=with_table(tmp_path, spcr(0x2f8, 3))) as machine:
        type_at_guest(machine)
    before, after = old.read_text(errors="replace"), machine.text()
    going = r"console: serial port 0x2f8, 9600 baud: ACPI's SPCR table says so, going on there"
    assert re.search(going, before) and re.search(going, after)
    # The new port has the whole log from the first line, the old one nothing more.
    assert "] Lamina 0." in after and "capabilities:" in after
    assert "capabilities:" not in before


def test_spcr_names_the_interrupt(tmp_path):
    """Not 5, which QEMU's MADT calls level-triggered: such a line may be another device's."""
    serial = (*NO_ISA, "-device", "isa-serial,iobase=0x3e8,irq=7,chardev=com1")
    with machine_for("spcr-interrupt", build(tmp_path, OPTIONS), serial=serial,
                     extra=with_table(tmp_path, spcr(0x3e8, 7, irq=7))) as machine:
        type_at_guest(machine)
    assert "console: serial input by interrupt 7" in machine.text()
    assert "polled every" not in machine.text()


@pytest.mark.parametrize("port, baud, length, words", [
    (0x2f8, 7, 60, "SPCR table is too short: ignored"),
    (0, 7, 80, "SPCR table says that there is no console: ignored"),
    (0x10000, 7, 80, "SPCR table has an impossible address: ignored"),
    (0x3e8, 7, 80, "port 0x3e8, 115200 baud: no 16550 answers there: staying"),
])
def test_bad_spcr(port, baud, length, words, tmp_path):
    with machine_for("bad-spcr", build(tmp_path, OPTIONS, HELLO),
                     extra=with_table(tmp_path, spcr(port, baud, length))) as machine:
        machine.expect(emu.ENDED_WELL.pattern, LIMIT)
    level = "" if port == 0 else "warning: "    # how the table says that there is none
    assert re.search(rf"^\[[^]]*\] {level}console: .*{re.escape(words)}$", machine.text(), re.MULTILINE)


def test_the_monitors_own_port(tmp_path):
    """A command per line, a reply for each; the guest ends when it is stopped."""
    path = tmp_path / "monitor"
    serial = ("-serial", "chardev:com1", "-chardev", f"socket,id=monitor,path={path},server=on,wait=off",
              "-serial", "chardev:monitor")
    spin = [image.Module(conftest.BUILD / "guests/spin.elf", "spin", "vm=spin mem=16M -- if=1")]
    with machine_for("monitor", build(tmp_path, f"monitor=com2 {OPTIONS}", spin), serial=serial) as machine:
        machine.expect(r"monitor: command line at serial port 0x2f8, 115200 baud$", LIMIT)
        machine.expect(r"^guest spin: now", LIMIT)
        with socket.socket(socket.AF_UNIX) as port:
            port.settimeout(10 * LIMIT)     # of real time
            port.connect(str(path))
            replies = port.makefile("r", newline="\n")
            port.sendall(b"vms\r\nnothing\n-j vms\rhelp\n")
            assert re.match(r"\*  1 spin +running  vcpus 1, 16 MiB, up \d+ s\r\n", replies.readline())
            assert replies.readline() == "ok\r\n"
            assert replies.readline() == "error: there is no such command; help lists them\r\n"
            assert json.loads(replies.readline())["vms"][0]["name"] == "spin"
            lines = list(iter(replies.readline, "ok\r\n"))
            assert "stop VM: end it\r\n" in lines and len(lines) > 10
            port.sendall(b"stop spin\n")
            assert replies.readline() == "ok\r\n"
        machine.expect(emu.ENDED_WELL.pattern, LIMIT)
    assert "vm ended: stopped by request" in machine.text()


def test_a_monitors_port_that_is_the_consoles(tmp_path):
    with machine_for("monitor-console", build(tmp_path, f"monitor=com1 {OPTIONS}", HELLO)) as machine:
        machine.expect(r"error: monitor: the port 0x3f8 of monitor= cannot be used: it is the console's", LIMIT)
        machine.expect(emu.ENDED_WELL.pattern, LIMIT)


class FullPipe:
    """A pipe that takes no more bytes until it is opened: QEMU's port then stays busy."""

    def __init__(self, tmp_path):
        self.path = tmp_path / "pipe"
        os.mkfifo(f"{self.path}.in")
        os.mkfifo(f"{self.path}.out")
        self.fd = os.open(f"{self.path}.out", os.O_RDWR | os.O_NONBLOCK)
        self.input = os.open(f"{self.path}.in", os.O_RDWR | os.O_NONBLOCK)
        fcntl.fcntl(self.fd, fcntl.F_SETPIPE_SZ, 4096)
        try:
            while True:
                os.write(self.fd, b"\0")
        except BlockingIOError:
            pass

    def close(self):
        os.close(self.fd)
        os.close(self.input)


def test_a_stuck_port(tmp_path):
    """COM2 takes nothing: the screen says so, and the guest runs to its end nevertheless."""
    pipe, display = FullPipe(tmp_path), screen.Display(tmp_path)
    iso = build(tmp_path, "console=com2 screen=all onend=halt", HELLO, "1280x1024")
    serial = ("-serial", "chardev:com1", "-chardev", f"pipe,id=stuck,path={pipe.path}",
              "-serial", "chardev:stuck")
    with machine_for("stuck", iso, serial=serial, extra=("-vga", "std", *display.extra)) as machine:
        shown = display.await_lines(
            lambda: display.picture().read(1),
            lambda lines: any("Lamina: all VMs ended" in line for line in lines), machine.work(), LIMIT)
        assert not machine.wait(0)
    pipe.close()
    text = "\n".join(shown)
    assert text.count("warning: console: the serial port takes no more characters") == 1
    assert re.search(r"^guest debugexit: [1-9]\d* passed, 0 failed$", text, re.MULTILINE)
    assert "Lamina: all VMs ended, halted" in text
