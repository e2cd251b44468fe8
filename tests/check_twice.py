# SPDX-License-Identifier: MIT
"""Hold definitions to one place: no macro, enum constant, type or tag has a definition in two files.

Two definitions of one thing drift apart, and one name for two things misleads whoever searches for it.
A name that a file defines more than once, as in the branches of an #if, counts once.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDERS = ("boot", "arch", "core", "vmx", "svm", "dev", "lib")

# Names that several files define all the same: the files, and why.
ALLOWED = {
}

# A comment, or a string or character constant, in which a comment or a brace is only text.
TEXT = re.compile(r"/\*.*?\*/|//[^\n]*|(\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*')", re.DOTALL)
MACRO = re.compile(r"^[ \t]*#[ \t]*define[ \t]+(\w+)", re.MULTILINE)
# With the lines that a backslash continues.
DIRECTIVE = re.compile(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", re.MULTILINE)
ATTRIBUTES = r"(?:__\w+(?:\(\([^{}]*?\)\))?\s+)*"
TAG = re.compile(r"\b(struct|union|enum)\s+" + ATTRIBUTES + r"(\w+)\s*(?:__\w+\s*)*\{")
ENUM = re.compile(r"\benum\b[^{};()]*\{([^{}]*)\}")
CONSTANT = re.compile(r"(?:^|,)\s*(\w+)\s*(?=[,=]|$)")
# An X macro, as FIELDS(X), which makes constants of its own and brings their commas.
X_MACRO = re.compile(r"\w+\([^()]*\)(?=\s*(?:\w|$))")
PARENTHESES = re.compile(r"\([^()]*\)")
TYPEDEF = re.compile(r"\btypedef\b([^;{}]*(?:\{.*?\n\}[^;]*)?);", re.DOTALL)
# A function type's name stands before its parameters, a pointer's to a function in parentheses.
TYPE_NAME = re.compile(r"\(\s*\*\s*(\w+)\s*\)\s*\(|(\w+)\s*\([^()]*(?:\([^()]*\)[^()]*)*\)\s*$"
                       r"|(\w+)\s*(?:\[[^]]*\]\s*)*(?:__\w+\s*(?:\([^;]*\))?\s*)?$")


def without_text(source):
    return TEXT.sub(lambda match: '""' if match[1] else " ", source)


def enum_constants(code):
    for body in ENUM.findall(code):
        while "(" in body:
            body = PARENTHESES.sub("@", X_MACRO.sub(",", body))     # "@": a part of a value
        yield from CONSTANT.findall(body)


def type_names(code):
    for declared in TYPEDEF.findall(code):
        match = TYPE_NAME.search(declared.rsplit("}", 1)[-1].strip())
        if match:
            yield match[1] or match[2] or match[3]


def definitions(source):
    """The names that a file defines: {"NAME", "struct tag"}. A tag is no rival of a macro's name."""
    code = without_text(source)
    names = set(MACRO.findall(code))
    code = DIRECTIVE.sub("", code)
    names.update(f"{kind} {tag}" for kind, tag in TAG.findall(code))
    names.update(enum_constants(code))
    names.update(type_names(code))
    return names


def defined_twice(sources):
    """{name: the files that define it} of those that more than one of {file: text} defines."""
    homes = {}
    for path in sorted(sources):
        for name in definitions(sources[path]):
            homes.setdefault(name, []).append(path)
    return len(homes), {name: paths for name, paths in sorted(homes.items()) if len(paths) > 1}


def problems(twice, allowed):
    for name, paths in twice.items():
        if set(paths) != set(allowed.get(name, ((), ""))[0]):
            yield f"{name} is defined in {' and '.join(paths)}"
    for name in sorted(set(allowed) - set(twice)):
        yield f"tests/check_twice.py: {name} is not defined twice any more: take it off the list"


def main():
    paths = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.[ch]")]
    sources = {str(path.relative_to(ROOT)): path.read_text() for path in paths}
    count, twice = defined_twice(sources)
    found = list(problems(twice, ALLOWED))
    for problem in found:
        print(problem)
    print(f"check-twice: {count} names, {len(found)} defined twice")
    return 1 if found or not count else 0


if __name__ == "__main__":
    sys.exit(main())
