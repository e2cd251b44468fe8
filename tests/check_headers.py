# SPDX-License-Identifier: MIT
"""Compile each header alone: check_headers.py COMPILER FLAGS..."""

import concurrent.futures
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDERS = ("boot", "arch", "core", "vmx", "svm", "dev", "lib")


def compile_alone(header):
    return subprocess.run([*sys.argv[1:], "-fsyntax-only", "-include", header, "-x", "c", "/dev/null"],
                          cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def main():
    headers = [str(path.relative_to(ROOT)) for folder in FOLDERS
               for path in sorted((ROOT / folder).rglob("*.h"))]
    failures = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for header, result in zip(headers, pool.map(compile_alone, headers)):
            if result.returncode:
                print(f"{header} does not compile alone:\n{result.stdout}")
                failures += 1
    print(f"check-headers: {sys.argv[1]}: {len(headers)} headers, {failures} do not compile alone")
    return 1 if failures or not headers else 0


if __name__ == "__main__":
    sys.exit(main())
