# SPDX-License-Identifier: MIT
"""Virtio devices: with a driver of ours that keeps the rules, with one that breaks them all, and with Linux."""

import dataclasses
import re

import pytest

import emulators
import matrix
from conftest import all_passed
from matrix import Boot, Module, Step

# What a VM's disk image is does not matter to the guests here: any file will do.
IMAGE = Module("linux/busybox", "role=disk name=image")
DEVICES = "disk=ram,size=16M disk=image,cow=4M disk=image,ro net={0} net={0}"
SETUPS = (matrix.in_counted_time(matrix.QEMU_SVM), *map(matrix.fast, (matrix.BOCHS_VMX, matrix.BOCHS_SVM)))
LINUX_SETUPS = (matrix.QEMU_SVM, *map(matrix.fast, (matrix.BOCHS_VMX, matrix.BOCHS_SVM)))
TWO_CPUS = (matrix.with_cpus(matrix.QEMU_SVM, 2),
            *(matrix.fast(matrix.with_cpus(setup, 2)) for setup in (matrix.BOCHS_VMX, matrix.BOCHS_SVM)))


def twice(setup):
    """In QEMU a guest has to excuse matrix.DELIVERED_TWICE."""
    return "twice=1 " if emulators.kind(setup.emulator) == "qemu" else ""


def driver(name, setup, cmdline="", limit=2400):
    return Module("guests/virtio.elf", f"vm={name} mem=16M limit={limit} {DEVICES.format(name)} -- {twice(setup)}{cmdline}")


def hostile(name, setup, cmdline, limit=2400):
    return Module("guests/virtiobad.elf",
                  f"vm={name} mem=16M limit={limit} vcpus=2 {DEVICES.format(name)} -- {twice(setup)}{cmdline}")


DRIVER = [Boot("virtio", setup, (driver("one", setup), IMAGE), lines=(matrix.ENDED_WELL,), limit=120, memory=160)
          for setup in SETUPS]
HOSTILE = [Boot("virtio-hostile", setup, (hostile("bad", setup, "race=20 rounds=500"), driver("good", setup), IMAGE),
                lines=(matrix.ENDED_WELL,), options=f"{Boot.options} start=together", limit=300, memory=192)
           for setup in TWO_CPUS]
# The races are so many ms long: in Bochs of a slow clock, for each ms takes instructions there.
HOSTILE += [Boot("virtio-hostile-soak", setup, (
    hostile("bad", setup, f"race={race} rounds=50000 seed={seed}", 7200), driver("good", setup, "rounds=20", 7200), IMAGE),
    lines=(matrix.ENDED_WELL,), options=f"{Boot.options} start=together", limit=1200, memory=192, long=True)
    for seed, race, setup in ((2, 5000, TWO_CPUS[0]), (3, 1000, matrix.with_cpus(matrix.BOCHS_VMX, 2)),
                              (4, 1000, matrix.with_cpus(matrix.BOCHS_SVM, 2)))]


LEAK = [Boot("virtio-leak", setup, (
    *(Module("guests/virtioleak.elf",
             f"vm={name} mem=16M limit=2400 disk=ram,size=4M disk=image,cow=4M net=lan -- id={i}{'' if matrix.is_exact(setup) else ' least=20'}")
      for i, name in enumerate("abc", 1)), IMAGE),
    lines=(matrix.ENDED_WELL,), options=f"{Boot.options} start=together", limit=300, memory=192,
    long=setup is LINUX_SETUPS[2]) for setup in LINUX_SETUPS]

# Three VMs send each other frames all the time, while one of them starts again so many times. They poll with IF=0, where SVM in
# Bochs serves no interrupt of the host.
RESTARTS = [Boot("virtio-net-restarts", setup, tuple(
    Module("guests/virtionet.elf", f"vm={name} mem=16M net=lan -- part={part} lives={lives}")
    for part, name in enumerate("abc")),
    lines=(matrix.ENDED_WELL,), options=f"{Boot.options} start=together", limit=6 * lives + 120, memory=192, long=lives > 3)
    for lives, setups in ((3, (matrix.QEMU_SVM, *TWO_CPUS[:2])), (100, (matrix.with_cpus(matrix.QEMU_SVM, 4),)))
    for setup in setups]

# ---------------------------------------------------------------------------
# Linux: Debian's cloud kernel and its drivers, with busybox, mkfs.ext4 and e2fsck.

PROMPT = matrix.PROMPT


def linux(name, keys, cmdline="", mem="128M"):
    return (Module("linux/vmlinuz", f"vm={name} role=kernel mem={mem} {keys} -- console=ttyS0 {cmdline}"),
            Module("linux/initramfs-virtio", f"vm={name} role=initrd"))


def said(command, pattern):
    """Type a command; what it says before the next prompt."""
    return Step(f"{command}\r", PROMPT, pattern)


DROP = "echo 3 > /proc/sys/vm/drop_caches"
DISK_STEPS = (
    Step("", PROMPT),
    said("cat /sys/block/vd[abc]/ro | tr -d '\\n'; echo .", r"^001\.$"),
    said("cat /sys/class/misc/hw_random/rng_current; head -c 64 /dev/hwrng | wc -c", r"^virtio_rng\.0\s+64$"),
    # All of a disk, by requests of many sizes, and back.
    said("dd if=/dev/urandom of=/tmp/x bs=1M count=4 2>/dev/null; "
         "dd if=/tmp/x of=/dev/vda bs=4k seek=1 2>&1 | grep -c '1024.0 records out'", r"^1$"),
    said(f"{DROP}; dd if=/dev/vda bs=4k skip=1 count=1024 2>/dev/null | cmp - /tmp/x && echo same", r"^same$"),
    said("mkfs.ext4 -q /dev/vda && mount /dev/vda /root && cp /tmp/x /root && sync && umount /root; "
         "e2fsck -fn /dev/vda > /dev/null; echo status $?", r"^status 0$"),
    said("mount /dev/vda /root && cmp /root/x /tmp/x && echo same; umount /root", r"^same$"),
    # The image is busybox itself, and stays so but for the sector that is written.
    said("cmp -n $(stat -c %s /bin/busybox) /bin/busybox /dev/vdb && echo same", r"^same$"),
    said(f"echo overwritten | dd of=/dev/vdb bs=512 seek=16 conv=sync,fsync 2>/dev/null; {DROP}; "
         "cmp -l /bin/busybox /dev/vdb 2>/dev/null | awk '{ n++ } $1 <= 8192 || $1 > 8704 { bad++ } "
         "END { print (n > 400), bad + 0 }'", r"^1 0$"),
    said("cmp -n $(stat -c %s /bin/busybox) /bin/busybox /dev/vdc && echo same", r"^same$"),
    said("dd if=/dev/zero of=/dev/vdb bs=64k conv=fsync 2>&1 | grep -c error", r"^1$"),
    said("cmp -n $(stat -c %s /bin/busybox) /bin/busybox /dev/vdc && echo same", r"^same$"),
    Step("poweroff\r", matrix.ENDED_WELL))
# INTA: at an input of the IOAPIC; and of the 8259s, with a local APIC that passes it on, and without.
INTX = [
    Boot(f"virtio-linux-intx{option}", setup, linux("linux", "disk=ram,size=32M", f"pci=nomsi {option.strip('-')}"), (
        Step("", PROMPT),
        said("grep -c MSI /proc/interrupts", r"^0$"),
        said("grep virtio /proc/interrupts", pattern),
        said("head -c 64 /dev/hwrng | wc -c; dd if=/dev/urandom of=/tmp/x bs=1M count=4 2>/dev/null; "
             "dd if=/tmp/x of=/dev/vda bs=4k 2>&1 | grep -c '1024.0 records out'", r"^64\s+1$"),
        said(f"{DROP}; dd if=/dev/vda bs=4k count=1024 2>/dev/null | cmp - /tmp/x && echo same", r"^same$"),
        Step("poweroff\r", matrix.ENDED_WELL)),
        limit=300, memory=400, absent=matrix.LINUX_COMPLAINTS, long=setup is not LINUX_SETUPS[0])
    for setup in LINUX_SETUPS
    for option, pattern in (("", r"IO-APIC +1[6-9]-fasteoi .*virtio"), ("-noapic", r" 1[01]: .*XT-PIC .*virtio"),
                            ("-nolapic", r" 1[01]: .*XT-PIC .*virtio"))]

# The overlay holds less than the image, so that it can be filled up.
DISK = [Boot("virtio-linux-disk", setup, (
    *linux("linux", "disk=ram,size=32M disk=image,cow=1M disk=image,ro"), IMAGE), DISK_STEPS, limit=300, memory=400,
    absent=matrix.LINUX_COMPLAINTS, lines=(r"^\[.* linux\] .*overlay",), long=setup is LINUX_SETUPS[2])
    for setup in LINUX_SETUPS]

NET_STEPS = (
    Step("", PROMPT),
    # The other one may still be starting.
    said("until wget -q -O /dev/null http://10.0.0.2/busybox; do sleep 1; done 2>/dev/null; echo it''answers", r"^itanswers$"),
    said("ping -c 5 10.0.0.2 | grep transmitted", r"^5 packets transmitted, 5 packets received"),
    said("wget -q -O - http://10.0.0.2/busybox | md5sum - /bin/busybox | cut -c1-32 | uniq | wc -l", r"^1$"),
    said("ping -c 2 -s 9000 10.0.0.2 | grep transmitted", r"^2 packets transmitted, 2 packets received"),
    # Another switch: nobody is there.
    said("ip addr add 10.0.1.1/24 dev eth1; ip link set eth1 up; ping -c 2 -W 1 10.0.1.2 | grep transmitted",
         r"^2 packets transmitted, 0 packets received"),
    Step("poweroff\r", r"console: b is in front"), Step("\r", PROMPT), Step("poweroff\r", matrix.ENDED_WELL))
NET = [Boot("virtio-linux-net", setup, (
    *linux("a", "net=lan net=one", "ip=10.0.0.1/24", "96M"), *linux("b", "net=lan net=two", "ip=10.0.0.2/24", "96M")),
    NET_STEPS, limit=300, memory=400, absent=matrix.LINUX_COMPLAINTS,
    options=f"{Boot.options} start=together", long=setup is LINUX_SETUPS[1]) for setup in LINUX_SETUPS]

# The VM ends while it writes, as if the power failed, and starts again with the same disk.
STOP_STEPS = (
    Step("", PROMPT),
    said("mkfs.ext4 -q /dev/vda && mount /dev/vda /root && echo mounted", r"^mounted$"),
    said("cp /bin/busybox /root/kept; sync; echo synced", r"^synced$"),
    Step("(while :; do cp /bin/busybox /root/x; rm /root/x; done) & sleep 3; echo wri''ting\r", r"^writing"),
    Step("\x1f:", r"^lamina> "), Step("stop linux\r", r"vm ended: stopped"), Step("start linux\r", r"first entry"),
    Step("console linux\r", r"linux is in front"), Step("quit\r", rf"Run /init as init process[\s\S]*{PROMPT}"),
    said("e2fsck -fy /dev/vda > /tmp/log; echo status $(($? & ~1))", r"^status 0$"),
    said("mount /dev/vda /root && cmp /root/kept /bin/busybox && echo kept", r"^kept$"),
    Step("poweroff\r", r"console: idle is in front"), Step("x", matrix.ENDED_WELL))
HARD_STOP = [Boot("virtio-linux-stop", setup, (
    *linux("linux", "disk=ram,size=64M"), Module("guests/idle.elf", "vm=idle mem=16M")), STOP_STEPS, limit=300,
    memory=400, absent=matrix.LINUX_COMPLAINTS, options=f"{Boot.options} start=together", long=setup is not LINUX_SETUPS[0])
    for setup in LINUX_SETUPS]

# ---------------------------------------------------------------------------
# Debian 12 from its root image, for make check-long: fio on the image's overlay, iperf3 and ssh between two VMs.

ROOT = Module("linux/root.img", "role=disk name=root")


def debian(name, keys, cmdline):
    return linux(name, f"disk=root,cow=256M {keys}",
                 f"root=/dev/vda rw init=/usr/local/sbin/plain name={name} {cmdline}", "256M")


def fio(options):
    """Writes with checksums, which are read back and verified; the log has the rates."""
    return said(f"fio --name=x --verify=crc32c --do_verify=1 --verify_fatal=1 --direct=1 --ioengine=libaio --eta=never {options} "
                "--output=/tmp/log; echo status $?; grep IOPS= /tmp/log", r"^status 0$")


FIO_STEPS = (
    Step("", PROMPT),
    fio("--filename=/root/f --size=32M --rw=randrw --bs=4k --iodepth=16"),
    fio("--filename=/root/f --size=64M --rw=write --bs=128k --iodepth=4"),
    fio("--filename=/root/f --size=16M --rw=randwrite --bsrange=512-64k --bs_unaligned=0 --iodepth=8 --fsync=32"),
    fio("--filename=/dev/vdb --size=64M --rw=randwrite --bsrange=512-256k --iodepth=32"),
    fio("--filename=/dev/vdb --size=64M --rw=randtrimwrite --bs=64k --iodepth=8 --verify=0 --do_verify=0"),
    Step("exit\r", matrix.ENDED_WELL))
SSH = "ssh -o BatchMode=yes 10.0.0.2"
IPERF_STEPS = (
    Step("", PROMPT),
    said(f"until {SSH} true; do sleep 1; done 2>/dev/null; {SSH} 'iperf3 -s -D'; sleep 1; echo ready", r"^ready$"),
    said("iperf3 -c 10.0.0.2 -t 3 > /tmp/log; echo status $?; grep receiver /tmp/log", r"^status 0\s[\s\S]*receiver$"),
    said("iperf3 -c 10.0.0.2 -t 2 -R -P 4 > /tmp/log; echo status $?; grep SUM.*receiver /tmp/log",
         r"^status 0\s[\s\S]*receiver$"),
    said("iperf3 -c 10.0.0.2 -t 2 -u -b 10M > /tmp/log; echo status $?; grep receiver /tmp/log",
         r"^status 0\s[\s\S]*receiver$"),
    said("dd if=/dev/urandom of=/tmp/x bs=1M count=4 2>/dev/null; scp -q /tmp/x 10.0.0.2:/root/; "
         f"(sha256sum < /tmp/x; {SSH} 'sha256sum < /root/x') | uniq | wc -l", r"^1$"),
    Step("exit\r", r"console: b is in front"), Step("\r", PROMPT), Step("exit\r", matrix.ENDED_WELL))
DEBIAN = [boot for setup in LINUX_SETUPS for boot in (
    Boot("virtio-fio", setup, (*debian("linux", "disk=ram,size=64M", ""), ROOT), FIO_STEPS, limit=1800, memory=1600,
         absent=matrix.LINUX_COMPLAINTS, long=True),
    Boot("virtio-iperf", setup, (
        *debian("a", "net=lan", "ip=10.0.0.1/24"), *debian("b", "net=lan", "ip=10.0.0.2/24"), ROOT),
        IPERF_STEPS, limit=1800, memory=2000, absent=matrix.LINUX_COMPLAINTS,
        options=f"{Boot.options} start=together", long=True))]


def text_of(run):
    assert not run.error, run.error
    assert re.search(matrix.ENDED_WELL, run.text, re.MULTILINE), run.text[-3000:]
    return run.text


def with_6_12(boot):
    """The same with Debian 13's kernel, Linux 6.12."""
    files = {"linux/vmlinuz": "kernels/vmlinuz-6.12", "linux/initramfs-virtio": "kernels/initramfs-6.12"}
    return dataclasses.replace(boot, name=boot.name.replace("linux", "linux-6.12"), long=True, modules=tuple(
        module._replace(file=files.get(module.file, module.file)) for module in boot.modules))


NEWER = [with_6_12(boot) for boot in (*DISK, *NET, *HARD_STOP) if boot.setup in LINUX_SETUPS[:2]]


def rows(boots):
    return [pytest.param(boot, marks=[pytest.mark.long] * boot.long) for boot in boots]


@pytest.mark.parametrize("boot", rows(DRIVER), ids=str)
def test_a_driver_that_keeps_the_rules(boot, run):
    text = text_of(run)
    assert re.search(r"^guest virtio: [1-9]\d* passed, 0 failed$", text, re.MULTILINE), re.findall(r"FAIL.*", text)
    assert not re.search("until its driver resets it", text)


@pytest.mark.parametrize("boot", rows(HOSTILE), ids=str)
def test_a_hostile_driver_breaks_its_devices_only(boot, run):
    """The log says so a few times for each device; another VM's devices go on."""
    text = text_of(run)
    all_passed(text, ("bad", "good"))
    broken = re.findall(r"^\[[^\]]* (\S+)\] warning: ([^:]+): .* until its driver resets it", text, re.MULTILINE)
    assert {vm for vm, _ in broken} == {"bad"}
    assert 4 <= len(set(broken)) <= 8 and all(broken.count(device) <= 8 for device in set(broken)), broken


@pytest.mark.parametrize("boot", rows(RESTARTS), ids=str)
def test_a_vm_starts_again_while_others_send_to_it(boot, run):
    """All frames that arrive are whole, its address stays the same, and the others go on."""
    text = text_of(run)
    all_passed(text, "abc")
    wanted = int(re.search(r"lives=(\d+)", boot.modules[0].cmdline)[1])
    assert len(re.findall(r" b\] restarting$", text, re.MULTILINE)) >= wanted - 1


@pytest.mark.parametrize("boot", rows(LEAK), ids=str)
def test_no_page_of_another_vm_is_visible(boot, run):
    """In fresh memory, disks, overlays and behind received frames, while VMs start again and again."""
    text = text_of(run)
    all_passed(text, "abc")
    frames = [int(count) for count in re.findall(r"^(?:[abc]\| )?(\d+) frames$", text, re.MULTILINE)]
    assert max(frames) >= 10, frames


@pytest.mark.parametrize("boot", rows((*DISK, *INTX, *NET, *HARD_STOP, *DEBIAN, *NEWER)), ids=str)
def test_linux(boot, run):
    text = text_of(run)
    for pattern in boot.lines:
        assert re.search(pattern, text, re.MULTILINE), pattern
    for pattern in boot.absent:
        assert not re.search(pattern, text), pattern
