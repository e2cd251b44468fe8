# SPDX-License-Identifier: MIT
"""Measure the cost of exits in executed instructions: run the benchmark guest, print and compare.

The figures are ticks of the guest's TSC. In these machines one tick is one executed instruction,
the guest's and the hypervisor's alike, so they are the same in every run on every build machine.
"""

import argparse
import collections
import concurrent.futures
import json
import pathlib
import re
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BUILD = ROOT / "build"
OUTPUT = BUILD / "bench"
BASELINE = HERE / "baseline.json"
DOCS = ROOT / "docs/bench.md"
sys.path.insert(0, str(HERE.parent))

import chart  # noqa: E402
import emu  # noqa: E402
import emulators  # noqa: E402
import image  # noqa: E402

# As a program it is the module of that name for those that it imports.
sys.modules.setdefault("bench", sys.modules[__name__])

Setup = collections.namedtuple("Setup", "name emulator model title")
# The distribution's emulators, in which the baseline was taken. QEMU 10.0 has other exits (XSETBV exits,
# reads of CR4 do not), and in Bochs 3.0 a tick is an instruction only where its debugger runs.
SETUPS = (
    Setup("qemu-svm", "qemu-7.2", "EPYC", "QEMU EPYC, SVM without next-RIP save"),
    Setup("bochs-vmx", "bochs-2.7", "corei7_haswell_4770", "Bochs Haswell, VMX"),
    Setup("bochs-svm", "bochs-2.7", "ryzen", "Bochs Ryzen, SVM"),
)
MODES = ("flat", "long")
MEMORY = 256        # MiB
CROWD = 64          # VMs
CROWDED = SETUPS[:2]    # the machines with so many
PAIRED = SETUPS[1:]     # the machines with two CPUs: QEMU's have no x2APIC
ICOUNT = ("-icount", "shift=0,sleep=off")
BOCHS_IPS = 20_000_000
OPTIONS = "console=com1,115200 loglevel=info onend=poweroff onfail=poweroff x2apic=on"
MODULE = image.Module(OUTPUT / "bench.elf", "bench", "vm=bench mem=128M")
# Doorbells and requests of virtio devices.
VIRTIO = MODULE._replace(cmdline=f"{MODULE.cmdline} disk=ram,size=1M -- virtio=1")
# Two processors in one VM, on two CPUs.
PAIR = MODULE._replace(cmdline=f"{MODULE.cmdline} vcpus=2 -- ipi=1 x2apic=1")
ENDED = r"Lamina: (?:all VMs ended|stopped)"
LIMIT = 300         # seconds for one machine; it needs ten when the build machine is idle

LINE = re.compile(r"^bench (?P<name>(?:flat|long)\.\S+): min (?P<min>\d+) median (?P<median>\d+) "
                  r"max (?P<max>\d+) net (?P<net>\d+) n (?P<n>\d+)(?: (?P<trap>#UD|#GP|trap \d+))?$",
                  re.MULTILINE)
DONE = r"^bench: done$"

GROWTH = 0.005      # more than this fails the check
COMPARED = ("net", "median")
# Ticks by which a figure may be off without growing: its end is a loop, or a wait for a time, that takes turns; or its
# ticks come in steps.
TURNS = {"tsc-deadline-late": 16, "hlt-wake": 16, "ipi-awake": 5, "ipi-halted": 5,
         "timer-oneshot": 64, "timer-tick": 64, "x2apic-timer-tick": 64}
# What another compiler has built is compared in classes: operations that do not exit, and the others, which may take
# this much more.
NO_EXIT = 2
CLASS_GROWTH = 0.25
# The figures that must result if one tick is one instruction.
CALIBRATION = {"nops-100": 100, "loop-2000": 2000}


class BenchError(Exception):
    """A run without usable figures; the message says why."""


def read(text, who):
    """{name: dictionary of numbers} of the figures in a run's output."""
    if not re.search(DONE, text, re.MULTILINE):
        raise BenchError(f"{who}: the benchmark guest did not come to its end\n{text[-2000:]}")
    figures = {}
    for match in LINE.finditer(text):
        fields = match.groupdict()
        name, trap = fields.pop("name"), fields.pop("trap")
        figures[name] = {key: int(value) for key, value in fields.items()}
        if trap:
            figures[name]["trap"] = trap
    return figures


def parse(text, who, tolerance=0):
    """The same of a run in which a tick has to be an instruction.

    tolerance: ticks by which a calibration may be off, where the hypervisor computes the TSC.
    """
    figures = read(text, who)
    for mode in dict.fromkeys(name.partition(".")[0] for name in figures):
        for name, expected in CALIBRATION.items():
            got = figures.get(f"{mode}.{name}", {}).get("net")
            if got is None or abs(got - expected) > tolerance:
                raise BenchError(f"{who}: {mode}.{name} took {got} ticks and not {expected}: "
                                 "here a tick is not an instruction")
    return figures


def machine(setup, iso, memory=MEMORY, extra=(), **rest):
    """An emulated machine in which a TSC tick is an executed instruction."""
    if emulators.kind(setup.emulator) == "qemu":
        extra = (*ICOUNT, *extra)
    return emu.Machine(iso, setup.emulator, setup.model, memory, ips=BOCHS_IPS, extra=extra, **rest)


def run(setup, iso, name, until=DONE, memory=MEMORY, **rest):
    """Boot the image there until that line appears; returns the whole output."""
    OUTPUT.mkdir(parents=True, exist_ok=True)
    try:
        with machine(setup, iso, memory, log=OUTPUT / f"{name}-{setup.name}.log", **rest) as running:
            running.expect(until, LIMIT)
            return running.text()
    except emu.MachineError as error:
        raise BenchError(str(error)) from error


def on_each(setups, kernel, options, modules, work):
    """Boot this on each machine, two at a time: {setup's name: work(setup, image)}."""
    with tempfile.TemporaryDirectory(prefix="lamina-bench-") as folder:
        iso = pathlib.Path(folder, "bench.iso")
        image.build(iso, kernel, options, modules, small=True)
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            return dict(zip((s.name for s in setups), pool.map(lambda s: work(s, iso), setups)))


def lamina(setup, iso):
    """Lamina's figures on one machine."""
    text = run(setup, iso, "lamina", ENDED)
    figures = parse(text, setup.name)
    forced = re.search(r"(\d+) forced exits", text)
    expected = sum(figures[f"{mode}.nmi-and-irq"]["n"] for mode in MODES)
    if not forced or int(forced[1]) != expected:
        raise BenchError(f"{setup.name}: nmi-and-irq is to force {expected} exits, and "
                         f"{forced and forced[1]} were forced")
    return with_forced_exit(figures)


def pair(setup, iso):
    """The figures of interrupts between two processors. No calibration: see docs/bench.md on the ticks here."""
    return read(run(setup, iso, "pair", ENDED, cpus=2), setup.name)


def floor(setup, iso):
    """The figures of the bare loop of entries and exits on one machine."""
    return parse(run(setup, iso, "floor", DONE + "|^floor: error.*"), setup.name)


def with_forced_exit(figures):
    """
    What one forced exit adds. In nmi-and-irq the NMI is injected with the interrupt waiting behind
    it; take off what sending the NMI and acknowledging the interrupt cost, and STI and the five
    instructions of the interrupt's handler beside its EOI.
    """
    for mode in MODES:
        both, nmi, eoi = (figures.get(f"{mode}.{name}", {}).get("net")
                          for name in ("nmi-and-irq", "self-nmi", "lapic-write-eoi"))
        if both and nmi and eoi:
            figures[f"{mode}.forced-exit"] = {"net": both - nmi - eoi - 6}
    return figures


def crowded(setup, iso):
    """CPUID's figures among other VMs, under a name of their own."""
    text = run(setup, iso, "crowd", r"^bench\| bench: done$", MEMORY + 20 * CROWD)
    figures = parse(re.sub(r"^bench\| ", "", text, flags=re.MULTILINE), setup.name)
    return {f"{mode}.cpuid-0-of-{CROWD}-vms": figures[f"{mode}.cpuid-0"] for mode in MODES}


def measure_crowd(setups):
    """Many VMs on one CPU: all but one sleep."""
    sleepers = [image.Module(MODULE.path, f"idle{i}", f"vm=idle{i} mem=16M -- idle=1") for i in range(1, CROWD)]
    return on_each(setups, BUILD / "lamina.elf", OPTIONS, [*sleepers, MODULE], crowded)


def measure_one(setups=SETUPS):
    """The figures of one VM that has the machine for itself."""
    return on_each(setups, BUILD / "lamina.elf", OPTIONS, [MODULE], lamina)


def measure(setups=SETUPS):
    import switch   # which imports this module
    results, crowd, switches = measure_one(setups), measure_crowd(CROWDED), switch.measure(setups)
    pairs = on_each(PAIRED, BUILD / "lamina.elf", OPTIONS, [PAIR], pair)
    for name, figures in results.items():
        figures.update(crowd.get(name, {}))
        figures["long.vm-switch"] = switches[name]
        figures.update(pairs.get(name, {}))
    return results


def measure_floor(setups=SETUPS):
    return on_each(setups, OUTPUT / "floor.elf", "", [], floor)


def measure_virtio(setups=SETUPS):
    return on_each(setups, BUILD / "lamina.elf", OPTIONS, [VIRTIO],
                   lambda setup, iso: read(run(setup, iso, "virtio", ENDED), setup.name))


# -- tables

def operations(results):
    """The figures' names without their mode, in the order of the guest; long mode has them all."""
    return list(dict.fromkeys(name.partition(".")[2] for mode in reversed(MODES)
                              for figures in results.values()
                              for name in figures if name.startswith(mode)))


def cell(figures, mode, operation):
    figure = figures.get(f"{mode}.{operation}")
    if not figure:
        return "-"
    return f"{figure['net']}{' ' + figure['trap'] if 'trap' in figure else ''}"


def rows(results):
    """A header and one row of texts per operation: instructions, net, per machine and mode."""
    columns = [(name, mode) for name, figures in results.items() for mode in MODES
               if any(figure.startswith(mode) for figure in figures)]
    yield ["operation", *(f"{name} {mode}" for name, mode in columns)]
    for operation in operations(results):
        yield [operation, *(cell(results[name], mode, operation) for name, mode in columns)]


def text_table(table):
    table = list(table)
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    return "\n".join("  ".join(text.ljust(width) if i == 0 else text.rjust(width)
                               for i, (text, width) in enumerate(zip(row, widths))).rstrip()
                     for row in table) + "\n"


def markdown_table(table, left=1):
    """left: how many columns are text, not numbers."""
    header, *body = table
    lines = [header, ["---"] * left + ["--:"] * (len(header) - left), *body]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def write_all(results, compiler):
    """Text, Markdown, JSON and SVG in build/bench."""
    OUTPUT.mkdir(parents=True, exist_ok=True)
    text = text_table(rows(results))
    (OUTPUT / "bench.txt").write_text(text)
    (OUTPUT / "bench.md").write_text(markdown_table(rows(results)))
    save(OUTPUT / "bench.json", results, compiler)
    titles = {setup.name: setup.title for setup in SETUPS}
    (OUTPUT / "bench.svg").write_text(chart.draw(
        "Instructions per operation in a guest under Lamina, in long mode",
        [operation for operation in operations(results) if operation not in CALIBRATION
         and any(figures.get(f"long.{operation}", {}).get("net", 0) > 2 for figures in results.values())],
        {titles.get(name, name): {operation: figures.get(f"long.{operation}", {}).get("net")
                                  for operation in operations(results)}
         for name, figures in results.items()}))
    return text


def update_docs(name, markdown, path=DOCS):
    """Replace the generated part of that name in a document."""
    text = path.read_text()
    begin, end = f"<!-- begin {name} -->\n", f"<!-- end {name} -->\n"
    before, found, rest = text.partition(begin)
    if not found or end not in rest:
        raise BenchError(f"{path} has no part {begin.strip()} ... {end.strip()}")
    path.write_text(f"{before}{begin}\n{markdown.rstrip()}\n\n{end}{rest.partition(end)[2]}")


def save(path, results, compiler, keys=None):
    """JSON with a line for each figure; keys: the numbers to include, all by default."""
    machines = ",\n".join(
        f"{json.dumps(name)}: {{\n" + ",\n".join(
            f"{json.dumps(figure)}: {json.dumps({k: v for k, v in numbers.items() if not keys or k in keys})}"
            for figure, numbers in figures.items()) + "\n}"
        for name, figures in results.items())
    path.write_text(f'{{"compiler": {json.dumps(compiler)},\n"machines": {{\n{machines}\n}}}}\n')


# -- the baseline

def is_growth(figure, old, new):
    return (new - old) / old > GROWTH and new > old + TURNS.get(figure.partition(".")[2], 0)


def is_in_another_class(figure, old, new):
    return (new <= NO_EXIT) < (old <= NO_EXIT) or new > max(old * (1 + CLASS_GROWTH), NO_EXIT)


def compare(baseline, results, is_bad=is_growth):
    """Each figure that is gone, new, or changed: (machine.figure, before, now, whether it is bad)."""
    for name, figures in baseline.items():
        now = results.get(name, {})
        for figure in dict.fromkeys((*figures, *now)):
            old, new = figures.get(figure), now.get(figure)
            what = f"{name} {figure}"
            if old is None or new is None:
                yield what, old and old["net"], new and new["net"], new is None
                continue
            for key in old.keys() & new.keys() & set(COMPARED):
                if old[key] != new[key]:
                    yield f"{what} ({key})", old[key], new[key], is_bad(figure, old[key], new[key])


def check(results, compiler):
    """Compare with the committed baseline; returns the exit status."""
    baseline = json.loads(BASELINE.read_text())
    exact = baseline["compiler"] == compiler
    if not exact:
        print(f"check-bench: compared in classes only: the baseline was taken with {baseline['compiler']}, "
              f"this build was made by {compiler}")
    changes = list(compare(baseline["machines"], results, is_growth if exact else is_in_another_class))
    bad = [change for change in changes if change[-1]]
    for what, old, new, wrong in changes:
        if wrong or (exact and old is not None and new > old):
            print(f"check-bench: {'error: ' if wrong else ''}{what}: "
                  f"{old} -> {'none' if new is None else new} instructions")
    count = sum(map(len, results.values()))
    print(f"check-bench: {count} figures, {len(bad)} more than {GROWTH if exact else CLASS_GROWTH:.1%} "
          f"above the baseline or gone, {len(changes) - len(bad)} changed otherwise")
    if bad:
        print("check-bench: tests/bench/profile.py shows where an exit's instructions go; "
              "what is meant to cost more is accepted by: make bench-baseline")
    return 1 if bad else 0


def without_package(version):
    """The compiler's name and version, without the revision of its package."""
    return re.sub(r"\([^)]*\) ", "", version)


def main():
    parser = argparse.ArgumentParser(description="Run the benchmark guest under Lamina.")
    parser.add_argument("what", nargs="?", default="show",
                        choices=("show", "check", "baseline", "floor", "virtio", "docs"))
    parser.add_argument("--compiler", default="an unnamed compiler", type=without_package,
                        help="what Lamina was built with: it decides over instructions")
    args = parser.parse_args()
    try:
        if args.what == "floor":
            print(text_table(rows(measure_floor())))
            return 0
        if args.what == "virtio":
            print(text_table(rows(measure_virtio())))
            return 0
        results = measure()
    except BenchError as error:
        print(f"bench: error: {error}")
        return 1
    text = write_all(results, args.compiler)
    if args.what == "check":
        return check(results, args.compiler)
    if args.what == "baseline":
        save(BASELINE, results, args.compiler, COMPARED)
    if args.what == "docs":
        update_docs("bench", markdown_table(rows(results)))
        update_docs("virtio", markdown_table(rows(measure_virtio())))
    print(text)
    print(f"Instructions per operation, the guest's own included. Also in {OUTPUT.relative_to(ROOT)}: "
          "bench.md, bench.json, bench.svg")
    return 0


if __name__ == "__main__":
    sys.exit(main())
