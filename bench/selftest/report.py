"""The results of the self-test in full."""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, model_validator

TOLERANCE = 0.1  # largest relative error of a prediction


class Checked(BaseModel):
    """A predicted rate, and the rate after the change was made, in images per second.

    Attributes:
        change: that was predicted and then made.
        predicted: rate.
        low, high: ends of the predicted range; None if there is none.
        measured: rate.
        drift: rate without the change when this was measured ÷ rate of the diagnosis; a rate that
            the loader limits was divided by it.
    """

    model_config = ConfigDict(extra="forbid")

    change: str
    predicted: float
    low: float | None = None
    high: float | None = None
    measured: float
    drift: float = 1.0

    @model_validator(mode="after")
    def _has_both_ends_or_none(self) -> Self:
        if (self.low is None) != (self.high is None):
            raise ValueError("low and high: give both or neither")
        return self

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
        name: of the bottleneck.
        loader: with its settings.
        expected: the injected cause.
        named: the cause that the diagnosis named; None if there was no verdict.
        verdict: what the diagnosis said.
        end_to_end: images per second; None without a verdict.
        stall: share of the accelerator's time that was lost.
        shares: of the stall, by cause.
        checked: predictions, measured by undoing the bottleneck.
        attempts: how often all this was measured; again if the machine's speed had changed.
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
    attempts: int = 1
    skipped: str | None = None
    error: str | None = None

    @property
    def drift(self) -> float:
        """By how much the machine's speed changed at most between the diagnosis and its checks."""
        return max((abs(one.drift - 1) for one in self.checked), default=0.0)

    @property
    def passed(self) -> bool:
        """Whether the cause was named and all predictions hold; True if it was skipped."""
        if self.skipped is not None:
            return True
        return self.named == self.expected and all(one.passed for one in self.checked)


class BatteryResult(BaseModel):
    """The results of all injected bottlenecks on one machine.

    Attributes:
        environment: the machine and the versions of libraries.
        cases: one result for each bottleneck.
    """

    model_config = ConfigDict(extra="forbid")

    environment: dict[str, Any]
    cases: list[CaseResult]

    @property
    def passed(self) -> bool:
        """Whether every case passed."""
        return all(case.passed for case in self.cases)


def verdict_text(case: CaseResult) -> str:
    """Return the cause that was named; what failed, or why the case was skipped, otherwise."""
    if case.skipped or case.error:
        return f"skipped: {case.skipped}" if case.skipped else f"FAILED: {case.error}"
    if case.named == case.expected:
        return case.expected
    return f"FAILED: {case.named}, not {case.expected}"
