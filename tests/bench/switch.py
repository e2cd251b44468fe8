# SPDX-License-Identifier: MIT
"""Count the instructions from the last one of a VM to the first one of another VM on the same CPU.

Two VMs spin on one CPU, in slices of a millisecond. The emulator's debugger traces from the exit that ends
one's slice to the entry into the other; the instruction that enters is counted, too.
"""

import argparse
import collections
import pathlib
import re
import sys
import tempfile

import bench
import emulators
import gdbport
import image
import profile

SAMPLES = 9
WARM = 150          # switches before the first sample: the VMs have started by then, and the log is printed
OPTIONS = f"{bench.OPTIONS} slice=1"
VMS = ("first", "second")
LIMIT = 50_000      # instructions


def modules():
    return [image.Module(bench.OUTPUT / "bench.elf", name, f"vm={name} mem=16M cpus=0 -- spin=1") for name in VMS]


class Places:
    """The addresses in Lamina at which a trace begins and ends, and what says that it was a switch."""

    def __init__(self, setup):
        self.host = profile.Code(bench.BUILD / "lamina.debug")
        functions = self.host.functions
        if "vmx" in setup.name:
            self.exit = functions["vmx_exit_point"]
            self.entries = self._all("vmresume", "vmlaunch")
            self.put = functions["vmx_vcpu_put"]
        else:
            vmrun = self._all("vmrun")
            self.exit, self.entries = self.host.after(vmrun[0]), vmrun
            self.put = functions["svm_vcpu_put"]

    def _all(self, *mnemonics):
        return [address for address in self.host.sorted if self.host[address].mnemonic in mnemonics]


def by_bochs(setup, iso, places):
    """The traces: the addresses of all instructions from an exit to the next entry."""
    # From the put of the one VM onward only exits that end a slice are few: stop at each, and trace it.
    commands = [f"lb {places.put:#x}", *["c"] * WARM, "d 1"]
    commands += [f"lb {address:#x}" for address in (places.exit, *places.entries)]
    commands += ["c", "trace on", *["c"] * (4 * SAMPLES)]
    with bench.machine(setup, iso, debugger=commands) as running:
        if not running.wait(bench.LIMIT):
            raise bench.BenchError(running.report(f"no end within {bench.LIMIT} s"))
        text = running.messages.read_text(errors="replace")
    found = re.findall(r"^\(0\)\.\[(\d+)\] (?:\[0x[0-9a-f]+\] [0-9a-f]{4}:([0-9a-f]+) )?",
                       text.rpartition("Tracing enabled")[2], re.MULTILINE)
    trace, last = [], None
    for tick, address in found:
        if tick == last or not address:
            continue
        last = tick
        trace.append(int(address, 16))
    return split(trace, places)


def by_qemu(setup, iso, places):
    with gdbport.machine(setup, iso) as port:
        port.sstep(interrupts=True)
        port.run_to(places.put, WARM)
        traces = []
        while len(traces) < SAMPLES:
            port.run_to(places.exit)
            addresses, rip = [], places.exit
            while rip not in places.entries and len(addresses) < LIMIT:
                addresses.append(rip)
                rip = port.step()
            if places.put in addresses:
                traces.append([*addresses, rip])
        return traces


def split(trace, places):
    """The parts from an exit to the entry after it in which another vCPU was loaded."""
    part = None
    for address in trace:
        if address == places.exit:
            part = []
        if part is not None:
            part.append(address)
            if address in places.entries:
                if places.put in part:
                    yield part
                part = None


def traces(setup, iso):
    places = Places(setup)
    way = {"bochs": by_bochs, "qemu": by_qemu}[emulators.kind(setup.emulator)]
    found = list(way(setup, iso, places))[:SAMPLES]
    if len(found) < 3:
        raise bench.BenchError(f"{setup.name}: only {len(found)} switches between VMs were seen")
    return places.host, found


def figure(found):
    counts = sorted(map(len, found))
    return {"min": counts[0], "median": counts[len(counts) // 2], "max": counts[-1], "net": counts[0],
            "n": len(counts)}


def measure(setups=bench.SETUPS):
    """{setup: its figure}."""
    return bench.on_each(setups, bench.BUILD / "lamina.elf", OPTIONS, modules(),
                         lambda setup, iso: figure(traces(setup, iso)[1]))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--machine", choices=[setup.name for setup in bench.SETUPS], action="append")
    parser.add_argument("--instructions", action="store_true", help="print each one")
    args = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory(prefix="lamina-bench-") as folder:
            iso = pathlib.Path(folder, "bench.iso")
            image.build(iso, bench.BUILD / "lamina.elf", OPTIONS, modules(), small=True)
            for setup in bench.SETUPS:
                if args.machine and setup.name not in args.machine:
                    continue
                host, found = traces(setup, iso)
                least = min(found, key=len)
                print(f"{setup.name}: {sorted(map(len, found))}")
                profile.show(f"{setup.name} vm-switch", [host[address] for address in least], args.instructions)
    except bench.BenchError as error:
        print(f"switch: error: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
