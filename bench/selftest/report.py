"""The results of the self-test in full, as a record and as a table."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ConfigDict

TOLERANCE = 0.1  # largest relative error of a prediction


class Checked(BaseModel):
    """A predicted rate, and the rate after the change was made, in images per second.

    Attributes:
        low, high: ends of the predicted range; None if there is none.
    """

    model_config = ConfigDict(extra="forbid")

    change: str
    predicted: float
    low: float | None = None
    high: float | None = None
    measured: float

    @property
    def ratio(self) -> float:
        """Predicted divided by measured."""
        return self.predicted / self.measured

    @property
    def passed(self) -> bool:
        """Whether the prediction lies within the tolerance of the measurement."""
        return abs(self.ratio - 1) <= TOLERANCE


class CaseResult(BaseModel):
    """The result of one injected bottleneck.

    Attributes:
        loader: with its settings.
        expected: the injected cause.
        named: the cause that the diagnosis named; None if there was no verdict.
        stall: share of the accelerator's time that was lost.
        shares: of the stall, by cause.
        skipped: why the bottleneck cannot be injected on this machine.
        error: why it could not be measured.
    """

    model_config = ConfigDict(extra="forbid")

    name: str
    loader: str
    expected: str
    named: str | None = None
    verdict: str = ""
    end_to_end: float | None = None
    stall: float | None = None
    shares: dict[str, float] = {}
    checked: list[Checked] = []
    skipped: str | None = None
    error: str | None = None

    @property
    def passed(self) -> bool:
        """Whether the cause was named and all predictions hold; True if it was skipped."""
        if self.skipped is not None:
            return True
        return self.named == self.expected and all(one.passed for one in self.checked)


class BatteryResult(BaseModel):
    """The results of all injected bottlenecks on one machine."""

    model_config = ConfigDict(extra="forbid")

    environment: dict[str, Any]
    cases: list[CaseResult]

    @property
    def passed(self) -> bool:
        """Whether every case passed."""
        return all(case.passed for case in self.cases)


HEADINGS = ("injected", "loader", "verdict", "stall", "what if", "predicted", "measured", "ratio")


def as_markdown(result: BatteryResult) -> str:
    """Return the results as a table of Markdown: one line per prediction."""
    rows = [row for case in result.cases for row in table_rows(case)]
    lines = [_line(HEADINGS), _line("---" for _ in HEADINGS), *map(_line, rows)]
    return "\n".join(lines) + "\n"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def table_rows(case: CaseResult) -> list[tuple[str, ...]]:
    """Return a row per prediction, or one if there is none; the case is named in the first."""
    first = (case.name, case.loader, verdict_text(case), _percent(case.stall))
    rows = [_checked_cells(one) for one in case.checked] or [("", "", "", "")]
    return [(*(first if not index else ("",) * 4), *row) for index, row in enumerate(rows)]


def verdict_text(case: CaseResult) -> str:
    """Return the cause if it was named, or why the case was skipped or failed."""
    if case.skipped or case.error:
        return f"skipped: {case.skipped}" if case.skipped else f"FAILED: {case.error}"
    if case.named == case.expected:
        return case.expected
    return f"FAILED: {case.named}, not {case.expected}"


def _checked_cells(one: Checked) -> tuple[str, ...]:
    predicted = f"{one.predicted:,.0f}"
    if one.low is not None and one.high is not None:
        predicted += f" ({one.low:,.0f}–{one.high:,.0f})"
    failed = "" if one.passed else " FAILED"
    return one.change, predicted, f"{one.measured:,.0f}", f"{one.ratio:.2f}{failed}"


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.0%}"
