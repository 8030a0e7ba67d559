"""What fits into a budget, by assumed times: said before anything is timed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil

from feedbench.bench.errors import PlanError
from feedbench.bench.plan.filling import MOST_OF_OWN_S, caches_own, fills_cache
from feedbench.bench.plan.plan import Choice, Plan
from feedbench.bench.tune.race import JUDGED_AFTER
from feedbench.bench.tune.search import FIRST_ROUNDS, MEASURED_ROUNDS
from feedbench.loaders import usable_cores

# Seconds on two cores of a server.
_START_S = 5.0  # a process imports its libraries, TensorFlow among them, and opens its loader
_TRAINER_S = 10.0  # and does the first training step of MobileNetV2
_PIXELS_S = 1.0  # one loader gives the images that are compared
_BETWEEN_S = 0.25  # from one block to the next
_FILLED_PER_CORE = 500.0  # images that one core reads and decodes per second into a cache
_RIVALS = 3  # values of a setting that race against the present one
_RACE_ROUNDS = JUDGED_AFTER[1]  # of a race that is neither clear at once nor a tie to the end


@dataclass(frozen=True)
class Forecast:
    """What fits into a budget.

    Attributes:
        choices: the configurations to start from that fit.
        left_out: those that do not.
        all_s: seconds that it would take to compare all of them.
        races: number of settings that can be tried after that.
        filling: by loader, the seconds that each of its processes takes to fill its cache.
    """

    choices: tuple[Choice, ...]
    left_out: tuple[Choice, ...]
    all_s: float
    races: int
    filling: Mapping[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        return " ".join([self._what_fits(), *self._filling_texts()])

    def _what_fits(self) -> str:
        count = len(self.choices)
        loaders = f"{count} loader{'s' if count > 1 else ''}"
        if self.left_out:
            return (
                f"The budget is enough for {loaders}: {_names(self.choices)}. Not tried: "
                f"{_names(self.left_out)}; that takes about {self.all_s:.0f} s."
            )
        plural = "" if self.races == 1 else "s"
        races = f"and for about {self.races} comparison{plural} of settings"
        return (
            f"The budget is enough to compare {loaders}, "
            f"{races if self.races else 'but hardly any of their settings'}."
        )

    def _filling_texts(self) -> list[str]:
        return [
            f"Each process of {name} fills its cache first, which may take about {seconds:.0f} s."
            for name, seconds in self.filling.items()
        ]


def forecast(plan: Plan, seconds: float, images: int) -> Forecast:
    """Return what fits into a budget.

    Args:
        plan: its choices are the configurations to start from.
        seconds: the budget.
        images: that an epoch has, which fill a cache.

    Raises:
        PlanError: not a single configuration does.
    """
    choices = plan.choices
    needed_s = [_loaders_s(plan, choices[:count], images) for count in range(1, len(choices) + 1)]
    fitting = sum(needed <= seconds for needed in needed_s)
    if not fitting:
        least = ceil(needed_s[0])
        raise PlanError(
            f"--budget {seconds:g}s: too short to start and time a single loader, which takes "
            f"about {least} s; give at least --budget {least}s"
        )
    left_s = max(0.0, seconds - needed_s[-1])
    races = int(left_s / _race_s(plan, choices[:1] * (_RIVALS + 1), images))
    filling = {str(one): _filling_s(one, images) for one in choices if fills_cache(one)}
    return Forecast(choices[:fitting], choices[fitting:], needed_s[-1], races, filling)


def _loaders_s(plan: Plan, choices: Sequence[Choice], images: int) -> float:
    """Return the seconds to compare configurations, and to time the best; one is only timed."""
    count = len(choices)
    rounds_s = FIRST_ROUNDS * count * _block_s(plan)
    if count == 1:
        return _starts_s(plan, choices, images) + rounds_s
    pixels_s = _START_S + count * _PIXELS_S if plan.pixels.images else 0.0
    rounds_s += (JUDGED_AFTER[0] * count + MEASURED_ROUNDS) * _block_s(plan)
    return pixels_s + _starts_s(plan, choices, images) + rounds_s


def _race_s(plan: Plan, choices: Sequence[Choice], images: int) -> float:
    return _starts_s(plan, choices, images) + _RACE_ROUNDS * len(choices) * _block_s(plan)


def _starts_s(plan: Plan, choices: Sequence[Choice], images: int) -> float:
    """Return the seconds until processes have warmed up, which only start side by side."""
    start_s = _START_S + (_TRAINER_S if plan.consumer == "train" else 0.0)
    warm_ups_s = [
        max(plan.timing.warm_up_seconds, _filling_s(choice, images)) for choice in choices
    ]
    return ceil(len(choices) / usable_cores()) * start_s + sum(warm_ups_s)


def _filling_s(choice: Choice, images: int) -> float:
    """Return the seconds until the cache of a loader is full, if it has one."""
    if not fills_cache(choice):
        return 0.0
    filling_s = images / (_FILLED_PER_CORE * usable_cores())
    return min(filling_s, MOST_OF_OWN_S) if caches_own(choice.loader) else filling_s


def _block_s(plan: Plan) -> float:
    return plan.timing.block_seconds + _BETWEEN_S


def _names(choices: Sequence[Choice]) -> str:
    return ", ".join(map(str, choices))
