"""The search for the best settings: races on paired blocks, one setting at a time.

First every loader's defaults race each other. Then the values of each setting of the fastest race
against its own, setting by setting, what gains most first; a value that is known to be faster
takes its place. Then all that tied but looked faster races together, since small gains add up. At
last the other loaders try what the winner was found to like. Nobody is judged on one block, and
whoever is known to be slower, or may not win anyway, runs no more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from feedbench.bench.analysis.estimate import Estimate
from feedbench.bench.analysis.stats import paired_ratio
from feedbench.bench.plan.plan import Choice
from feedbench.loaders import LOADERS, LoaderError, find_loader, parse_settings

Outcome = Literal["faster", "slower", "tie", "failed", "refused", "unfinished"]
Rates = dict[int, float]

LEAST, MOST = 2, 8  # blocks of a race
CLEAR = 0.05  # beyond so much in every pair, the fewest blocks are enough
SAME = 0.01  # an interval that stays within so much of 1 needs no more blocks
TOGETHER = "together"  # in a finding's setting: all that tied and looked faster, at once


class Finding(BaseModel):
    """The result of one race, as tune.json holds it.

    Attributes:
        against: what it raced against.
        setting: what differs between them, `TOGETHER` where it is several; None where loaders
            raced.
        ratio: of its rate to the other's, of paired blocks.
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


def outcome_of(own: Rates, other: Rates) -> tuple[Outcome, Estimate | None]:
    """What the pairs of blocks so far say; "unfinished" asks for more."""
    pairs = [own[turn] / other[turn] for turn in sorted(own.keys() & other.keys())]
    ratio = paired_ratio(own, other)
    if ratio is None or len(pairs) < LEAST:
        return "unfinished", ratio
    last = len(pairs) >= MOST
    if ratio.high < 1 if last else max(pairs) < 1 - CLEAR:
        return "slower", ratio
    if ratio.low > 1 if last else min(pairs) > 1 + CLEAR:
        return "faster", ratio
    same = len(pairs) > LEAST and ratio.low > 1 - SAME and ratio.high < 1 + SAME
    return ("tie" if last or same else "unfinished"), ratio


def alternatives(choice: Choice, name: str) -> list[Choice]:
    """The choices of the loader's space that differ in one setting alone."""
    here, values = value_of(choice, name), find_loader(choice.loader).space[name]
    others = [changed(choice, {name: value}) for value in values if value != here]
    return [other for other in others if other is not None]


def changed(choice: Choice, settings: dict[str, Any]) -> Choice | None:
    """The choice with some other settings; None where they do not go together."""
    defaults = find_loader(choice.loader).settings.model_fields
    merged = {**choice.settings, **settings}
    kept = {name: value for name, value in merged.items() if value != defaults[name].default}
    try:
        parse_settings(find_loader(choice.loader), kept)
    except LoaderError:
        return None
    return choice.model_copy(update={"settings": kept})


def together(best: Choice, found: Iterable[Finding]) -> Choice | None:
    """The best with every setting that tied with it and looked faster; None with less than two.

    Of several values of one setting it takes the one that looked fastest.
    """
    ties = [
        (one.ratio.value, one.setting, value_of(one.choice, one.setting))
        for one in found
        if one.outcome == "tie" and one.against == best and one.setting and one.ratio
    ]
    values = {name: value for gain, name, value in sorted(ties, key=lambda tie: tie[0]) if gain > 1}
    return changed(best, values) if len(values) > 1 else None


def value_of(choice: Choice, name: str) -> Any:
    """A setting's value, given or by default."""
    default = find_loader(choice.loader).settings.model_fields[name].default
    return choice.settings.get(name, default)


def transferred(winner: Choice, others: Iterable[Choice]) -> list[Choice]:
    """Other loaders with the winner's settings, as far as they have them."""
    made = []
    for other in others:
        space = find_loader(other.loader).space
        shared = {
            name: value
            for name, value in winner.settings.items()
            if value in space.get(name, ()) and name not in other.settings
        }
        if shared and (moved := changed(other, shared)) is not None:
            made.append(moved)
    return made


def grid_size(loaders: Iterable[str]) -> int:
    """How many choices a search of every combination would try."""
    total = 0
    for name in loaders:
        size = 1
        for values in LOADERS[name].space.values():
            size *= len(values)
        total += size
    return total


class OutOfBudget(Exception):
    """The time that the search was given is spent."""


@dataclass
class Search:
    """Races choices; what it found so far is always whole.

    Attributes:
        block: times one block of a choice in a round; images a second, or why there is none.
        end: ends the process of a choice that races no more.
        refuse: why a choice may not win although it was measured; empty if it may.
        told: hears every finding.
        best: the fastest so far.
        findings: in the order in which they were made.
        seed: decides in which order a round's blocks are timed.
        settled: what an earlier search found, by choice and what it raced against.
    """

    block: Callable[[Choice, int], float | str]
    end: Callable[[Choice], None]
    refuse: Callable[[Choice], str]
    told: Callable[[Finding], None]
    best: Choice | None = None
    findings: list[Finding] = field(default_factory=list)
    settled: dict[tuple[str, str], Finding] = field(default_factory=dict)
    turn: int = 0
    seed: int = 0

    def run(self, defaults: list[Choice]) -> None:
        """Search until nothing is left to try.

        Raises:
            OutOfBudget: from `block`.
        """
        self._first(defaults)
        if self.best is None:
            return
        self._climb()
        loader = self.best.loader
        others = [choice for choice in defaults if choice.loader != loader]
        self._race(transferred(self.best, others), None)
        if self.best.loader != loader:
            self._climb()

    def _first(self, defaults: list[Choice]) -> None:
        """The fastest of the defaults that may win."""
        if self._known_first(defaults):
            return
        rates: dict[str, Rates] = {str(choice): {} for choice in defaults}
        alive, reasons = list(defaults), dict[str, str]()
        for _ in range(MOST):
            alive = self._round(alive, rates, reasons)
            able = [choice for choice in alive if not self.refuse(choice)]
            self.best = max(able, key=lambda one: _mean(rates[str(one)]), default=None)
            if self.best is None:
                break
            alive = self._without_slower(alive, self.best, rates)
            if len(alive) == 1 and len(rates[str(alive[0])]) >= LEAST:
                break
        against = self.best or defaults[0]
        for choice in defaults:
            if choice != self.best:
                self._conclude(choice, against, None, rates, reasons)
                self.end(choice)

    def _known_first(self, defaults: list[Choice]) -> bool:
        """Whether an earlier search had found the fastest of them."""
        for best in defaults:
            old = [self.settled.get((str(one), str(best))) for one in defaults if one != best]
            if all(old) and not self.refuse(best) and self.settled:
                self.best = best
                self._settle([one for one in old if one is not None])
                return True
        return False

    def _without_slower(
        self, alive: list[Choice], best: Choice, rates: dict[str, Rates]
    ) -> list[Choice]:
        """Those that are not known to be slower; the others' processes end."""
        kept = []
        for choice in alive:
            if choice != best and outcome_of(rates[str(choice)], rates[str(best)])[0] == "slower":
                self.end(choice)
            else:
                kept.append(choice)
        return kept

    def _without_refused(self, alive: list[Choice], rates: dict[str, Rates]) -> list[Choice]:
        """Those that may win; the others run as often as says what they would be worth."""
        kept = []
        for choice in alive:
            if len(rates[str(choice)]) >= LEAST and self.refuse(choice):
                self.end(choice)
            else:
                kept.append(choice)
        return kept

    def _climb(self) -> None:
        """Try every setting of the best, until each has been tried."""
        assert self.best is not None
        begun = len(self.findings)
        for name in find_loader(self.best.loader).space:
            self._race(alternatives(self.best, name), name)
        both = together(self.best, self.findings[begun:])
        if both is not None:
            self._race([both], TOGETHER)

    def _race(self, challengers: list[Choice], setting: str | None) -> None:
        """Race some against the best; the fastest that is known to be faster takes its place."""
        best = self.best
        assert best is not None
        old = [self.settled.get((str(one), str(best))) for one in challengers]
        if challengers and all(old):
            self._settle([one for one in old if one is not None])
            return
        rates: dict[str, Rates] = {str(choice): {} for choice in (best, *challengers)}
        alive, reasons = list(challengers), dict[str, str]()
        for _ in range(MOST):
            said = {outcome_of(rates[str(one)], rates[str(best)])[0] for one in alive}
            if "unfinished" not in said:
                break
            ran = self._round([best, *alive], rates, reasons)
            alive = self._without_slower([one for one in alive if one in ran], best, rates)
            alive = self._without_refused(alive, rates)
        found = [self._conclude(one, best, setting, rates, reasons) for one in challengers]
        self._take_over(found)
        for choice in (best, *challengers):
            if choice != self.best:
                self.end(choice)

    def _settle(self, found: list[Finding]) -> None:
        """Take over what an earlier search found."""
        for finding in found:
            self._tell(finding)
        self._take_over(found)

    def _take_over(self, found: list[Finding]) -> None:
        faster = [one for one in found if one.outcome == "faster" and one.ratio]
        if faster:
            self.best = max(faster, key=lambda one: one.ratio.value if one.ratio else 0).choice

    def _round(
        self, choices: list[Choice], rates: dict[str, Rates], reasons: dict[str, str]
    ) -> list[Choice]:
        """One block of each; those that did not fail."""
        able = []
        for choice in self._shuffled(choices):
            rate = self.block(choice, self.turn)
            if isinstance(rate, str):
                reasons[str(choice)] = rate
                self.end(choice)
            else:
                rates[str(choice)][self.turn] = rate
                able.append(choice)
        self.turn += 1
        return [choice for choice in choices if choice in able]

    def _shuffled(self, choices: list[Choice]) -> list[Choice]:
        drawn = np.random.default_rng([self.seed, self.turn]).permutation(len(choices))
        return [choices[int(index)] for index in drawn]

    def _conclude(
        self,
        choice: Choice,
        other: Choice,
        setting: str | None,
        rates: dict[str, Rates],
        reasons: dict[str, str],
    ) -> Finding:
        own, against = rates[str(choice)], rates[str(other)]
        outcome, ratio = outcome_of(own, against)
        reason = ""
        if str(choice) in reasons:
            outcome, reason = "failed", reasons[str(choice)]
        elif outcome in ("faster", "unfinished") and (refusal := self.refuse(choice)):
            outcome, reason = "refused", refusal
        elif outcome == "unfinished":
            outcome = "tie"
        finding = Finding(
            choice=choice,
            against=other,
            setting=setting,
            outcome=outcome,
            pairs=len(own.keys() & against.keys()),
            ratio=ratio,
            reason=reason,
        )
        self._tell(finding)
        return finding

    def _tell(self, finding: Finding) -> None:
        self.findings.append(finding)
        self.told(finding)


def _mean(rates: Rates) -> float:
    return sum(rates.values()) / len(rates) if rates else 0.0
