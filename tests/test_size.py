# SPDX-License-Identifier: MIT
"""How tests/size.py reads the linker's map, and what it counts as a difference."""

import pytest

import size

MAP = """
Linker script and memory map

.text           0xffffffff80100000      0x100 load address 0x0000000000100000
 *(.text .text.*)
 .text.short    0xffffffff80100000       0x21 b/arch/mem/paging.o
 *fill*         0xffffffff80100021        0xf 90
 .text.a_name_too_long_for_its_column
                0xffffffff80100030       0xd0 b/vmx/vmenter.asm.o

.rodata         0xffffffff80101000       0x30 load address 0x0000000000101000
 .rodata.a.str1.1
                0xffffffff80101000       0x18 b/lib/log.o
                                         0x20 (size before relaxing)
 .rodata.b.str1.1
                0xffffffff80101010       0x18 b/lib/log.o
 .rodata.c      0xffffffff80101028        0x8 b/vmx/caps.o

.note.gnu.build-id
                0xffffffff80101030       0x24 load address 0x0000000000101030
 .note.gnu.build-id
                0xffffffff80101030       0x24 b/arch/mem/paging.o

.debug_info     0x0000000000000000     0x1000
 .debug_info    0x0000000000000000     0x1000 b/lib/log.o
"""


def test_map_is_read():
    folders, outputs = size.read_map(MAP, "b")
    assert {name: dict(+sizes) for name, sizes in folders.items() if +sizes} == {
        "arch/mem": {"code": 0x21}, size.FILLED: {"code": 0xf}, "vmx": {"code": 0xd0, "constants": 8},
        "lib": {"constants": 0x28}, size.LINKER: {"constants": 0x24}}     # 0x10 up to the merged one's begin
    assert outputs == {"code": 0x100, "constants": 0x54}


def test_map_of_another_linker_is_refused():
    with pytest.raises(size.SizeError):
        size.read_map("VMA LMA Size Align Out In Symbol", "b")


@pytest.mark.parametrize("figure, differs", [(512, False), (513, True), (-512, False), (-513, True)])
def test_small_figures_may_differ_by_512_bytes(figure, differs):
    rows = [("lib", 1000 + figure, 0, 0, 0, 1000)]
    assert bool(list(size.differences({"lib": [1000, 0, 0, 0, 1000]}, rows))) == differs


@pytest.mark.parametrize("figure, differs", [(3000, False), (3001, True)])
def test_large_figures_may_differ_by_3_percent(figure, differs):
    rows = [("lib", 100000 + figure, 0, 0, 0, 1000)]
    assert bool(list(size.differences({"lib": [100000, 0, 0, 0, 1000]}, rows))) == differs


def test_folders_must_be_the_same():
    rows = [("lib", 1, 0, 0, 0, 1)]
    assert list(size.differences({"vmx": [1, 0, 0, 0, 1]}, rows)) == ["lib is in the image only",
                                                                     "vmx is in the document only"]


def test_table_is_read_back():
    rows = [("lib", 10, 20, 30, 40, 60), (size.FILLED, 1, 2, 3, 4, 6), ("total", 11, 22, 33, 44, 70)]
    compiler, table = size.read_table(f"before\n{size.as_table(rows, 'gcc 12.2.0')}\nafter")
    assert compiler == "gcc 12.2.0"
    assert table == {name: list(figures) for name, *figures in rows}
