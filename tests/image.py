# SPDX-License-Identifier: MIT
"""Make boot images: GRUB, Lamina and its modules on an ISO 9660 file system."""

import argparse
import collections
import pathlib
import re
import shutil
import subprocess
import tempfile

# One file that GRUB loads: its path on the host, its name under /boot, its command line.
Module = collections.namedtuple("Module", "path name cmdline", defaults=("",))

GRUB_CFG = """\
set timeout=0
set default=0
insmod serial
serial --unit=0 --speed=115200
terminal_input console serial
terminal_output console serial
{video}menuentry "{title}" {{
{lines}
}}
"""
# UEFI has no text mode that a kernel could use: GRUB sets a graphics mode, or prints why it cannot.
VIDEO = """\
if [ "$grub_platform" = efi ]; then
	insmod all_video
fi
"""
TEXT_UNDER_BIOS = """\
	if [ "$grub_platform" = pc ]; then
		set gfxpayload=text
	fi"""
SMALL = ["-d", "/usr/lib/grub/i386-pc", "--themes=", "--locales=", "--fonts=",
         "--install-modules=normal multiboot multiboot2 linux linux16 gzio iso9660 biosdisk serial terminal mmap vbe wrmsr"]


def quote(text):
    """Quote the characters of a command line that are special in GRUB's shell."""
    return "".join("\\" + char if char in "\\\"'$;|&<>{}#" else char for char in text)


def menu(cmdline, modules, small=False, folder="/boot", multiboot=2, before=(), mode=None):
    """GRUB's configuration for Lamina and its modules in `folder`; before: commands for GRUB
    before it loads Lamina.

    mode: the display's mode, as for GRUB's gfxpayload. The default is UEFI's mode, or text under a BIOS:
    Bochs' display here has only modes of 8 bits of depth, in which GRUB 2.06 crashes."""
    version = {1: "", 2: "2"}[multiboot]
    lines = [f"\t{command}" for command in before]
    lines += [f"\tmultiboot{version} {folder}/lamina.elf {quote(cmdline)}"]
    lines += [f"\tmodule{version} {folder}/{m.name} {quote(m.cmdline)}" for m in modules]
    # After the kernel's line, which sets gfxpayload to the mode in the kernel's header.
    lines.append(f"\tinsmod vbe\n\tset gfxpayload={mode}" if mode else
                 "\tset gfxpayload=text" if small else TEXT_UNDER_BIOS)
    return GRUB_CFG.format(title="Lamina", video="" if small else VIDEO, lines="\n".join(lines))


def build(output, kernel, cmdline, modules, small=False, multiboot=2, before=(), files=(), mode=None):
    """Make the ISO `output`; a small one boots by BIOS only and takes a tenth of the time.

    before: commands for GRUB before it loads Lamina; files: for these commands, below /boot;
    mode: see menu()."""
    build_iso(output, menu(cmdline, modules, small, multiboot=multiboot, before=before, mode=mode),
              [Module(kernel, "lamina.elf"), *modules,
               *(Module(file, pathlib.Path(file).name) for file in files)], small)


def build_other(output, title, lines, files):
    """Make a small ISO that boots something other than Lamina, by these commands for GRUB."""
    config = GRUB_CFG.format(title=title, video="", lines="\n".join(f"\t{line}" for line in lines))
    build_iso(output, config, files, small=True)


def build_iso(output, config, files, small):
    """Make an ISO with GRUB, its configuration, and the files that the Modules name."""
    with tempfile.TemporaryDirectory(prefix="lamina-iso-") as temporary:
        boot = pathlib.Path(temporary, "boot")
        (boot / "grub").mkdir(parents=True)
        (boot / "grub/grub.cfg").write_text(config)
        for file in files:
            shutil.copyfile(file.path, boot / file.name)
        unfinished = pathlib.Path(f"{output}.new")
        result = subprocess.run(
            ["grub-mkrescue", *(SMALL if small else []), "-o", unfinished, temporary],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if result.returncode:
            raise RuntimeError(f"grub-mkrescue failed:\n{result.stdout}")
        unfinished.rename(output)


def qemu_arguments(kernel, cmdline, modules):
    """The arguments with which QEMU itself loads them; it needs commas in command lines doubled."""
    lines = [f"{m.path} {m.cmdline}".replace(",", ",,") for m in modules]
    return ["-kernel", str(kernel), "-append", cmdline, *(("-initrd", ",".join(lines)) if lines else ())]


def size_of(text):
    """A size like 64M or 1G, in bytes."""
    return int(text[:-1]) << {"K": 10, "M": 20, "G": 30}[text[-1]]


def disk_file(disk):
    """The image that a value of DISK= names, FILE[,cow=SIZE|,ro], or None for ram,size=SIZE."""
    file = disk.partition(",")[0]
    return None if file == "ram" else pathlib.Path(file)


def disk_memory(disks, vms):
    """How many MiB these disks take: each image once, and of each VM what it may write."""
    images = {disk_file(disk) for disk in disks} - {None}
    total = sum(file.stat().st_size for file in images)
    for disk in disks:
        written = re.search(r",(?:cow|size)=(\w+)", disk)
        total += vms * (size_of(written[1]) if written else 0 if disk.endswith(",ro") else 64 << 20)
    return (total >> 20) + 1


def disk_name(file):
    """What the configuration calls an image."""
    return re.sub(r"[^A-Za-z0-9_.-]", "-", file.stem)[:23]


def device_keys(disks, nets):
    keys = []
    for disk in disks:
        file, _, options = disk.partition(",")
        keys.append(f" disk={disk_name(disk_file(disk)) if disk_file(disk) else file}" + (options and f",{options}"))
    return "".join([*keys, *(f" net={net}" for net in nets)])


def disk_modules(disks):
    """Each image once."""
    files = dict.fromkeys(filter(None, map(disk_file, disks)))
    return [Module(file, f"{number}-{file.name}", f"role=disk name={disk_name(file)}")
            for number, file in enumerate(files)]


def linux_vms(args):
    """The modules of all VMs: the same two files on the disc for each of them."""
    keys = f"mem={args.mem}" + (f" vcpus={args.vcpus}" if args.vcpus > 1 else "") + device_keys(args.disk, args.net)
    modules = []
    for number in range(1, args.vms + 1):
        name = args.vm if number == 1 else f"{args.vm}{number}"
        modules.append(Module(args.kernel, "kernel", f"vm={name} role=kernel {keys} -- {args.guest_cmdline}"))
        if args.initrd:
            modules.append(Module(args.initrd, "initrd", f"vm={name} role=initrd"))
    return modules + disk_modules(args.disk)


def demo_vms(args):
    """Two VMs on one root image, each with an overlay, which copy files to each other over one network."""
    modules = []
    for name, own, other in (("a", "10.0.0.1", "10.0.0.2"), ("b", "10.0.0.2", "10.0.0.1")):
        modules += [Module(args.kernel, "kernel",
                           f"vm={name} role=kernel mem={args.mem}{device_keys(args.disk, args.net)} -- "
                           f"{args.guest_cmdline} root=/dev/vda rw init=/usr/local/sbin/plain "
                           f"name={name} ip={own}/24 demo={other}"),
                    Module(args.initrd, "initrd", f"vm={name} role=initrd")]
    return modules + disk_modules(args.disk)


def main():
    parser = argparse.ArgumentParser(description="Make a boot ISO of Lamina and Linux guests.")
    parser.add_argument("output")
    parser.add_argument("--lamina", required=True)
    parser.add_argument("--cmdline", default="console=com1,115200 loglevel=info onend=poweroff")
    parser.add_argument("--kernel", required=True, help="the guest's kernel")
    parser.add_argument("--initrd", help="the guest's initramfs")
    parser.add_argument("--guest-cmdline", default="console=ttyS0")
    parser.add_argument("--vm", default="linux", help="the first VM's name; NAME2 and so on are the others'")
    parser.add_argument("--vms", type=int, default=1, help="how many VMs")
    parser.add_argument("--vcpus", type=int, default=1, help="CPUs of each VM")
    parser.add_argument("--mem", default="512M", help="memory of each VM")
    parser.add_argument("--disk", action="append", default=[], metavar="FILE[,cow=SIZE|,ro]|ram,size=SIZE",
                        help="a disk of each VM; may be repeated")
    parser.add_argument("--net", action="append", default=[], metavar="SWITCH[,OPTION]",
                        help="a network port of each VM; may be repeated")
    parser.add_argument("--demo", action="store_true", help="two VMs that copy files to each other; see tests/linux/root.sh")
    args = parser.parse_args()
    build(args.output, args.lamina, args.cmdline, (demo_vms if args.demo else linux_vms)(args))


if __name__ == "__main__":
    main()
