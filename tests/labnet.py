# SPDX-License-Identifier: MIT
"""A network with a DHCP and TFTP server that machines boot from: docs/lab/dnsmasq.conf, run by dnsmasq.

It is a network namespace without a name, which ends with the processes in it, so that nothing is
left behind and any number can exist at the same time. One tap device is its only cable: the server's end is
in the namespace, the other one is the emulated machine's.
"""

import functools
import os
import pathlib
import re
import shutil
import subprocess
import threading

CONFIG = pathlib.Path(__file__).resolve().parent.parent / "docs/lab/dnsmasq.conf"
SERVER, SERVER6 = "192.168.77.1/24", "fd00:77::1/64"
LIMIT = 180     # seconds for the server to come up, or to go

# A user who is not root can have such a network, too, if the kernel allows user namespaces.
ROOT = os.geteuid() == 0
UNSHARE = ("unshare", "--net") if ROOT else ("unshare", "--map-root-user", "--net")
ENTER = ("nsenter", "--net") if ROOT else ("nsenter", "--user", "--preserve-credentials", "--net")
# All processes end with this one, however it ends.
DIE_WITH_US = ("setpriv", "--pdeathsig", "KILL", "--")
CABLE = """\
ip link set lo up
ip tuntap add dev {tap} mode tap
ip address add {server} dev {tap}
ip address add {server6} dev {tap} nodad
ip link set {tap} up
"""


@functools.lru_cache
def alone():
    """The start of a command that runs in a network namespace with nothing in it; empty where none can be made."""
    made = shutil.which(UNSHARE[0]) and subprocess.run([*UNSHARE, "true"], stdin=subprocess.DEVNULL,
                                                       stderr=subprocess.DEVNULL, check=False)
    return UNSHARE if made and not made.returncode else ()


def setting(name):
    """The value of a setting in the configuration file."""
    return re.search(rf"^{name}=(.*)$", CONFIG.read_text(), re.MULTILINE)[1]


def shell(command):
    return [*UNSHARE, *DIE_WITH_US, "sh", "-euc",
            CABLE.format(tap=setting("interface"), server=SERVER, server6=SERVER6) + command]


@functools.lru_cache
def missing():
    """Why such a network is not possible here; "" if it is."""
    result = subprocess.run(shell("exec dnsmasq --version"), stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return "" if not result.returncode else \
        f"no network namespace with a tap device and dnsmasq in it: {result.stdout.strip()}"


class Network:
    """The network and its server, in a with statement. `prefix` runs a command in it; the server's
    output goes to the file `log`."""

    def __init__(self, tftp_root, log, more=""):
        """more: settings in addition to the file's."""
        config = re.sub(r"^tftp-root=.*$", f"tftp-root={tftp_root}", CONFIG.read_text(),
                        flags=re.MULTILINE)
        self.config, self.log = config + more, pathlib.Path(log)
        self.tap = setting("interface")
        self.changed, self.up = threading.Event(), False

    def __enter__(self):
        # As the same user, since a process that changes its user would outlive this one, and
        # without the files that a server of the whole machine keeps.
        self.process = subprocess.Popen(
            shell("exec dnsmasq --no-daemon --conf-file=- --log-facility=- --leasefile-ro"),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.process.stdin.write(self.config.encode())
        self.process.stdin.close()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self.changed.wait(LIMIT)
        if not self.up:
            self.__exit__()
            raise RuntimeError(f"dnsmasq did not start:\n{self.last_lines()}")
        self.prefix = (*ENTER, "--target", str(self.process.pid), *DIE_WITH_US)
        return self

    def __exit__(self, *exception):
        self.process.terminate()
        try:
            self.process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.reader.join(LIMIT)
        self.process.stdout.close()

    def _read(self):
        with open(self.log, "wb", buffering=0) as log:
            for line in self.process.stdout:
                log.write(line)
                if b"TFTP root is" in line:
                    self.up = True
                    self.changed.set()
        self.changed.set()

    def last_lines(self):
        """The last lines of the server's output."""
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n".join(line for line in lines[-20:] if line)
