"""The time that the next rounds of a search take, foreseen from the blocks before them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import mean

from feedbench.bench.plan.filling import fills_cache
from feedbench.bench.plan.plan import Choice
from feedbench.bench.record import Trial
from feedbench.bench.tune.record import choice_of

_MARGIN = 1.1  # rounds may take this much longer than foreseen
_BETWEEN_S = 0.25  # from one block to the next


class Costs:
    """Seconds of blocks and of starts; what was never timed costs as others of its loader do."""

    def __init__(self, earlier: Iterable[Trial] = ()) -> None:
        """Begin with the blocks and warm-ups of an earlier search."""
        self._blocks_s: dict[tuple[str, str], list[float]] = {}  # by loader and text of a choice
        self._warm_ups_s: dict[tuple[str, bool], list[float]] = {}  # by loader, and if it caches
        self._starts_s: dict[str, list[float]] = {}  # by loader
        for trial in earlier:
            choice = choice_of(trial)
            for block in trial.blocks:
                self._add_block(choice, block.seconds + _BETWEEN_S)
            for warm_up in trial.warm_ups:
                self.started([choice], warm_up.start_s + warm_up.first_batch_s)
                self._add_warm_up(choice, warm_up.seconds)

    def started(self, choices: Sequence[Choice], seconds: float) -> None:
        """Note what these took that started side by side."""
        for choice in choices:
            self._starts_s.setdefault(choice.loader, []).append(seconds / len(choices))

    def timed(self, choice: Choice, block_s: float, seconds: float, *, is_first: bool) -> None:
        """Note a block and all that passed with it: with the first of a process, its warm-up."""
        if is_first:
            self._add_warm_up(choice, max(0.0, seconds - block_s - _BETWEEN_S))
        self._add_block(choice, block_s + _BETWEEN_S if is_first else seconds)

    def foreseen_s(self, choices: Sequence[Choice], rounds: int, new: Sequence[Choice]) -> float:
        """Return the seconds of rounds of some configurations, `new` of which have no process."""
        blocks_s = rounds * sum(map(self._block_s, choices))
        return _MARGIN * (blocks_s + sum(map(self._until_warm_s, new)))

    def _until_warm_s(self, choice: Choice) -> float:
        """Return the seconds of a start and a warm-up; one that fills a cache may take long."""
        starts_s = self._starts_s.get(choice.loader) or [0.0]
        same, other = fills_cache(choice), not fills_cache(choice)
        known = (self._warm_ups_s.get((choice.loader, fills)) for fills in (same, other))
        warm_ups_s = next((seconds for seconds in known if seconds), [0.0])
        return mean(starts_s) + mean(warm_ups_s)

    def _block_s(self, choice: Choice) -> float:
        known = {name: mean(seconds) for (_, name), seconds in self._blocks_s.items()}
        of_loader = [known[name] for (loader, name) in self._blocks_s if loader == choice.loader]
        return known.get(str(choice), max(of_loader or known.values(), default=0.0))

    def _add_block(self, choice: Choice, seconds: float) -> None:
        self._blocks_s.setdefault((choice.loader, str(choice)), []).append(seconds)

    def _add_warm_up(self, choice: Choice, seconds: float) -> None:
        self._warm_ups_s.setdefault((choice.loader, fills_cache(choice)), []).append(seconds)
