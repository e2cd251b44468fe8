# SPDX-License-Identifier: MIT
"""NMIs from outside, by QEMU's monitor: the report says what each CPU does, and Lamina goes on, or stops."""

import re
import subprocess
import time

import conftest
import emu
import image
from test_mce import AMD, LIMIT, Monitor, await_lines

GUEST = r"CPU {}: VM {}, vcpu 0, guest RIP (0x[0-9a-f]+); Lamina at 0x[0-9a-f]+"
# Both guests have run, and said so, if in pieces: before that the service thread may have the boot CPU.
RUNNING = (r"\ba\] first entry", r"\bb\] first entry", r"(?s): now.*: now")
OUTSIDE = "NMI 1 from outside: no source says so: a button, a BMC or a watchdog"


def boot(tmp_path, options):
    iso = tmp_path / "nmi.iso"
    modules = [image.Module(conftest.BUILD / "guests/spin.elf", vm, f"vm={vm} mem=16M limit=600 cpus={cpu}")
               for cpu, vm in enumerate(("a", "b"))]
    image.build(iso, conftest.BUILD / "lamina.elf",
                f"console=com1,115200 onend=poweroff onfail=poweroff cpus=0-1 {options}", modules, True)
    conftest.LOGS.mkdir(parents=True, exist_ok=True)
    return emu.Machine(iso, "qemu", AMD, 128, log=conftest.LOGS / f"nmi{options.replace('=', '-')}.log", cpus=3,
                       extra=("-monitor", f"unix:{tmp_path / 'monitor'},server,nowait"))


def spins_at():
    """The addresses of the guest's code: its RIP is one of them."""
    symbols = subprocess.run(["nm", conftest.BUILD / "guests/spin.elf"], capture_output=True, text=True, check=True).stdout
    addresses = sorted(int(line.split()[0], 16) for line in symbols.splitlines() if line.split()[1] in "tT")
    return addresses[0], addresses[-1] + 0x1000


def send_nmi(machine, tmp_path):
    """When CPUs 0 and 1 are in their guests, and CPU 2 halts: Lamina may have come back to print a line's end."""
    await_lines(machine, RUNNING)
    monitor, (low, high), work = Monitor(tmp_path / "monitor"), spins_at(), machine.work()
    while True:
        said = monitor("info registers -a")
        rips = [int(rip, 16) for rip in re.findall(r"\b[ER]IP=([0-9a-f]+)", said)]
        if len(rips) == 3 and all(low <= rip < high for rip in rips[:2]) and re.findall(r"\bHLT=(\d)", said)[2] == "1":
            break
        assert work.seconds() < LIMIT, said
        time.sleep(0.05)
    monitor("nmi")


def test_report(tmp_path):
    with boot(tmp_path, "") as machine:
        send_nmi(machine, tmp_path)
        machine.expect(r"CPU 2: no VM; Lamina at 0x[0-9a-f]+ \(idle\)", LIMIT)
        # The VMs go on until they are stopped.
        for _ in range(2):
            machine.send(b"\x1fq")
            machine.expect(r"vm ended: stopped by request", LIMIT)
        machine.expect(r"CPU 0: 1 NMIs from outside", LIMIT)
        machine.expect(emu.ENDED_WELL.pattern, LIMIT)
        assert machine.wait(LIMIT), machine.report("it did not power off")
    text = machine.text()
    assert text.count(OUTSIDE) == 1, text
    low, high = spins_at()
    for cpu, vm in enumerate(("a", "b")):
        found = re.search(GUEST.format(cpu, vm), text)
        assert found and low <= int(found[1], 16) < high, text


def test_panic(tmp_path):
    with boot(tmp_path, "nmi=panic") as machine:
        send_nmi(machine, tmp_path)
        machine.expect(r"Lamina: stopped: an NMI came from outside", LIMIT)
        assert machine.wait(LIMIT), machine.report("it did not power off")
    text = machine.text()
    assert re.search(r"CPU 2: no VM", text) and re.search(GUEST.format(1, "b"), text), text
    assert "does not stop" not in text, text
