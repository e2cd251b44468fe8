# SPDX-License-Identifier: MIT
"""The host tool explain, on dumps of each form: valid, with one thing broken, and garbage."""

import pathlib
import random
import re
import subprocess

import pytest

HERE = pathlib.Path(__file__).resolve().parent
BUILD = HERE.parent / "build/sanitized"
FORMS = ("lamina-vmx", "lamina-svm", "kvm-vmx", "kvm-svm", "xen-vmx", "xen-svm")
SANITIZE = "-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all"


@pytest.fixture(scope="session")
def explain():
    """Run the tool, built with sanitizers, on a text: its exit code and what it printed."""
    subprocess.run(["make", "--no-print-directory", "-s", "tools", f"BUILD={BUILD}",
                    f"HOSTCFLAGS={SANITIZE}"], cwd=HERE.parent, check=True)

    def run(text, *options):
        data = text if isinstance(text, bytes) else text.encode()
        result = subprocess.run([BUILD / "explain", *options], input=data, timeout=600,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return result.returncode, result.stdout.decode()
    return run


def dump(form):
    return (HERE / f"dumps/{form}.txt").read_text()


# Lamina's dumps are from refused entries: the rule that was broken, and the change that repairs the state.
REPAIRED = {
    "lamina-vmx": (("DR7 0x10000000000", "DR7 0x400"),
                   (", VM-entry interruption information 0x80000030", "")),
    "lamina-svm": (("asid 0 ", "asid 1 "),),
}


def valid(form):
    text = dump(form)
    for old, new in REPAIRED.get(form, ()):
        assert old in text
        text = text.replace(old, new)
    return text


def broken_rules(output):
    return re.findall(r"^  ([a-z0-9.-]+): .*\[(?:SDM|APM), \".*\"\]$", output, re.MULTILINE)


@pytest.mark.parametrize("form", FORMS)
def test_valid(explain, form):
    code, output = explain(valid(form))
    assert (code, broken_rules(output)) == (0, []), output
    assert "  0 rules are broken; " in output


@pytest.mark.parametrize("form, rules", [
    ("lamina-vmx", ["guest.dr7", "guest.rflags.if-for-extint"]), ("lamina-svm", ["control.asid"])])
def test_refused_by_an_emulator(explain, form, rules):
    code, output = explain(dump(form))
    assert (code, broken_rules(output)) == (1, rules), output


# A change to a valid dump, and the only rule that must be named.
BREAKS = [
    ("kvm-svm", "0000000080050033 cr2", "00000000a0050033 cr2", "guest.cr0.nw-without-cd"),
    ("kvm-svm", "efer:         0000000000001d01", "efer:         0000000000000d01",
     "guest.efer.svme"),
    ("kvm-svm", "efer:         0000000000001d01", "efer:         0000000100001d01",
     "guest.efer.reserved"),
    ("kvm-svm", "cr4:          00000000000006b0", "cr4:          0000000000000690",
     "guest.cr4.long-mode-pae"),
    ("kvm-svm", "cr4:          00000000000006b0", "cr4:          00000001000006b0",
     "guest.cr4.reserved"),
    ("kvm-svm", "cr3:            0000000002e0a000", "cr3:            0010000002e0a000",
     "guest.cr3.reserved"),
    ("kvm-svm", "dr7:          0000000000000400", "dr7:          0000000100000400",
     "guest.dr7.high"),
    ("kvm-svm", "cs:   s: 0010 a: 0a9b", "cs:   s: 0010 a: 0e9b", "guest.cs.l-and-d"),
    ("kvm-svm", "intercepts:         bc4c8027 00006e7f", "intercepts:         bc4c8027 00006e7e",
     "control.intercept.vmrun"),
    ("kvm-svm", "intercepts:         bc4c8027 00006e7f", "intercepts:         00006e7ebc4c8027",
     "control.intercept.vmrun"),
    ("kvm-svm", "asid:               3", "asid:               0", "control.asid"),
    ("kvm-svm", "event_inj:          00000000", "event_inj:          80000302",
     "control.event.vector"),
    ("kvm-svm", "nested_cr3:         0000", "nested_cr3:         8000", "control.nested.ncr3"),
    ("kvm-svm", "gpat:           0407050600070106", "gpat:           0407050600020106",
     "control.nested.pat"),
    ("kvm-vmx", "RFLAGS=0x00000046", "RFLAGS=0x00000044", "guest.rflags.reserved"),
    ("kvm-vmx", "VMEntry: intr_info=00000000", "VMEntry: intr_info=800000ef",
     "guest.rflags.if-for-extint"),
    ("kvm-vmx", "TR:   sel=0x0040, attr=0x0008b", "TR:   sel=0x0040, attr=0x00089",
     "guest.tr.type"),
    ("kvm-vmx", "base=0xfffffe0000001000", "base=0x7ffffe0000001000", "guest.gdtr.base"),
    ("kvm-vmx", "Virtual processor ID = 0x0001", "Virtual processor ID = 0x0000", "control.vpid"),
    ("kvm-vmx", "CS=0010 SS=0018", "CS=0013 SS=0018", "host.cs.selector"),
    ("kvm-vmx", "GSBase=ffff9a3d9fa80000", "GSBase=7fff9a3d9fa80000", "host.gs.base"),
    ("kvm-vmx", "RIP = 0xffffffffc0a1c020", "RIP = 0x7fffffffc0a1c020", "host.rip.canonical"),
    ("kvm-vmx", "ActivityState = 00000000", "ActivityState = 00000004",
     "guest.activity.supported"),
    ("xen-svm", "efer = 0x1d01", "efer = 0xd01", "guest.efer.svme"),
    ("xen-svm", "CR0 = 0x0000000080050033", "CR0 = 0x0000000180050033", "guest.cr0.high"),
    ("xen-svm", "guest_asid = 0x5", "guest_asid = 0", "control.asid"),
    ("xen-svm", "np_ctrl = 0x1 guest_asid = 0x5", "asid = 0 np_ctrl = 0x1: NP", "control.asid"),
    ("xen-svm", "event_inj 0000000080000b0e", "event_inj 0000000080000702", "control.event.type"),
    ("xen-svm", "iopm_base_pa = 0x43fb20000", "iopm_base_pa = 0x4000043fb20000", "control.iopm"),
    ("xen-svm", "DR6 = 0x00000000ffff0ff0", "DR6 = 0xffffffffffff0ff0", "guest.dr6.high"),
    ("xen-svm", "CS: 0010 0a9b", "CS: 0010 0e9b", "guest.cs.l-and-d"),
    ("xen-svm", "general2_intercepts = 0x2eff", "general2_intercepts = 0x2efe",
     "control.intercept.vmrun"),
    ("xen-vmx", "PDPTE0 = 0x00000000002ea001", "PDPTE0 = 0x00000000002ea003", "guest.pdpte0"),
    ("xen-vmx", "CS: 0008 0c09b", "CS: 0008 0409b", "guest.segment.granularity"),
    ("xen-vmx", "IDTR:            000002ff", "IDTR:            000102ff", "guest.idtr.limit"),
    ("xen-vmx", "DR7 = 0x0000000000000400", "DR7 = 0x0000000100000400", "guest.dr7"),
    ("xen-vmx", "Interruptibility = 00000000", "Interruptibility = 00000003",
     "guest.interruptibility.sti-mov-ss"),
    ("xen-vmx", "TR=e040", "TR=0000", "host.tr.null"),
    ("xen-vmx", "CS:RIP=e008:ffff82d0402012d0", "CS:RIP=e008:7fff82d0402012d0",
     "host.sysenter-eip"),
    ("lamina-svm", "event_injection 0 ", "event_injection 80000102 ", "control.event.type"),
    ("lamina-svm", "misc 9d44800f 00007f7f", "misc 9d44800f 00007f7e", "control.intercept.vmrun"),
    ("lamina-vmx", "VPID 0x2, ", "", "control.vpid"),
    ("lamina-vmx", "pin-based controls 0x7f,", "pin-based controls 0x17f,",
     "control.pin.reserved"),
    ("lamina-vmx", "host TR 0x18", "host TR 0x1c", "host.tr.selector"),
]


@pytest.mark.parametrize("form, old, new, rule", BREAKS, ids=lambda text: text[:24])
def test_broken(explain, form, old, new, rule):
    text = valid(form)
    assert text.count(old) == 1
    code, output = explain(text.replace(old, new))
    assert (code, broken_rules(output)) == (1, [rule]), output


def stripped(text):
    return re.sub(r"^(?:\[ *\d+\.\d+\] (?:kvm_amd: )?|\(XEN\) (?:\[[^\]]*\] )?)", "", text,
                  flags=re.MULTILINE)


PREFIXES = {
    "none": lambda line: line,
    "timestamp": lambda line: f"[12345.678901] {line}",
    "level": lambda line: f"<3>[    1.000000] kvm_intel: {line}",
    "journal": lambda line: f"Mar 01 10:00:00 host kernel: kvm: {line}",
    "carriage-return": lambda line: f"{line}\r",
}


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("form", ["kvm-vmx", "kvm-svm"])
def test_any_prefix_of_a_line(explain, form, prefix):
    text = "\n".join(map(PREFIXES[prefix], stripped(valid(form)).splitlines()))
    assert explain(text)[1].split(":")[-1] == explain(valid(form))[1].split(":")[-1]
    broken = text.replace("0000000000000400", "0000000100000400")
    assert explain(broken)[0] == 1


def test_several_dumps_in_one_text(explain):
    code, output = explain("".join(map(dump, FORMS)))
    assert code == 1
    heads = re.findall(r"^(.*) dump of a (VMC[SB]), lines", output, re.MULTILINE)
    assert heads == [("Lamina", "VMCS"), ("Lamina", "VMCB"), ("Linux KVM", "VMCS"),
                     ("Linux KVM", "VMCB"), ("Xen", "VMCS"), ("Xen", "VMCB")]
    assert broken_rules(output) == ["guest.dr7", "guest.rflags.if-for-extint", "control.asid"]


def test_what_the_dump_lacks_is_left_out(explain):
    text = re.sub(r"^.*asid:.*\n", "", dump("kvm-svm"), flags=re.MULTILINE)
    code, output = explain(text, "-v")
    assert code == 0 and "left out: control.asid" in output
    # Half of a rule's fields may be enough: that address is invalid for every width.
    text = text.replace("nested_cr3:         0000", "nested_cr3:         8000")
    assert broken_rules(explain(text)[1]) == ["control.nested.ncr3"]
    assert "physical-address width unknown" in explain(text)[1]


def test_physical_bits(explain):
    text = dump("kvm-svm").replace("nested_cr3:         000000011d0b2000",
                                   "nested_cr3:         000010011d0b2000")
    assert explain(text)[0] == 0
    assert explain(text, "--physical-bits", "45")[0] == 0
    code, output = explain(text, "--physical-bits", "44")
    assert (code, broken_rules(output)) == (1, ["control.nested.ncr3"])


def test_file_and_misuse(explain):
    path = HERE / "dumps/lamina-svm.txt"
    assert explain("", path)[0] == 1
    assert explain(path.read_text(), "-")[0] == 1
    assert explain("", "--help")[0] == 0 and "Exit code" in explain("", "--help")[1]
    for options in (("--no-such",), (path, path), ("/nowhere/at/all",), (HERE,),
                    ("--physical-bits", "99"), ("--physical-bits",)):
        assert explain("", *options)[0] == 2, options


GARBAGE = {
    "empty": b"",
    "newlines": b"\n" * 10000,
    "text": b"nothing of the kind\n" * 100,
    "zeros": bytes(100000),
    "all-bytes": bytes(range(256)) * 1000,
    "one-line": b"A" * 5_000_000,
    "header": b"VMCB Control Area:\n",
    "headers": b"*** Guest State ***\n(XEN) *** Guest State ***\nvcpu 0 VMCB:\n" * 1000,
}


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage(explain, name):
    assert explain(GARBAGE[name])[0] == 2


@pytest.mark.parametrize("form", FORMS)
def test_damaged(explain, form):
    """Cut anywhere, overwritten, with very long lines and numbers: a result, and no crash."""
    data, rng = dump(form).encode(), random.Random(form)
    damaged = [data[:len(data) * part // 16] for part in range(16)]
    damaged += [data.replace(b"\n", b" "), data.replace(b" ", b""), data[::-1],
                data.replace(b"0", b"0" * 5000), data.replace(b"0x", b"0x" + b"f" * 300),
                data.replace(b"\n", b"," * 3000 + b"\n"), data + rng.randbytes(100_000)]
    for _ in range(16):
        copy = bytearray(data)
        for _ in range(200):
            copy[rng.randrange(len(copy))] = rng.randrange(256)
        damaged.append(bytes(copy))
    for text in damaged:
        code, output = explain(text)
        assert code in (0, 1, 2), output
        assert "Sanitizer" not in output and "runtime error" not in output, output
