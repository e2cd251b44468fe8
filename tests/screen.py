# SPDX-License-Identifier: MIT
"""Read screenshots of a QEMU machine's display, by the font that Lamina draws with."""

import json
import pathlib
import socket
import time

FONT = pathlib.Path(__file__).resolve().parent.parent / "arch/console/font.txt"
WIDTH, HEIGHT, MARGIN = 8, 16, 2        # of a character, and its blank rows above and below
VGA_TEXT, TEXT_COLUMNS, TEXT_ROWS = 0xB8000, 80, 25


def read_font():
    """{the rows of a glyph, as strings of '0' and '1': the character}."""
    glyphs, band = [], []
    for line in FONT.read_text().splitlines() + [""]:
        if line and not line.startswith(";"):
            band.append(line.split())
        elif band:
            glyphs += zip(*band)
            band = []
    blank = ("0" * WIDTH,) * MARGIN
    rows = [blank + tuple(row.replace(".", "0").replace("#", "1") + "0" for row in glyph) + blank
            for glyph in glyphs]
    font = {glyph: chr(32 + number) for number, glyph in enumerate(rows)}
    assert len(font) == 95 and all(len(glyph) == HEIGHT for glyph in font), "two glyphs are alike"
    return font


def enlarge(glyph, scale):
    return tuple("".join(pixel * scale for pixel in row) for row in glyph for _ in range(scale))


class Picture:
    """A screenshot: rows of '0' for black and '1' for the only other colour."""

    def __init__(self, path):
        magic, size, depth, pixels = pathlib.Path(path).read_bytes().split(b"\n", 3)
        assert (magic, depth) == (b"P6", b"255")
        self.width, self.height = map(int, size.split())
        colours = {pixels[i:i + 3] for i in range(0, len(pixels), 3)}
        assert colours <= {b"\0\0\0"} or len(colours) == 2, f"{len(colours)} colours"
        green = pixels[1::3]    # of a grey
        text = green.translate(bytes([0x30] + [0x31] * 255)).decode()
        self.rows = [text[y * self.width:(y + 1) * self.width] for y in range(self.height)]

    def read(self, scale):
        """The lines of text; every pixel of every character must be where the font has it."""
        font = {enlarge(glyph, scale): char for glyph, char in read_font().items()}
        width, height = WIDTH * scale, HEIGHT * scale
        lines = []
        for y in range(0, self.height - height + 1, height):
            rows = self.rows[y:y + height]
            line = ""
            for x in range(0, self.width - width + 1, width):
                glyph = tuple(row[x:x + width] for row in rows)
                assert glyph in font, f"no character at column {x // width}, row {y // height}"
                line += font[glyph]
            lines.append(line.rstrip())
        return lines


def connect(path):
    """QEMU's socket at this path, which it makes when it starts: first the path, then the port behind it."""
    deadline = time.monotonic() + 300
    while True:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(300)
        try:
            connection.connect(str(path))
            return connection
        except (FileNotFoundError, ConnectionRefusedError):
            connection.close()
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


class Display:
    """The display of one machine, by QEMU's machine protocol at a socket."""

    def __init__(self, folder):
        self.path, self.dump = folder / "qmp", folder / "display.ppm"
        self.extra = ("-qmp", f"unix:{self.path},server,nowait")
        self.stream = None

    def connect(self):
        self.stream = connect(self.path).makefile("rw")
        assert "QMP" in json.loads(self.stream.readline())
        self.command("qmp_capabilities")

    def command(self, name, **arguments):
        if not self.stream:
            self.connect()
        self.stream.write(json.dumps({"execute": name, "arguments": arguments}) + "\n")
        self.stream.flush()
        while True:     # events may come before the answer
            answer = json.loads(self.stream.readline())
            if "event" not in answer:
                assert "return" in answer, answer
                return answer["return"]

    def monitor(self, line):
        """A command for the human monitor."""
        return self.command("human-monitor-command", **{"command-line": line})

    def picture(self):
        self.command("screendump", filename=str(self.dump))
        return Picture(self.dump)

    def text_mode(self):
        """The lines in the memory of a VGA in its text mode, of grey characters on black."""
        self.command("pmemsave", val=VGA_TEXT, size=TEXT_COLUMNS * TEXT_ROWS * 2,
                     filename=str(self.dump))
        memory = self.dump.read_bytes()
        assert set(memory[1::2]) == {0x07}
        text = memory[::2].decode("ascii")
        return [text[i:i + TEXT_COLUMNS].rstrip() for i in range(0, len(text), TEXT_COLUMNS)]

    def await_lines(self, read, done, work, limit):
        """Read the screen until done(lines) holds and nothing changes. Returns the last lines read if that
        does not happen within the time limit, in seconds of the emulator's work (emu.Work)."""
        lines = None
        while True:
            before = lines
            try:
                lines = read()
            except AssertionError:      # half drawn, or still the boot loader's
                if work.seconds() > limit:
                    raise
                lines = []
            if (done(lines) and lines == before) or work.seconds() > limit:
                return lines
            time.sleep(0.1)


def layout(lines, columns, rows):
    """What a screen of this size shows after these lines, each of them ended."""
    wrapped = [line[i:i + columns].rstrip()
               for line in lines for i in range(0, max(len(line), 1), columns)]
    shown = (wrapped + [""])[-rows:]
    return shown + [""] * (rows - len(shown))
