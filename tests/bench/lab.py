# SPDX-License-Identifier: MIT
"""The benchmark guest on a machine that labgrid controls: by itself, and in a VM of Lamina. Figures are TSC cycles.

On a processor a tick is a cycle of its constant clock, and no instruction: the calibration of make bench does not hold.
What an operation takes without Lamina is subtracted, so the rest is what the exit costs. The least of the samples counts.
"""

import argparse
import json
import pathlib
import sys

import labgrid

import bench
import image
import media

sys.path.insert(0, str(bench.HERE.parent / "lab"))

import test_board  # noqa: E402

LIMIT = 600         # seconds for one run, from power-on
RUNS = ("alone", "in a VM")


def menu(run, modules):
    """GRUB's configuration; the guest's own console is COM1."""
    if run == RUNS[1]:
        return image.menu(bench.OPTIONS, modules, folder="/lamina")
    return image.GRUB_CFG.format(title="bench", video="", lines=f"\tmultiboot /lamina/{modules[0].name}")


def measure(environment, run):
    """The figures of one boot."""
    root = pathlib.Path(environment.config.get_path("tftp"))
    root.mkdir(parents=True, exist_ok=True)
    modules = [bench.MODULE]
    text = test_board.on_console(menu(run, modules), environment)
    media.tftp_files(root, bench.BUILD / "lamina.elf", modules, text)
    bench.OUTPUT.mkdir(parents=True, exist_ok=True)
    with open(bench.OUTPUT / f"lab-{run.replace(' ', '-')}.log", "wb", buffering=0) as log:
        board = test_board.Board(environment.get_target("main"), log)
        board.power.cycle()
        try:
            board.expect(bench.DONE, LIMIT)
        finally:
            board.power.off()
    return bench.read(board.text(), run)


def rows(results):
    """A line for each figure: cycles alone and in a VM, and the difference."""
    yield ["operation", *RUNS, "difference"]
    for name in dict.fromkeys(name for run in reversed(RUNS) for name in results[run]):
        nets = [results[run].get(name, {}).get("net") for run in RUNS]
        yield [name, *("-" if net is None else str(net) for net in nets),
               "-" if None in nets else str(nets[1] - nets[0])]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("environment", help="labgrid's configuration of the machine: tests/lab/board.yaml and others")
    args = parser.parse_args()
    environment = labgrid.Environment(args.environment)
    try:
        results = {run: measure(environment, run) for run in RUNS}
    except (bench.BenchError, test_board.emu.MachineError) as error:
        print(f"bench-lab: error: {error}")
        return 1
    finally:
        environment.cleanup()
    table = list(rows(results))
    (bench.OUTPUT / "lab.json").write_text(json.dumps(results, indent=1) + "\n")
    (bench.OUTPUT / "lab.md").write_text(bench.markdown_table(table))
    print(bench.text_table(table))
    print(f"Cycles of the TSC. Also in {bench.OUTPUT.relative_to(bench.ROOT)}: lab.md, lab.json, and the logs")
    return 0


if __name__ == "__main__":
    sys.exit(main())
