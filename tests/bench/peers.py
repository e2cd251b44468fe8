# SPDX-License-Identifier: MIT
"""Run the benchmark guest under Linux KVM and under Xen too, and show the figures side by side.

The same image, in the same emulated machines, in which a TSC tick is an executed instruction.
Under KVM a small program of ours makes the VM. Xen takes the image for its control domain, in PVH
mode: of a guest's exits nothing is different there but the ports, of which it passes some through.
"""

import argparse
import collections
import concurrent.futures
import json
import pathlib
import sys
import tempfile

import bench
import emu
import emulators
import image

PEERS = bench.OUTPUT / "peers"
LIMIT = 400                 # seconds for one machine: Bochs boots a whole Linux first
# When an SVM guest is entered with a virtual interrupt and IF set, Bochs 2.7 loses the interrupt until the
# guest toggles IF. KVM enters that way when a timer tick comes at a certain instruction; the guest then waits
# forever. This is rare, and does not happen twice at the same place: try again.
TRIES = {"bochs-svm": 3}
tried_again = []            # each such run, for the report
MEMORY = 1024               # MiB
UNTOUCHED = 2               # at most so many instructions if the operation caused no exit
LINUX_IPS = 100_000_000     # instructions per second: enough for Linux between two timer ticks

# A hypervisor's boot menu entry; machines: the emulators that it runs in; extra: QEMU's arguments.
# tolerance: see bench.parse().
Peer = collections.namedtuple("Peer", "name lines files machines extra tolerance")

# MWAITX, which Linux would idle with, never wakes in Bochs.
CLEAR = {"bochs-svm": " clearcpuid=221"}


def kvm(name, options):
    return Peer(name, (f"linux /boot/vmlinuz console=ttyS0 loglevel=4 {options}{{clear}}",
                       "initrd /boot/initramfs"),
                (image.Module(PEERS / "vmlinuz", "vmlinuz"),
                 image.Module(PEERS / "initramfs", "initramfs")),
                ("qemu-svm", "bochs-vmx", "bochs-svm"), (), 0)


# A control domain in PVH mode needs an IOMMU, and Bochs has none. Without an invariant TSC, RDTSC
# exits, and Xen computes its result.
def xen(name, options):
    return Peer(name, ("multiboot2 /boot/xen.gz dom0=pvh dom0_mem=128M com1=115200,8n1 console=com1 "
                       f"guest_loglvl=all noreboot {options}", "module2 /boot/bench.elf"),
                (image.Module(PEERS / "xen.gz", "xen.gz"),
                 image.Module(bench.OUTPUT / "bench.elf", "bench.elf")),
                ("qemu-svm",), ("-device", "amd-iommu"), 2)


ALL = (kvm("KVM", ""), kvm("KVM unmitigated", "mitigations=off"),
       xen("Xen", ""), xen("Xen unmitigated", "spec-ctrl=no"))


def boot(peer, setup, iso, name):
    """The whole output of one run."""
    extra = (*bench.ICOUNT, *peer.extra) if emulators.kind(setup.emulator) == "qemu" else ()
    with emu.Machine(iso, setup.emulator, setup.model, MEMORY, ips=LINUX_IPS, extra=extra,
                     ignore_bad_msrs=True, log=bench.OUTPUT / f"{name}.log") as machine:
        # Xen puts the domain's number before its lines.
        machine.expect(bench.DONE.replace("^", r"^(?:\(d\d+\) )?") + "|^kvm: error.*\n|Panic on", LIMIT)
        return machine.text().replace("(d0) ", "")


def run(peer, setup, folder):
    """One peer's figures on one machine."""
    name = f"{peer.name.replace(' ', '-')}-{setup.name}"
    iso = pathlib.Path(folder, f"{name}.iso")
    lines = [line.format(clear=CLEAR.get(setup.name, "")) for line in peer.lines]
    image.build_other(iso, peer.name, lines, peer.files)
    for left in reversed(range(TRIES.get(setup.name, 1))):
        try:
            figures = bench.parse(boot(peer, setup, iso, name), name, peer.tolerance)
            break
        except emu.MachineError as error:
            if not left:
                raise bench.BenchError(str(error)) from error
            tried_again.append(f"{name}: no end within {LIMIT} s of its work, tried again")
            print(f"bench: {tried_again[-1]}", file=sys.stderr, flush=True)
    print(f"bench: {name}: {len(figures)} figures", file=sys.stderr, flush=True)
    # If RDTSC exits, a pending event is injected at that exit, and no exit has to be forced.
    return figures if peer.tolerance else bench.with_forced_exit(figures)


def measure(setups, write):
    """{machine: {hypervisor: figures}}, Lamina and the bare loop first. write() gets it as often as a run has ended."""
    results = {"Lamina": bench.measure_one(setups), "floor": bench.measure_floor(setups)}
    setups = {setup.name: setup for setup in setups}

    def by_machine():
        order = ("Lamina", *(peer.name for peer in ALL), "floor")
        return {name: {who: results[who][name] for who in order if name in results.get(who, {})} for name in setups}

    write(by_machine())
    jobs = [(peer, setups[name]) for name in reversed(setups) for peer in ALL if name in peer.machines]
    with tempfile.TemporaryDirectory(prefix="lamina-peers-") as folder, \
            concurrent.futures.ThreadPoolExecutor(2) as pool:
        runs = {pool.submit(run, peer, setup, folder): (peer, setup) for peer, setup in jobs}
        errors = []
        for done in concurrent.futures.as_completed(runs):
            peer, setup = runs[done]
            try:
                results.setdefault(peer.name, {})[setup.name] = done.result()
            except bench.BenchError as error:
                errors.append(str(error))
                continue
            write(by_machine())
    if errors:
        raise bench.BenchError("\n".join(errors))
    return by_machine()


def ratio(figures, peer, figure):
    ours, theirs = (figures[who].get(figure, {}) for who in ("Lamina", peer))
    if "trap" in ours or min(of.get("net", 0) for of in (ours, theirs)) <= UNTOUCHED:
        return "-"
    return f"{theirs['net'] / ours['net']:.1f}"


def rows(figures, mode):
    """One machine's table in one mode: instructions of each, then how many times Lamina's."""
    shown = [who for who in figures if who != "floor"]
    # Lamina has no mitigations, so it is compared with peers without theirs.
    compared = [who for who in shown if who.endswith("unmitigated")]
    yield ["operation", *shown, *(f"{who} / Lamina" for who in compared)]
    floor = figures["floor"]["long.cpuid-0"]["net"]
    yield ["bare loop", str(floor), *[""] * (len(shown) + len(compared) - 1)]
    for operation in bench.operations(figures):
        figure = f"{mode}.{operation}"
        if all(figures[who].get(figure, {}).get("net", 0) <= UNTOUCHED for who in shown):
            continue
        yield [operation, *(bench.cell(figures[who], mode, operation) for who in shown),
               *(ratio(figures, who, figure) for who in compared)]


def write(results):
    """Text, Markdown and JSON in build/bench of what has been measured so far; returns the first two."""
    versions = (PEERS / "versions").read_text().split()
    text, markdown = [], [f"KVM and Xen of Debian's {' and '.join(versions)}.\n"]
    titles = {setup.name: setup.title for setup in bench.SETUPS}
    for name, figures in results.items():
        for mode in bench.MODES:
            title = f"{titles[name]}, {mode} mode"
            table = list(rows(figures, mode))
            text.append(f"{title}\n\n{bench.text_table(table)}")
            markdown.append(f"### {title}\n\n{bench.markdown_table(table)}")
    text += tried_again
    markdown += ["".join(f"- {line}\n" for line in tried_again)] if tried_again else []
    text, markdown = "\n".join(text), "\n".join(markdown)
    (bench.OUTPUT / "peers.txt").write_text(text)
    (bench.OUTPUT / "peers.md").write_text(markdown)
    (bench.OUTPUT / "peers.json").write_text(json.dumps(results, indent=1) + "\n")
    return text, markdown


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--machine", choices=[setup.name for setup in bench.SETUPS], action="append",
                        help="all of them by default")
    parser.add_argument("--docs", action="store_true", help="put the tables into docs/bench.md")
    args = parser.parse_args()
    setups = [s for s in bench.SETUPS if not args.machine or s.name in args.machine]
    try:
        text, markdown = write(measure(setups, write))
    except bench.BenchError as error:
        print(f"bench-peers: error: {error}")
        print(f"bench-peers: what the others have measured is in {bench.OUTPUT}/peers.txt, .md and .json")
        return 1
    if args.docs:
        bench.update_docs("peers", markdown)
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
