# SPDX-License-Identifier: MIT
"""Compare requests of virtio devices under Lamina and under Linux KVM, with QEMU's disk and the kernel's network.

The same guest in the same emulated machines, in which a TSC tick is an executed instruction. The guest sleeps
until the device's interrupt comes, and subtracts what it has executed itself; see docs/bench.md.
"""

import argparse
import collections
import concurrent.futures
import json
import pathlib
import re
import sys
import tempfile

import bench
import emu
import emulators
import image
import peers

LIMIT = 3000                # seconds of work for one machine: Bochs executes 100 million instructions in one
MEMORY = 1024               # MiB
LAMINA_MEMORY = 512
PART = re.compile(r"^peer: part (.*)$", re.MULTILINE)
NETWORK = "network"

LARGE = 131072

# A request: its figure and the one of its EOI, bytes to be copied, if that counts. For the sum of several
# interrupts, the guest has measured the sum of the EOIs.
Request = collections.namedtuple("Request", "title figure eoi bytes")
REQUESTS = (
    Request("4 KiB random read", "wait-read-4k", "wait-read-4k-eoi", 4096),
    Request("4 KiB random write", "wait-write-4k", "wait-read-4k-eoi", 4096),
    Request("128 KiB sequential read", "wait-read-128k", "wait-read-4k-eoi", LARGE),
    Request("the same, in 32 pages", "wait-read-128k-pages", "wait-read-4k-eoi", LARGE),
    Request("64-byte round trip", "wait-round-trip-64", "wait-round-trip-64-eoi", 0),
    Request("64 KiB stream, per frame", "wait-stream-64k", "wait-stream-64k-eoi", 65226),
)
PER_INSTRUCTION = 8         # bytes that a bare copy moves at each step of REP MOVSQ
MOST_OF_PEER, MOST_OF_COPY = 0.5, 3     # what Lamina may take at most, the latter for 128 KiB

# An emulator counts REP MOVSB's bytes and not its time: Linux must not choose it (CPUID's ERMS, 297).
# MWAITX, which Linux would idle with, never wakes in Bochs (221). In Bochs's Ryzen the guest's image lacked its first
# 128 bytes, as if QEMU's copy by AVX had lost them: with noxsave, which leaves AVX out, it starts.
OPTIONS = {"bochs-vmx": "clearcpuid=297", "bochs-svm": "clearcpuid=221,297 noxsave"}


def module(name, options, words):
    return bench.MODULE._replace(name=name, cmdline=f"vm={name} mem=128M {options} -- requests=1 {words}".rstrip())


DISK = (module("disk", "disk=ram,size=1M", ""),)
PORTS = tuple(module(f"port{i}", f"net=lan,mac=02:00:00:00:00:0{i}", f"echo={i}") for i in (1, 2))


def lamina(setup, folder):
    """Lamina's figures on one machine."""
    figures = {}
    for name, modules in (("requests", DISK), ("network", PORTS)):
        iso = pathlib.Path(folder, f"{name}-{setup.name}.iso")
        image.build(iso, bench.BUILD / "lamina.elf", bench.OPTIONS, modules, small=True)
        figures.update(bench.parse(bench.run(setup, iso, name, bench.ENDED, LAMINA_MEMORY), setup.name))
    return figures


def kvm(setup, folder):
    """{part: figures} of Linux KVM on one machine, without mitigations, since Lamina has none."""
    iso = pathlib.Path(folder, f"kvm-{setup.name}.iso")
    # With IPv6 the bridge itself would send frames.
    lines = (f"linux /boot/vmlinuz console=ttyS0 loglevel=4 mitigations=off ipv6.disable=1 "
             f"{OPTIONS.get(setup.name, '')}",
             "initrd /boot/initramfs")
    image.build_other(iso, "KVM", lines, (image.Module(peers.PEERS / "vmlinuz", "vmlinuz"),
                                          image.Module(peers.PEERS / "initramfs-virtio", "initramfs")))
    extra = bench.ICOUNT if emulators.kind(setup.emulator) == "qemu" else ()
    with emu.Machine(iso, setup.emulator, setup.model, MEMORY, ips=peers.LINUX_IPS, extra=extra,
                     ignore_bad_msrs=True, log=bench.OUTPUT / f"kvm-virtio-{setup.name}.log") as machine:
        try:
            machine.expect(r"^peer: done$|^Kernel panic", LIMIT)
        except emu.MachineError as error:
            raise bench.BenchError(str(error)) from error
        _, *found = PART.split(machine.text())
    return {name: bench.parse(text, f"KVM on {setup.name}, {name}") for name, text in zip(found[::2], found[1::2])}


def best(parts, request):
    """KVM's fewest instructions, the best of QEMU's ways to serve a disk; without the EOI: see docs/bench.md."""
    found = [median(figures, request.figure) - median(figures, request.eoi)
             for figures in parts.values() if f"long.{request.figure}" in figures]
    if not found:
        raise bench.BenchError(f"KVM has no {request.figure}")
    return min(found)


def median(figures, figure):
    return figures[f"long.{figure}"]["median"]


def rows(ours, parts):
    """A header and a row of texts for each request."""
    yield ["request", "bare copy", "Lamina", "KVM", "Lamina / KVM", "Lamina / bare copy"]
    for request in REQUESTS:
        copy, mine, theirs = request.bytes // PER_INSTRUCTION, median(ours, request.figure), best(parts, request)
        yield [request.title, str(copy or "-"), str(mine), str(theirs), f"{mine / theirs:.2f}",
               f"{mine / copy:.2f}" if copy else "-"]


def missed(ours, parts):
    """A line for each aim that is missed."""
    for request in REQUESTS:
        mine, theirs = median(ours, request.figure), best(parts, request)
        if mine > MOST_OF_PEER * theirs:
            yield f"{request.title}: more than half of KVM's {theirs}"
        if request.bytes == LARGE and mine > MOST_OF_COPY * request.bytes / PER_INSTRUCTION:
            yield f"{request.title}: more than {MOST_OF_COPY} bare copies"


def measure(setup, folder):
    ours, parts = lamina(setup, folder), kvm(setup, folder)
    table, lines = list(rows(ours, parts)), list(missed(ours, parts))
    print("\n".join([f"{setup.title}\n", bench.text_table(table), *(f"missed: {line}" for line in lines)]), flush=True)
    markdown = f"### {setup.title}\n\n{bench.markdown_table(table)}" + \
        "".join(f"\nMissed: {line}.\n" for line in lines)
    return markdown, {"Lamina": ours, **{f"KVM, {name}": figures for name, figures in parts.items()}}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--machine", choices=[setup.name for setup in bench.SETUPS], action="append",
                        help="all of them by default")
    parser.add_argument("--docs", action="store_true", help="put the tables into docs/bench.md")
    args = parser.parse_args()
    setups = [setup for setup in bench.SETUPS if not args.machine or setup.name in args.machine]
    why = emulators.missing("qemu-7.2")
    if why:
        print(f"bench-peers-virtio: error: {why}")
        return 1
    bench.OUTPUT.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix="lamina-peers-") as folder, \
                concurrent.futures.ThreadPoolExecutor(2) as pool:
            results = list(pool.map(lambda setup: measure(setup, folder), setups))
    except bench.BenchError as error:
        print(f"bench-peers-virtio: error: {error}")
        return 1
    markdown = "\n".join(text for text, _ in results)
    (bench.OUTPUT / "peers-virtio.md").write_text(markdown)
    (bench.OUTPUT / "peers-virtio.json").write_text(
        json.dumps({setup.name: figures for setup, (_, figures) in zip(setups, results)}, indent=1) + "\n")
    if args.docs:
        bench.update_docs("peers-virtio", markdown)
    return 0


if __name__ == "__main__":
    sys.exit(main())
