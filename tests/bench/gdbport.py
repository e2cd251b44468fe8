# SPDX-License-Identifier: MIT
"""Set breakpoints in QEMU, step it, and ask how many instructions it has executed."""

import contextlib
import pathlib
import re
import socket
import tempfile
import time

import bench


class GdbPort:
    """The few packets of GDB's remote protocol that are needed."""

    RIP = 16                # its index: after the general registers, each of eight bytes

    def __init__(self, path, running):
        self.socket, self.rest, self.running = socket.socket(socket.AF_UNIX), b"", running
        for _ in range(100):
            try:
                self.socket.connect(str(path))
                break
            except OSError:
                time.sleep(0.1)
        else:
            raise bench.BenchError("QEMU opened no GDB port")
        self.socket.settimeout(bench.LIMIT)
        self.breaks = set()
        self.ask("?")

    def _send(self, text):
        self.socket.sendall(b"$%s#%02x" % (text.encode(), sum(text.encode()) & 0xff))

    def _receive(self):
        while not (match := re.search(rb"\$([^#]*)#..", self.rest)):
            try:
                data = self.socket.recv(65536)
            except TimeoutError:
                data = b""
            if not data:
                raise bench.BenchError(self.running.report("QEMU did not answer on its GDB port"))
            self.rest += data
        self.rest = self.rest[match.end():]
        self.socket.sendall(b"+")
        return match[1].decode()

    def ask(self, text):
        self._send(text)
        return self._receive()

    def monitor(self, command):
        """The answer of QEMU's monitor."""
        self._send("qRcmd," + command.encode().hex())
        text = ""
        while (packet := self._receive()) != "OK":
            text += bytes.fromhex(packet[1:]).decode()
        return text

    def sstep(self, interrupts):
        """Set whether interrupts and timers are active while single-stepping."""
        self.ask(f"Qqemu.sstep={1 if interrupts else 7:#x}")

    def break_at(self, address):
        self.ask(f"Z1,{address:x},1")
        self.breaks.add(address)

    def unbreak_at(self, address):
        self.ask(f"z1,{address:x},1")
        self.breaks.discard(address)

    def go(self):
        """Run until the next stop; returns its address."""
        here = self.rip()
        if here in self.breaks:         # it would stop there again and again
            self.ask(f"z1,{here:x},1")
            self.step()
            self.ask(f"Z1,{here:x},1")
        self.ask("c")
        return self.rip()

    def step(self):
        self.ask("s")
        return self.rip()

    def run_to(self, address, times=1):
        """Run until that address is about to be executed for the given number of times."""
        self.break_at(address)
        for _ in range(times):
            if self.go() != address:
                raise bench.BenchError(self.running.report(f"{address:#x} was not reached"))
        self.unbreak_at(address)

    def rip(self):
        return int.from_bytes(bytes.fromhex(self.ask("g"))[8 * self.RIP:][:8], "little")

    def executed(self):
        """Instructions since power-on, without the time in HLT. Only for a machine that records."""
        return int(re.search(r"instruction count = (\d+)", self.monitor("info replay"))[1])


@contextlib.contextmanager
def machine(setup, iso, memory=256, record=False, extra=()):
    """A machine that waits at power-on for commands through the port."""
    with tempfile.TemporaryDirectory(prefix="lamina-gdb-") as folder:
        path = pathlib.Path(folder, "gdb")
        arguments = ["-S", "-no-shutdown", "-chardev", f"socket,id=gdb,path={path},server=on,wait=off",
                     "-gdb", "chardev:gdb", *extra]
        if record:
            arguments += ["-icount", f"shift=0,sleep=off,rr=record,rrfile={folder}/replay"]
        with bench.machine(setup, iso, memory, extra=arguments) as running:
            yield GdbPort(path, running)
