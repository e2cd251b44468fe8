# SPDX-License-Identifier: MIT
"""Trace the instructions of one operation, and count them by function.

    tests/bench/profile.py long.cpuid-0                 on each machine of make bench
    tests/bench/profile.py flat.self-ipi --machine qemu-svm --instructions
    tests/bench/profile.py nested.cpuid-0               of the hypervisor in a guest of make bench-peers-nested

Bochs' debugger and QEMU's GDB port stop at the operation in the benchmark guest, when it has run
a few times already, and step through it, through what runs beneath it, and back.
"""

import argparse
import bisect
import collections
import itertools
import json
import pathlib
import re
import subprocess
import sys
import tempfile

import bench
import emulators
import gdbport
import image
import peers_nested

WARM = 4                    # how many times the operation runs before it is traced
# Figures that are not one operation between two RDTSCs, and those for calibration.
UNSUITABLE = ("nops-100", "loop-2000", "tsc-deadline-late", "hlt-wake", "timer-tick", "x2apic-timer-tick",
              f"cpuid-0-of-{bench.CROWD}-vms", "vm-switch", "ipi-awake", "ipi-halted")
# Figures traced from an instruction of the operation to the first one of a handler.
TO_HANDLER = {"hlt_wake": ("hlt", "handle_timer")}
LIMIT = 200_000             # instructions
PROGRAMS = {**{mode: f"{mode}.elf" for mode in bench.MODES}, "nested": "nested64.elf"}
# The figures that docs/bench.md shows by function, in the guest's order.
ACCOUNTED = ("long.cpuid-0", "long.hypercall", "long.rdmsr-mtrr-cap", "long.in-pic-mask",
             "long.lapic-read-version", "long.self-ipi", "long.nmi-and-irq", "long.x2apic-self-ipi")
HOST = 1 << 63              # Lamina runs in the upper half, the guest in the lower
UNKNOWN = -1                # an address in the guest
# Instructions that cost far more than others on a real processor, or that count the guest's exits.
COUNTED = ("vmread", "vmwrite", "vmlaunch", "vmresume", "vmptrld", "invept", "invvpid", "vmrun",
           "vmload", "vmsave", "clgi", "stgi", "rdmsr", "wrmsr", "in", "out", "cpuid", "xsetbv",
           "rdtsc", "invlpg", "lidt", "lgdt", "ltr", "iretq", "wbinvd", "pause")

Instruction = collections.namedtuple("Instruction", "function mnemonic text", defaults=("",))
# SDM, "Serializing Instructions", without VM entries, which have a column of their own; a MOV to CR8 is none.
SERIALIZING = ("cpuid", "iretq", "iret", "invd", "invept", "invlpg", "invvpid", "invpcid", "lgdt", "lidt", "lldt", "ltr",
               "rsm", "serialize", "wbinvd", "wrmsr")
TO_CONTROL = re.compile(r",%(?:cr(?!8)|db|dr)\d+$")


class Code:
    """The instructions of ELF files by address."""

    def __init__(self, *files):
        self.at, self.functions = {}, {}
        for path in files:
            function = "?"
            for line in subprocess.run(["objdump", "-d", "--no-show-raw-insn", path], check=True,
                                       stdout=subprocess.PIPE, text=True).stdout.splitlines():
                if match := re.match(r"([0-9a-f]+) <(.+)>:$", line):
                    # Labels within an assembly function, and the parts that gcc splits off.
                    function = match[2].partition(".")[0] or function
                    self.functions.setdefault(match[2], int(match[1], 16))
                elif match := re.match(r" *([0-9a-f]+):\t((?:(?:rep\w*|lock|data16|cs|notrack) )*)(\S+)(.*)",
                                       line):
                    self.at[int(match[1], 16)] = Instruction(function, match[3], match[2] + match[3] + match[4])
        self.sorted = sorted(self.at)

    def __getitem__(self, address):
        return self.at.get(address) or Instruction("?", "?", "?")

    def after(self, address):
        return self.sorted[bisect.bisect_right(self.sorted, address)]


class Guest(Code):
    """The benchmark guest's program for one mode."""

    def operation(self, figure):
        """The addresses of the RDTSCs before and after the operation."""
        name = figure.replace("-", "_")
        start = self.functions.get(name)
        if start is None:
            raise bench.BenchError(f"the guest has no function {name}")
        if name in TO_HANDLER:
            mnemonic, handler = TO_HANDLER[name]
            while self[start].mnemonic != mnemonic:
                start = self.after(start)
            return [start, self.functions[handler]]
        stamps, at = [], start
        while len(stamps) < 2 and self[at].function == name:
            if self[at].mnemonic == "rdtsc":
                stamps.append(at)
            at = self.after(at)
        if len(stamps) < 2:
            raise bench.BenchError(f"{name} is not one operation between two RDTSCs")
        return stamps


# -- the two ways to trace; each yields, for operations in the order in which the guest runs them, the
# -- addresses from the first RDTSC up to the last one

def trace_bochs(setup, iso, start, operations):
    # Before Lamina, other code ran at the guest's addresses, too.
    commands = [f"lb {start:#x}", "c", "d 1"]
    for number, (first, last) in enumerate(operations):
        commands += [f"lb {first:#x}", *["c"] * (WARM + 1), f"lb {last:#x}", "trace on", "c", "trace off",
                     f"d {2 * number + 2}", f"d {2 * number + 3}"]
    with bench.machine(setup, iso, debugger=commands) as running:
        if not running.wait(bench.LIMIT):
            raise bench.BenchError(running.report(f"no end within {bench.LIMIT} s"))
        text = running.messages.read_text(errors="replace")
    for part in text.split("Tracing enabled")[1:]:
        # The tick, and the address, which the debugger does not know for a guest with nested page tables.
        lines = re.findall(r"^\(0\)\.\[(\d+)\] (?:\[0x[0-9a-f]+\] [0-9a-f]{4}:([0-9a-f]+) )?", part,
                           re.MULTILINE)
        stop = int(re.search(r"^Next at t=(\d+)", part, re.MULTILINE)[1])
        yield list({int(tick): int(address, 16) if address else UNKNOWN
                    for tick, address in lines if int(tick) < stop}.values())


def trace_qemu(setup, iso, start, operations):
    with gdbport.machine(setup, iso) as port:
        port.sstep(interrupts=True)
        port.run_to(start)
        for first, last in operations:
            port.run_to(first, WARM + 1)
            addresses, rip = [], port.rip()
            while rip != last and len(addresses) < LIMIT:
                addresses.append(rip)
                rip = port.step()
            yield addresses


def trace(setup, iso, start, operations):
    traces = list({"bochs": trace_bochs, "qemu": trace_qemu}[emulators.kind(setup.emulator)](setup, iso, start, operations))
    if len(traces) != len(operations) or not all(traces):
        raise bench.BenchError(f"{setup.name}: {len(traces)} of {len(operations)} operations were reached, "
                               "or the guest runs them in another order")
    return traces


# -- what is printed

def who(address, guest, host):
    if address == UNKNOWN:
        return Instruction("guest", "?", "?")
    if address < HOST:
        return guest[address]._replace(function=f"guest {guest[address].function}")
    return host[address]


def show(title, instructions, verbose):
    print(f"{title}: {len(instructions)} instructions between the two time stamps")
    print("  in order:")
    for function, run in itertools.groupby(instructions, key=lambda i: i.function):
        run = list(run)
        print(f"    {len(run):5}  {function}")
        if verbose:
            for instruction in run:
                print(f"           {instruction.text}")
    print("  by function:")
    for function, count in collections.Counter(i.function for i in instructions).most_common():
        print(f"    {count:5}  {function}")
    mnemonics = collections.Counter(i.mnemonic for i in instructions
                                    if not i.function.startswith("guest"))
    costly = [f"{mnemonic.upper()} {mnemonics[mnemonic]}" for mnemonic in COUNTED
              if mnemonics[mnemonic]]
    print(f"  beneath the guest: {', '.join(costly) or 'nothing'}\n", flush=True)


def operation(figure, setup, guests):
    """The addresses of the figure's two RDTSCs."""
    mode, _, name = figure.partition(".")
    if mode not in guests:
        raise bench.BenchError(f"{figure}: say which mode, like long.cpuid-0 or flat.cpuid-0")
    if name == "hypercall":
        name = "vmcall" if "vmx" in setup.name else "vmmcall"
    return guests[mode].operation(name)


def profile(setup, figures, iso):
    """{figure: its instructions}."""
    guests = {mode: Guest(bench.OUTPUT / name) for mode, name in PROGRAMS.items()}
    host = Code(bench.BUILD / "lamina.debug")
    traces = trace(setup, iso, host.functions["vcpu_run_slice"],
                   [operation(figure, setup, guests) for figure in figures])
    return {figure: [who(address, guests[figure.partition(".")[0]], host) for address in addresses]
            for figure, addresses in zip(figures, traces)}


def exiting(setup):
    """The long mode figures of the last make bench that cause exits, in the guest's order."""
    path = bench.OUTPUT / "bench.json"
    if not path.exists():
        raise bench.BenchError("run make bench first: its figures say what there is")
    figures = json.loads(path.read_text())["machines"][setup.name]
    return [name for name, numbers in figures.items() if name.startswith("long.") and "n" in numbers
            and numbers["net"] > 2 and name.partition(".")[2] not in UNSUITABLE]


def is_locked(instruction):
    """XCHG with memory is, without the prefix."""
    return instruction.text.startswith("lock ") or (instruction.mnemonic == "xchg" and "(" in instruction.text)


def is_serializing(instruction):
    return instruction.mnemonic in SERIALIZING or (instruction.mnemonic == "mov" and
                                                   bool(TO_CONTROL.search(instruction.text.strip())))


def summary(profiles):
    """A line for each figure: instructions, entries, VMREADs, VMWRITEs, locked and serializing instructions."""
    yield ["operation", "instructions", "entries", "VMREAD", "VMWRITE", "LOCK", "serializing"]
    for figure, instructions in profiles.items():
        beneath = [i for i in instructions if not i.function.startswith("guest")]
        count = collections.Counter(i.mnemonic for i in beneath)
        yield [figure, *map(str, (len(instructions), count["vmresume"] + count["vmrun"],
                                  count["vmread"], count["vmwrite"],
                                  sum(map(is_locked, beneath)), sum(map(is_serializing, beneath))))]


def by_function(setup, iso):
    """A line for each figure with its functions, the largest share first."""
    for figure, instructions in profile(setup, ACCOUNTED, iso).items():
        count = collections.Counter(i.function for i in instructions)
        yield [f"{setup.name} {figure}", ", ".join(f"{name} {number}" for name, number in count.most_common()),
               str(len(instructions))]


def show_summary(iso, docs):
    setups = {setup.name: setup for setup in bench.SETUPS}
    vmx = setups["bochs-vmx"]
    accesses = list(summary(profile(vmx, exiting(vmx), iso)))
    functions = [["operation", "by function", "instructions"]]
    for name in ("bochs-vmx", "qemu-svm"):
        functions += by_function(setups[name], iso)
    print(bench.text_table(accesses))
    for figure, names, number in functions[1:]:
        print(f"{figure}: {number}: {names}")
    if docs:
        bench.update_docs("vmcs", bench.markdown_table(accesses))
        bench.update_docs("functions", bench.markdown_table(functions, left=2))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("figure", nargs="*", help="as make bench prints it, with its mode: long.cpuid-0")
    parser.add_argument("--machine", choices=[setup.name for setup in bench.SETUPS], action="append",
                        help="all of them by default")
    parser.add_argument("--instructions", action="store_true", help="print each one")
    parser.add_argument("--summary", action="store_true",
                        help="VMREADs, VMWRITEs, locked and serializing instructions of each figure of long mode, on "
                             "the machine with VMX; and where the instructions of those go that cost most")
    parser.add_argument("--docs", action="store_true", help="put the summary into docs/bench.md")
    args = parser.parse_args()
    setups = [s for s in bench.SETUPS if not args.machine or s.name in args.machine]
    try:
        with tempfile.TemporaryDirectory(prefix="lamina-bench-") as folder:
            iso, nested = pathlib.Path(folder, "bench.iso"), pathlib.Path(folder, "nested.iso")
            for path, module in ((iso, bench.MODULE), (nested, peers_nested.MODULE)):
                image.build(path, bench.BUILD / "lamina.elf", bench.OPTIONS, [module], small=True)
            if args.summary:
                show_summary(iso, args.docs)
            for figure, setup in itertools.product(args.figure, setups):
                which = nested if figure.startswith("nested.") else iso
                show(f"{setup.name} {figure}", profile(setup, [figure], which)[figure], args.instructions)
    except bench.BenchError as error:
        print(f"profile: error: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
