# SPDX-License-Identifier: MIT
"""Every processor that QEMU and Bochs offer, and machines that lack something: each runs the tiny
guests or reports exactly what is missing. docs/models.md is made from these runs' logs.
"""

import collections
import difflib
import os
import pathlib
import re

import pytest

import emulators
import matrix
import models
from test_boot import guest_said, require, tail, test_boot as check_boot, vm_part

BOOTS = (*models.MODELS, *models.MACHINES)
TABLE = pathlib.Path(__file__).resolve().parent.parent / "docs/models.md"


def check_guests(boot, text):
    """The guests that are expected to run have passed, except for checks that fail because of an emulator's bug."""
    for guest in models.GUESTS:
        if guest.module() not in boot.modules:
            continue
        part = vm_part(text, guest.name)
        excused = collections.Counter(check for model, name, check in models.ERRORS_OF_EMULATORS
                                      if (model, name) == (boot.setup.model, guest.name))
        excused += matrix.deviations(boot.setup.emulator, guest.name)
        failed, total = matrix.failed_checks(boot.setup.emulator, part)
        require(guest_said(text, guest.name, rf"^guest {guest.name}: [1-9]\d* passed, {total} failed") and
                failed.keys() == excused.keys(),
                f"{guest}: these checks failed: {dict(failed)}, expected: {dict(excused)}", tail(part))
        require(re.search(r"^vm ended: .*debug exit, status 0x", part, re.MULTILINE),
                f"{guest} did not end by itself:", tail(part))


@pytest.mark.parametrize("boot", BOOTS, ids=str)
def test_model(boot, run):
    check_boot(boot, run)
    if any("all VMs ended" in line for line in boot.lines):
        check_guests(boot, run.text)


def test_bochs_offers_no_other_models():
    assert {*models.BOCHS, *models.BOCHS_WITHOUT_BOOT} == set(models.bochs_offers())


# ---------------------------------------------------------------------------
# The table.

HEAD = """\
<!-- Made by `make models` from Lamina's logs: do not edit. -->
# Processors and machines

What Lamina does on every processor that {qemu} (by TCG) and {bochs} emulate, and on machines
that lack something. `tests/models.py` derives what is expected of each from the features that the emulator or the
processor's maker lists. `tests/test_models.py` boots them all with the guests
{guests}, and fails where this page differs.

"""
EMULATORS = {"qemu": "QEMU", "bochs": "Bochs"}
SECTIONS = (
    ("Processors", models.MODELS, "Models with the same CPUID share a row.",
     ("model", "processor (family/model)", "missing, see below", "outcome")),
    ("Less than an EPYC, and other machines", models.MACHINES,
     "In QEMU. A processor is named as in QEMU's option `-cpu`; the machines have an `EPYC`.",
     ("processor or machine", "TSC measured by", "warnings", "outcome")),
)


def lines_of(text, pattern):
    return re.findall(rf"^\[[^\]]*\] {pattern}$", text, re.MULTILINE)


def replaced(text):
    """The capabilities that are missing and not required, with what is done instead."""
    return lines_of(text, r"  (\S.*?) {2,}missing: (.*)")


def outcome(text):
    """How many guests ended by themselves, or the first error, or where there is none the last line."""
    ran = len(re.findall(r"\] vm ended: debug exit", text))
    if ran:
        return f"runs {ran} guests"
    reasons = re.findall(r"error: (?!  |Lamina|the machine did not power off)(.*)", text)
    return f"stops: {(reasons or re.findall('Lamina: stopped: (.*)', text))[0].rstrip()}"


def processor(text):
    said = lines_of(text, r"CPU: (.*?), family (\S+) model (\S+) stepping .*")
    return f"{said[0][0]} ({said[0][1]}/{said[0][2]})" if said else ""


def row_of_model(boot, text, notes):
    model = models.MODELS[boot]
    missing = [notes[pair] for pair in replaced(text)]
    names = f"{EMULATORS[model.emulator]} " + ", ".join(model.names)
    said = outcome(text) + (f" ({model.but})" if model.but else "")
    return names, processor(text), ", ".join(map(str, sorted(missing))), said


def row_of_machine(boot, text, _):
    warnings = re.findall(r"warning: (.*)", text)
    clock = lines_of(text, r"clock: TSC .*\((.*?)\).*")
    return (models.MACHINES[boot], "".join(clock), "; ".join(dict.fromkeys(warnings)),
            outcome(text))


def make_table(texts):
    """The page, from what each boot's serial port said."""
    pairs = dict.fromkeys(pair for boot in models.MODELS for pair in replaced(texts[boot]))
    notes = {pair: number for number, pair in enumerate(pairs, 1)}
    page = [HEAD.format(guests=", ".join(f"`{guest}`" for guest in models.GUESTS),
                        qemu=emulators.get("qemu"), bochs=emulators.get("bochs"))]
    for (title, boots, words, head), row in zip(SECTIONS, (row_of_model, row_of_machine)):
        rows = [head, ["---"] * len(head), *(row(boot, texts[boot], notes) for boot in boots)]
        page += [f"## {title}\n\n{words}\n\n",
                 *("| " + " | ".join(cells) + " |\n" for cells in rows), "\n"]
    page += ["## Not booted\n\n", *(f"- {emulators.get('bochs')}, {model}: {why}.\n"
                                     for model, why in models.BOCHS_WITHOUT_BOOT.items()), "\n"]
    page += ["## What is missing, and what does instead\n\nThe numbers of the first table.\n\n",
             *(f"{number}. {name}: {instead}\n" for (name, instead), number in notes.items())]
    return "".join(page)


def test_table(runs):
    made = make_table({boot: runs.of(boot).text for boot in BOOTS})
    if os.environ.get("UPDATE_MODELS"):
        TABLE.write_text(made)
    there = TABLE.read_text() if TABLE.exists() else ""
    difference = difflib.unified_diff(there.splitlines(), made.splitlines(), "docs/models.md",
                                      "what the runs say", lineterm="", n=0)
    require(made == there, "docs/models.md is not what the runs say: see whether the change is meant, "
            "and then run `make models`", *difference)


test_table.boots = BOOTS
