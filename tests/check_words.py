# SPDX-License-Identifier: MIT
"""Find private words in source and documents, and print the field's word to write instead."""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDERS = ("boot", "arch", "core", "vmx", "svm", "dev", "lib", "tools", "docs")
KINDS = (".c", ".h", ".asm", ".inc", ".py", ".md")

WORDS = {
    r"instant(?:ly)?": "fast path",
    r"quick(?:ly)?": "fast, or fast path",
    r"at once": "immediately, at the same time, or fast path",
    r"undisturbed": "no requests pending",
    r"told(?! (?:apart|from))": "reported",
    r"the machine's": "the host's, or the guest's",
    r"stands": "is",
    r"stub_answer": "exit_fastpath",
}
PATTERN = re.compile(r"(?<![A-Za-z])(?:" + "|".join(f"({word})" for word in WORDS) + r")(?![A-Za-z])",
                     re.IGNORECASE)


def main():
    files = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*")) if path.suffix in KINDS]
    files.append(ROOT / "README.md")
    instead, count = list(WORDS.values()), 0
    for path in files:
        for number, line in enumerate(path.read_text().splitlines(), 1):
            for match in PATTERN.finditer(line):
                count += 1
                print(f"{path.relative_to(ROOT)}:{number}: {match[0]!r}: write {instead[match.lastindex - 1]}")
    print(f"check-words: {len(files)} files, {count} words to replace")
    return 1 if count or not files else 0


if __name__ == "__main__":
    sys.exit(main())
