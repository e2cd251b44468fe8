# SPDX-License-Identifier: MIT
"""The trace and the statistics of real boots: read back by the real babeltrace2, and from the console."""

import collections
import itertools
import re
import subprocess
import sys

import pytest

import conftest
import matrix
from test_boot import require, tail

CONVERTER = conftest.ROOT / "tools/trace2ctf.py"
GUESTS = ("ioapic", "msr")


def traced(setup):
    return matrix.Boot("trace", setup, tuple(
        matrix.Module(f"guests/{name}.elf", f"vm={name} mem=16M") for name in GUESTS),
        options="onend=poweroff onfail=poweroff trace=console stats=lines", limit=120)


TRACED = (traced(matrix.QEMU_SVM), traced(matrix.BOCHS_VMX))

Event = collections.namedtuple("Event", "ns name fields")
LOG_LINE = re.compile(r"\] trace vm-\d+ \[\d+\] (\d+)\.(\d{9}): (\w+): ")
TEXT_LINE = re.compile(r"\[(\d+)\.(\d{9})\] (\w+): (.*)")
FIELD = re.compile(r'(\w+) = (?:"([^"]*)"|(\w+))')


def parsed(line):
    """An event of babeltrace2's output, integers as such."""
    match = TEXT_LINE.fullmatch(line)
    fields = {name: text if number == "" else int(number, 0)
              for name, text, number in FIELD.findall(match[4])}
    return Event(int(match[1] + match[2]), match[3], fields)


@pytest.fixture
def events(boot, run, tmp_path):
    """What babeltrace2 finds in the run's trace."""
    require(not run.error, run.error)
    log, folder = tmp_path / "serial.log", tmp_path / "ctf"
    log.write_text(run.text)
    subprocess.run([sys.executable, CONVERTER, log, folder], check=True, timeout=600)
    result = subprocess.run(["babeltrace2", "--clock-seconds", "--no-delta", folder], timeout=600,
                            capture_output=True, text=True)
    assert result.returncode == 0 and not result.stderr, result.stderr
    return [parsed(line) for line in result.stdout.splitlines()]


@pytest.mark.parametrize("boot", TRACED, ids=str)
def test_viewer_sees_what_the_log_says(boot, run, events):
    logged = [(int(s + ns), name) for s, ns, name in LOG_LINE.findall(run.text)]
    assert len(logged) > 500 * len(GUESTS)
    assert [(event.ns, event.name) for event in events] == sorted(logged, key=lambda line: line[0])
    assert {event.fields["vm"] for event in events} == set(GUESTS)
    kinds = {"kvm_entry", "kvm_exit", "kvm_pio", "kvm_mmio", "kvm_msr", "kvm_inj_virq"}
    assert kinds <= {event.name for event in events}


@pytest.mark.parametrize("boot", TRACED, ids=str)
def test_entries_and_exits_alternate(boot, events):
    for vm in {event.fields["vm"] for event in events}:
        names = [event.name for event in events if event.fields["vm"] == vm]
        steps = [name for name in names if name in ("kvm_entry", "kvm_exit")]
        assert all(first != second for first, second in itertools.pairwise(steps))
        assert names[-1] != "kvm_entry"
        # An injected event is delivered by the next entry.
        for first, second in itertools.pairwise(names):
            assert first != "kvm_inj_virq" or second == "kvm_entry"


@pytest.mark.parametrize("boot", TRACED, ids=str)
def test_accesses_are_those_that_exited(boot, events):
    """The processor's exit information, compared with what the handler did."""
    vmx = boot.setup is matrix.BOCHS_VMX
    checked = collections.Counter()
    for exit, access in itertools.pairwise(events):
        if exit.name != "kvm_exit" or access.name not in ("kvm_pio", "kvm_mmio", "kvm_msr"):
            continue
        reason, fields = exit.fields["exit_reason"], access.fields
        assert exit.fields["isa"] == (1 if vmx else 2)
        if access.name == "kvm_pio":
            assert reason == (30 if vmx else 0x7b)
            assert exit.fields["info1"] >> 16 & 0xffff == fields["port"]
            assert exit.fields["info1"] >> (3 if vmx else 0) & 1 == 1 - fields["rw"]
        elif access.name == "kvm_mmio":
            assert reason == (48 if vmx else 0x400)
            assert vmx or exit.fields["info2"] == fields["gpa"]
            assert fields["type"] in (1, 2) and fields["len"] in (1, 2, 4, 8)
        else:
            assert reason == (31 + fields["write"] if vmx else 0x7c)
        checked[access.name] += 1
    assert min(checked[name] for name in ("kvm_pio", "kvm_mmio", "kvm_msr")) > 0


def test_words_of_rare_events():
    """The converter alone: events that do not occur in an ordinary boot."""
    sys.path.insert(0, str(CONVERTER.parent))
    try:
        import trace2ctf
    finally:
        sys.path.pop(0)
    prefix = "[    1.000000 cpu0 web] trace vm-1 [000] 0.000000001: "
    cases = {
        "kvm_msr: msr_write 1fff = 0x5 (#GP)": (1, 0x1fff, 5, 1),
        "kvm_msr: msr_read 10 = 0x7": (0, 0x10, 7, 0),
        "kvm_entry: vcpu 2, rip 0x10 [immediate exit]": (2, 0x10, 1),
        "kvm_inj_exception: #PF (0x2)": ("PF", 1, 2),
        "kvm_inj_exception: #UD": ("UD", 0, 0),
        "lamina_entry_failed: vcpu 0 kind INVALID_STATE rip 0xfff0 code 0x80000021 qualification 0x3":
            (0, "INVALID_STATE", 0xfff0, 0x80000021, 3),
        "lamina_l2_refused: vcpu 1 rip 0x10 code 0x7 qualification 0x0 rule control.pin.reserved":
            (1, 0x10, 7, 0, "control.pin.reserved"),
        "kvm_msr: msr_read 11 = 0x7 [nested]": (0, 0x11, 7, 0),
    }
    for text, values in cases.items():
        (record,) = trace2ctf.parse([prefix + text])
        assert record.values == values and record.vm == "web"
    for damaged in ("kvm_entry: vcpu 2, rip", "kvm_something: else"):
        with pytest.raises(trace2ctf.LogError, match="line 2"):
            trace2ctf.parse(["anything", prefix + damaged])
    with pytest.raises(trace2ctf.LogError, match="trace=console"):
        trace2ctf.parse(["[    1.000000 cpu0] Lamina"])


# ---------------------------------------------------------------------------
# Statistics

STAT = re.compile(r'\] stat vm=(\S+) vcpu=0 exit="([^"]+)" count=(\d+) ticks=(\d+) max=(\d+) log2=(\S+)$',
                  re.MULTILINE)
TOTALS = re.compile(r"\] stat vm=(\S+) vcpu=0 (entries=.*)$", re.MULTILINE)


@pytest.mark.parametrize("boot", TRACED, ids=str)
def test_statistics_add_up(boot, run):
    require(not run.error, run.error)
    totals = {vm: {key: int(value) for key, value in (pair.split("=") for pair in pairs.split())}
              for vm, pairs in TOTALS.findall(run.text.replace("\r", ""))}
    exits = collections.Counter()
    assert set(totals) == set(GUESTS)
    for vm, name, count, ticks, longest, log2 in STAT.findall(run.text.replace("\r", "")):
        count, ticks, longest = int(count), int(ticks), int(longest)
        buckets = {int(n): int(times) for n, times in (pair.split(":") for pair in log2.split(","))}
        assert sum(buckets.values()) == count, f"{vm}: {name}"
        assert 1 << max(buckets) <= longest < 2 << max(buckets), f"{vm}: {name}"
        assert (sum(times << n for n, times in buckets.items()) <= ticks
                < sum(times << n + 1 for n, times in buckets.items())), f"{vm}: {name}"
        exits[vm] += count
    for vm, total in totals.items():
        # Each entry that was not refused ended by an exit, and each exit was accounted.
        assert exits[vm] == total["entries"] - total["failed"] > 100
        assert total["none"] + total["handled"] + total["reenter"] == exits[vm]
        assert total["failed"] == 0 and total["hz"] > 0


# ---------------------------------------------------------------------------
# Lamina's own keys

CONSOLE = matrix.Boot("console", matrix.QEMU_SVM, (
    matrix.Module("guests/spin.elf", "vm=spin mem=16M -- if=1"),), steps=(
        matrix.Step("", r"^guest spin: now"),
        matrix.Step("\x1f?", r"\]   \?: this list", r"\]   q: stop the VM"),
        matrix.Step("\x1fs", r"\] vcpu 0: port I/O .*2\^\d+ ", r"\] vcpu 0: exit +count +total ms"),
        matrix.Step("\x1ft", r"kvm_entry: vcpu 0, rip 0x\w+\r*\n", r"\] trace vm-1 \[000\] "),
        matrix.Step("\x1fv", r"^\[screen: 80 columns, 25 rows, cursor at column 1, row 1\]"),
        # The command line: completion, a log line above the prompt, leaving it by Escape.
        matrix.Step("\x1f:", r"lamina> $"),
        matrix.Step("vm\tx\b\r", r"^\*  1 spin +running  vcpus 1, 16 MiB, up \d+ s\nok\n"),
        matrix.Step("-j vms\r", r'^\{"ok":true,"vms":\[\{"index":1,"name":"spin",.*"front":true\}\]\}\n'),
        matrix.Step("stats spin\r", r"\] vcpu 0: exit +count +total ms"),
        matrix.Step("pause none\r", r"^error: there is no such VM\n"),
        matrix.Step("\x1b", r"lamina> (?:\033\[K)?\n"),
        matrix.Step("\x1fs", r"\] vcpu 0: exit +count +total ms"),
        matrix.Step("\x1fq", matrix.ENDED_WELL, r"\] vm ended: stopped by request"),
    ), limit=60)


@pytest.mark.parametrize("boot", (CONSOLE,), ids=str)
def test_keys_of_the_console(boot, run):
    require(not run.error, run.error, tail(run.text))
    require(run.powered_off, "it did not power off", tail(run.text))


# ---------------------------------------------------------------------------
# A crash

CRASHES = tuple(matrix.Boot("crash", setup, (matrix.Module("guests/nowhere.elf", "vm=nowhere mem=16M"),),
                            lines=(matrix.error_line("0xa0000000, where there is no RAM"), matrix.STOPPED))
                for setup in (matrix.QEMU_SVM, matrix.BOCHS_VMX))


@pytest.mark.parametrize("boot", CRASHES, ids=str)
def test_a_crash_prints_what_came_before(boot, run):
    require(not run.error, run.error)
    for pattern in boot.lines:
        require(re.search(pattern, run.text, re.MULTILINE), f"nothing matches {pattern!r}", tail(run.text))
    lines = [line for line in run.text.replace("\r", "").splitlines() if LOG_LINE.search(line)]
    # At least 16 lines, of whole records: an exit's has up to three, so the oldest may bring two more.
    assert 16 <= len(lines) <= 18, tail(run.text)
    # Where an interrupt of the host comes in between, the entry behind it repeats the one before it.
    lines = [line for line, before in zip(lines, ["", *lines]) if not any(
        re.search(r"kvm_exit: vcpu 0 reason EXTERNAL_INTERRUPT ", at) for at in (line, before))]
    assert "kvm_pio: pio_write at 0x80 size 1 count 1 val 0x5a" in lines[-3]
    assert "kvm_entry: vcpu 0, rip 0x" in lines[-2]
    assert re.search(r"kvm_exit: vcpu 0 reason \w+ rip 0xa0000000 ", lines[-1])
    # They come before the line that says how the VM ended.
    assert run.text.index(lines[-1]) < run.text.index("vm ended: ")
