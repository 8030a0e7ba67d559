"""The search for the fastest settings: races on paired blocks, one setting at a time.

1. The default settings of all loaders race each other.
2. For the fastest loader, the values of each setting race against the current value; settings that
   usually gain most come first. A value that is surely faster replaces the current one.
3. Settings that tied but looked faster race together, since small gains add up.
4. The winner's settings are tried on the other loaders.

No configuration is judged by a single block. One that is surely slower, or that must not win, stops
running.

Why not Optuna: its pruners stop a trial by comparing it with recorded values of earlier trials;
even `WilcoxonPruner`, which pairs by step, compares with the best completed trial. On a shared
machine the rate drifts more between trials than settings differ. Here the rivals' blocks are
interleaved in the same rounds, the process of each is stopped while another is timed, and a
configuration is dropped as soon as its paired ratio shows that it is slower.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from feedbench.bench.plan.plan import Choice
from feedbench.bench.tune.race import LEAST_BLOCKS, MOST_BLOCKS, Finding, Race
from feedbench.bench.tune.space import TOGETHER, alternatives, combine_ties, transfer_settings
from feedbench.loaders import find_loader


class OutOfBudget(Exception):
    """The time budget of the search is spent."""


class Search:
    """Races configurations; `best` and `findings` are valid at any time, also after an exception.

    Attributes:
        best: the fastest configuration so far; None before the first one is known.
        findings: the results of all comparisons, in order.
    """

    def __init__(
        self,
        time_block: Callable[[Choice, int], float | str],
        end: Callable[[Choice], None],
        refusal: Callable[[Choice], str],
        on_finding: Callable[[Finding], None],
        *,
        earlier: Iterable[Finding] = (),
        first_round: int = 0,
        seed: int = 0,
    ) -> None:
        """Prepare a search.

        Args:
            time_block: times one block of a configuration in a round; returns images per second,
                or the reason why it failed.
            end: ends the process of a configuration that is no longer needed.
            refusal: returns why a configuration must not win; empty if it may.
            on_finding: called with each result, also with the repeated ones of `earlier`.
            earlier: results of an earlier search, which are not measured again.
            first_round: index of the first round.
            seed: of the order in which the blocks of a round are timed.
        """
        self.best: Choice | None = None
        self.findings: list[Finding] = []
        self._time_block = time_block
        self._end = end
        self._refusal = refusal
        self._on_finding = on_finding
        self._earlier = {
            (str(finding.choice), str(finding.against)): finding for finding in earlier
        }
        self._round_index = first_round
        self._seed = seed

    def run(self, defaults: list[Choice]) -> None:
        """Search until nothing is left to try.

        Args:
            defaults: a configuration per loader to start from.

        Raises:
            OutOfBudget: raised by `time_block`.
        """
        best = self._race_defaults(defaults)
        if best is None:
            return
        best = self._try_settings(best)
        loader = best.loader
        others = [choice for choice in defaults if choice.loader != loader]
        best = self._race(best, transfer_settings(best, others), None)
        if best.loader != loader:
            self._try_settings(best)

    def _race_defaults(self, defaults: list[Choice]) -> Choice | None:
        """Return the fastest of the defaults that may win; None if none runs."""
        if self._repeat_race_of_defaults(defaults):
            return self.best
        race, running = Race(defaults), list(defaults)
        for _ in range(MOST_BLOCKS):
            running = self._time_round(running, race)
            candidates = [choice for choice in running if not self._refusal(choice)]
            self.best = max(candidates, key=race.mean_rate, default=None)
            if self.best is None:
                break
            running = self._drop_slower(running, self.best, race)
            if len(running) == 1 and race.blocks(running[0]) >= LEAST_BLOCKS:
                break
        reference = self.best or defaults[0]
        for choice in defaults:
            if choice != self.best:
                self._report(race.finding(choice, reference, None, self._refusal(choice)))
                self._end(choice)
        return self.best

    def _repeat_race_of_defaults(self, defaults: list[Choice]) -> bool:
        """Repeat the race of an earlier search; return whether it had ended with a winner."""
        if not self._earlier:
            return False
        for best in defaults:
            others = [choice for choice in defaults if choice != best]
            findings = self._earlier_findings(others, best)
            if findings is not None and not self._refusal(best):
                self.best = best
                self._conclude(findings)
                return True
        return False

    def _try_settings(self, best: Choice) -> Choice:
        """Try the values of every setting, then all that tied together; return the new best."""
        first = len(self.findings)
        for name in find_loader(best.loader).space:
            best = self._race(best, alternatives(best, name), name)
        combined = combine_ties(best, self.findings[first:])
        return best if combined is None else self._race(best, [combined], TOGETHER)

    def _race(self, best: Choice, challengers: list[Choice], setting: str | None) -> Choice:
        """Race challengers against the best; return the fastest that is surely faster, or it."""
        if not challengers:
            return best
        earlier = self._earlier_findings(challengers, best)
        if earlier is not None:
            return self._conclude(earlier) or best
        race, running = Race([best, *challengers]), list(challengers)
        for _ in range(MOST_BLOCKS):
            if "unfinished" not in {race.outcome(choice, best) for choice in running}:
                break
            succeeded = self._time_round([best, *running], race)
            running = [choice for choice in running if choice in succeeded]
            running = self._drop_slower(running, best, race)
            running = self._drop_refused(running, race)
        findings = [
            race.finding(choice, best, setting, self._refusal(choice)) for choice in challengers
        ]
        new_best = self._conclude(findings) or best
        for choice in (best, *challengers):
            if choice != new_best:
                self._end(choice)
        return new_best

    def _time_round(self, choices: list[Choice], race: Race) -> list[Choice]:
        """Time one block of each in a seeded order; return those that did not fail."""
        drawn = np.random.default_rng([self._seed, self._round_index]).permutation(len(choices))
        failed = []
        for choice in (choices[index] for index in drawn.tolist()):
            rate = self._time_block(choice, self._round_index)
            if not race.add(choice, self._round_index, rate):
                failed.append(choice)
                self._end(choice)
        self._round_index += 1
        return [choice for choice in choices if choice not in failed]

    def _drop_slower(self, running: list[Choice], best: Choice, race: Race) -> list[Choice]:
        """End those that are surely slower than the best; return the others."""
        slower = [
            choice
            for choice in running
            if choice != best and race.outcome(choice, best) == "slower"
        ]
        return self._drop(running, slower)

    def _drop_refused(self, running: list[Choice], race: Race) -> list[Choice]:
        """End those that must not win, once their gain has been measured; return the others."""
        refused = [
            choice
            for choice in running
            if race.blocks(choice) >= LEAST_BLOCKS and self._refusal(choice)
        ]
        return self._drop(running, refused)

    def _drop(self, running: list[Choice], dropped: list[Choice]) -> list[Choice]:
        for choice in dropped:
            self._end(choice)
        return [choice for choice in running if choice not in dropped]

    def _earlier_findings(self, choices: list[Choice], best: Choice) -> list[Finding] | None:
        """Return the results of an earlier search for all choices; None if one is missing."""
        findings = [self._earlier.get((str(choice), str(best))) for choice in choices]
        present = [finding for finding in findings if finding is not None]
        return present if len(present) == len(findings) else None

    def _conclude(self, findings: list[Finding]) -> Choice | None:
        """Report the results of a race; return the new best, None if nothing is surely faster."""
        for finding in findings:
            self._report(finding)
        faster = [
            (finding.ratio.value, finding.choice)
            for finding in findings
            if finding.outcome == "faster" and finding.ratio
        ]
        if not faster:
            return None
        self.best = max(faster, key=lambda pair: pair[0])[1]
        return self.best

    def _report(self, finding: Finding) -> None:
        self.findings.append(finding)
        self._on_finding(finding)
