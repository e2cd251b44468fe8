# SPDX-License-Identifier: MIT
"""The screen: its text, read from screenshots pixel by pixel, is that of the serial log."""

import re

import pytest

import conftest
import emu
import image
import screen
from test_mce import await_halted

LIMIT = 60
OPTIONS = "onend=halt onfail=halt"
STOPPED = r"Lamina: stopped: .*\n"
IDLE = [image.Module(conftest.BUILD / "guests/idle.elf", "idle", "vm=idle mem=16M limit=600 -- tick=0")]
HELLO = [image.Module(conftest.BUILD / "guests/debugexit.elf", "hello", "vm=hello mem=16M")]
OVMF = ("-bios", "/usr/share/ovmf/OVMF.fd")

# QEMU's display, GRUB's mode for it, and the expected size of the text.
MODES = {
    "640x480x15": ("std", "640x480x15", 1),
    "800x600x16": ("std", "800x600x16", 1),
    "1024x768x24": ("std", "1024x768x24", 1),
    "1920x1080x32": ("std", "1920x1080x32", 2),
    "cirrus": ("cirrus", "640x480", 1),
    "vmware": ("vmware", "1024x768", 1),
    "virtio": ("virtio", "1280x1024", 1),
}


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """A function that makes a boot image, once."""
    folder, images = tmp_path_factory.mktemp("screen"), {}

    def get(options=OPTIONS, modules=(), mode=None, small=True):
        key = (options, tuple(modules), mode, small)
        if key not in images:
            images[key] = folder / f"{len(images)}.iso"
            image.build(images[key], conftest.BUILD / "lamina.elf", options, modules, small, mode=mode)
        return images[key]
    return get


@pytest.fixture
def boot(request, tmp_path):
    """A function that makes a machine with a display, and that display."""
    def start(iso, vga, *extra, mem=128, **rest):
        conftest.LOGS.mkdir(parents=True, exist_ok=True)
        display = screen.Display(tmp_path)
        log = conftest.LOGS / f"screen-{re.sub(r'[^a-z0-9-]+', '-', request.node.name)}.log"
        machine = emu.Machine(iso, "qemu", mem=mem, log=log,
                              extra=("-vga", vga, *display.extra, *extra), **rest)
        return machine, display
    return start


def own_lines(machine):
    """Lamina's lines, from the first one, as on the serial port."""
    lines = machine.text().splitlines()
    first = next(i for i, line in enumerate(lines) if "] Lamina 0." in line)
    return [line for line in lines[first:] if re.match(r"\[ *\d+\.\d+ cpu", line)]


def announced(text):
    return re.search(r"screen: framebuffer of (\d+) by (\d+) pixels of (\d+) bits at (0x\w+), "
                     r"(\d+) by (\d+) characters of size (\d+)$", text, re.MULTILINE)


def ended(lines):
    """Lamina's last line is there."""
    return any("Lamina: all VMs ended" in line for line in lines)


def compare(machine, display):
    """Compare the screen with the whole log; returns the log's line about the screen."""
    said = announced(machine.text())
    assert said, machine.report("it does not say what its screen is")
    width, height, _, _, columns, rows, scale = (int(field, 0) for field in said.groups())
    shown = display.await_lines(lambda: display.picture().read(scale),
                                lambda lines: lines == screen.layout(own_lines(machine), columns, rows), machine.work(), LIMIT)
    picture = display.picture()
    assert (picture.width, picture.height) == (width, height)
    assert columns == width // (8 * scale) and rows == height // (16 * scale)
    assert shown == screen.layout(own_lines(machine), columns, rows)
    return said


@pytest.mark.parametrize("case", MODES)
def test_framebuffer(case, build, boot):
    vga, mode, scale = MODES[case]
    machine, display = boot(build(mode=mode), vga)
    with machine:
        machine.expect(STOPPED, LIMIT)
        said = compare(machine, display)
        assert int(said[7]) == scale
        if re.fullmatch(r"\d+x\d+x\d+", case):
            assert "x".join(said.group(1, 2, 3)) == case


def test_uefi(build, boot):
    machine, display = boot(build(small=False), "std", *OVMF, mem=256)
    with machine:
        machine.expect(STOPPED, LIMIT)
        compare(machine, display)


def test_text_mode(build, boot):
    machine, display = boot(build(), "std")
    with machine:
        machine.expect(STOPPED, LIMIT)
        assert "] screen: VGA text, 80 by 25 characters\n" in machine.text()
        shown = display.await_lines(display.text_mode, lambda lines: lines == screen.layout(own_lines(machine), 80, 25),
                                    machine.work(), LIMIT)
        assert shown == screen.layout(own_lines(machine), 80, 25)


def test_no_display(build, boot):
    machine, _ = boot(build(), "none")
    with machine:
        machine.expect(STOPPED, LIMIT)
        assert "] screen: none, " in machine.text()


def test_screen_off(build, boot):
    machine, display = boot(build(f"screen=off {OPTIONS}", mode="640x480x32"), "std")
    with machine:
        machine.expect(STOPPED, LIMIT)
        assert "screen:" not in machine.text()
        assert not any("1" in row for row in display.picture().rows)


# ---------------------------------------------------------------------------
# With guests

def test_without_a_serial_port_the_screen_shows_the_guests(build, boot):
    machine, display = boot(build(modules=HELLO, mode="1280x1024"), "std",
                            serial=("-serial", "none"))
    with machine:
        shown = display.await_lines(lambda: display.picture().read(1), ended, machine.work(), LIMIT)
    assert "warning: console: no serial port answers" in "\n".join(shown)
    assert any(re.fullmatch(r"guest debugexit: [1-9]\d* passed, 0 failed", line) for line in shown)
    assert machine.text() == ""


@pytest.mark.parametrize("option, shows_guests", [("auto", False), ("log", False), ("all", True)])
def test_what_is_shown(option, shows_guests, build, boot):
    machine, display = boot(build(f"screen={option} {OPTIONS}", HELLO, "1024x768"), "std")
    with machine:
        machine.expect(r"Lamina: all VMs ended", LIMIT)
        shown = display.await_lines(lambda: display.picture().read(1), ended, machine.work(), LIMIT)
    assert shows_guests == any("guest debugexit: " in line for line in shown)
    assert any("hello] vm ended: " in line for line in shown)


def test_a_panic_stays_on_the_screen(build, boot):
    """A fatal machine check, while the guest halts."""
    machine, display = boot(build(modules=IDLE, mode="1024x768"), "std")
    with machine:
        machine.expect(r"guest idle: now", LIMIT)
        await_halted(display.monitor)
        display.monitor("mce 0 5 0xbe00000000000134 0x5 0x1234040 0x86")
        machine.expect(STOPPED, LIMIT)
        compare(machine, display)
        assert "error: panic: " in machine.text()
