"""The time that the next rounds of a search take, foreseen from the blocks before them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import mean

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
        self._warm_ups_s: dict[str, float] = {}  # the longest of each loader
        self._start_s = 0.0  # the longest of a process
        for trial in earlier:
            for block in trial.blocks:
                self._add_block(choice_of(trial), block.seconds + _BETWEEN_S)
            for warm_up in trial.warm_ups:
                self.started(1, warm_up.start_s + warm_up.first_batch_s)
                self._add_warm_up(trial.loader, warm_up.seconds)

    def started(self, processes: int, seconds: float) -> None:
        """Note what so many processes took that started side by side."""
        self._start_s = max(self._start_s, seconds / max(1, processes))

    def timed(self, choice: Choice, block_s: float, seconds: float, *, is_first: bool) -> None:
        """Note a block and all that passed with it: with the first of a process, its warm-up."""
        if is_first:
            self._add_warm_up(choice.loader, max(0.0, seconds - block_s - _BETWEEN_S))
        self._add_block(choice, block_s + _BETWEEN_S if is_first else seconds)

    def foreseen_s(self, choices: Sequence[Choice], rounds: int, new: Sequence[Choice]) -> float:
        """Return the seconds of rounds of some configurations, `new` of which have no process."""
        blocks_s = rounds * sum(map(self._block_s, choices))
        warm_ups_s = sum(self._warm_ups_s.get(choice.loader, 0.0) for choice in new)
        return _MARGIN * (blocks_s + warm_ups_s + len(new) * self._start_s)

    def _block_s(self, choice: Choice) -> float:
        known = {name: mean(seconds) for (_, name), seconds in self._blocks_s.items()}
        of_loader = [known[name] for (loader, name) in self._blocks_s if loader == choice.loader]
        return known.get(str(choice), max(of_loader or known.values(), default=0.0))

    def _add_block(self, choice: Choice, seconds: float) -> None:
        self._blocks_s.setdefault((choice.loader, str(choice)), []).append(seconds)

    def _add_warm_up(self, loader: str, seconds: float) -> None:
        self._warm_ups_s[loader] = max(seconds, self._warm_ups_s.get(loader, 0.0))
