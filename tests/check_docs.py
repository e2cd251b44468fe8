# SPDX-License-Identifier: MIT
"""Check the documents against the source: the files, functions and names in backticks must exist.

`arch/mem/paging.c`                 a file or folder, from the project root or the document's folder
`core/enter.c: vcpu_main()`     a function, defined in that file
`vcpu_main()`                   a function, macro or operation, defined anywhere
`REQ_TIMER`, `struct vcpu`      a name with an underscore, or a type, that the source uses
`make check`                    a target of the Makefile

Pictures are fenced blocks that begin with ```picture. In them every path, every function with its
parentheses, and every name in capitals with an underscore must exist. The arrows of a ```picture layers
are the include directions of tests/check_layers.py.
"""

import fnmatch
import pathlib
import re
import sys

import check_layers

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDERS = ("boot", "arch", "core", "vmx", "svm", "dev", "lib", "tests")
CODE = (".c", ".h", ".asm", ".py", ".sh", ".ld")

FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`\n]+)`")
# <...> in a document's path stands for a part to be replaced; such a path is matched like a wildcard.
HOLE = re.compile(r"<\w+>")
PATH = re.compile(r"(?:[\w.*-]+/)+[\w.*-]*|[\w*-]+\.(?:c|h|asm|py|sh|ld|md)|Makefile")
CALL = re.compile(r"(\w+)\([^()]*\)")
IN_FILE = re.compile(rf"({PATH.pattern}): {CALL.pattern}")
NAME = re.compile(r"(?:struct|enum|union) \w+|[A-Za-z]\w*_\w*")
TARGET = re.compile(r"make ([a-z][\w-]*)")

PICTURE = re.compile(r"^```picture(?: (\w+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# What a picture names: a function in a file, a function, a path, a constant, a type.
IN_PICTURE = re.compile(rf"{IN_FILE.pattern}|\b{CALL.pattern}|{PATH.pattern}"
                        r"|\b[A-Z][A-Z0-9]*_[A-Z0-9_]+\b|\b(?:struct|enum|union) \w+")
# "vmx -> core arch lib": the names end at two spaces or at the frame. A star: some headers of that folder.
ARROW = re.compile(r"\b(\w+) ->((?: \w+\*?)*)(?=  | *\|| *$)", re.MULTILINE)


def definition(name):
    """A pattern of a function's definition, which matches no declaration or call."""
    name = re.escape(name)
    return re.compile(rf"^(?!return|else|case)[a-z_][^;\n(]*[ *]{name}\([^;{{}}]*\)\n\{{"  # C
                      rf"|^\s*#\s*define {name}\(|\(\*{name}\)\("          # a macro, an operation
                      rf"|^{name}:|^\s*def {name}\(", re.MULTILINE)        # assembly, Python


class Source:
    def __init__(self):
        paths = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*")]
        paths += [ROOT / "linker.ld", ROOT / "Makefile"]
        self.texts = {str(path.relative_to(ROOT)): path.read_text() for path in paths
                      if path.suffix in CODE or path.name == "Makefile"}

    def defines(self, name, path=None):
        texts = self.texts.values() if path is None else [self.texts.get(path, "")]
        return any(definition(name).search(text) for text in texts if name in text)

    def uses(self, name):
        return any(re.search(rf"\b{name}\b", text) for text in self.texts.values() if name in text)


def path_exists(path, document, source):
    """A name without a folder may be that of any source file; files below build/ need not exist."""
    pattern = HOLE.sub("*", path).rstrip("/")
    return (path.startswith("build/")
            or any(next(base.glob(pattern), None) for base in (ROOT, document.parent))
            or any(fnmatch.fnmatch(pathlib.PurePath(name).name, pattern) for name in source.texts))


def problem_of(span, document, source):
    """What is wrong with the text between two backticks; None if it is right, or is no name to check."""
    if match := IN_FILE.fullmatch(span):
        return None if source.defines(match[2], match[1]) else f"{match[1]} does not define {match[2]}()"
    if match := CALL.fullmatch(span):
        return None if source.defines(match[1]) else f"{match[1]}() is not defined"
    if match := TARGET.fullmatch(span):
        makefile = source.texts["Makefile"]
        found = re.search(rf"^(?:{match[1]}|[\w $()]* {match[1]}):", makefile, re.MULTILINE)
        return None if found else f"the Makefile has no target {match[1]}"
    if PATH.fullmatch(HOLE.sub("*", span)):
        return None if path_exists(span, document, source) else f"{span} does not exist"
    if NAME.fullmatch(span):
        return None if source.uses(span) else f"the source has no {span}"
    return None


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def problems_of_layers(picture):
    """Where a picture's arrows differ from the rules. Device models may include some headers of core."""
    arrows = {match[1]: set(match[2].split()) for match in ARROW.finditer(picture)}
    rules = {folder: set(others) for folder, others in check_layers.MAY_INCLUDE.items()}
    rules["dev"].add("core*")
    for folder in sorted(rules.keys() | arrows.keys()):
        if arrows.get(folder) != rules.get(folder):
            yield f"the picture has {folder} -> {arrows.get(folder)}, tests/check_layers.py {rules.get(folder)}"
    headers = set(re.findall(r"\bcore/[\w/]+\.h\b", picture.split("core* ")[-1].split("\n\n")[0]))
    for header in sorted(headers ^ check_layers.DEVICE_FACING):
        yield f"{header}: in one of the picture and DEVICE_FACING of tests/check_layers.py"


def problems_of_pictures(text, document, source):
    """(line, problem) of each picture, and of each name in it; None if a name is right."""
    for picture in PICTURE.finditer(text):
        begin = picture.start(2)
        if picture[1] == "layers":
            yield from ((line_of(text, begin), problem) for problem in problems_of_layers(picture[2]))
        for match in IN_PICTURE.finditer(picture[2]):
            yield line_of(text, begin + match.start()), problem_of(match[0].rstrip("."), document, source)


def problems_of_spans(text, document, source):
    text = FENCE.sub(lambda match: "\n" * match[0].count("\n"), text)
    for match in SPAN.finditer(text):
        yield line_of(text, match.start()), problem_of(match[1], document, source)


def main():
    source, names, count = Source(), 0, 0
    documents = [ROOT / "README.md", ROOT / "tests/README.md", *sorted((ROOT / "docs").glob("*.md"))]
    for document in documents:
        text = document.read_text()
        for line, problem in (*problems_of_spans(text, document, source),
                              *problems_of_pictures(text, document, source)):
            names += 1
            if problem:
                print(f"{document.relative_to(ROOT)}:{line}: {problem}")
                count += 1
    print(f"check-docs: {len(documents)} documents, {names} names, {count} problems")
    return 1 if count or not names else 0


if __name__ == "__main__":
    sys.exit(main())
