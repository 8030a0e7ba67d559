"""Repeats the tests that failed in the last pytest session, alone, and tells flaky from broken.

A test that fails twice fails the build, and so do more than two that pass when repeated. Run it in
the folder of the tests; the names of the failed tests come from pytest's cache.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

LAST_FAILED = Path(".pytest_cache/v/cache/lastfailed")
MAX_FLAKY = 2
_SOME_FAILED = 1  # pytest's exit code; higher ones mean that it could not run


def main() -> int:
    """Return the exit code: 0 if all failed tests pass now and are few."""
    first = failed_tests()
    if not first:
        print("The tests ended early: no failed test is recorded. See above.")
        return 1
    code = subprocess.run([sys.executable, "-m", "pytest", "--last-failed"], check=False).returncode
    if code > _SOME_FAILED:
        print(f"The failed tests could not be repeated: pytest ended with exit code {code}.")
        return 1
    passes, lines = verdict(first, failed_tests())
    print(*lines, sep="\n")
    return 0 if passes else 1


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
