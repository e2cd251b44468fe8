# SPDX-License-Identifier: MIT
"""The mutation operators, the choice of mutants, and the list of equivalent ones: tests/mutants."""

import dataclasses
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "mutants"))

import c_source  # noqa: E402
import equivalents  # noqa: E402
import mutants  # noqa: E402
import operators  # noqa: E402
import unit_tests  # noqa: E402


def mutate(body, head="int f(int x)"):
    """{(operator, changed lines)} for a function with this body."""
    text = f"{head}\n{{\n{body}\n}}\n"
    return {(mutant.operator, *mutant.after) for mutant in operators.mutants_of(c_source.Source("core/f.c", text))}


@pytest.mark.parametrize("line, operator, expected", [
    ("if (x)", "condition", {"if (!(x))"}),
    ("while (likely(x))", "condition", {"while (!(likely(x)))"}),
    ("y = z && !x;", "condition", {"y = z && x;"}),
    ("y = x < z;", "relational", {"y = x <= z;"}),
    ("y = x >= z;", "relational", {"y = x > z;"}),
    ("y = x != z;", "relational", {"y = x == z;"}),
    ("y = x || z;", "logical", {"y = x && z;"}),
    ("y = x - z;", "arithmetic", {"y = x + z;"}),
    ("y += z;", "arithmetic", {"y -= z;"}),
    ("y = x & z;", "bitwise", {"y = x | z;"}),
    ("y |= z;", "bitwise", {"y &= z;"}),
    ("y = x << z;", "shift", {"y = x >> z;"}),
    ("y = 9;", "constant", {"y = 8;", "y = 10;"}),
    ("y = 0;", "constant", {"y = 1;"}),
    ("y = BIT(4);", "constant", {"y = BIT(3);", "y = BIT(5);"}),
    ("y = 0x40ull;", "constant", {"y = 0x20ull;", "y = 0x80ull;"}),
    ("y = 0x0ffu;", "constant", {"y = 0x0feu;", "y = 0x100u;"}),
    ("y = 0xffff;", "constant", {"y = 0xfffe;"}),
    ("y = true;", "constant", {"y = false;"}),
    ("return 0;", "return", {"return -1;"}),
    ("return -EINVAL;", "return", {"return 0;"}),
    ("return x ? -ENOMEM : x;", "return", {"return x ? 0 : x;"}),
    ("continue;", "jump", {";"}),
    ("return;", "jump", {";"}),
    ("go(x);", "deletion", {";"}),
    ("x->y = z;", "deletion", {";"}),
])
def test_an_operator(line, operator, expected):
    body = f"\t{line}\n\t\tg(x);" if line.endswith(")") else f"\t{line}"
    assert {after for name, after in mutate(body) if name == operator} == expected


def test_a_bool_function_returns_the_opposite():
    assert mutate("\treturn x;", "static bool f(int x)") == {("return", "return !(x);")}
    assert mutate("\treturn true;", "bool f(void)") == {("constant", "return false;")}
    assert mutate("\treturn x;", "bool *f(bool *x)") == set()


def test_two_statements_change_places():
    assert ("order", "second(x);", "first(x);") in mutate("\tfirst(x);\n\tsecond(x);")
    assert ("order", "b = a;", "a = x;") in mutate("\ta = x;\n\tb = a;")
    assert ("order", "b = a[0];", "memset(a, 0, 4);") in mutate("\tmemset(a, 0, 4);\n\tb = a[0];")


@pytest.mark.parametrize("body", [
    "\ta = x;\n\tb = y;",                      # nothing in common
    "\tmemcpy(a, x, 4);\n\tb = y;",
    "\tvmcs_write32(A, x);\n\tvmcs_write32(B, x);",
    "\tif (x)\n\t\tfirst(x);\n\tsecond(x);",   # not in the same block
    "\tfirst(x);\n\n\tsecond(x);",             # not adjacent
    "\tfirst(x);\n\tbreak;",
])
def test_what_keeps_its_order(body):
    assert "order" not in {operator for operator, *_ in mutate(body)}


@pytest.mark.parametrize("body", [
    "\t/* if (x == 1) y = 2; */",
    "\t// y = x + 1;",
    '\tlog_error("a < b && c == %d", x == 1);',
    '\tvm_error(vm, "no", 7);',
    "#define Y (x + 1)\n#if X == \\\n\t1\n#endif",
    "\t_Static_assert(sizeof(x) == 4, \"four\");",
    "\tint a, b[4];",
    "\tstruct point *p;",
    "\tstatic const u8 table[] = { 1, 2 };",
    "\tasm volatile(\"hlt\" : : \"a\"(1));",
    "\tu32 y = sizeof(x[1]);",
    "\treturn x->y;",
    "\tlabel: ;",
])
def test_what_is_left_alone(body):
    assert mutate(body) == set()


def test_strings_and_characters_stay():
    assert mutate('\tput("1 + 1", \'0\');') == {("deletion", ";")}
    assert mutate('\tput("a // b", x /* 1 */);') == {("deletion", ";")}


def test_signs_and_addresses_are_no_operators():
    assert mutate("\tg(-x, &x, *x, x->y);") == {("deletion", ";")}


def test_of_a_declaration_only_the_value_changes():
    assert mutate("\tint y[2] = { 5 };") == {("constant", "int y[2] = { 4 };"), ("constant", "int y[2] = { 6 };")}


def test_only_functions_are_mutated():
    text = "enum { A = 1, B = A + 1 };\nstruct s { int a[4]; };\nstatic const int table[] = { 1, 2 };\nint f(int a);\n"
    assert operators.mutants_of(c_source.Source("core/f.c", text)) == []


def test_a_mutant_changes_its_line_only():
    text = "int f(int x)\n{\n\tif (x == 3) {\n\t\tg(x);\n\t}\n\treturn 0;\n}\n"
    for mutant in operators.mutants_of(c_source.Source("core/f.c", text)):
        changed = mutant.apply(text).split("\n")
        differing = [number for number, (a, b) in enumerate(zip(text.split("\n"), changed, strict=True), 1) if a != b]
        assert differing == [mutant.line]
        assert " ".join(changed[mutant.line - 1].split()) == mutant.after[0]


def test_compound_literals_and_loops_of_macros_are_understood():
    body = "\treturn (struct pair){ x + 1, 0 };\n\tfor_each_pair(p) {\n\t\tx = 7;\n\t}\n\tdo {\n\t\tx--;\n\t} while (x > 2);"
    assert {"return (struct pair){ x - 1, 0 };", "x = 8;", "} while (x >= 2);"} <= {
        after for _, after in mutate(body)}


def test_what_is_not_understood_is_an_error():
    with pytest.raises(c_source.SyntaxProblem, match=r"core/f\.c:2"):
        c_source.Source("core/f.c", "int f(void)\n{\n\tg(;\n}\n")


# --- the choice ---

def many(count, first=""):
    body = first + "".join(f"\tx{number} = {number + 10};\n" for number in range(count))
    return operators.mutants_of(c_source.Source("core/f.c", f"void f(void)\n{{\n{body}}}\n"))


def test_the_seed_chooses():
    assert mutants.draw(many(50), "1", "core/f.c") == mutants.draw(many(50), "1", "core/f.c")
    assert mutants.draw(many(50), "1", "core/f.c") != mutants.draw(many(50), "2", "core/f.c")


def test_each_line_comes_once_before_any_comes_again():
    drawn = mutants.draw(many(50), "1", "core/f.c")
    assert len({mutant.line for mutant in drawn[:50]}) == 50
    assert len(drawn) == len(set(drawn)) == len(many(50))


@pytest.mark.parametrize("seed", ["1", "2", "3"])
def test_files_get_their_share(seed):
    shares = mutants.share_out(100, {"a": 300, "b": 100, "c": 1}, seed)
    assert sum(shares.values()) == 100
    assert shares["a"] in (74, 75) and shares["b"] in (24, 25) and shares["c"] in (0, 1)


def test_only_names_a_folder_or_a_file():
    assert mutants.is_chosen("core/mem/ept.c", "core") and mutants.is_chosen("core/a.c", "core/a.c")
    assert mutants.is_chosen("core/mem/ept.c", "core/mem/") and mutants.is_chosen("dev/a.c", "")
    assert not mutants.is_chosen("core/ab.c", "core/a") and not mutants.is_chosen("dev/a.c", "core")


# --- who executes a line ---

def test_tests_that_execute_every_line_of_a_mutant():
    source = c_source.Source("core/f.c", "int f(int x)\n{\n\tfirst(x);\n\tsecond(x);\n\tif (x &&\n\t    x < 3)\n\t\tg(x);\n}\n")
    lines = {"3": ["u"], "4": [], "5": ["u"], "7": []}
    reach = mutants.Reach({"core/f.c": source}, {"test_f": {"core/f.c": lines}})
    found = {(mutant.operator, mutant.line): reach.of(mutant) for mutant in operators.mutants_of(source)}
    assert found["deletion", 3] == {"test_f": {"u"}}
    assert found["deletion", 4] == found["order", 3] == found["deletion", 7] == {}
    assert found["relational", 6] == {"test_f": {"u"}}      # part of the statement in line 5


def test_what_make_would_run_is_read():
    test = unit_tests.parse_command(
        "cc -std=gnu11 -g -O1 -Wall -Werror -fsanitize=address -DA -I/root -no-pie --param tsan=1 "
        "-o /root/build/unit/test_x test_x.c /root/lib/x.c /root/build/a.o -lZydis -lcmocka", pathlib.Path("/root"))
    flags = ("-std=gnu11", "-DA", "-I.", "-no-pie", "--param", "tsan=1")
    assert test == unit_tests.Test("test_x", (unit_tests.Unit("tests/unit/test_x.c", flags),
                                              unit_tests.Unit("lib/x.c", flags)), flags,
                                  ("/root/build/a.o", "-lZydis", "-lcmocka"))


# --- equivalent mutants ---

ENTRY = "# of two\ncore/f.c:3: relational\n\t- if (x == 3) {\n\t+ if (x != 3) {\n\t= f() is\n\t= never called\n"
SOURCE = "int f(int x)\n{\n\tif (x  ==  3) {\n\t\tg(x);\n\t}\n\treturn x;\n}\n"


def candidates(text):
    return {"core/f.c": operators.mutants_of(c_source.Source("core/f.c", text))}


def test_an_equivalent_mutant_has_its_reason():
    listed = equivalents.Equivalents("list", *equivalents.parse(ENTRY))
    reasons = {mutant.operator: listed.reason(mutant) for mutant in candidates(SOURCE)["core/f.c"]}
    assert reasons["relational"] == "f() is never called"
    assert not reasons["condition"] and not reasons["deletion"]
    assert listed.stale(candidates(SOURCE)) == []
    assert listed.stale(candidates("\n\n" + SOURCE)) == []


@pytest.mark.parametrize("text", [SOURCE.replace("3", "4"), SOURCE.replace("==", ">"), "int y;\n"])
def test_a_stale_entry_is_an_error(text):
    listed = equivalents.Equivalents("list", *equivalents.parse(ENTRY))
    assert listed.stale(candidates(text)) == ["list:2: core/f.c has no such mutant any more"]
    assert len(listed.stale({})) == 1


@pytest.mark.parametrize("text", [
    ENTRY.replace("\t= f() is\n\t= never called\n", ""),     # no reason
    ENTRY.replace("\t+ if (x != 3) {\n", ""),
    ENTRY.replace("\t- if", "\tif"),
    ENTRY + "\n" + ENTRY,
])
def test_a_list_that_is_not_in_its_form_is_an_error(text):
    with pytest.raises(equivalents.ListProblem):
        equivalents.parse(text)


def test_the_list_of_the_product_fits_it():
    listed = equivalents.read(mutants.ROOT / "tests/mutants/equivalent.txt")
    assert listed.stale(mutants.read_candidates(mutants.ROOT)[1]) == []


# --- the verdict ---

@pytest.mark.parametrize("killed, survived, good", [(95, 5, True), (94, 6, False), (0, 0, True)])
def test_the_rate_decides(capsys, killed, survived, good):
    mutant = candidates(SOURCE)["core/f.c"][0]
    verdicts = [mutants.Verdict(mutant, kind) for kind, count in
                (("killed", killed), ("survived", survived), ("same code", 3), ("invalid", 9)) for _ in range(count)]
    listed = equivalents.Equivalents("list", {})
    assert mutants.report(verdicts, listed, dict.fromkeys(mutants.FOLDERS, (200, 50))) == good
    assert "50 of 200 lines, 25%" in capsys.readouterr().out


def test_again_are_the_survivors_wherever_their_lines_are_now(tmp_path):
    before, after = many(50), many(50, "\tint other = 1;\n")
    survivors = [before[3], before[40]]
    (tmp_path / "survivors.txt").write_text("".join(mutants.describe(each) + "\n" for each in survivors))
    chosen = mutants.only_survivors({"core/f.c": after}, mutants.read_survivors(tmp_path / "survivors.txt"))
    assert [each.after for each in chosen["core/f.c"]] == [each.after for each in survivors]


FAMILY = "core/*.c: order\n\t~ mark(\n\t= it is looked at much later\n"


def test_a_family_has_every_exchange_of_its_call():
    listed = equivalents.Equivalents("list", *equivalents.parse(FAMILY))
    found = operators.mutants_of(c_source.Source("core/f.c", "void f(int x)\n{\n\tg(x);\n\tmark(x);\n\th(x);\n}\n"))
    reasons = {mutant.before: listed.reason(mutant) for mutant in found if mutant.operator == "order"}
    assert set(reasons) == {("g(x);", "mark(x);"), ("mark(x);", "h(x);")}
    assert set(reasons.values()) == {"it is looked at much later"}
    assert not any(listed.reason(mutant) for mutant in found if mutant.operator != "order")
    assert not listed.stale({"core/f.c": found})
    assert listed.stale({"dev/f.c": [dataclasses.replace(mutant, path="dev/f.c") for mutant in found]})


@pytest.mark.parametrize("text", ["core/*.c\n\t~ f(\n\t= why\n", "core/*.c: order\n\t~ f(\n",
                                  "core/*.c: order\n\t~ f(\n\t~ g(\n\t= why\n",
                                  "core/*.c: order\n\t~ f(\n\t- g(\n\t= why\n"])
def test_a_family_has_one_call_and_a_reason(text):
    with pytest.raises(equivalents.ListProblem):
        equivalents.parse(text)
