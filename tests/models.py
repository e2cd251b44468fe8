# SPDX-License-Identifier: MIT
"""Which processors and machines the emulators offer, and what Lamina must do on each.

What a processor has is not taken from Lamina: QEMU is asked by QMP, and Bochs, which cannot be
asked, plays processors whose features their makers publish.
"""

import collections
import json
import subprocess

import emulators
import matrix

GUESTS = tuple(matrix.checked(name) for name in ("debugexit", "longmode", "cpuid", "timer"))

# Time is counted in instructions, few per second: so delays are short and do not depend on the load
# of the build machine.
COUNTED = ("-icount", "shift=6,sleep=off")

# `facts`: the names of the processor's features. `names`: all models with the same CPUID.
# `cpu`: the emulator's argument, if that is more than a name; `but`: why.
Model = collections.namedtuple("Model", "emulator names facts cpu but", defaults=("", ""))

# ---------------------------------------------------------------------------
# The features that a processor must have, in the order in which Lamina checks them, and the message about
# a processor that lacks one.

NO_LONG_MODE = r"Lamina needs a 64-bit processor \(long mode\)"
NO_NX = r"Lamina needs no-execute pages \(NX\)"
NO_VIRTUALIZATION = r"CPUID announces neither Intel VMX nor AMD SVM"
NO_NPT = r"this processor has SVM but no nested paging"
NO_EPT = r"this processor has VMX but no EPT"
NO_UNRESTRICTED_GUEST = r"this processor has VMX but no unrestricted guest"
NO_LOCAL_APIC = r"this processor has no local APIC"
# By QEMU's names; AMD APM vol. 1, "64-Bit Mode": they come with long mode.
BASELINE = {
    "fpu": "x87 FPU", "pse": "PSE", "tsc": "TSC", "msr": "MSR", "pae": "PAE", "cx8": "CMPXCHG8B",
    "pge": "PGE", "cmov": "CMOV", "fxsr": "FXSR", "sse": "SSE", "sse2": "SSE2", "syscall": "SYSCALL",
}


def no_feature(name):
    return rf"CPUID announces no {name}, which every 64-bit processor has"


def refusal(facts):
    """The message that a processor with just these features must cause, or "" if it must work."""
    if "lm" not in facts:
        return NO_LONG_MODE
    if "nx" not in facts:
        return NO_NX
    for feature, name in BASELINE.items():
        if feature not in facts:
            return no_feature(name)
    if "apic" not in facts:
        return NO_LOCAL_APIC
    if "vmx" in facts:
        if "ept" not in facts:
            return NO_EPT
        return "" if "unrestricted-guest" in facts else NO_UNRESTRICTED_GUEST
    if "svm" in facts:
        return "" if "npt" in facts else NO_NPT
    return NO_VIRTUALIZATION


# ---------------------------------------------------------------------------
# QEMU

# QEMU (7.2 and 10.0) treats CR4.OSXSAVE as reserved on models without XSAVEOPT, and repeats the instruction
# that sets it forever. AMD's processors of that age have XSAVE without XSAVEOPT.
# With -icount, QEMU 10.0 exits at an access to an x2APIC's timer ("Bad icount read"). The guests need
# -icount; a model that is refused runs no guest.
QEMU_X2APIC = "QEMU ends at an x2APIC's timer where time is counted in instructions: started without x2APIC"
QEMU_XSAVE = "QEMU hangs at CR4.OSXSAVE where XSAVE comes without XSAVEOPT: started without XSAVE"


class Qmp:
    """A QEMU that runs no guest and answers queries."""

    def __enter__(self):
        self.process = subprocess.Popen(
            [*emulators.get("qemu").prefix(), "-M", "none", "-accel", "tcg", "-display", "none", "-nodefaults",
             "-S", "-qmp", "stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.process.stdout.readline()           # its greeting
        self("qmp_capabilities")
        return self

    def __exit__(self, *exception):
        self.process.stdin.close()
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def __call__(self, command, **arguments):
        self.process.stdin.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self.process.stdin.flush()
        while True:
            answer = json.loads(self.process.stdout.readline())
            if "return" in answer or "error" in answer:
                return answer["return"]


def qemu_models():
    """One for each CPUID: most versions of a QEMU model differ only in features that TCG lacks."""
    groups = collections.defaultdict(list)
    with Qmp() as qmp:
        for model in sorted(qmp("query-cpu-definitions"), key=lambda model: model["name"]):
            name = model["name"]
            if name == "host":                   # exists with KVM only
                continue
            expansion = qmp("query-cpu-model-expansion", type="full", model={"name": name})
            properties = {**expansion["model"]["props"], "model-id": None,
                          **dict.fromkeys(model["unavailable-features"], False)}
            groups[json.dumps(properties, sort_keys=True)].append(name)
    for properties, names in groups.items():
        properties = json.loads(properties)
        facts = frozenset(name for name, value in properties.items() if value is True)
        less = {}
        if "xsave" in facts and "xsaveopt" not in facts:
            less["xsave"] = QEMU_XSAVE
        if "x2apic" in facts and not refusal(facts):
            less["x2apic"] = QEMU_X2APIC
        yield Model("qemu", tuple(names), facts, ",-".join((names[0], *less)), "; ".join(less.values()))


# ---------------------------------------------------------------------------
# Bochs

OLD = frozenset({"apic"})
AMD64 = OLD | {"lm", "nx", *BASELINE}
AMD_V = AMD64 | {"svm"}
AMD_RVI = AMD_V | {"npt"}
INTEL_VT = AMD64 | {"vmx"}
NEHALEM = INTEL_VT | {"ept"}
WESTMERE = NEHALEM | {"unrestricted-guest"}
BOCHS = {
    "pentium": OLD, "pentium_mmx": OLD, "amd_k6_2_chomper": OLD, "p2_klamath": OLD,
    "p3_katmai": OLD, "athlon_xp": OLD, "p4_willamette": OLD, "atom_n270": OLD | {"nx"},
    "core_duo_t2400_yonah": OLD | {"nx", "vmx"},
    "p4_prescott_celeron_336": AMD64, "athlon64_clawhammer": AMD64, "athlon64_venice": AMD64,
    "turion64_tyler": AMD_V, "phenom_8650_toliman": AMD_RVI,
    "core2_penryn_t9600": INTEL_VT, "corei5_lynnfield_750": NEHALEM,
    "corei5_arrandale_m520": WESTMERE, "corei7_sandy_bridge_2600k": WESTMERE,
    "zambezi": AMD_RVI, "trinity_apu": AMD_RVI, "ryzen": AMD_RVI,
    "corei7_ivy_bridge_3770k": WESTMERE, "corei7_haswell_4770": WESTMERE,
    "broadwell_ult": WESTMERE, "corei7_skylake_x": WESTMERE, "corei3_cnl": WESTMERE,
    "corei7_icelake_u": WESTMERE, "tigerlake": WESTMERE, "sapphire_rapids": WESTMERE,
    "arrow_lake": WESTMERE,
}

# Bochs' models that cannot boot an image at all, and why.
BOCHS_WITHOUT_BOOT = {
    "i386": "Bochs' BIOS executes CPUID, which this processor has not",
    "i486dx4": "GRUB reads CR4 where it starts a kernel, and this processor has none",
}

# Guests that would make Bochs itself exit, and why.
BOCHS_PANICS = {(name, "longmode"): matrix.WP_PANIC for name in ("tigerlake", "sapphire_rapids", "arrow_lake")}

# A guest's check that fails because of an emulator's bug: (model, guest, check), and why.
ERRORS_OF_EMULATORS = {
    ("phenom_8650_toliman", "cpuid", "POPCNT"): "Bochs announces POPCNT and raises #UD at it",
}


def bochs_offers():
    """The names of the models that Bochs lists."""
    result = subprocess.run([*emulators.get("bochs").prefix(), "--help", "cpu"], stdin=subprocess.DEVNULL,
                            capture_output=True, text=True, check=False)
    words = (result.stdout + result.stderr).split("Supported CPU models:")[1].split("\n\n")[1]
    return tuple(words.split())


def bochs_models():
    for name, facts in BOCHS.items():
        yield Model("bochs", (name,), facts, name, "; ".join(
            [f"{why}: its check is not counted" for (model, _, _), why in ERRORS_OF_EMULATORS.items()
             if model == name] +
            [f"{why}: without {guest}" for (model, guest), why in BOCHS_PANICS.items() if model == name]))


# ---------------------------------------------------------------------------
# Boots

QUIET = "onend=poweroff onfail=poweroff stats=off"


def outcome(words):
    """The lines that a boot must show, and how it ends; `words`: why it must be refused."""
    if not words:
        return {"lines": (matrix.ALL_ENDED,)}    # a deviation of an emulator lets a guest end badly
    early = words in (NO_LONG_MODE, NO_NX) or words.startswith("CPUID announces no ")
    if not early:
        return {"lines": (matrix.error_line(words), matrix.STOPPED)}
    # Refused before Lamina knows how to power the machine off; the first two before there is a log.
    return {"lines": (words,), "steps": (matrix.Step("", words),), "powers_off": False,
            "watched": 1}


def boot(name, emulator, cpu, words, extra=(), memory=64, guests=GUESTS, counted=True, **rest):
    counted = counted and emulator == "qemu" and "-smp" not in extra
    setup = matrix.Setup("", emulator, cpu, matrix.SLOW, (*COUNTED, *extra) if counted else extra)
    return matrix.Boot(name, setup, tuple(guest.module() for guest in guests), options=QUIET,
                       memory=memory, limit=90, **{**outcome(words), **rest})


MODELS = {boot(f"{model.emulator}-{model.names[0]}", model.emulator, model.cpu, refusal(model.facts),
               counted="x2apic" not in model.facts or not refusal(model.facts),
               guests=tuple(guest for guest in GUESTS
                            if (model.names[0], guest.name) not in BOCHS_PANICS)): model
          for model in (*qemu_models(), *bochs_models())}

# EPYC with features removed or added: QEMU's argument, and Lamina's message where it is refused.
ODD_PROCESSORS = {
    **{f"EPYC,-{feature}": no_feature(name) for feature, name in BASELINE.items()},
    "EPYC,-lm": NO_LONG_MODE, "EPYC,-nx": NO_NX, "EPYC,-apic": NO_LOCAL_APIC,
    "EPYC,-svm": NO_VIRTUALIZATION, "EPYC,-npt": NO_NPT,
    "EPYC,level=0": no_feature("leaf 1"), "EPYC,level=1": "", "EPYC,level=3": "",
    "EPYC,xlevel=0x80000000": NO_LONG_MODE,
    "EPYC,xlevel=0x80000001": "CPUID announces SVM but has no leaf 8000000Ah",
    "EPYC,phys-bits=36": "", "EPYC,-mce,-mca,-mtrr,-pat": "", "EPYC,-xsave": "",
    "EPYC,-smep,-smap,-umip,-fsgsbase": "", "EPYC,-pdpe1gb,-rdtscp": "",
}
FEW = tuple(guest for guest in GUESTS if guest.name != "timer")    # no -icount with several CPUs

# QEMU's board and memory, further lines that must be shown, and how it ends.
Machine = collections.namedtuple("Machine", "extra memory words rest", defaults=(64, "", {}))
NO_POWER_OFF = {"powers_off": False, "watched": 1, "steps": (matrix.Step("", matrix.error_line(
    "the machine did not power off; halted")),), "lines": (
        r"warning: ACPI: no root pointer", r"warning: ACPI: how to power off is not known")}


def clock(name):
    return {"lines": (matrix.ALL_ENDED, rf"clock: TSC .*\({name}\)")}


ODD_MACHINES = {
    "pc": Machine(("-machine", "pc")),
    "pc without HPET": Machine(("-machine", "pc,hpet=off"), rest=clock("ACPI PM timer")),
    "q35 without HPET": Machine(("-machine", "hpet=off"), rest=clock("ACPI PM timer")),
    "q35 without 8254": Machine(("-machine", "pit=off")),
    "q35 without 8259": Machine(("-machine", "pic=off")),
    "q35 without 8259, 8254 and HPET": Machine(
        ("-machine", "pic=off,pit=off,hpet=off"), rest=clock("ACPI PM timer")),
    "pc without ACPI": Machine(("-machine", "pc,acpi=off,hpet=off"),
                               rest={**NO_POWER_OFF, "lines": (*NO_POWER_OFF["lines"],
                                                               r"clock: TSC .*\(8254\)")}),
    "isapc: no ACPI, no PCI": Machine(("-machine", "isapc"), rest=NO_POWER_OFF),
    "q35 without SMM": Machine(("-machine", "smm=off")),
    "q35 with VT-d": Machine(("-device", "intel-iommu")),
    "q35 with AMD-Vi": Machine(("-device", "amd-iommu")),
    "16 MiB": Machine((), 16, "mem=16M: not enough memory"),
    "32 MiB": Machine((), 32),
    "4 GiB": Machine((), 4096),
    "5 GiB": Machine((), 5120),
    "5 GiB, 1 of them low": Machine(("-machine", "max-ram-below-4g=1G"), 5120),
    "8 CPUs": Machine(("-smp", "8"), 128, "", {
        "guests": FEW, "lines": (matrix.ALL_ENDED, r"ACPI: .* 8 CPUs")}),
}

MACHINES = {
    **{boot(f"cpu-{cpu}", "qemu", cpu, words): cpu for cpu, words in ODD_PROCESSORS.items()},
    **{boot(f"machine-{name}", "qemu", "EPYC", m.words, m.extra, m.memory, **m.rest): name
       for name, m in ODD_MACHINES.items()},
}
