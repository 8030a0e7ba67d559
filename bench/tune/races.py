"""Runs the races of a search, as far as there is time for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from statistics import mean

from feedbench.bench.plan.plan import Choice
from feedbench.bench.tune.race import Outcome, Race, Standing
from feedbench.bench.tune.rounds import Results, Rounds

LEAST_MEASURED_ROUNDS = 3  # for which time is kept when a configuration may become the best
TOO_SHORT = "the budget was too short to compare it further"


class BestLost(Exception):
    """The best configuration failed again after a restart, or must not win any more."""

    def __init__(self, outcome: Outcome, reason: str) -> None:
        super().__init__(reason)
        self.outcome = outcome


class Races:
    """Times the rounds of one race after the other.

    Attributes:
        lacks_time: whether something was not compared, or not to the end, for lack of time.
        ahead: settings that are tried after the present one.
    """

    def __init__(
        self,
        rounds: Rounds,
        end: Callable[[Choice], None],
        refusal: Callable[[Choice], str],
        on_round: Callable[[Standing], None],
        fits: Callable[[Sequence[Choice], int, Choice | None], bool],
    ) -> None:
        """Prepare; the arguments are those of `Search`."""
        self.lacks_time = False
        self.ahead: tuple[str, ...] = ()
        self._rounds = rounds
        self._end = end
        self._refusal = refusal
        self._on_round = on_round
        self._fits = fits
        self._rates: dict[str, list[float]] = {}  # of all blocks, by the text of a choice
        self._failures: dict[str, int] = {}  # how often a block failed

    def time(self, choices: Sequence[Choice], standing: Standing) -> tuple[int, Results]:
        """Time one round; return its index and results."""
        self._on_round(standing)
        index, results = self._rounds.time(choices)
        for name, rate in results.items():
            if not isinstance(rate, str):
                self._rates.setdefault(name, []).append(rate)
        return index, results

    def failed(self, choice: Choice) -> bool:
        """Whether a block of a race failed."""
        return str(choice) in self._failures

    def run(self, race: Race, purpose: str) -> None:
        """Time rounds until the race is over.

        All processes of a race start with it, so that none had more time to warm up; only the
        first race keeps the processes of the first rounds.
        """
        while self._goes_on(race):
            self._time_round(race, purpose)
        for choice in (race.best, *race.running) if race.has_begun else ():
            self._end(choice)

    def _goes_on(self, race: Race) -> bool:
        """Leave out what looks slowest until there is time to judge the others, if any are left."""
        while not race.is_over:
            then = race.running[0] if race.confirms else None
            choices = [race.best, *race.running]
            if not self._were_fewer(race) and self.has_time_for(
                choices, race.rounds_to_judgement, then
            ):
                return True
            slowest = min(reversed(race.running), key=self.mean_rate)
            race.settle(slowest, "cannot tell", TOO_SHORT)
            self._end(slowest)
        return False

    def _were_fewer(self, race: Race) -> bool:
        """Whether an earlier search went on without some; they are tried again at the end."""
        if self._rounds.is_recorded([race.best, *race.running]):
            return False
        fastest_first = sorted(race.running, key=self.mean_rate, reverse=True)
        return any(
            self._rounds.has_rounds_of([race.best, *fastest_first[:count]])
            for count in range(1, len(fastest_first))
        )

    def has_time_for(
        self, choices: Sequence[Choice], rounds: int, then: Choice | None = None
    ) -> bool:
        """Whether rounds fit into the budget; if not, this search lacks time.

        Args:
            then: what is measured alone after that, if it wins.
        """
        if self._rounds.is_recorded(choices) or self._fits(choices, rounds, then):
            return True
        self.lacks_time = True
        return False

    def mean_rate(self, choice: Choice) -> float:
        """Return what is known of a rate; infinite if nothing is."""
        return mean(self._rates.get(str(choice), [inf]))

    def _standing(self, race: Race, purpose: str) -> Standing:
        running, findings = (race.best, *race.running), tuple(race.findings(None))
        return Standing(purpose, race.best, running, race.rounds_left, findings, self.ahead)

    def _time_round(self, race: Race, purpose: str) -> None:
        """Time one block of each; end the challengers that are settled by it."""
        running = race.running
        index, results = self.time([race.best, *running], self._standing(race, purpose))
        race.add(index, results)
        race.judge(self._refusal)
        for choice in running:
            if choice not in race.running:
                self._end(choice)
        self.check(race.best, results)

    def check(self, best: Choice, results: Results) -> None:
        """Note what failed in a round.

        Raises:
            BestLost: the best has failed again, or may not win any more.
        """
        for name, rate in results.items():
            if isinstance(rate, str):
                self._failures[name] = self._failures.get(name, 0) + 1
        if self._failures.get(str(best), 0) > 1:
            raise BestLost("failed", str(results[str(best)]))
        if reason := self._refusal(best):
            raise BestLost("refused", reason)
