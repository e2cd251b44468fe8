# SPDX-License-Identifier: MIT
"""The boot matrix: what is booted, on which emulated machine, and what the serial port must show.

Only data. test_boot.py runs it; tests/README.md says how to add a row.
"""

import collections
import dataclasses
import hashlib
import re

import emulators
import media

# emulator: one of emulators.py, by name; medium: how Lamina is loaded, and from what; fault: a pattern of what a
# guest says where a known fault of the emulator has hit it, and only then: the boot is repeated.
Setup = collections.namedtuple("Setup", "name emulator model ips extra board medium cpus fault options",
                               defaults=(0, (), "q35", media.CD, 1, "", ""))

# Bochs counts time in instructions: few per second make the firmware's delays short, many give an
# operating system more instructions between two timer ticks.
SLOW, FAST = 20_000_000, 100_000_000

QEMU_SVM = Setup("qemu-svm", "qemu", "EPYC")        # no NRIP save, no decode assists
BOCHS_VMX = Setup("bochs-vmx", "bochs", "corei7_skylake_x", SLOW)
BOCHS_VMX_OLD = Setup("bochs-vmx-haswell", "bochs", "corei7_haswell_4770", SLOW)
BOCHS_SVM = Setup("bochs-svm", "bochs", "ryzen", SLOW)
SETUPS = (QEMU_SVM, BOCHS_VMX, BOCHS_VMX_OLD, BOCHS_SVM)
# Only without -icount: with it QEMU 10.0 exits at the first access to an x2APIC's timer ("Bad icount read").
QEMU_X2APIC = Setup("qemu-svm-x2apic", "qemu", "EPYC,+x2apic", options=" x2apic=on")
BOCHS_VMX_NEW = Setup("bochs-vmx-sapphire-rapids", "bochs", "sapphire_rapids", SLOW, options=" x2apic=on")
# The distribution's versions, which users have.
QEMU_7 = Setup("qemu-7.2-svm", "qemu-7.2", "EPYC")
BOCHS_2_VMX = Setup("bochs-2.7-vmx", "bochs-2.7", "corei7_skylake_x", SLOW)
BOCHS_2_SVM = Setup("bochs-2.7-svm", "bochs-2.7", "ryzen", SLOW)
OLD_SETUPS = (QEMU_7, BOCHS_2_VMX, BOCHS_2_SVM)
# The work of guests' local APICs by software, and by the processor. Not for Linux: where an interrupt of the host is pending
# and RFLAGS.IF is clear, Bochs (2.7, 3.0) delivers a virtual interrupt instead of the exit, for example right behind SYSCALL.
BOCHS_VMX_APIC_OFF = BOCHS_VMX._replace(name="bochs-vmx-apicv-off", options=" apicv=off")
BOCHS_VMX_APIC_FULL = BOCHS_VMX._replace(name="bochs-vmx-apicv-full", options=" apicv=full")
BOCHS_2_VMX_APIC_FULL = BOCHS_2_VMX._replace(name="bochs-2.7-vmx-apicv-full", options=" apicv=full")
# The guests compare clocks with each other, so time is counted in instructions in QEMU, too: 62.5 million
# per second. Then a busy build machine does not matter. Some guests wait for clocks that tick once a second:
# a higher number would only make them take longer.


def in_counted_time(setup):
    return setup._replace(extra=("-icount", "shift=4,sleep=off")) \
        if emulators.kind(setup.emulator) == "qemu" else setup


def fast(setup):
    return setup._replace(ips=FAST) if emulators.kind(setup.emulator) == "bochs" else setup


GUEST_SETUPS = tuple(in_counted_time(setup) for setup in SETUPS)
FAST_GUEST_SETUPS = tuple(map(fast, GUEST_SETUPS))
UEFI = QEMU_SVM._replace(name="qemu-uefi", extra=("-bios", "/usr/share/ovmf/OVMF.fd"))
PC = QEMU_SVM._replace(name="qemu-pc", board="pc")
MULTIBOOT1 = QEMU_SVM._replace(name="qemu-multiboot1", medium=media.CD_MULTIBOOT1)
QEMU_KERNEL = QEMU_SVM._replace(name="qemu-kernel", medium=media.KERNEL)
# Only 128 MiB of its memory lie below 4 GiB, so the RAM of a larger guest lies above.
HIGH_MEMORY = QEMU_SVM._replace(name="qemu-high-memory", board="q35,max-ram-below-4g=128M")
LINUX_SETUPS = (QEMU_SVM, UEFI, PC, HIGH_MEMORY, MULTIBOOT1, QEMU_KERNEL, QEMU_X2APIC, QEMU_7,
                *map(fast, (BOCHS_VMX, BOCHS_VMX_NEW, BOCHS_SVM)))
LONG_LINUX_SETUPS = tuple(map(fast, (BOCHS_VMX_OLD, BOCHS_2_VMX, BOCHS_2_SVM)))


def lacking(emulator, model):
    """A machine that cannot host VMs, named after its CPU."""
    return Setup(f"{emulator}-{model.replace(',', '')}", emulator, model, SLOW)


# One file that GRUB loads: its path below build/, and its command line.
Module = collections.namedtuple("Module", "file cmdline")

# The text to type, the pattern to wait for afterwards, and a pattern that the output up to it must contain.
Step = collections.namedtuple("Step", "send until says", defaults=("",))


@dataclasses.dataclass(frozen=True)
class Boot:
    """One run of one machine."""
    name: str
    setup: Setup
    modules: tuple = ()
    steps: tuple = ()                # in this order, each within `limit`
    lines: tuple = ()                # regular expressions that must be found, in any order
    absent: tuple = ()               # regular expressions that must not be found
    options: str = "onend=poweroff onfail=poweroff"
    powers_off: bool = True          # the machine powers itself off at the end
    limit: int = 60                  # seconds of the emulator's work, for each step and for the end
    memory: int = 128                # MiB of the emulated machine
    watched: int = 0                 # seconds to watch a machine that stays on; 0: `limit`
    long: bool = False               # run by `make check-long`, not by `make check`

    @property
    def medium(self):
        return self.setup.medium

    def __str__(self):
        return f"{self.name}-{self.setup.name}"


# Lamina checks each entry before it is made; test_boot.py reads the result.
CHECKED = "onend=poweroff onfail=poweroff check=entries"

ENDED_WELL = r"^\[.*cpu0\] Lamina: all VMs ended, powering off"
ENDED_BADLY = r"^\[.*cpu0\] (?:error: )?Lamina: stopped: %s of %s VMs did not end well"
ALL_ENDED = "|".join((ENDED_WELL, ENDED_BADLY % (r"\d+", r"\d+")))
STOPPED = r"^\[.*cpu0\] (error: )?Lamina: stopped: .*"


def error_line(words, vm=""):
    """The pattern of an error message, or of the reason in the last line; `vm`: the VM in its prefix."""
    return rf"^\[[^\]]*{vm}\] (?:error: |Lamina: stopped: ).*{words}"

# ---------------------------------------------------------------------------
# The tiny guests: many in one boot of each machine, one VM after the other.


@dataclasses.dataclass(frozen=True)
class Guest:
    """One VM: what it must print and how it must end."""
    name: str                    # the VM's
    says: str                    # a line that it must print
    ends: str                    # what Lamina must log about its end
    image: str = ""              # guests/<image>.elf; "" is the name
    cmdline: str = ""
    seconds: int = 60            # its time limit, so that the other VMs run, too
    cannot: tuple = ()           # (machine, reason) pairs: where it cannot work
    vcpus: int = 1
    keys: str = ""               # more keys of its module's line, with a space before each

    def __str__(self):
        return self.name

    def module(self):
        return Module(f"guests/{self.image or self.name}.elf",
                      f"vm={self.name} mem=16M limit={self.seconds}"
                      f"{f' vcpus={self.vcpus}' if self.vcpus > 1 else ''}{self.keys} -- {self.cmdline}")


def checked(name, verdict=None, **rest):
    """A guest that counts its checks and then ends by the debug-exit port with status 0."""
    return Guest(name, rf"^guest {verdict or name}: [1-9]\d* passed, 0 failed",
                 r"debug exit, status 0x0$", **rest)


# Without Lamina, too.
WP_PANIC = ("Bochs 3.0 panics where ring 0 writes to a read-only page with CR0.WP clear, on models with CET "
            "(\"asked to set dirty on paging leaf entry with R/W bit clear\")")
CHECKED_GUESTS = tuple(checked(name, cannot=tuple(
    (setup, WP_PANIC) for setup in (BOCHS_VMX_NEW, fast(BOCHS_VMX_NEW)) if name == "longmode")) for name in (
    "realmode", "protmode", "longmode", "cpuid", "portio", "msr", "mmio", "mmio32", "devinsn", "timer",
    "ioapic", "uart", "exceptions", "nmi", "nmistep", "tasks", "ticks", "hostile"))

NO_INTERRUPT_WITH_IF_0 = "Bochs (2.7, 3.0) lets no interrupt end an SVM guest that entered with IF clear"
ENDINGS = (
    checked("multiboot1", "debugexit-mb1", image="debugexit-mb1"),
    checked("multiboot2", "debugexit-mb2", image="debugexit-mb2"),
    checked("pvh", "debugexit-pvh", image="debugexit-pvh"),
    Guest("status", r"^guest debugexit: leaving with status", r"debug exit, status 0x2a$",
          image="debugexit", cmdline="status=0x2a"),
    Guest("triplefault", r"^guest triplefault: now", r"triple fault"),
    Guest("hltoff", r"^guest hltoff: now", r"halted"),
    Guest("spin", r"^guest spin: now", r"stopped", cmdline="if=1", seconds=2),
    Guest("spin-if0", r"^guest spin: now", r"stopped", image="spin", seconds=2,
          cannot=((BOCHS_SVM, NO_INTERRUPT_WITH_IF_0), (BOCHS_2_SVM, NO_INTERRUPT_WITH_IF_0))),
)

# Guests whose exits are handled in the entry stub or on the fast path: a time limit must end them, too.
# Without CHECKED, which makes every exit take the slow path.
SPINNING = tuple(
    Guest(f"spin-{exit}{'' if interrupts else '-if0'}", r"^guest spin: now", r"stopped", image="spin",
          cmdline=f"exit={number} if={interrupts}", seconds=1,
          # For the other exits a handler runs, and after it the limit is checked without an interrupt.
          cannot=() if interrupts or exit not in ("cpuid", "rdmsr") else
                 ((BOCHS_SVM, NO_INTERRUPT_WITH_IF_0),))
    for number, exit in enumerate(("cpuid", "rdmsr", "out", "mmio"), 1) for interrupts in (0, 1))

# Guests that are hypervisors. The same images run on the emulators themselves: tests/guests/native.
NESTED_SVM = (checked("nestedsvm", keys=" nested=on"),)
# Random changes of the VMCB, many of which the emulators themselves would not survive.
NESTED_SVM_FUZZ = (checked("nestedsvmfuzz", keys=" nested=on", cmdline="rounds=10000", seconds=600),)
# Another CPU writes to the VMCB meanwhile, and resets the hypervisor's CPU.
NESTED_SVM_RACE = (checked("nestedsvmrace", "nestedsvmfuzz", image="nestedsvmfuzz", keys=" nested=on", cmdline="race=60",
                           seconds=1200, vcpus=2),)
NESTED_VMX_INITS = (checked("nestedl2-inits", "nestedl2", image="nestedl2", keys=" nested=on", cmdline="inits=100",
                            seconds=120, vcpus=2),)
# Another CPU writes to all that the hypervisor's VMCS names, and to the VMCS.
NESTED_VMX_RACE = tuple(checked(f"nestedl2-race-{nested}", "nestedl2", image="nestedl2", keys=f" nested={nested}", cmdline="race=200",
                                seconds=240, vcpus=2) for nested in ("on", "evmcs"))
NESTED_VMX = (checked("nestedvmx", keys=" nested=on"), checked("nestedl2", keys=" nested=on"),
              checked("nestedl2-mutations", "nestedl2", image="nestedl2", keys=" nested=on", cmdline="mutations=500 seed=1"),
              checked("nestedl2-evmcs", "nestedl2", image="nestedl2", keys=" nested=evmcs"),
              checked("nestedvmx-off", "nestedvmx", image="nestedvmx"))


def boot_guests(name, setup, guests, options):
    booted = [guest for guest in guests if setup not in dict(guest.cannot)]
    badly = sum(not guest.ends.endswith("status 0x0$") for guest in booted)
    # Without an intended one there may be those that fail by a deviation of the emulator.
    return Boot(name, setup, limit=150, memory=128, options=options, modules=tuple(guest.module() for guest in booted),
                lines=(ENDED_BADLY % (badly, len(booted)) if badly else ALL_ENDED,))


# Each boot, with the guests that run in it.
GUEST_BOOTS = {boot_guests(name, setup, guests, options): guests
               for name, setups, guests, options in (
                   ("guests", GUEST_SETUPS, CHECKED_GUESTS, Boot.options),
                   ("guests-timers-late", (in_counted_time(QEMU_SVM), BOCHS_VMX, BOCHS_SVM),
                    tuple(guest for guest in CHECKED_GUESTS if guest.name in ("timer", "ticks")),
                    f"timeradvance=off {Boot.options}"),
                   ("spinning", (in_counted_time(QEMU_SVM), BOCHS_VMX, BOCHS_SVM), SPINNING, Boot.options),
                   # The checks take many instructions, and these guests measure time: so a faster clock.
                   ("guests-checked", FAST_GUEST_SETUPS, CHECKED_GUESTS, CHECKED),
                   # What the fast path does, the handlers do.
                   ("guests-without-fastpath", tuple(map(fast, (in_counted_time(QEMU_SVM), BOCHS_VMX, BOCHS_SVM))),
                    CHECKED_GUESTS, Boot.options + " fastpath=off"),
                   ("endings", GUEST_SETUPS, ENDINGS, CHECKED),
                   ("nested", tuple(map(in_counted_time, (QEMU_SVM, QEMU_7, BOCHS_SVM))), NESTED_SVM, CHECKED),
                   ("nested-fuzz", (QEMU_SVM, fast(BOCHS_SVM)), NESTED_SVM_FUZZ, Boot.options),
                   ("nested-noshadow", (BOCHS_VMX,), NESTED_VMX[:2], CHECKED + " vmx.noshadow"),
                   # With exits handled in the entry stub, as checks of entries do not allow it.
                   ("nested-unchecked", (BOCHS_VMX,), NESTED_VMX, Boot.options),
                   ("nested", (BOCHS_VMX, in_counted_time(BOCHS_VMX_NEW), in_counted_time(BOCHS_2_VMX)), NESTED_VMX, CHECKED),
                   ("guests", tuple(in_counted_time(setup) for setup in (
                        BOCHS_VMX_NEW, BOCHS_VMX_APIC_OFF, BOCHS_VMX_APIC_FULL, BOCHS_2_VMX_APIC_FULL, *OLD_SETUPS)),
                    CHECKED_GUESTS, Boot.options))
               for setup in setups}
# More boots on the old versions and other models, for make check-long.
GUEST_BOOTS.update({
    dataclasses.replace(boot_guests(name, setup, guests, CHECKED), long=True): guests
    for name, guests, setups in (
        ("guests-checked", CHECKED_GUESTS, tuple(
            fast(in_counted_time(setup)) for setup in (BOCHS_VMX_NEW, *OLD_SETUPS))),
        ("endings", ENDINGS, (QEMU_X2APIC, BOCHS_VMX_NEW, *map(in_counted_time, OLD_SETUPS))))
    for setup in setups})

# ---------------------------------------------------------------------------
# VMs with several CPUs: as many as the machine has, and more.


# Bochs 3.0 with several CPUs: an exit that follows right upon an exception which the guest has taken saves the RIP of
# before the exception, and CS, RSP and RFLAGS of after it. Linux then executes a program's code in the kernel; with
# page-table isolation that faults on the entry stack, again and again.
BOCHS_OLD_RIP = r"RIP: 0010:0x(?!0+$)0*[0-7]?[0-9a-f]{1,11}$|BUG: ENTRY_TRAMPOLINE stack guard page was hit"


def with_cpus(setup, cpus):
    fault = BOCHS_OLD_RIP if emulators.kind(setup.emulator) == "bochs" and cpus > 1 else ""
    return setup._replace(name=f"{setup.name}-{cpus}-cpus", cpus=cpus, fault=fault)


# Fewer rounds: in Bochs each instruction counts, in QEMU a round takes two threads of a busy build machine.
SMP_GUESTS = tuple(
    checked(name, image, image=image, cmdline=cmdline, vcpus=4, seconds=1200)
    for name, image, cmdline in (
        ("smpstart", "smpstart", "rounds=300"), ("smpipi", "smpipi", "rounds=500"),
        ("smpcpuid", "smpcpuid", ""), ("smptsc", "smptsc", "rounds=200"), ("smplock", "smplock", "rounds=500"),
        ("smpirq", "smpirq", ""), ("smpfpu", "smpfpu", "ms=300"), ("smpfpu-narrow", "smpfpu", "ms=300 xcr0=1"),
        ("smpflood-ipi", "smpflood", "what=0 ms=200"), ("smpflood-init", "smpflood", "what=1 ms=200"),
        ("smptrap", "smptrap", "rounds=20000"),
        ("smpflood-text", "smpflood", "what=2 ms=50"), ("smpflood-devices", "smpflood", "what=3 ms=200")))
SMP_X2APIC_GUESTS = tuple(dataclasses.replace(guest, name=f"{guest.name}-x2apic", cmdline=f"x2apic=1 {guest.cmdline}")
                          for guest in SMP_GUESTS if guest.image in ("smpstart", "smpipi", "smpcpuid", "smpirq"))
SMP_SETUPS = (with_cpus(QEMU_SVM, 4), QEMU_SVM, with_cpus(BOCHS_VMX, 2), with_cpus(BOCHS_SVM, 2),
              with_cpus(BOCHS_VMX_APIC_OFF, 2), with_cpus(BOCHS_VMX_APIC_FULL, 2))
LONG_SMP_SETUPS = (with_cpus(BOCHS_VMX, 4), with_cpus(BOCHS_VMX_APIC_FULL, 4), BOCHS_VMX)


def boot_smp_guests(name, setup, guests, long=False):
    # In Bochs at this speed the shortest timer period is over before an interrupt is handled, and the line that says how
    # the VM ended now and then comes within the last line of a guest that floods its console; for smptrap see
    # BOCHS_OLD_RIP, and with one CPU its SVM rarely exits between two of these exceptions.
    if emulators.kind(setup.emulator) == "bochs":
        left_out = {"smpflood-devices", "smpflood-text"}
        if setup.cpus > 1 or setup.model == BOCHS_SVM.model:
            left_out.add("smptrap")
        guests = tuple(guest for guest in guests if guest.name not in left_out)
    return dataclasses.replace(boot_guests(name, setup, guests, Boot.options), limit=1200, memory=384, long=long), guests


SMP_GUEST_BOOTS = dict((
    *(boot_smp_guests("smp-guests", setup, SMP_GUESTS) for setup in SMP_SETUPS),
    *(boot_smp_guests("smp-guests", setup, SMP_GUESTS, long=True) for setup in LONG_SMP_SETUPS),
    *(boot_smp_guests("smp-guests-x2apic", setup, SMP_X2APIC_GUESTS, long=setup not in (SMP_SETUPS[0], SMP_SETUPS[2]))
      for setup in (*SMP_SETUPS, *LONG_SMP_SETUPS))))
# Many rounds, for make check-long.
SMP_GUEST_BOOTS.update({
    dataclasses.replace(boot_guests("smp-soak", setup, guests, Boot.options), limit=1800, memory=384, long=True): guests
    for setup in SMP_SETUPS[:3] for guests in ((
        dataclasses.replace(SMP_GUESTS[0], cmdline="rounds=10000", seconds=1200),
        dataclasses.replace(SMP_GUESTS[1], cmdline="rounds=100000", seconds=1200),
        dataclasses.replace(SMP_GUESTS[4], cmdline="rounds=100000", seconds=1200)),)})
GUEST_BOOTS.update(SMP_GUEST_BOOTS)
GUEST_BOOTS.update({
    dataclasses.replace(boot_guests("nested-race", with_cpus(setup, 2), guests, Boot.options), memory=256): guests
    for setup, guests in ((QEMU_SVM, NESTED_SVM_RACE), (fast(BOCHS_SVM), NESTED_SVM_RACE), (fast(BOCHS_VMX), NESTED_VMX_INITS + NESTED_VMX_RACE))})

# Checks that fail in a guest because of a bug of that emulator: which, how often, and why. If a check does
# not fail as listed, for example because a newer version has fixed the bug, the test fails.
Deviation = collections.namedtuple("Deviation", "emulator guest check count reason")
QEMU_CR_READ = "QEMU 10.0 looks at the intercept of CR0's reads where CR4 is read"
QEMU_EXT = "QEMU 10.0 leaves EXT out of the error code of a fault at an event's delivery"
QEMU_INTO = "QEMU 10.0 executes INTO in 64-bit mode"
QEMU_BT = "QEMU raises no #DB for a TSS's T bit"
QEMU_ACCESSED = "QEMU leaves the accessed bit alone where a task switch loads a segment"
QEMU_TASKS = "QEMU intercepts no task switches, so that nothing shows the IRET to another task before the next exit"
QEMU_VMX = "QEMU 10.0 executes VMX's instructions on memory as nothing"
DEVIATIONS = (
    Deviation("qemu", "smpstart", "CR4 is 0", 1, QEMU_CR_READ),
    Deviation("qemu", "exceptions", "... with its error code", 2, QEMU_EXT),
    Deviation("qemu", "exceptions", "INTO is no instruction in 64-bit mode", 1, QEMU_INTO),
    *(Deviation("qemu", "hostile", f"{instruction} %0", 1, QEMU_VMX)
      for instruction in ("vmxon", "vmptrld", "vmclear")),
    *(Deviation(emulator, "tasks", check, 1, reason) for emulator in ("qemu", "qemu-7.2") for check, reason in (
        ("... begins with a #DB for it", QEMU_BT), ("... whose segment is marked as accessed", QEMU_ACCESSED),
        ("an NMI through a task gate, and one more that was sent meanwhile", QEMU_TASKS))),
)
# Reasons that guests print for a SKIP when they detect an emulator's bug. Versions without the bug must not
# cause that SKIP.
FIXED_LATER = {"qemu": ("QEMU doubles the vector in long mode", "QEMU raises #UD",
                   "QEMU does not arm them below a hypervisor")}


# If a CPU's time slice in QEMU (7.2 and, by its source, 10.0) ends right after the injection of an interrupt,
# QEMU delivers the interrupt a second time, with EXITINTINFO's type of an exception (0x351 for vector 0x51) and
# with IF clear. That depends on the count of instructions and on when devices' threads run. The guests' library
# hands no such interrupt to a handler; this check of it may fail in QEMU, or pass.
DELIVERED_TWICE = "interrupts come only while IF is set"


def deviations(emulator, guest):
    """{name of a check: how often it fails in that guest}."""
    return collections.Counter({known.check: known.count for known in DEVIATIONS
                                if (known.emulator, known.guest) == (emulator, guest)})


def failed_checks(emulator, part):
    """{name of a check: how often it failed}, without the one that fails in QEMU at times, and how many all in all."""
    failed = collections.Counter(re.findall(r"^FAIL (.*?)(?:: got .*)?$", part, re.MULTILINE))
    total = failed.total()
    if emulator.startswith("qemu"):
        del failed[DELIVERED_TWICE]
    return failed, total

# ---------------------------------------------------------------------------
# Linux, from its first line to its power-off.

PROMPT = r"^~ # "
LINUX = (Module("linux/vmlinuz", "vm=linux role=kernel mem=256M -- console=ttyS0"),
         Module("linux/initramfs", "vm=linux role=initrd"))
# Warnings that Linux prints on any machine like this: about vulnerabilities of these processors without newer microcode.
EXPECTED_WARNINGS = "Speculative Return Stack Overflow|RETBleed"
# And where the build machine lets it wait.
SLOW_WARNINGS = "hrtimer: interrupt took|timekeeping watchdog on CPU[0-9]*: .* retried"


def is_exact(setup):
    """No time passes for the guest while a busy build machine runs something else."""
    return emulators.kind(setup.emulator) == "bochs" or "-icount" in setup.extra


def two_seconds(setup):
    """A guest sleeps for so long."""
    seconds = "2" if is_exact(setup) else r"(?:[2-9]|[1-5]\d)"
    return Step("time sleep 2\r", PROMPT, rf"^real\s+0m {seconds}\.\d*s$")


def no_warnings(setup, *expected):
    expected = "|".join((EXPECTED_WARNINGS, *expected, *(() if is_exact(setup) else (SLOW_WARNINGS,))))
    return Step(f"dmesg -r | grep '^<[0-4]>' | grep -vE '{expected}' || echo none\r", PROMPT, r"^none$")


LINUX_STEPS = (
    Step("", PROMPT),
    Step("echo $((6*7)) $(uname -s)\r", PROMPT, r"^42 Linux$"),
    Step("cat /sys/devices/system/clocksource/clocksource0/current_clocksource\r", PROMPT, r"^tsc$"),
    # The bus in memory: MCFG, and the DSDT's reservation, without which Linux does not use it.
    Step("grep -E -A1 'MMCONFIG|ECAM' /proc/iomem; cd /sys/bus/pci/devices; echo *; cd\r", PROMPT,
         r"^c0000000-c00fffff : PCI (?:MMCONFIG|ECAM) 0000 \[bus 00-00\]\s+c0000000-c00fffff : pnp [\s\S]*^0000:00:00\.0 0000:00:01\.0"),
    Step("poweroff\r", ENDED_WELL),
)
LINUX_COMPLAINTS = (
    r"[Cc]locksource.*unstable", r"Marking TSC unstable", r"WARNING: CPU", r"Call Trace:", r"BUG: ",
    r"Oops", r"rcu.*stall", r"soft lockup", r"nobody cared", r"Kernel panic", r"Hardware Error",
    r"lost.*interrupt", r"timer doesn't work", r"calibration not consistent",
    r"unchecked MSR access", r"ACPI (?:BIOS )?(?:Error|Warning)",
)
# Less than 8 MiB besides the guest's RAM and page tables.
FRUGAL = r"^\[.* linux\] Lamina owns (?:\d{1,3}|[1-7]\d{3}) KiB for it,"
# What Linux says in /sys/devices/system/cpu/vulnerabilities about these processors, which announce: the AMD ones no
# register against speculation; skylake_x none and no microcode; sapphire_rapids IBRS for all modes, SSB_NO and RDCL_NO,
# and VERW that clears buffers. What no register is for must not be called mitigated. And Lamina's words about them.
Leaks = collections.namedtuple("Leaks", "linux lamina")
LEAKS_OF_AMD = Leaks(
    ("l1tf:Not affected", "mds:Not affected", "meltdown:Not affected", "spec_store_bypass:Vulnerable",
     "spectre_v2:Mitigation: Retpolines; STIBP: disabled; RSB filling;"),
    (r"may leak by speculation +branch predictions, store bypass$", "flushed between VMs +nothing: the processor",
     r"guests' own means against it +none"))
LEAKS = {
    QEMU_SVM.name: LEAKS_OF_AMD,
    BOCHS_SVM.name: LEAKS_OF_AMD,
    BOCHS_VMX.name: Leaks(
        ("l1tf:Mitigation: PTE Inversion", "mds:Vulnerable: Clear CPU buffers attempted, no microcode",
         "meltdown:Mitigation: PTI", "spec_store_bypass:Vulnerable",
         "spectre_v2:Mitigation: Retpolines; STIBP: disabled; RSB filling;"),
        (r"may leak by speculation +branch predictions, store bypass, Meltdown, L1 terminal fault, CPU buffers$",
         "flushed between VMs +nothing: the processor", r"guests' own means against it +none")),
    BOCHS_VMX_NEW.name: Leaks(
        ("l1tf:Not affected", "mds:Mitigation: Clear CPU buffers", "meltdown:Not affected",
         "spec_store_bypass:Not affected", "spectre_v2:Mitigation: Enhanced / Automatic IBRS; IBPB: conditional;"),
        (r"may leak by speculation +branch predictions, CPU buffers$",
         "flushed between VMs +branch predictions, CPU buffers$",
         r"guests' own means against it +SPEC_CTRL, PRED_CMD, FLUSH_CMD, ARCH_CAPABILITIES$")),
}


# 12 KiB at once, many times what the FIFOs and rings on the way hold: held back where there is no room, and never lost.
PASTED = "".join(f"{i:05d} abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqr\n" for i in range(200))
PASTE = (
    Step("stty -echo; echo st''arted; cat > /tmp/pasted; stty echo; md5sum /tmp/pasted\r", r"^started"),
    Step(PASTED + "\x04", PROMPT, f"{hashlib.md5(PASTED.encode()).hexdigest()}  /tmp/pasted"),
)


def linux_boot(setup):
    """From the first line to the power-off; before it, what Linux says about LEAKS, and on one machine a paste."""
    leaks = LEAKS.get(setup.name, Leaks((), ()))
    asked = (Step("cd /sys/devices/system/cpu/vulnerabilities && grep -v '^$' *; cd\r", PROMPT,
                  r"[\s\S]*".join(f"^{re.escape(line)}" for line in leaks.linux)),) if leaks.linux else ()
    return Boot("linux", setup, LINUX, (
        *LINUX_STEPS[:-1], two_seconds(setup), no_warnings(setup), *asked, *(PASTE if setup == QEMU_SVM else ()), LINUX_STEPS[-1]),
                lines=(FRUGAL, r"DMI: Lamina Lamina VM", *(rf"^\[.*cpu0\]   {line}" for line in leaks.lamina)), absent=LINUX_COMPLAINTS, limit=240,
                memory=512, long=setup in LONG_LINUX_SETUPS)


LINUX_BOOTS = tuple(map(linux_boot, (*LINUX_SETUPS, *LONG_LINUX_SETUPS)))

LINUX_CHECKED = tuple(
    Boot("linux-checked", setup, LINUX, (Step("", PROMPT), Step("poweroff\r", ENDED_WELL)),
         absent=LINUX_COMPLAINTS, options=CHECKED, limit=240, memory=512)
    for setup in (QEMU_SVM, *(setup for setup in LINUX_SETUPS if emulators.kind(setup.emulator) == "bochs")))

STOPPING_LINUX = tuple(module._replace(cmdline=module.cmdline.replace("vm=linux", "vm=linux onreset=stop hv=kvm"))
                       for module in LINUX)
RESET = Boot("linux-reset", QEMU_SVM, STOPPING_LINUX, (Step("", PROMPT), Step("reboot -f\r", ENDED_BADLY % (1, 1))),
             lines=(r"^\[.* linux\] vm ended: reset by the guest", r"^\[ .*\] Hypervisor detected: KVM",
                    r"^\[ .*\] kvm-clock: "), absent=LINUX_COMPLAINTS,
             options=CHECKED, limit=120, memory=512)



def linux_steps(vcpus):
    ticks = ("awk '/LOC:/ { for (i = 2; $i ~ /^[0-9]+$/; i++) n += $i > 0; print n, \"CPUs have ticks\" }' "
             "/proc/interrupts\r")
    # The last pattern is written so that the echo of the command does not match LINUX_COMPLAINTS.
    return (Step("", PROMPT), Step("nproc\r", PROMPT, rf"^{vcpus}$"),
            Step(ticks, PROMPT, rf"^{vcpus} CPUs have ticks$"),
            Step("cat /sys/devices/system/clocksource/clocksource0/current_clocksource\r", PROMPT, r"^(?:tsc|kvm-clock)$"),
            Step(f"threads {vcpus} 500; echo status $?\r", PROMPT, r"^status 0$"),
            Step(f"threads {2 * vcpus} 200; echo status $?\r", PROMPT, r"^status 0$"),
            Step("dmesg | grep -iE 'un[s]table|soft.lockup|TSC.warp|st[a]ll|nobody.cared|in[c]onsistent' || echo none\r",
                 PROMPT, r"^none$"),
            Step("poweroff\r", ENDED_WELL))


def smp_linux(vcpus, mem):
    return (Module("linux/vmlinuz", f"vm=linux role=kernel mem={mem} vcpus={vcpus} -- console=ttyS0"),
            Module("linux/initramfs-smp", "vm=linux role=initrd"))


def linux_with(vcpus, setup, **rest):
    return Boot(
        f"linux-{vcpus}-vcpus", setup, smp_linux(vcpus, "256M"), linux_steps(vcpus),
        absent=(*LINUX_COMPLAINTS, r"TSC warp", r"CPU\d+ failed to", r"Not responding"), limit=600, memory=512, **rest)


def linux_with_many(vcpus, setup):
    """So many that ids need more than 8 bits; in an emulator it takes minutes."""
    return Boot(
        f"linux-{vcpus}-vcpus", setup, smp_linux(vcpus, "1G"),
        (Step("", PROMPT), Step("nproc\r", PROMPT, rf"^{vcpus}$"), Step("poweroff\r", ENDED_WELL)),
        absent=(r"Oops", r"Not responding", r"x2apic entry ignored"), limit=2400, memory=2048, long=True)


SMP_LINUX_BOOTS = (
    linux_with_many(264, with_cpus(QEMU_SVM, 4)),
    *(linux_with(vcpus, with_cpus(QEMU_SVM, 4)) for vcpus in (1, 2, 4, 8)),
    linux_with(4, QEMU_SVM), linux_with(4, with_cpus(UEFI, 4)), linux_with(4, with_cpus(QEMU_X2APIC, 4)),
    linux_with(2, fast(with_cpus(BOCHS_VMX, 2))), linux_with(2, fast(with_cpus(BOCHS_SVM, 2))),
    linux_with(2, fast(with_cpus(BOCHS_VMX_APIC_OFF, 2))), linux_with(1, fast(BOCHS_VMX_APIC_OFF)),
    linux_with(4, fast(BOCHS_VMX), long=True), linux_with(4, fast(with_cpus(BOCHS_VMX_NEW, 4)), long=True),
    *(linux_with(vcpus, fast(with_cpus(setup, cpus)), long=True) for setup in (BOCHS_VMX, BOCHS_SVM)
      for cpus in (2, 4) for vcpus in (1, 2, 4, 8) if (vcpus, cpus) != (2, 2)),
)

# ---------------------------------------------------------------------------
# From a disk and by PXE.

TO_THE_SHELL = (*LINUX_STEPS[:2], LINUX_STEPS[-1])


NO_PCI_WARNINGS = "PCI: Fatal: No config space access|PCI: System does not support PCI"


def linux_without_pci(setup):
    """The serial port and all that is not on the bus go on; the end is ACPI's."""
    module, initramfs = LINUX
    return Boot("linux-no-pci", setup, (
        Module(module.file, module.cmdline.replace("role=kernel", "role=kernel pci=none")), initramfs), (
            *LINUX_STEPS[:2],
            Step("ls /sys/bus/pci/devices | wc -l; grep -c PCI /proc/iomem /proc/ioports\r", PROMPT,
                 r"^0\s+/proc/iomem:0\s+/proc/ioports:0$"),
            no_warnings(setup, NO_PCI_WARNINGS), LINUX_STEPS[-1]),
        absent=LINUX_COMPLAINTS, limit=240, memory=512)


def booting_from(medium, setup):
    return setup._replace(name=f"{setup.name}-{medium.name}", medium=medium)


def linux_from(medium, setup):
    return Boot("linux", booting_from(medium, setup), LINUX, TO_THE_SHELL, absent=LINUX_COMPLAINTS,
                limit=240, memory=512)


# Further kernels, as users bring them: in build/kernels, which only make check-long fetches.
def linux_kernel(kernel, machine, initramfs, setup):
    return Boot(f"linux-{kernel}", setup, (
        Module(f"kernels/vmlinuz-{kernel}", "vm=linux role=kernel mem=256M -- console=ttyS0"),
        Module(initramfs, "vm=linux role=initrd")), (
            Step("", PROMPT), Step("uname -m\r", PROMPT, rf"^{machine}$"), LINUX_STEPS[-1]),
        absent=LINUX_COMPLAINTS, limit=600, memory=512, long=True)


KERNEL_BOOTS = tuple(
    linux_kernel(*kernel, setup) for setup in (QEMU_SVM, fast(BOCHS_VMX), fast(BOCHS_SVM)) for kernel in (
        ("full", "x86_64", "linux/initramfs"), ("rt", "x86_64", "linux/initramfs"),
        ("686", "i686", "kernels/initramfs-686"), ("686-pae", "i686", "kernels/initramfs-686")))

# Xen up to the shell of its dom0, a kernel with two modules. Its real-mode code asks a BIOS, which is not there.
XEN_BOOTS = tuple(Boot("xen", setup, (
    Module("kernels/xen", "vm=xen role=kernel mem=768M -- console=com1 com1=115200,8n1 no-real-mode"),
    Module("kernels/vmlinuz-full", "vm=xen role=module -- console=hvc0"),
    Module("linux/initramfs", "vm=xen role=module")), (
        Step("", PROMPT, r"^\(XEN\) Bootloader: Lamina"),
        Step("dmesg | grep Hypervisor\r", PROMPT, r"Hypervisor detected: Xen PV"),
        Step("poweroff\r", ENDED_WELL)), absent=LINUX_COMPLAINTS, limit=600, memory=1100, long=True)
    for setup in (QEMU_SVM, fast(BOCHS_VMX), fast(BOCHS_SVM)))

MEDIA_BOOTS = (
    linux_from(media.SATA, QEMU_SVM),
    linux_from(media.USB, UEFI),
    linux_from(media.pxe("e1000"), QEMU_SVM),
    linux_from(media.pxe("virtio-net-pci"), UEFI),
    linux_from(media.pxe_slirp("virtio-net-pci", media.BIOS), QEMU_SVM),
    linux_from(media.pxe_slirp("e1000", media.UEFI), UEFI),
    linux_from(media.ipxe("e1000"), QEMU_SVM),
    linux_from(media.ipxe("virtio-net-pci,romfile="), UEFI),
)

# ---------------------------------------------------------------------------
# Start-up, and every error that must be reported.

ONE_GUEST = (Module("guests/debugexit.elf", "vm=one mem=16M"),)
RAN = r"^guest debugexit: [1-9]\d* passed, 0 failed"


def failing(name, setup, words, modules=ONE_GUEST, **rest):
    """A run that must stop and name its cause."""
    return Boot(name, setup, modules, lines=(error_line(words), STOPPED), **rest)




def modules_of_mbinfo(*variants):
    """A VM for each, with a kernel and three modules; the words in front of the lines are as README.md says."""
    return tuple(Module(f"guests/{file}.elf", f"vm={variant} {cmdline}") for variant in variants for file, cmdline in (
        (f"mbinfo-{variant}", "mem=16M limit=300 -- modules=3 a=b c"), ("spin", "role=module -- root=/dev/x d e"),
        ("hltoff", "role=initrd"), ("idle", "role=module file=disk.img")))


MODULE_LINES = (
    *(rf'^command line "kernel modules=3 a=b c"(?:\n.*)*?\nmodule 0: "module root=/dev/x d e"(?:\n.*)*?\n'
      rf'module 1: "initrd"(?:\n.*)*?\nmodule 2: "disk.img"(?:\n.*)*?\nguest mbinfo-{variant}: [1-9]\d* passed, 0 failed'
      for variant in ("mb1", "mb2")),
    # PVH's start info has no names in front.
    r'^command line "modules=3 a=b c"(?:\n.*)*?\nmodule 0: "root=/dev/x d e"(?:\n.*)*?\n'
    r'module 1: ""(?:\n.*)*?\nmodule 2: ""(?:\n.*)*?\nguest mbinfo-pvh: [1-9]\d* passed, 0 failed')

OTHER_BOOTS = (
    *(failing("bare", setup, r"no guest: .*module2", modules=()) for setup in SETUPS),
    Boot("uefi", UEFI, ONE_GUEST, lines=(RAN, ENDED_WELL), options=CHECKED, limit=90, memory=512),
    # Of several CPUs those that have nothing else to do help to clear the memory of a VM: of one of these at least, since
    # a busy build machine may let the CPU that has begun be done before it gives another one a turn.
    Boot("cleared-by-others", with_cpus(QEMU_SVM, 4), tuple(
        Module("guests/debugexit.elf", f"vm=one{number} mem=256M") for number in range(8)),
         lines=(r"one\d\] other CPUs have cleared [1-9]\d* of its 256 MiB", RAN, ENDED_WELL),
         options=f"loglevel=debug {Boot.options}", limit=90, memory=512),
    *(Boot("disk", booting_from(disk, setup), ONE_GUEST, lines=(RAN, ENDED_WELL), limit=90, memory=512)
      for setup in (QEMU_SVM, UEFI) for disk in media.DISKS),

    failing("no-svm", lacking("qemu", "EPYC,-svm"), r"neither Intel VMX nor AMD SVM"),
    failing("no-vmx", lacking("qemu", "Nehalem"), r"neither Intel VMX nor AMD SVM"),
    failing("no-npt", lacking("qemu", "qemu64"), r"no nested paging"),
    failing("no-unrestricted-guest", lacking("bochs", "corei5_lynnfield_750"),
            r"no unrestricted guest"),
    failing("no-ept", lacking("bochs", "core2_penryn_t9600"), r"no EPT"),
    failing("halts", lacking("qemu", "qemu64"), r"no nested paging", options="onfail=halt",
            powers_off=False, watched=2, steps=(Step("", STOPPED),)),

    # NMI blocking in software, as on a processor without virtual NMIs, where no exit shows an IRET.
    Boot("nmi-software", BOCHS_VMX, (Module("guests/nmi.elf", "vm=nmi mem=16M -- interrupts=1"),),
         lines=(r"^\[.* virtual NMIs +missing", r"^guest nmi: 8 passed, 0 failed, 1 skipped", ENDED_WELL),
         options="onend=poweroff onfail=poweroff vmx.novnmi"),
    *(failing("device-stack", setup, r"delivery of vector 6 uses 0xd0000ff8, where there is no RAM",
              (Module("guests/devicestack.elf", "vm=one mem=16M"),), options=CHECKED)
      for setup in (QEMU_SVM, BOCHS_VMX, BOCHS_SVM)),
    # Boot sectors: one lives on what a BIOS leaves behind, and counts ticks; the other calls the BIOS.
    *(Boot("boot-sectors", setup, (Module("guests/biosticks.bin", "vm=ticks mem=16M limit=300 vga=lines"),
                                   Module("guests/bootsect.bin", "vm=sector mem=16M limit=300")),
           lines=(r"^guest biosticks: 9 passed, 0 failed", r"^on the screen\.$", r"ticks\] vm ended: debug exit, status 0x0$", STOPPED,
                  error_line("BIOS call INT 10h with AX 0E48h at 0000:7c1a: Lamina has no BIOS services", "sector")))
      for setup in (in_counted_time(QEMU_SVM), BOCHS_VMX, BOCHS_SVM)),
    # The list is the last thing that is printed, so that it stays on the screen.
    Boot("help", QEMU_SVM, ONE_GUEST, options=f"help bootloop=0 {Boot.options}",
         lines=(error_line("bootloop=0: expected bootloop=N: .*1 to 999 times"), r"limit=SECONDS",
                r"Lamina: stopped: the option help lists the options"),
         absent=(r"first entry", r"limit=SECONDS(?s:.*)local APIC:")),
    *(Boot("modules", setup, modules_of_mbinfo("mb1", "mb2", "pvh"), lines=(*MODULE_LINES, ENDED_WELL))
      for setup in (QEMU_SVM, BOCHS_VMX, BOCHS_SVM)),
    # Kernels that are linked for other addresses than those that they are loaded to: 1 GiB and more.
    *(Boot("virtual-segments", setup, tuple(
        Module(f"guests/debugexit-{kind}-{entry}.elf", f"vm={kind}-{entry} mem=16M limit=300")
        for kind in ("mb1", "mb2") for entry in ("virtual", "physical")), lines=(*(
            rf"^\[.* {kind}-{entry}\] vm ended: debug exit, status 0x0$"
            for kind in ("mb1", "mb2") for entry in ("virtual", "physical")), ENDED_WELL))
      for setup in (QEMU_SVM, BOCHS_VMX, BOCHS_SVM)),
    # A kernel that prints to the text screen alone.
    Boot("memtest", QEMU_SVM, (Module("linux/memtest86+", "vm=memtest mem=16M vga=lines"),), (
        Step("", r"Memtest86\+ v\d"), Step("", r"Testing: \d+KB - "), Step("\x1fv", r"^\[screen: 80 columns, 25 rows"),
        Step("\x1fq", ENDED_WELL, r"vm ended: stopped by request")), limit=90, memory=256, long=True),
    # It has no other input than a keyboard: F1 opens its menu.
    Boot("memtest-keyboard", QEMU_SVM, (Module("linux/memtest86+", "vm=memtest mem=16M vga=lines keyboard=ps2"),), (
        Step("", r"<F1> Configuration"), Step("\x1bOP", r"<F1> +Test selection"),
        Step("\x1fq", ENDED_WELL, r"vm ended: stopped by request")), limit=90, memory=256, long=True),
    failing("little-memory", QEMU_SVM, r"mem=1024M: not enough memory", (
        Module("guests/debugexit.elf", "vm=one mem=1G"),)),
    # It stops before it knows how to power the machine off.
    failing("tiny-machine", QEMU_SVM, r"too little memory: .*MiB", memory=8, powers_off=False,
            watched=2, steps=(Step("", STOPPED),)),
    failing("damaged-bzimage", QEMU_SVM, r"damaged bzImage .*cut off", (
        Module("damaged/vmlinuz", "vm=linux mem=64M -- console=ttyS0"),)),
    # An error in one VM's modules is reported, and the other VM starts.
    Boot("bad-modules", QEMU_SVM, (
        Module("guests/debugexit.elf", "vm=red colour=red"),
        Module("guests/debugexit.elf", "vm=much mem=12Q"),
        Module("guests/debugexit.elf", "vm=lonely role=initrd"),
        Module("guests/debugexit.elf", "vm=good mem=16M"),
    ), lines=(error_line("colour"), error_line("12Q"), error_line("lonely"), RAN, STOPPED)),
)

BOOTS = (*LINUX_BOOTS, linux_without_pci(QEMU_SVM), *LINUX_CHECKED, RESET, *KERNEL_BOOTS, *XEN_BOOTS, *MEDIA_BOOTS, *GUEST_BOOTS, *OTHER_BOOTS,
         *SMP_LINUX_BOOTS)
