# SPDX-License-Identifier: MIT
"""The loop of cold boots: real resets, the firmware and GRUB each time, the count in the clock."""

import re
import time

import pytest

import conftest
import emu
import image
from conftest import BUILD
from test_mce import Monitor

LIMIT = 90
RESETS = ("-action", "reboot=reset")    # emu.py's -no-reboot ends the machine instead
OPTIONS = "console=com1,115200 onend=poweroff onfail=poweroff"
GOOD = image.Module(BUILD / "guests/debugexit.elf", "good", "vm=one mem=16M limit=600")
IDLE = image.Module(BUILD / "guests/idle.elf", "idle", "vm=idle mem=16M limit=600")
BAD = image.Module(BUILD / "guests/devicestack.elf", "bad", "vm=bad mem=16M limit=600")
UEFI = ("-bios", "/usr/share/ovmf/OVMF.fd")

MACHINES = {
    "qemu-bios": ("qemu", "EPYC", RESETS),
    "qemu-uefi": ("qemu", "EPYC", (*RESETS, *UEFI)),
    "bochs-vmx": ("bochs", "corei7_skylake_x", ()),
    "bochs-svm": ("bochs", "ryzen", ()),
}


def machine(name, folder, options, modules, kind="qemu-bios", extra=()):
    emulator, model, arguments = MACHINES[kind]
    image.build(folder / "iso", BUILD / "lamina.elf", f"{OPTIONS} {options}", modules,
                small=kind != "qemu-uefi")
    conftest.LOGS.mkdir(parents=True, exist_ok=True)
    return emu.Machine(folder / "iso", emulator, model, 256, ips=20_000_000, extra=(*arguments, *extra),
                       log=conftest.LOGS / f"bootloop-{name}.log")


def boots(text):
    announced = re.compile(emu.PREFIX + r"bootloop: boot (\d+) of \d+$", re.MULTILINE)
    return [int(number) for number in announced.findall(text)]


@pytest.mark.parametrize("kind", MACHINES)
def test_three_boots(kind, tmp_path):
    with machine(kind, tmp_path, "bootloop=3", (GOOD,), kind) as lamina:
        assert lamina.wait(2 * LIMIT), lamina.report("it did not power off")
        text = lamina.text()
    assert boots(text) == [1, 2, 3]
    assert len(re.findall(r"^guest debugexit: [1-9]\d* passed, 0 failed", text, re.MULTILINE)) == 3
    assert re.search(r"bootloop: all 3 boots done\n.*Lamina: all VMs ended, powering off", text), text[-3000:]


def test_key_ends_it(tmp_path):
    """Lamina waits for a key between two boots, for 3 s; after one, that boot is the last. Where this test comes too late,
    it tries after the next boot."""
    with machine("key", tmp_path, "bootloop=9", (GOOD,)) as lamina:
        for number in range(1, 9):
            lamina.expect(rf"boot {number} of 9 ended well.*\n", LIMIT)
            lamina.send("x")
            if "by a key" in lamina.expect(r"bootloop: (?:ended by a key after )?boot \d of 9\n", LIMIT):
                break
        assert lamina.wait(LIMIT), lamina.report("it did not power off")
        text = lamina.text()
    assert boots(text) == list(range(1, number + 1))
    assert re.search(rf"bootloop: ended by a key after boot {number} of 9\n.*Lamina: all VMs ended",
                     text), text[-2000:]


@pytest.mark.parametrize("onfail", ("reboot", "poweroff"))
def test_failed_boot_ends_it(onfail, tmp_path):
    """A VM ends by an error: with onfail=reboot this could be an endless loop."""
    with machine(f"failed-{onfail}", tmp_path, f"bootloop=3 onfail={onfail}", (BAD,)) as lamina:
        lamina.expect(r"bootloop: boot 1 of 3 failed: the loop ends.*\n"
                      r".*Lamina: stopped: 1 of 1 VMs.*\n", LIMIT)
        if onfail == "poweroff":
            assert lamina.wait(LIMIT), lamina.report("it did not power off")
        else:
            assert not lamina.wait(5), lamina.report("it is not halted")
        assert boots(lamina.text()) == [1]


def test_reset_ends_it(tmp_path):
    """The machine resets unexpectedly while a VM runs: the next boot reports that and stops."""
    socket = tmp_path / "monitor"
    with machine("reset", tmp_path, "bootloop=3", (IDLE,),
                 extra=("-monitor", f"unix:{socket},server,nowait")) as lamina:
        lamina.expect(r"guest idle: now", LIMIT)
        time.sleep(0.2)
        Monitor(socket)("system_reset")
        lamina.expect(r"Lamina: stopped: bootloop: boot 1 of 3 did not come to its end.*\n", LIMIT)
        assert lamina.wait(LIMIT), lamina.report("it did not power off")
        assert boots(lamina.text()) == [1]
        assert len(re.findall(r"guest idle: now", lamina.text())) == 1
