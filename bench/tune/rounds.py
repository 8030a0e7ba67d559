"""Rounds of a search: one block of each configuration, timed now or repeated from a record."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from feedbench.bench.plan.plan import Choice
from feedbench.bench.trials.order import balanced_order

Results = Mapping[str, float | str]  # images per second, or why there is none, by `str(choice)`


class Rounds:
    """Times rounds in a seeded order; rounds that an earlier search has timed are repeated.

    A search depends on nothing but the results of its rounds, so a search that is repeated makes
    the same decisions, until it comes to a round that was not finished.

    Attributes:
        next_index: index of the next round.
    """

    def __init__(
        self,
        time_block: Callable[[Choice, int], float | str],
        earlier: Mapping[int, Results],
        seed: int,
        prepare: Callable[[Sequence[Choice]], None] = lambda choices: None,
    ) -> None:
        """Prepare rounds.

        Args:
            time_block: times one block of a configuration in a round; returns images per second,
                or the reason why it failed.
            earlier: the results of the rounds of an earlier search, by index; some may lack
                configurations, since a search can end within a round.
            seed: of the order in which the blocks of a round are timed.
            prepare: called with the configurations of a round before it is timed.
        """
        self._time_block = time_block
        self._earlier = earlier
        self._first_new = 1 + max(earlier, default=-1)
        self._seed = seed
        self._prepare = prepare
        self.next_index = 0

    def time(self, choices: Sequence[Choice]) -> tuple[int, Results]:
        """Return the index of a round that has a block of each choice, and its results."""
        index = self._recorded(choices)
        if index is None:
            index = max(self.next_index, self._first_new)
            results: Results = self._timed(choices, index)
        else:
            results = self._earlier[index]
        self.next_index = index + 1
        return index, {str(choice): results[str(choice)] for choice in choices}

    def is_recorded(self, choices: Sequence[Choice]) -> bool:
        """Whether an earlier search has timed the next round of these choices."""
        return self._recorded(choices) is not None

    def has_rounds_of(self, choices: Sequence[Choice]) -> bool:
        """Whether an earlier search has timed more than one of the rounds to come, without cut."""
        names = {str(choice) for choice in choices}
        later = (self._earlier[index] for index in self._earlier if index >= self.next_index)
        return sum(names <= results.keys() for results in later) > 1

    def skip(self) -> None:
        """Leave out a round; the gap in the record says so when the search is repeated."""
        self.next_index += 1

    @property
    def was_skipped(self) -> bool:
        """Whether an earlier search has left out the next round."""
        return self.next_index < self._first_new and self.next_index not in self._earlier

    def _recorded(self, choices: Sequence[Choice]) -> int | None:
        """Return the index of the next recorded round that has all of the choices."""
        names = {str(choice) for choice in choices}
        later = (index for index in sorted(self._earlier) if index >= self.next_index)
        return next((index for index in later if names <= self._earlier[index].keys()), None)

    def _timed(self, choices: Sequence[Choice], index: int) -> Results:
        """Time one block of each; blocks of one round share the drift of the machine."""
        order = balanced_order(len(choices), index, self._seed)
        ordered = [choices[number] for number in order]
        self._prepare(ordered)
        return {str(choice): self._time_block(choice, index) for choice in ordered}
