# SPDX-License-Identifier: MIT
"""Run the benchmark guest under Linux KVM and under Xen too, and show the figures side by side.

The very same image, in the same emulated machines, in which a TSC tick is an executed instruction.
Under KVM a small program of ours makes the VM. Xen takes the image for its control domain, in PVH
mode: of a guest's exits nothing is different there but the ports, of which it passes some through.
"""

import collections
import concurrent.futures
import json
import pathlib
import sys
import tempfile

import bench
import emu
import image

PEERS = bench.OUTPUT / "peers"
LIMIT = 900                 # seconds for one machine: Bochs boots a whole Linux first
MEMORY = 1024               # MiB
LINUX_IPS = 100_000_000     # instructions per second: leaves Linux some between two timer ticks

# A hypervisor's boot menu entry; machines: the emulators it is run in; extra: QEMU's arguments.
Peer = collections.namedtuple("Peer", "name lines files machines extra")

# MWAITX, which Linux would idle with, never wakes in Bochs.
CLEAR = {"bochs-svm": " clearcpuid=221"}


def kvm(name, options):
    return Peer(name, (f"linux /boot/vmlinuz console=ttyS0 loglevel=4 {options}{{clear}}",
                       "initrd /boot/initramfs"),
                (image.Module(PEERS / "vmlinuz", "vmlinuz"),
                 image.Module(PEERS / "initramfs", "initramfs")),
                ("qemu-svm", "bochs-vmx", "bochs-svm"), ())


# A control domain in PVH mode wants an IOMMU, and Bochs has none.
def xen(name, options):
    return Peer(name, ("multiboot2 /boot/xen.gz dom0=pvh dom0_mem=128M com1=115200,8n1 console=com1 "
                       f"guest_loglvl=all noreboot {options}", "module2 /boot/bench.elf"),
                (image.Module(PEERS / "xen.gz", "xen.gz"),
                 image.Module(bench.OUTPUT / "bench.elf", "bench.elf")),
                ("qemu-svm",), ("-device", "amd-iommu"))


ALL = (kvm("KVM", ""), kvm("KVM unmitigated", "mitigations=off"),
       xen("Xen", ""), xen("Xen unmitigated", "spec-ctrl=no"))


def run(peer, setup, folder):
    """One peer's figures on one machine."""
    name = f"{peer.name.replace(' ', '-')}-{setup.name}"
    iso = pathlib.Path(folder, f"{name}.iso")
    lines = [line.format(clear=CLEAR.get(setup.name, "")) for line in peer.lines]
    image.build_other(iso, peer.name, lines, peer.files)
    extra = (*bench.ICOUNT, *peer.extra) if setup.emulator == "qemu" else ()
    try:
        with emu.Machine(iso, setup.emulator, setup.model, MEMORY, ips=LINUX_IPS, extra=extra,
                         ignore_bad_msrs=True, log=bench.OUTPUT / f"{name}.log") as machine:
            # Xen puts the domain's number before its lines.
            machine.expect(bench.DONE.replace("^", r"^(?:\(d\d+\) )?") + "|^kvm: error.*|Panic on", LIMIT)
            text = machine.text().replace("(d0) ", "").replace("(d1) ", "")
    except emu.MachineError as error:
        raise bench.BenchError(str(error)) from error
    figures = bench.parse(text, name)
    print(f"bench: {name}: {len(figures)} figures", file=sys.stderr, flush=True)
    return bench.with_forced_exit(figures)


def measure():
    """{machine: {hypervisor: figures}}, Lamina and the bare loop first."""
    results = {"Lamina": bench.measure(), "floor": bench.measure_floor()}
    setups = {setup.name: setup for setup in bench.SETUPS}
    jobs = [(peer, setups[name]) for name in reversed(setups) for peer in ALL if name in peer.machines]
    with tempfile.TemporaryDirectory(prefix="lamina-peers-") as folder, \
            concurrent.futures.ThreadPoolExecutor(2) as pool:
        for (peer, setup), figures in zip(jobs, pool.map(lambda job: run(*job, folder), jobs)):
            results.setdefault(peer.name, {})[setup.name] = figures
    return {name: {who: by_machine[name] for who, by_machine in results.items() if name in by_machine}
            for name in setups}


def ratio(figures, peer, figure):
    ours, theirs = (of.get(figure, {}).get("net") for of in (figures["Lamina"], figures[peer]))
    return f"{theirs / ours:.1f}" if ours and theirs else "-"


def rows(figures, mode):
    """One machine's table in one mode: instructions of each, then how many times Lamina's."""
    shown = [who for who in figures if who != "floor"]
    peers = shown[1:]
    floor = figures["floor"].get("long.cpuid-0", {}).get("net")
    yield ["operation", *shown, *(f"{peer} / Lamina" for peer in peers)]
    yield ["bare loop", str(floor), *[""] * (len(shown) + len(peers) - 1)]
    for operation in bench.operations(figures):
        figure = f"{mode}.{operation}"
        # What no one leaves the guest for.
        if max(of.get(figure, {}).get("net", 0) for of in figures.values()) <= 2:
            continue
        yield [operation, *(bench.cell(figures[who], mode, operation) for who in shown),
               *(ratio(figures, peer, figure) for peer in peers)]


def main():
    try:
        results = measure()
    except bench.BenchError as error:
        print(f"bench-peers: error: {error}")
        return 1
    versions = (PEERS / "versions").read_text().split()
    text, markdown = [], [f"KVM and Xen of Debian's {' and '.join(versions)}.\n"]
    titles = {setup.name: setup.title for setup in bench.SETUPS}
    for name, figures in results.items():
        for mode in bench.MODES:
            title = f"{titles[name]}, {mode} mode"
            table = list(rows(figures, mode))
            text.append(f"{title}\n\n{bench.text_table(table)}")
            markdown.append(f"### {title}\n\n{bench.markdown_table(table)}")
    (bench.OUTPUT / "peers.txt").write_text("\n".join(text))
    (bench.OUTPUT / "peers.md").write_text("\n".join(markdown))
    (bench.OUTPUT / "peers.json").write_text(json.dumps(results, indent=1) + "\n")
    print("\n".join(text))
    return 0


if __name__ == "__main__":
    sys.exit(main())
