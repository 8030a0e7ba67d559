"""Challengers compared with the best configuration by the rates of paired blocks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict

from feedbench.bench.analysis.compare import ERROR_RATE, Comparison, compare_with_reference
from feedbench.bench.analysis.estimate import Estimate
from feedbench.bench.plan.plan import Choice
from feedbench.bench.tune.rounds import Results

Outcome = Literal["faster", "slower", "tie", "cannot tell", "failed", "refused"]

JUDGED_AFTER = (3, 5, 8)  # numbers of pairs after which a race is judged
CONFIRMATION_JUDGED_AFTER = (4, 8, 16)
SAME = 0.01  # an interval within this distance of 1 needs no more blocks


class Finding(BaseModel):
    """The result of one comparison, as stored in tune.json.

    Attributes:
        choice: loader and settings that were tried.
        against: the configuration that `choice` was compared with.
        setting: name of the setting in which the two differ, `TOGETHER` if it is several, None if
            they are different loaders.
        outcome: "tie" if at least 3 pairs do not show which is faster, "cannot tell" with fewer, or
            if there was no time to tell, or if it looked faster and was not compared again.
            In tune.json "faster" means that fresh blocks confirmed it; what a race itself finds is
            unconfirmed.
        pairs: number of rounds in which both were timed.
        ratio: rate of `choice` divided by the rate of `against`, from paired blocks; of one that
            looked faster, only from the blocks that were to confirm it.
        reason: why it failed, was refused, or was not compared further.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    choice: Choice
    against: Choice
    setting: str | None
    outcome: Outcome
    pairs: int = 0
    ratio: Estimate | None = None
    reason: str = ""


@dataclass(frozen=True)
class Standing:
    """Where a search stands before a round.

    Attributes:
        purpose: what is compared.
        best: what all others are compared with; None until there is one.
        findings: what is known of the others of this race.
        running: those that are timed in the next round.
        rounds_left: largest number of rounds that this race still takes.
        ahead: settings that are tried after this one.
    """

    purpose: str
    best: Choice | None
    running: tuple[Choice, ...]
    rounds_left: int
    findings: tuple[Finding, ...] = ()
    ahead: tuple[str, ...] = ()


class Race:
    """The blocks of the best configuration and of its challengers, timed in the same rounds.

    It is judged after some numbers of pairs, each time with an equal part of the error rate, so
    that all its judgements together have this rate.

    Attributes:
        best: what the challengers are compared with.
        challengers: all that started.
        running: those that are not settled yet.
        confirms: whether it ends as soon as the challenger is not ahead.
    """

    def __init__(
        self,
        best: Choice,
        challengers: Sequence[Choice],
        judged_after: Sequence[int] = JUDGED_AFTER,
        error_rate: float = ERROR_RATE,
        *,
        confirms: bool = False,
    ) -> None:
        """Prepare a race.

        Args:
            judged_after: numbers of pairs after which it is judged.
            error_rate: share of races between equals that find one faster or slower.
            confirms: whether it ends as soon as the challenger is not ahead.
        """
        self.best = best
        self.challengers = list(challengers)
        self.running = list(challengers)
        self._judged_after = judged_after
        self._error_rate = error_rate / len(judged_after)
        self.confirms = confirms
        self._rates: dict[str, dict[int, float]] = {
            str(choice): {} for choice in (best, *challengers)
        }
        self._settled: dict[str, tuple[Outcome, str]] = {}
        self._compared: dict[str, Comparison] | None = None  # by all rounds so far

    @property
    def pairs(self) -> int:
        """The smallest number of pairs of a running challenger; 0 if none runs."""
        return min((self._pairs(choice) for choice in self.running), default=0)

    def add(self, index: int, results: Results) -> None:
        """Add the blocks of a round; challengers whose block failed are settled."""
        self._compared = None
        for choice in (self.best, *self.running):
            rate = results[str(choice)]
            if not isinstance(rate, str):
                self._rates[str(choice)][index] = rate
            elif choice != self.best:
                self.settle(choice, "failed", rate)

    def settle(self, choice: Choice, outcome: Outcome, reason: str = "") -> None:
        """Stop timing a challenger, whose outcome is certain."""
        self._settled[str(choice)] = (outcome, reason)
        self.running = [other for other in self.running if other != choice]

    def judge(self, refusal: Callable[[Choice], str]) -> None:
        """Settle the challengers whose outcome is certain after some numbers of pairs.

        Args:
            refusal: returns why a configuration must not win; empty if it may.
        """
        if self.pairs not in self._judged_after:
            return
        comparisons = self._comparisons()
        for choice in list(self.running):
            comparison, reason = comparisons[str(choice)], refusal(choice)
            if comparison.outcome == "slower":
                self.settle(choice, "slower")
            elif reason:
                self.settle(choice, "refused", reason)
            elif _is_same(comparison.ratio) or (self.confirms and not _is_ahead(comparison)):
                self.settle(choice, "tie")
            elif comparison.outcome == "faster":
                self.settle(choice, "faster")

    @property
    def has_begun(self) -> bool:
        """Whether a round of it was timed."""
        return any(self._rates.values()) or any(
            one == "failed" for one, _ in self._settled.values()
        )

    @property
    def is_judged(self) -> bool:
        """Whether a challenger has as many pairs as the first judgement needs."""
        return max(map(self._pairs, self.challengers)) >= self._judged_after[0]

    @property
    def rounds_to_judgement(self) -> int:
        """Number of rounds until it is judged again."""
        return next((count for count in self._judged_after if count > self.pairs), 0) - self.pairs

    @property
    def rounds_left(self) -> int:
        """Largest number of rounds until it is over."""
        return max(0, self._judged_after[-1] - self.pairs)

    @property
    def is_over(self) -> bool:
        """Whether one is faster, all are settled, or it was judged for the last time."""
        faster = any(outcome == "faster" for outcome, _ in self._settled.values())
        return faster or not self.running or self.pairs >= self._judged_after[-1]

    def candidate(self) -> Choice | None:
        """Return the fastest challenger that is worth a race on fresh blocks, if any."""
        ran = (one for one in self.findings(None) if one.outcome in ("faster", "tie"))
        able = [
            (one.ratio.value, one.choice) for one in ran if one.ratio and one.ratio.lies_above(1)
        ]
        return max(able, key=lambda pair: pair[0])[1] if able else None

    def findings(self, setting: str | None) -> list[Finding]:
        """Return the result for each challenger; `setting` is what it differs in from the best."""
        comparisons = self._comparisons()
        return [
            self._finding(choice, comparisons[str(choice)], setting) for choice in self.challengers
        ]

    def _finding(self, choice: Choice, comparison: Comparison, setting: str | None) -> Finding:
        outcome, reason = self._settled.get(str(choice), (_unsettled(comparison), ""))
        return Finding(
            choice=choice,
            against=self.best,
            setting=setting,
            outcome=outcome,
            pairs=comparison.pairs,
            ratio=comparison.ratio,
            reason=reason,
        )

    def _pairs(self, choice: Choice) -> int:
        return len(self._rates[str(choice)].keys() & self._rates[str(self.best)].keys())

    def _comparisons(self) -> dict[str, Comparison]:
        if self._compared is None:
            self._compared = compare_with_reference(self._rates, str(self.best), self._error_rate)
        return self._compared


def _unsettled(comparison: Comparison) -> Outcome:
    """Return the outcome of a challenger that was never settled."""
    return "cannot tell" if comparison.outcome == "cannot tell" else "tie"


def _is_ahead(comparison: Comparison) -> bool:
    return comparison.ratio is not None and comparison.ratio.value > 1


def _is_same(ratio: Estimate | None) -> bool:
    return ratio is not None and ratio.lies_above(1 - SAME) and ratio.lies_below(1 + SAME)
