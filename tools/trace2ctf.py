#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Convert the trace lines of a serial log into a folder that trace viewers open.

    tools/trace2ctf.py serial.log trace.ctf
    babeltrace2 trace.ctf

Lamina prints the lines when a VM has ended with the option trace=console, and some of them after a
crash. The folder holds a trace in the Common Trace Format 1.8, which babeltrace2 and Trace Compass
read. Events and fields have the names of Linux's kvm events; each event also names its VM.
"""

import argparse
import collections
import pathlib
import re
import struct
import sys
import uuid

# One field: its name, and how it is stored: a width in bits (printed in base 16 or 10), or a string.
Field = collections.namedtuple("Field", "name bits base", defaults=(32, 10))
STRING = 0


def hexadecimal(name, bits=64):
    return Field(name, bits, 16)


class Event:
    """A kind of event: its fields, and the pattern of its text, with a group for each field."""

    def __init__(self, fields, pattern, **words):
        self.fields, self.pattern, self.words = fields, re.compile(pattern), words

    def parse(self, text):
        """The fields' values, or None if the text is cut or damaged."""
        match = self.pattern.fullmatch(text)
        if not match:
            return None
        values = []
        for field in self.fields:
            found = match[field.name]
            if field.bits == STRING:
                values.append(found or "")
            elif field.name in self.words:
                values.append(self.words[field.name].get(found, 0))
            else:
                values.append(int(found or "0", field.base))
        return tuple(values)


def yes(word):
    return {word: 1}


# As in Linux's arch/x86/kvm/trace.h and include/trace/events/kvm.h; `reason` is the reason's text.
EVENTS = {
    "kvm_entry": Event(
        (Field("vcpu_id"), hexadecimal("rip"), Field("immediate_exit", 8)),
        r"vcpu (?P<vcpu_id>\d+), rip 0x(?P<rip>\w+)(?P<immediate_exit> \[immediate exit\])?",
        immediate_exit=yes(" [immediate exit]")),
    "kvm_exit": Event(
        (hexadecimal("exit_reason", 32), Field("reason", STRING), hexadecimal("guest_rip"),
         Field("isa"), hexadecimal("info1"), hexadecimal("info2"), hexadecimal("intr_info", 32),
         hexadecimal("error_code", 32), Field("vcpu_id")),
        r"vcpu (?P<vcpu_id>\d+) reason (?P<reason>\w+) rip 0x(?P<guest_rip>\w+) "
        r"info1 0x(?P<info1>\w+) info2 0x(?P<info2>\w+) intr_info 0x(?P<intr_info>\w+) "
        r"error_code 0x(?P<error_code>\w+) isa (?P<isa>\w+) exit_reason 0x(?P<exit_reason>\w+)",
        isa={"VMX": 1, "SVM": 2}),
    "kvm_inj_virq": Event(
        (hexadecimal("vector", 32),),
        r"IRQ 0x(?P<vector>\w+)"),
    "kvm_inj_exception": Event(
        (Field("exception", STRING), Field("has_error", 8), hexadecimal("error_code", 32)),
        r"#(?P<exception>\w+)(?:(?P<has_error> \(0x)(?P<error_code>\w+)\))?",
        has_error=yes(" (0x")),
    "kvm_pio": Event(
        (Field("rw"), hexadecimal("port", 32), Field("size"), Field("count"), hexadecimal("val")),
        r"pio_(?P<rw>read|write) at 0x(?P<port>\w+) size (?P<size>\d+) count (?P<count>\d+) "
        r"val 0x(?P<val>\w+)", rw=yes("write")),
    "kvm_mmio": Event(
        (Field("type"), Field("len"), hexadecimal("gpa"), hexadecimal("val")),
        r"mmio (?P<type>read|write) len (?P<len>\d+) gpa 0x(?P<gpa>\w+) val 0x(?P<val>\w+)",
        type={"read": 1, "write": 2}),
    "kvm_msr": Event(
        (Field("write"), hexadecimal("ecx", 32), hexadecimal("data"), Field("exception", 8)),
        r"msr_(?P<write>read|write) (?P<ecx>\w+) = 0x(?P<data>\w+)(?P<exception> \(#GP\))?",
        write=yes("write"), exception=yes(" (#GP)")),
    "lamina_entry_failed": Event(
        (Field("vcpu_id"), Field("kind", STRING), hexadecimal("rip"), hexadecimal("code", 32),
         hexadecimal("qualification")),
        r"vcpu (?P<vcpu_id>\d+) kind (?P<kind>\w+) rip 0x(?P<rip>\w+) code 0x(?P<code>\w+) "
        r"qualification 0x(?P<qualification>\w+)"),
    "lamina_l2_refused": Event(
        (Field("vcpu_id"), hexadecimal("rip"), hexadecimal("code", 32), hexadecimal("qualification"),
         Field("rule", STRING)),
        r"vcpu (?P<vcpu_id>\d+) rip 0x(?P<rip>\w+) code 0x(?P<code>\w+) qualification 0x(?P<qualification>\w+) "
        r"rule (?P<rule>[\w.-]+)"),
}

# The prefix of Lamina's log lines, then that of the trace: VM, CPU, seconds, event, fields, and a mark where L2 runs.
LINE = re.compile(r"^\[ *\d+\.\d+ cpu\d+(?: (?P<name>[^\]]+))?\] trace (?P<vm>vm-\d+) \[(?P<cpu>\d+)\] "
                  r"(?P<s>\d+)\.(?P<ns>\d{9}): (?P<event>\w+): (?P<text>.*?)(?: \[nested\])?\r*$")

Record = collections.namedtuple("Record", "ns cpu vm event values")


class LogError(Exception):
    """The log holds no trace, or a damaged line; the text says where."""


def parse(lines):
    """The records of a log's lines, in the order of time."""
    records = []
    for number, line in enumerate(lines, 1):
        match = LINE.match(line)
        if not match:
            continue
        event = EVENTS.get(match["event"])
        values = event and event.parse(match["text"])
        if values is None:
            raise LogError(f"line {number} is no event that this program knows: {line.strip()}")
        records.append(Record(int(match["s"]) * 10**9 + int(match["ns"]), int(match["cpu"]),
                              match["name"] or match["vm"], match["event"], values))
    if not records:
        raise LogError("there is no trace in it; boot Lamina with the option trace=console")
    # Events with the same time stamp stay in the log's order. A crash may print the same records again.
    return sorted(dict.fromkeys(records), key=lambda record: record.ns)


# ---------------------------------------------------------------------------
# The Common Trace Format, version 1.8: a description as text, and one binary stream for each CPU.

MAGIC = 0xC1FC1FC1
NUMBERS = {8: "B", 32: "I", 64: "Q"}


def integer(bits, base=10):
    return f"integer {{ size = {bits}; align = 8; signed = false; base = {base}; }}"


def declaration(field):
    kind = "string" if field.bits == STRING else integer(field.bits, field.base)
    return f"{kind} _{field.name};"


def metadata(identity):
    clock = "integer { size = 64; align = 8; signed = false; map = clock.monotonic.value; }"
    yield f"""/* CTF 1.8 */
trace {{
    major = 1; minor = 8; uuid = "{identity}"; byte_order = le;
    packet.header := struct {{ {integer(32)} magic; {integer(8)} uuid[16]; {integer(32)} stream_id; }};
}};
env {{ domain = "kernel"; tracer_name = "lamina"; }};
clock {{ name = monotonic; freq = 1000000000; description = "time since Lamina started"; }};
stream {{
    id = 0;
    packet.context := struct {{
        {clock} timestamp_begin; {clock} timestamp_end;
        {integer(64)} content_size; {integer(64)} packet_size; {integer(32)} cpu_id;
    }};
    event.header := struct {{ {integer(32)} id; {clock} timestamp; }};
    event.context := struct {{ string _vm; }};
}};
"""
    for number, (name, event) in enumerate(EVENTS.items()):
        yield (f"event {{ name = \"{name}\"; id = {number}; stream_id = 0; fields := struct {{ "
               + " ".join(map(declaration, event.fields)) + " }; };\n")


def encode(value, field):
    if field.bits == STRING:
        return value.encode() + b"\0"
    return struct.pack("<" + NUMBERS[field.bits], value)


def stream(records, cpu, identity):
    """One packet that holds all records of a CPU."""
    numbers = {name: number for number, name in enumerate(EVENTS)}
    body = b"".join(
        struct.pack("<IQ", numbers[record.event], record.ns) + record.vm.encode() + b"\0" +
        b"".join(map(encode, record.values, EVENTS[record.event].fields)) for record in records)
    head = struct.pack("<I16sI", MAGIC, identity.bytes, 0)
    context = struct.Struct("<QQQQI")
    bits = 8 * (len(head) + context.size + len(body))
    return head + context.pack(records[0].ns, records[-1].ns, bits, bits, cpu) + body


def write(folder, records):
    folder.mkdir(parents=True, exist_ok=True)
    # Derived from the records, so that the same log gives the same bytes.
    identity = uuid.uuid5(uuid.NAMESPACE_OID, repr(records))
    (folder / "metadata").write_text("".join(metadata(identity)))
    for cpu in {record.cpu for record in records}:
        of_cpu = [record for record in records if record.cpu == cpu]
        (folder / f"cpu{cpu}").write_bytes(stream(of_cpu, cpu, identity))


def main():
    parser = argparse.ArgumentParser(
        description="Turn the trace lines of a serial log into a folder for babeltrace2 and others.")
    parser.add_argument("log", type=pathlib.Path, help="what the serial port said")
    parser.add_argument("folder", type=pathlib.Path, help="made new; holds the trace")
    args = parser.parse_args()
    try:
        if args.folder.exists():
            raise LogError(f"{args.folder} is there already")
        records = parse(args.log.read_text(errors="replace").split("\n"))
        write(args.folder, records)
    except (LogError, OSError) as error:
        sys.exit(f"{args.log}: {error}" if isinstance(error, LogError) else str(error))
    print(f"{len(records)} events in {args.folder}")


if __name__ == "__main__":
    main()
