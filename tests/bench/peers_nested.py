# SPDX-License-Identifier: MIT
"""Compare what a hypervisor in a guest costs under Lamina and under Linux KVM, in the same emulated machines.

The guest is the bare loop of tests/bench/floor with nested paging: L1 handles its guest's CPUID and does nothing else. A
TSC tick is an executed instruction, of L2, L1 and the hypervisor beneath both.
"""

import argparse
import concurrent.futures
import json
import pathlib
import sys
import tempfile

import bench
import emu
import image
import peers

GUEST = bench.OUTPUT / "nested.elf"
MODULE = image.Module(GUEST, "nested", "vm=bench mem=128M nested=on")
DOCS = bench.ROOT / "docs/nested.md"
# Lamina has no mitigations, so it is compared with KVM without them.
KVM = peers.kvm("KVM", "mitigations=off")
KVM = KVM._replace(lines=(f"{KVM.lines[0]} -- /nested.elf", KVM.lines[1]))
END = f"{bench.DONE}|^bench: error.*|{bench.ENDED}"

# The figures, with what they are and the most that Lamina may take of KVM's, where that is demanded.
FIGURES = (
    ("cpuid-0", "CPUID in L2, handled by L1: the whole round trip", 0.5),
    ("to-l1", "its half from L2 into L1's handler", None),
    ("to-l2", "its half from L1's handler into L2", None),
    ("in-pic-mask", "IN in L2, left to L0 by L1", None),
    ("touch-2m", "L2's first access to 2 MiB that L1 has mapped", None),
    ("l1-vmread-rip", "VMREAD of RIP", 0.5),
    ("l1-vmread-gdtr", "VMREAD of GDTR's base, which no shadow VMCS has", 0.5),
    ("l1-vmwrite-gdtr", "VMWRITE of the same", 0.5),
    ("l1-invept", "INVEPT of all", None),
    ("l1-vmload", "VMLOAD", None),
    ("l1-vmsave", "VMSAVE", None),
    ("l1-clgi", "CLGI", None),
    ("l1-stgi", "STGI", None),
    ("l1-invlpga", "INVLPGA", None),
    ("l1-cpuid-0", "CPUID in L1", None),
)


def lamina(setup, folder):
    iso = pathlib.Path(folder, f"lamina-{setup.name}.iso")
    image.build(iso, bench.BUILD / "lamina.elf", bench.OPTIONS, [MODULE], small=True)
    return bench.parse(bench.run(setup, iso, "nested", END), f"Lamina on {setup.name}")


def kvm(setup, folder):
    """Of several tries: see peers.TRIES."""
    iso = pathlib.Path(folder, f"kvm-{setup.name}.iso")
    image.build_other(iso, KVM.name, [line.format(clear=peers.CLEAR.get(setup.name, "")) for line in KVM.lines], KVM.files)
    for left in reversed(range(peers.TRIES.get(setup.name, 1))):
        try:
            return bench.parse(peers.boot(KVM, setup, iso, f"KVM-nested-{setup.name}"), f"KVM on {setup.name}")
        except emu.MachineError as error:
            if not left:
                raise bench.BenchError(str(error)) from error
            print(f"bench: KVM-nested-{setup.name}: no end, tried again", file=sys.stderr, flush=True)


def measure(setups):
    """{machine: {hypervisor: figures}}, and what is wrong with the runs that have none."""
    with tempfile.TemporaryDirectory(prefix="lamina-nested-") as folder, concurrent.futures.ThreadPoolExecutor(2) as pool:
        runs = {(setup.name, who): pool.submit(run, setup, folder)
                for setup in reversed(setups) for who, run in (("Lamina", lamina), ("KVM", kvm))}
        concurrent.futures.wait(runs.values())
    errors = [str(run.exception()) for run in runs.values() if run.exception()]
    return {setup.name: {who: runs[setup.name, who].result() for who in ("Lamina", "KVM")
                         if not runs[setup.name, who].exception()} for setup in setups}, errors


def rows(figures):
    yield ["operation", "Lamina", "KVM", "Lamina / KVM"]
    for name, title, _ in FIGURES:
        ours, theirs = (figures.get(who, {}).get(f"long.{name}") for who in ("Lamina", "KVM"))
        if ours or theirs:
            known = ours and theirs and theirs["net"] > peers.UNTOUCHED
            yield [title, *(str(of["net"]) if of else "-" for of in (ours, theirs)),
                   f"{ours['net'] / theirs['net']:.2f}" if known else "-"]


def too_much(results):
    for machine, figures in results.items():
        for name, _, most in FIGURES:
            ours, theirs = (figures.get(who, {}).get(f"long.{name}", {}).get("net", 0) for who in ("Lamina", "KVM"))
            if most and theirs > peers.UNTOUCHED and ours > most * theirs:
                yield f"{machine} {name}: {ours} of {theirs}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--machine", choices=[setup.name for setup in bench.SETUPS], action="append",
                        help="all of them by default")
    parser.add_argument("--docs", action="store_true", help="put the tables into docs/nested.md")
    args = parser.parse_args()
    setups = [s for s in bench.SETUPS if not args.machine or s.name in args.machine]
    results, errors = measure(setups)
    titles = {setup.name: setup.title for setup in setups}
    tables = {titles[name]: list(rows(figures)) for name, figures in results.items()}
    text = "\n".join(f"{title}\n\n{bench.text_table(table)}" for title, table in tables.items())
    (bench.OUTPUT / "peers-nested.txt").write_text(text)
    (bench.OUTPUT / "peers-nested.json").write_text(json.dumps(results, indent=1) + "\n")
    if args.docs:
        kernel = (peers.PEERS / "versions").read_text().split()[0]
        bench.update_docs("peers-nested", f"KVM of Debian's {kernel}, with `mitigations=off`.\n\n" + "\n".join(
            f"### {title}\n\n{bench.markdown_table(table)}" for title, table in tables.items()), DOCS)
    print(text)
    errors += [f"{line}, more than half" for line in too_much(results)]
    for line in errors:
        print(f"bench-peers-nested: error: {line}")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
