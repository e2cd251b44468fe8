# SPDX-License-Identifier: MIT
"""Hold the documents to the source: the files, functions and names that they put in backticks exist.

`arch/mem/paging.c`                 a file or folder, from the project root or the document's folder
`core/enter.c: vcpu_main()`     a function, defined in that file
`vcpu_main()`                   a function, macro or operation, defined anywhere
`REQ_TIMER`, `struct vcpu`      a name with an underscore, or a type, that the source uses
`make check`                    a target of the Makefile
"""

import fnmatch
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDERS = ("boot", "arch", "core", "vmx", "svm", "dev", "lib", "tests")
CODE = (".c", ".h", ".asm", ".py", ".sh", ".ld")

FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`\n]+)`")
# Documents name what is to be replaced by <...>; such a path is as good as a wildcard.
HOLE = re.compile(r"<\w+>")
PATH = re.compile(r"(?:[\w.*-]+/)+[\w.*-]*|[\w*-]+\.(?:c|h|asm|py|sh|ld|md)|Makefile")
CALL = re.compile(r"(\w+)\([^()]*\)")
IN_FILE = re.compile(rf"({PATH.pattern}): {CALL.pattern}")
NAME = re.compile(r"(?:struct|enum|union) \w+|[A-Za-z]\w*_\w*")
TARGET = re.compile(r"make ([a-z][\w-]*)")


def definition(name):
    """How a function looks where it is defined, rather than declared or called."""
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
    """A file's bare name may be that of any source file; what is built may not be there yet."""
    pattern = HOLE.sub("*", path).rstrip("/")
    return (path.startswith("build/")
            or any(next(base.glob(pattern), None) for base in (ROOT, document.parent))
            or any(fnmatch.fnmatch(pathlib.PurePath(name).name, pattern) for name in source.texts))


def problem_of(span, document, source):
    """What is wrong with the text between two backticks; None where it is right, or not for here."""
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


def main():
    source, spans, count = Source(), 0, 0
    documents = [ROOT / "README.md", ROOT / "tests/README.md", *sorted((ROOT / "docs").glob("*.md"))]
    for document in documents:
        text = FENCE.sub(lambda match: "\n" * match[0].count("\n"), document.read_text())
        for match in SPAN.finditer(text):
            spans += 1
            problem = problem_of(match[1], document, source)
            if problem:
                line = text.count("\n", 0, match.start()) + 1
                print(f"{document.relative_to(ROOT)}:{line}: {problem}")
                count += 1
    print(f"check-docs: {len(documents)} documents, {spans} names in backticks, {count} problems")
    return 1 if count or not spans else 0


if __name__ == "__main__":
    sys.exit(main())
