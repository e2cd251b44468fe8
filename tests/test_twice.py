# SPDX-License-Identifier: MIT
"""What tests/check_twice.py takes for a definition, and which definitions it reports."""

import pytest

import check_twice


@pytest.mark.parametrize("source, names", [
    ("#define ONE 1", {"ONE"}),
    ("#define TWO(a, b) \\\n\t((a) + (b))", {"TWO"}),
    ("#ifdef A\n# define SAME 1\n#else\n# define SAME 2\n#endif", {"SAME"}),
    ("#undef ONE\n#if defined(ONE) || TWO", set()),
    ("enum { ONE, TWO = 2, THREE };", {"ONE", "TWO", "THREE"}),
    ("enum letter {\n\tA = BIT(0),\n\tB = MAX(A, 2),\n\tAB = A | B,\n};", {"enum letter", "A", "B", "AB"}),
    ("enum { NONE,\n#ifdef MORE\n\tMORE_OF_IT,\n#endif\n};", {"NONE", "MORE_OF_IT"}),
    ("enum index {\n\tFIRST,\n\tFIELDS(INDEX)\n\tCOUNT,\n};", {"enum index", "FIRST", "COUNT"}),
    ("enum color paint(enum color c)\n{\n\treturn c;\n}", set()),
    ("struct point { int x, y; };", {"struct point"}),
    ("static const struct point {\n\tint x;\n} origin = { 0 };", {"struct point"}),
    ("struct __packed table {\n\tu8 a;\n};", {"struct table"}),
    ("struct __attribute__((aligned(16))) area {\n\tu8 a;\n};", {"struct area"}),
    ("union word {\n\tu8 a;\n\tstruct {\n\t\tu8 b;\n\t} c;\n};", {"union word"}),
    ("struct point;\nstruct point *get(struct point *p);", set()),
    ("const struct point p = { 1, 2 };", set()),
    ("typedef unsigned int u32;", {"u32"}),
    ("typedef struct {\n\tint x;\n\tint y;\n} point_t;", {"point_t"}),
    ("typedef int visit(void *context, int (*next)(int));", {"visit"}),
    ("typedef void (*handler)(int irq);", {"handler"}),
    ("typedef u8 page[4096] __aligned(16);", {"page"}),
    ("/* #define NO 1\n enum { NO_MORE }; */\n// typedef int no;\n", set()),
    ("const char *text = \"enum { NO }; /* struct no {\";\nenum { YES };", {"YES"}),
])
def test_definitions(source, names):
    assert check_twice.definitions(source) == names


def test_a_name_in_two_files_is_reported():
    count, twice = check_twice.defined_twice({
        "arch/a.c": "#define SIZE 1\n#define OWN 2\n", "lib/b.h": "enum { SIZE };\nstruct b { int x; };\n",
        "dev/c.c": "typedef int size;\n"})
    assert count == 4 and twice == {"SIZE": ["arch/a.c", "lib/b.h"]}
    assert list(check_twice.problems(twice, {})) == ["SIZE is defined in arch/a.c and lib/b.h"]


def test_a_tag_is_no_rival_of_another_name():
    assert check_twice.defined_twice({"a.c": "struct size { int x; };", "b.c": "#define size 1\n"})[1] == {}


def test_an_exception_is_for_its_files_only():
    twice = {"SIZE": ["a.c", "b.c"]}
    assert not list(check_twice.problems(twice, {"SIZE": (("b.c", "a.c"), "a reason")}))
    assert list(check_twice.problems({"SIZE": ["a.c", "b.c", "c.c"]}, {"SIZE": (("a.c", "b.c"), "a reason")}))


def test_an_exception_that_nothing_needs_is_an_error():
    assert list(check_twice.problems({}, {"SIZE": (("a.c", "b.c"), "a reason")}))


@pytest.mark.parametrize("files, status", [
    ({"lib/a.h": "#define ONE 1\n", "lib/b.h": "#define TWO 2\n"}, 0),
    ({"lib/a.h": "#define ONE 1\n", "vmx/rules/b.c": "#define ONE 1\n"}, 1),
    ({"lib/a.h": "#define ONE 1\n", "tests/b.c": "#define ONE 1\n"}, 0),
    ({"lib/a.asm": "%define ONE 1\n"}, 1),    # a search that found nothing at all
])
def test_exit_status(files, status, tmp_path, monkeypatch, capsys):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(check_twice, "ROOT", tmp_path)
    assert check_twice.main() == status
    assert ("ONE is defined" in capsys.readouterr().out) == ("vmx/rules/b.c" in files)
