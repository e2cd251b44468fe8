# SPDX-License-Identifier: MIT
"""How the benchmark's tools read a run's output and a baseline."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "bench"))

import bench  # noqa: E402


def output(cpuid=1000, nops=100, end="bench: done\n"):
    lines = [f"bench {mode}.{name}: min {net + 3} median {net + 3} max {net + 9} net {net} n 128{more}"
             for mode in bench.MODES
             for name, net, more in (("nops-100", nops, ""), ("loop-2000", 2000, ""),
                                     ("cpuid-0", cpuid, ""), ("hypercall", 600, " #UD"))]
    return "[    0.1 cpu0] Lamina 0.1\n" + "\n".join(lines) + "\n" + end


def parsed(**how):
    return {"machine": bench.parse(output(**how), "machine")}


def bad(before, after):
    return [what for what, _, _, wrong in bench.compare(before, after) if wrong]


def test_a_run_is_read():
    figures = parsed()["machine"]
    assert figures["flat.cpuid-0"] == {"min": 1003, "median": 1003, "max": 1009, "net": 1000, "n": 128}
    assert figures["long.hypercall"]["trap"] == "#UD"
    assert len(figures) == 8


@pytest.mark.parametrize("how", ({"end": ""}, {"nops": 101}), ids=("cut off", "ticks are not instructions"))
def test_a_run_without_meaning_is_refused(how):
    with pytest.raises(bench.BenchError):
        parsed(**how)


def test_a_tolerance_is_for_a_computed_clock():
    assert bench.parse(output(nops=99), "machine", tolerance=2)


def test_growth_is_found():
    assert bad(parsed(), parsed(cpuid=1005)) == []
    # Both modes, and of each the least and the median.
    assert len(bad(parsed(), parsed(cpuid=1006))) == 4
    assert bad(parsed(), parsed(cpuid=500)) == []


def test_one_instruction_more_is_named():
    changes = bench.compare(parsed(), parsed(cpuid=1001))
    assert [(what, new - old) for what, old, new, _ in changes if "(net)" in what] == [
        ("machine flat.cpuid-0 (net)", 1), ("machine long.cpuid-0 (net)", 1)]


@pytest.mark.parametrize("name, old, new, wrong", (
    ("long.hlt-wake", 110, 126, False), ("long.hlt-wake", 110, 127, True),
    ("flat.ipi-awake", 990, 995, False), ("flat.ipi-awake", 990, 996, True),
    ("long.cpuid-0", 110, 111, True), ("long.timer-oneshot", 20000, 20090, False)))
def test_what_ends_with_a_loop_may_take_a_turn_more(name, old, new, wrong):
    assert bench.is_growth(name, old, new) == wrong


@pytest.mark.parametrize("old, new, wrong", (
    (1, 2, False), (1, 3, True), (100, 125, False), (100, 126, True), (100, 1, False), (400, 380, False)))
def test_another_compiler_is_compared_in_classes(old, new, wrong):
    assert bench.is_in_another_class("long.cpuid-0", old, new) == wrong


def test_a_check_says_what_it_compares(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bench, "BASELINE", tmp_path / "baseline.json")
    bench.save(bench.BASELINE, parsed(), "gcc 12", bench.COMPARED)
    assert bench.check(parsed(cpuid=1001), "gcc 12") == 0
    assert "machine long.cpuid-0 (net): 1000 -> 1001 instructions" in capsys.readouterr().out
    assert bench.check(parsed(cpuid=1100), "gcc 12") == 1
    assert "error: machine long.cpuid-0 (net): 1000 -> 1100" in capsys.readouterr().out
    assert bench.check(parsed(cpuid=1100), "gcc 13") == 0
    assert "in classes only" in capsys.readouterr().out
    assert bench.check(parsed(cpuid=1300), "gcc 13") == 1


def test_a_figure_that_is_gone_is_found():
    now = parsed()
    del now["machine"]["long.cpuid-0"]
    assert bad(parsed(), now) == ["machine long.cpuid-0"]
    assert bad(parsed(), {}) == [f"machine {name}" for name in parsed()["machine"]]


def test_a_new_figure_is_no_error():
    before = parsed()
    del before["machine"]["long.cpuid-0"]
    assert bad(before, parsed()) == []
    assert [what for what, *_ in bench.compare(before, parsed())] == ["machine long.cpuid-0"]
