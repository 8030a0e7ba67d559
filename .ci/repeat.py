"""Repeats the tests that failed in the last pytest session, alone, and tells flaky from broken.

A test that fails twice fails the build, and so do more than two that pass when repeated. Run it in
the folder of the tests; the names of the failed tests come from pytest's cache. The tests marked
`guests` or `beyond` are repeated in their own environment, where their packages are installed.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

LAST_FAILED = Path(".pytest_cache/v/cache/lastfailed")
MAX_FLAKY = 2
ENVIRONMENTS = {mark: Path(f".venv-{mark}/bin/python") for mark in ("guests", "beyond")}
_COULD_NOT_RUN = (2, 3, 4)  # pytest's exit codes; 5 is that no failed test has this mark


def main() -> int:
    """Return the exit code: 0 if all failed tests pass now and are few."""
    first = failed_tests()
    if not first:
        print("The tests ended early: no failed test is recorded. See above.")
        return 1
    codes = [repeat(sys.executable, " and ".join(f"not {mark}" for mark in ENVIRONMENTS))]
    for mark, python in ENVIRONMENTS.items():
        if python.exists():
            codes.append(repeat(str(python), mark))
    if set(codes) & set(_COULD_NOT_RUN):
        print(f"The failed tests could not be repeated: pytest ended with exit code {max(codes)}.")
        return 1
    passes, lines = verdict(first, failed_tests())
    print(*lines, sep="\n")
    return 0 if passes else 1


def repeat(python: str, marked: str) -> int:
    """Run the failed tests that are marked so once more, and return pytest's exit code."""
    command = [python, "-m", "pytest", "--last-failed", "--last-failed-no-failures=none"]
    return subprocess.run([*command, "-m", marked], check=False).returncode


def failed_tests() -> set[str]:
    """Return the names of the tests that failed when they last ran."""
    return set(json.loads(LAST_FAILED.read_text())) if LAST_FAILED.exists() else set()


def verdict(first: set[str], second: set[str]) -> tuple[bool, list[str]]:
    """Return whether the build passes, and the lines that say why.

    Args:
        first: the tests that failed at first.
        second: those that failed again.
    """
    flaky = sorted(first - second)
    lines = [f"FAILED TWICE: {name}" for name in sorted(second)]
    lines += [f"FLAKY: {name} failed, then passed alone" for name in flaky]
    if len(flaky) > MAX_FLAKY:
        lines.append(f"{len(flaky)} flaky tests, more than {MAX_FLAKY}: make them reliable.")
    return not second and len(flaky) <= MAX_FLAKY, lines


if __name__ == "__main__":
    sys.exit(main())
