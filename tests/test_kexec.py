# SPDX-License-Identifier: MIT
"""Linux on the machine itself starts Lamina with a guest by kexec."""

import re
import shutil
import subprocess

import pytest

import conftest
import emu
import image
from conftest import BUILD

LIMIT = 90
OPTIONS = "console=com1 onend=poweroff onfail=poweroff"


def files_for_linux(path, folder):
    """A cpio archive with Lamina and a guest, which Linux unpacks into its root."""
    shutil.copyfile(BUILD / "lamina.elf", folder / "lamina.elf")
    shutil.copyfile(BUILD / "guests/debugexit.elf", folder / "guest.elf")
    with open(path, "wb") as archive:
        subprocess.run(["cpio", "-o", "-H", "newc", "-R", "0:0", "--quiet"], cwd=folder, check=True, stdout=archive,
                       input=b"lamina.elf\nguest.elf\n")


@pytest.mark.long
@pytest.mark.parametrize("kind", ("multiboot-x86", "multiboot2-x86"))
def test_kexec(kind, tmp_path):
    """By both protocols: kexec takes the addresses of the ELF file as they are, and puts names in front of lines."""
    (tmp_path / "files").mkdir()
    files_for_linux(tmp_path / "files.cpio", tmp_path / "files")
    names = ("vmlinuz", "initramfs", "kexec.cpio")
    image.build_other(tmp_path / "iso", "kexec", (
        "linux /boot/vmlinuz console=ttyS0", "initrd /boot/initramfs /boot/kexec.cpio /boot/files.cpio"), (
        *(image.Module(BUILD / "linux" / name, name) for name in names),
        image.Module(tmp_path / "files.cpio", "files.cpio")))
    conftest.LOGS.mkdir(parents=True, exist_ok=True)
    with emu.Machine(tmp_path / "iso", "qemu", "EPYC", 512, cpus=2, log=conftest.LOGS / f"kexec-{kind}.log") as machine:
        machine.expect(r"^~ # ", LIMIT)
        machine.send(f"cd /; /kexec/run -c -t {kind} -l lamina.elf --command-line='{OPTIONS}'"
                     " --module='guest.elf vm=one mem=16M -- hi' && /kexec/run -e\r")
        assert machine.wait(LIMIT), machine.report("it did not power off")
        text = machine.text()
    version = 2 if "2" in kind else 1
    assert re.search(rf"loaded by kexec \S+ \(Multiboot{version}, firmware unknown\), options: lamina\.elf console=com1",
                     text), text[-3000:]
    assert "unknown option" not in text and "unknown key" not in text
    assert re.search(r"cpu0\] CPUs: 2 of 2 can be used", text), text[-3000:]
    assert re.search(r'^loaded by Multiboot2, command line "guest\.elf hi"$', text, re.MULTILINE), text[-3000:]
    assert re.search(r"^guest debugexit: [1-9]\d* passed, 0 failed", text, re.MULTILINE), text[-3000:]
    assert emu.ENDED_WELL.search(text), text[-3000:]
