"""What is printed of the checks of a self-test."""

from __future__ import annotations

from collections.abc import Iterator

from feedbench.bench.diagnose.checks import Check, SelfTest
from feedbench.bench.report.document import Part, TableData, words


def parts(self_test: SelfTest) -> Iterator[Part]:
    """Yield what is printed: one row per check."""
    yield TableData(
        name="checks",
        columns=[
            words("known", "known", lambda row: row.name),
            words("expected", "expected", lambda row: row.expected),
            words("measured", "measured", lambda row: row.measured),
            words("result", "passed", lambda row: row.passed, text=_result),
        ],
        rows=self_test.checks,
        styles=["" if check.passed else "red" for check in self_test.checks],
    )


def _result(check: Check) -> str:
    return "passed" if check.passed else "FAILED"
