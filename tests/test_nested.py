# SPDX-License-Identifier: MIT
"""Guests that are hypervisors: Lamina in Lamina, with guests in it, and Linux with KVM."""

import dataclasses
import dataclasses
import re

import pytest

import conftest
import emu
import image
import matrix
import test_boot
import test_events
from matrix import Boot, Module, Step

SETUPS = (matrix.QEMU_SVM, matrix.BOCHS_SVM, matrix.BOCHS_VMX)
# Lamina in Lamina prints the same lines, so the outer VM has a name that no other has.
L1 = "outer"
L1_OPTIONS = "console=com1,115200 loglevel=info onend=poweroff onfail=poweroff"
L1_ENDED = rf"^\[.* {L1}\] vm ended: power-off by the guest"


def lamina_with(modules, mem, options="", image="lamina.elf"):
    """The VM with Lamina in it, which gets these modules."""
    return (Module(image, f"vm={L1} role=kernel mem={mem} nested=on -- {L1_OPTIONS} {options}"),
            *(Module(module.file, f"vm={L1} role=module -- {module.cmdline}") for module in modules))


def guests_in(setup, name, guests, **rest):
    modules = tuple(guest.module() for guest in guests)
    badly = sum(not guest.ends.endswith("status 0x0$") for guest in guests)
    return Boot(name, setup, lamina_with(modules, "128M", "start=sequence"),
                lines=(L1_ENDED, matrix.ENDED_BADLY % (badly, len(guests)) if badly else matrix.ALL_ENDED),
                limit=1800, memory=256, **rest)


def counted(setup):
    """The guests compare clocks with each other."""
    return matrix.fast(matrix.in_counted_time(setup))


# What an emulator lacks where any first access faults, because the shadow tables are empty: the parts of a guest that
# are left out there, by its command line.
LEFT_OUT = {("tasks", matrix.BOCHS_SVM.name): "int=0",     # it reports INT n as an older event: BOCHS_INT_N of test_events.py
            ("tasks", matrix.QEMU_SVM.name): "paging=0"}   # without the intercept of task switches it repeats half of one


# Lamina makes a timer that ticks faster than its exits take tick slower; what its own exits cost below another hypervisor
# it cannot measure.
NOT_IN_A_VM = ("ticks",)


def boots_of(name, guests, **rest):
    boots = {}
    for setup in map(counted, SETUPS):
        able = tuple(dataclasses.replace(guest, cmdline=LEFT_OUT.get((guest.name, setup.name), guest.cmdline))
                     for guest in guests if guest.name not in NOT_IN_A_VM and
                     setup.name not in {other.name for other, _ in guest.cannot})
        boots[guests_in(setup, name, able, **rest)] = able
    return boots


# The same guests, with the same results, as one level above.
GUEST_BOOTS = {**boots_of("nested-first", matrix.ENDINGS[:1]),
               **boots_of("nested-endings", matrix.ENDINGS, long=True),
               **boots_of("nested-guests", matrix.CHECKED_GUESTS, long=True)}


@pytest.mark.parametrize("boot", test_boot.rows(GUEST_BOOTS), ids=str)
def test_guests(boot, run):
    test_boot.require(not run.error, run.error)
    for guest in GUEST_BOOTS[boot]:
        test_boot.check_guest(guest, run.text, boot.setup.emulator)
    test_boot.check_lines(boot, run.text)


# The self-test, which enters with each rule broken alone: L1 has to be refused as by a processor.
SELFTESTS = [Boot("nested-selftest", setup, lamina_with(
    (Module("guests/debugexit.elf", "vm=mutations mem=16M"),), "64M", "check=entries", "selftest.elf"),
    lines=(L1_ENDED,), limit=300, memory=256) for setup in SETUPS]
# In a VM the self-test does not see which emulator is below it, and what that one refuses although it is allowed.
REFUSED = {matrix.BOCHS_SVM: ["FAIL allowed.cs.l-and-d-in-real-mode: it is refused"]}
VERDICT = re.compile(r"selftest \w+-entry: (\d+) proven, (\d+) exceptions, (\d+) not judgeable, (\d+) failed")


@pytest.mark.parametrize("boot", test_boot.rows(SELFTESTS), ids=str)
def test_every_rule(boot, run):
    test_boot.require(not run.error, run.error)
    verdict = VERDICT.search(run.text)
    test_boot.require(verdict, "no verdict:", test_boot.tail(run.text))
    # Where the emulator checks less than the manual says, Lamina does not: the exception in the self-test's list fails.
    faults = re.findall(r"^\[.*cpu0[^\]]*\] (?:error: )?(FAIL .*)", run.text, re.MULTILINE)
    faults = [fault for fault in faults if not fault.endswith("after all: no exception is needed")]
    test_boot.require(faults == REFUSED.get(boot.setup, []) and int(verdict[1]) > 30, verdict[0], *faults)
    test_boot.check_lines(boot, run.text)


# Forced exits, and events whose delivery is interrupted. What a bare emulator does otherwise it does here, too; and where the
# first access of all faults, Bochs leaves RF set. Bochs reports an INT n that exits as another event: BOCHS_INT_N.
ALSO_HERE = {matrix.BOCHS_VMX: r"real mode, IF=0, shadow of MOV SS, no event: RFLAGS changed"}
WITHOUT_INT_N = ("debugexit", "machinecheck")


def event_guests(setup):
    return [guest for guest in test_events.GUESTS if setup is not matrix.BOCHS_SVM or guest[0] in WITHOUT_INT_N]


def events_in(setup):
    modules = tuple(Module(f"guests/{file}.elf", f"vm={vm} mem=16M {keys}") for file, vm, keys in event_guests(setup))
    return Boot("nested-events", counted(setup), lamina_with(modules, "128M", "start=sequence", "selftest.elf"),
                lines=(L1_ENDED,), limit=600, memory=256, long=True)


EVENTS = {events_in(setup): setup for setup in SETUPS}


@pytest.mark.parametrize("boot", test_boot.rows(EVENTS), ids=str)
def test_events_of_l2(boot, run):
    test_boot.require(not run.error, run.error)
    setup = EVENTS[boot]
    known = [deviation.checks for machine in test_events.MACHINES if machine.setup == setup and not machine.options
             for deviation in machine.deviations] + [ALSO_HERE.get(setup, "(?!)")]
    failed = test_events.failures(run.text)
    unexplained = [check for check in failed if not any(re.match(checks, check) for checks in known)]
    test_boot.require(not unexplained, *unexplained)
    for guest, (who, least) in zip(test_events.GUESTS, test_events.VERDICTS):
        if guest not in event_guests(setup):
            continue
        found = re.search(rf"{who}: (\d+) passed, (\d+) failed", run.text)
        test_boot.require(found and int(found[1]) + int(found[2]) >= least, f"{who}: {found and found[0]}", test_boot.tail(run.text))
    test_boot.check_lines(boot, run.text)


# Linux in Lamina in Lamina. Its clock is the outermost one's.
LINUX = tuple(module._replace(cmdline=module.cmdline.replace("mem=256M", "mem=128M")) for module in matrix.LINUX)
LINUX_BOOTS = [Boot("nested-linux", matrix.fast(setup), lamina_with(LINUX, "256M"), (
    Step("", matrix.PROMPT), Step("echo $((6*7)) $(uname -s)\r", matrix.PROMPT, r"^42 Linux$"),
    matrix.two_seconds(setup), Step("poweroff\r", L1_ENDED), Step("", matrix.ENDED_WELL)),
    absent=matrix.LINUX_COMPLAINTS, limit=600, memory=512, long=setup is not matrix.QEMU_SVM) for setup in SETUPS]


@pytest.mark.parametrize("boot", test_boot.rows(LINUX_BOOTS), ids=str)
def test_linux(boot, run):
    test_boot.require(not run.error, run.error)
    test_boot.check_lines(boot, run.text)


# ---------------------------------------------------------------------------
# Linux with KVM's modules, and another Linux in a VM of KVM. What L1 does on the bare emulator it has to do here, too.


def kvm_steps(setup):
    return (
        Step("", matrix.PROMPT),
        Step("/kvm/run 96 level=2\r", rf"with busybox[\s\S]*{matrix.PROMPT}"),
        Step("cat /proc/cmdline; dmesg | grep 'Hypervisor detected'\r", matrix.PROMPT,
             r"level=2[\s\S]*Hypervisor detected: KVM"),
        matrix.two_seconds(setup),
        Step("wc -c < /bin/busybox; md5sum /bin/busybox | wc -l\r", matrix.PROMPT, r"^1$"),
        Step("reboot\r", r"^kvm_linux: the guest has ended"), Step("\r", matrix.PROMPT))


KVM_COMPLAINTS = (r"Kernel panic", r"Oops", r"BUG: ", r"WARNING: CPU", r"kvm_linux: error", r"unchecked MSR access",
                  r"rcu.*stall", r"soft lockup", r"unsupported EVMCS field", r"Marking TSC unstable")


def linux_with_kvm(setup, vcpus, nested="on", steps=(), **rest):
    return Boot(f"nested-kvm-{'' if nested == 'on' else nested + '-'}{vcpus}-vcpus", setup, (
        Module("linux/vmlinuz", f"vm={L1} role=kernel mem=384M vcpus={vcpus} nested={nested} -- console=ttyS0"),
        Module("linux/initramfs-kvm", f"vm={L1} role=initrd")), (
            *kvm_steps(setup), *steps, Step("poweroff\r", matrix.ENDED_WELL)),
        absent=KVM_COMPLAINTS, limit=900, memory=512, **rest)


# KVM says "accessing unsupported EVMCS field" where it uses one that the page does not have, although it was not offered.
EVMCS_STEPS = (Step("dmesg | grep -i -e evmcs -e enlightened -e 'Hypervisor detected' -e unstable\r", rf"Enlightened VMCS[\s\S]*{matrix.PROMPT}",
                    r"Hypervisor detected: Microsoft Hyper-V[\s\S]*using Hyper-V Enlightened VMCS"),)
KVM_BOOTS = [*(linux_with_kvm(matrix.fast(setup), vcpus, long=True) for setup in SETUPS for vcpus in (1, 2)),
             *(linux_with_kvm(matrix.fast(matrix.BOCHS_VMX), vcpus, "evmcs", EVMCS_STEPS, long=True) for vcpus in (1, 2))]


@pytest.mark.parametrize("boot", test_boot.rows(KVM_BOOTS), ids=str)
def test_kvm(boot, run):
    test_boot.require(not run.error, run.error)
    test_boot.check_lines(boot, run.text)


# Xen takes VMX or SVM for its HVM guests, and says what it has found. Its dom0 needs neither.
XEN_BOOTS = [dataclasses.replace(boot, name="nested-xen", modules=(
    boot.modules[0]._replace(cmdline=boot.modules[0].cmdline.replace("mem=768M", "mem=768M nested=on")), *boot.modules[1:]),
    lines=(r"^\(XEN\) (VMX|SVM): Supported advanced features", r"^\(XEN\) HVM: (VMX|ASIDs) enabled",
           r"^\(XEN\) HVM: Hardware Assisted Paging \(HAP\) detected")) for boot in matrix.XEN_BOOTS]


@pytest.mark.parametrize("boot", test_boot.rows(XEN_BOOTS), ids=str)
def test_xen(boot, run):
    test_boot.require(not run.error, run.error)
    test_boot.check_lines(boot, run.text)


# MWAITX, which Linux idles with on this model, never wakes in Bochs.
BARE_OPTIONS = {matrix.BOCHS_SVM.name: "clearcpuid=221"}


@pytest.mark.long
@pytest.mark.parametrize("setup", map(matrix.fast, SETUPS), ids=lambda setup: setup.name)
def test_kvm_without_lamina(setup, tmp_path):
    """The oracle: the same L1 on the emulator itself."""
    image.build_other(tmp_path / "iso", "KVM", (
        f"linux /boot/vmlinuz console=ttyS0 {BARE_OPTIONS.get(setup.name, '')}", "initrd /boot/initramfs-kvm"), tuple(
            image.Module(conftest.BUILD / "linux" / name, name) for name in ("vmlinuz", "initramfs-kvm")))
    conftest.LOGS.mkdir(parents=True, exist_ok=True)
    with emu.Machine(tmp_path / "iso", setup.emulator, setup.model, 512, ips=setup.ips, ignore_bad_msrs=True,
                     extra=setup.extra, log=conftest.LOGS / f"bare-kvm-{setup.name}.log") as machine:
        for step in kvm_steps(setup):
            machine.send(step.send)
            said = machine.expect(step.until, 900)
            assert re.search(step.says, said, re.MULTILINE), machine.report(f"{step.send!r}: no {step.says!r}")
