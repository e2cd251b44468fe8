# SPDX-License-Identifier: MIT
"""What a character costs that a Linux guest prints to its serial port, in instructions.

In QEMU with -icount shift=0 an instruction takes a nanosecond of the machine's time, and waiting takes none: so the
guest's own clock counts instructions, its own, Lamina's and those that send the character.
"""

import re

import conftest
import emu
import image
import matrix

PROMPT = matrix.PROMPT
BYTES = 64 * 1024
MOST = 700      # instructions a byte; the same Linux without Lamina executes 150 to 172
ICOUNT = ("-icount", "shift=0,sleep=off")
LIMIT = 300

# The kernel's clock in ns, at a moment at which the shell only reads. Read twice, for what reading it costs.
NOW = "now() { while read a b c d; do [ \"$a\" = now ] && echo stamp $c; done < /proc/timer_list; }"
PREPARE = f"stty -echo; head -c {BYTES} /dev/zero | tr '\\0' x > /tmp/text; cat /tmp/text > /dev/null; {NOW}"


def test_console_byte(tmp_path):
    conftest.LOGS.mkdir(parents=True, exist_ok=True)
    iso = tmp_path / "console.iso"
    modules = [image.Module(conftest.BUILD / module.file, module.file.replace("/", "-"), module.cmdline)
               for module in matrix.LINUX]
    image.build(iso, conftest.BUILD / "lamina.elf", "onend=poweroff onfail=poweroff", modules, True)
    with emu.Machine(iso, "qemu", mem=512, extra=ICOUNT, log=conftest.LOGS / "console-cost.log") as machine:
        machine.expect(PROMPT, LIMIT)
        machine.send(PREPARE + "\r")
        machine.expect(PROMPT, LIMIT)
        machine.send("now; now; cat /tmp/text > /dev/ttyS0; now; echo; echo fin''ished\r")
        machine.expect("^finished", LIMIT)
        machine.send("poweroff\r")
        machine.expect(emu.ENDED_WELL.pattern, LIMIT)
        said = machine.text()
    stamps = [int(stamp) for stamp in re.findall(r"stamp (\d+)", said)]
    assert len(stamps) == 3, stamps
    per_byte = (stamps[2] - stamps[1] - (stamps[1] - stamps[0])) / BYTES
    print(f"{per_byte:.1f} instructions a byte")
    # All of it came out.
    assert "x" * BYTES in said
    assert 100 < per_byte <= MOST
