"""Two configurations compared by the rates of paired blocks, and what follows from them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import BaseModel, ConfigDict

from feedbench.bench.analysis.estimate import Estimate
from feedbench.bench.analysis.stats import paired_ratio
from feedbench.bench.plan.plan import Choice

Outcome = Literal["faster", "slower", "tie", "failed", "refused", "unfinished"]
Rates = dict[int, float]  # images per second, by the index of the round

LEAST_BLOCKS, MOST_BLOCKS = 2, 8
CLEAR = 0.05  # if all pairs differ by more than this, the fewest blocks are enough
SAME = 0.01  # an interval within this distance of 1 needs no more blocks


class Finding(BaseModel):
    """The result of one comparison, as stored in tune.json.

    Attributes:
        against: the configuration that `choice` was compared with.
        setting: name of the setting in which the two differ, `TOGETHER` if it is several, None if
            they are different loaders.
        pairs: number of rounds in which both were timed.
        ratio: rate of `choice` divided by the rate of `against`, from paired blocks.
        reason: why it failed or was refused.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    choice: Choice
    against: Choice
    setting: str | None
    outcome: Outcome
    pairs: int = 0
    ratio: Estimate | None = None
    reason: str = ""


def outcome_of(rates: Rates, reference: Rates) -> tuple[Outcome, Estimate | None]:
    """Compare rates with those of a reference in the same rounds.

    Returns:
        The outcome, "unfinished" if more blocks are needed, and the ratio of the rates, None
        without a common round.
    """
    rounds = sorted(rates.keys() & reference.keys())
    ratios = [rates[index] / reference[index] for index in rounds]
    estimate = paired_ratio(rates, reference)
    if estimate is None or len(ratios) < LEAST_BLOCKS:
        return "unfinished", estimate
    if len(ratios) >= MOST_BLOCKS:
        return _final_outcome(estimate), estimate
    if max(ratios) < 1 - CLEAR:
        return "slower", estimate
    if min(ratios) > 1 + CLEAR:
        return "faster", estimate
    same = estimate.lies_above(1 - SAME) and estimate.lies_below(1 + SAME)
    return ("tie" if same and len(ratios) > LEAST_BLOCKS else "unfinished"), estimate


def _final_outcome(ratio: Estimate) -> Outcome:
    """Decide by the interval, once there are as many blocks as a race may have."""
    if ratio.lies_below(1):
        return "slower"
    return "faster" if ratio.lies_above(1) else "tie"


class Race:
    """The blocks of some configurations that are timed in the same rounds."""

    def __init__(self, choices: Iterable[Choice]) -> None:
        self._rates: dict[str, Rates] = {str(choice): {} for choice in choices}
        self._failures: dict[str, str] = {}

    def add(self, choice: Choice, round_index: int, rate: float | str) -> bool:
        """Record the rate of a block, or why there is none; return whether there is one."""
        if isinstance(rate, str):
            self._failures[str(choice)] = rate
            return False
        self._rates[str(choice)][round_index] = rate
        return True

    def blocks(self, choice: Choice) -> int:
        """Return how many blocks of a configuration were timed."""
        return len(self._rates[str(choice)])

    def mean_rate(self, choice: Choice) -> float:
        """Return the mean rate in images per second; 0 without a block."""
        rates = self._rates[str(choice)].values()
        return sum(rates) / len(rates) if rates else 0.0

    def outcome(self, choice: Choice, reference: Choice) -> Outcome:
        """Return how a configuration compares with a reference so far."""
        return outcome_of(self._rates[str(choice)], self._rates[str(reference)])[0]

    def finding(
        self, choice: Choice, reference: Choice, setting: str | None, refusal: str
    ) -> Finding:
        """Return the result for a configuration; one that stayed unfinished is a tie.

        Args:
            choice: the configuration.
            reference: what it was compared with.
            setting: in which the two differ.
            refusal: why it must not win; empty if it may.
        """
        rates, reference_rates = self._rates[str(choice)], self._rates[str(reference)]
        outcome, ratio = outcome_of(rates, reference_rates)
        reason = ""
        if str(choice) in self._failures:
            outcome, reason = "failed", self._failures[str(choice)]
        elif outcome in ("faster", "unfinished") and refusal:
            outcome, reason = "refused", refusal
        elif outcome == "unfinished":
            outcome = "tie"
        return Finding(
            choice=choice,
            against=reference,
            setting=setting,
            outcome=outcome,
            pairs=len(rates.keys() & reference_rates.keys()),
            ratio=ratio,
            reason=reason,
        )
