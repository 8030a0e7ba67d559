"""What a loader reaches on more cores than it was measured on: the bounds, and how they follow.

Of each image's CPU time, some is spent under a lock or in a thread that exists once. It happens one
image after the other, however many cores there are. So the rate is at most one image per such time
of the lock or thread that is used most, and at most what the cores can compute. At least it is
what Amdahl's law gives if all of these times follow one another, and as many cores are idle, in
proportion, as were measured.

Both are the asymptotic bounds of a closed network of queues, in which images are the customers,
locks the stations, and cores the number of customers. Source: Lazowska, Zahorjan, Graham and
Sevcik, Quantitative System Performance (1984), chapter 5.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import median

from pydantic import BaseModel, ConfigDict

from feedbench.bench.analysis.estimate import Positive, Proportion
from feedbench.bench.analysis.stats import median_interval, wilson
from feedbench.bench.limits.scaling_record import CONSUMER, OnCores, ThreadSamples

PYTHON = "Python's lock"
_TARGETS = (4, 8, 16, 32, 64)  # cores for which rates are extrapolated
Term = tuple[float, Proportion]  # a proportion, and the factor with which it counts


class RateOnCores(BaseModel):
    """The rate of a loader on some cores, in images per second.

    Attributes:
        cores: how many.
        low: lower end of what is extrapolated from two cores.
        high: upper end.
        measured: None if there are not that many.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cores: int
    low: float
    high: float
    measured: Positive | None = None


class LoaderScaling(BaseModel):
    """How a loader uses more cores.

    Attributes:
        loader: name and settings.
        serial: share of each image's CPU time under any lock or in a thread that exists once.
        python: share under Python's lock, the GIL.
        locks: share under locks that Python code made, and not under Python's.
        threads: share in threads that exist once, and under no lock.
        limited_by: the lock or thread that is used most.
        most_used: share of the time that is spent under it, or in it.
        stops_at: cores from which on more of them give nothing; None if too many to tell.
        stops_at_least: lower end of the interval of that.
        samples: number of samples of which these are shares.
        rates: on some numbers of cores.
        error: why it could not be measured.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    loader: str
    serial: Proportion | None = None
    python: Proportion | None = None
    locks: Proportion | None = None
    threads: Proportion | None = None
    limited_by: str = ""
    most_used: Proportion | None = None
    stops_at: float | None = None
    stops_at_least: float | None = None
    samples: int = 0
    rates: list[RateOnCores] = []
    error: str | None = None


def scaling_of(loader: str, runs: Sequence[OnCores]) -> LoaderScaling:
    """Return how a loader uses more cores, derived from its raw record.

    Args:
        loader: name and settings.
        runs: on one core, on two, and on more where there are more.
    """
    error = next((run.error for run in runs if run.error), None) or _unknown(runs)
    if error is not None:
        return LoaderScaling(loader=loader, error=error)
    shares = _Shares(*runs[:2])
    used, most_used = max(shares.resources().items(), key=lambda one: one[1].value)
    return LoaderScaling(
        loader=loader,
        serial=shares.serial(),
        python=shares.python(),
        locks=shares.locks(),
        threads=shares.threads(),
        limited_by=used,
        most_used=most_used,
        stops_at=1 / most_used.value if most_used.value else None,
        stops_at_least=1 / most_used.high if most_used.high else None,
        samples=shares.samples,
        rates=_rates(runs, shares.serial(), most_used),
    )


def _unknown(runs: Sequence[OnCores]) -> str | None:
    """Return why the samples do not tell how a loader uses more cores; None if they do."""
    if len(runs) < 2:
        return "interrupted before it was measured"
    for run in runs[:2]:
        if not run.threads:
            cpu_s = sum(block.cpu_s for block in run.blocks)
            cores = "one core" if run.cores == 1 else f"{run.cores} cores"
            return (
                f"no sample on {cores}: its own process used {cpu_s:.2g} s of CPU time in "
                f"{sum(block.seconds for block in run.blocks):.2g} s; give longer blocks with "
                "--block-seconds"
            )
    return None


class _Shares:
    """Shares of a loader's CPU time, its processes included, from its samples on 1 and on n cores.

    A thread that does all of some work, whatever the cores, has the same share s on n cores as on
    one. One that does the n-th part of other work p as well has s + p / n, and s + p on one core.
    So s is (n · share on n − share on one) / (n − 1).
    """

    def __init__(self, one: OnCores, several: OnCores) -> None:
        self._several = several
        self._own = [one.own_share, several.own_share]
        self._before = {threads.kind: threads for threads in one.threads}
        self.samples = sum(threads.samples for threads in several.threads)
        self._samples_on_one = sum(threads.samples for threads in one.threads)

    def python(self) -> Proportion:
        """Under Python's lock."""
        return _sum([self._held(sum(one.python + one.both for one in self._several.threads))])

    def locks(self) -> Proportion:
        """Under other locks alone."""
        return _sum([self._held(sum(one.locked for one in self._several.threads))])

    def threads(self) -> Proportion:
        """Under no lock, in threads that exist once."""
        terms = [self._alone(one, free=True) for one in self._existing_once()]
        return _sum_of_parts(terms)

    def serial(self) -> Proportion:
        """All three."""
        held = sum(one.python + one.locked + one.both for one in self._several.threads)
        terms = [self._alone(one, free=True) for one in self._existing_once()]
        return _sum_of_parts([[self._held(held)], *terms])

    def resources(self) -> Mapping[str, Proportion]:
        """The share of each lock, and of each thread that exists once, by what it is called."""
        shares = {PYTHON: self.python()}
        for name, count in self._several.locks.items():
            shares[f"a lock of {name}"] = _sum([self._held(count)])
        for one in self._existing_once():
            name = "the thread that takes the batches" if one.kind == CONSUMER else one.kind
            shares[name if one.kind == CONSUMER else f"the thread {name}"] = _sum(self._alone(one))
        return shares

    def _held(self, count: int) -> Term:
        return self._own[1], wilson(count, self.samples)

    def _existing_once(self) -> list[ThreadSamples]:
        """The kinds of threads of which there are no more on more cores."""
        return [
            one
            for one in self._several.threads
            if one.kind in self._before and one.at_once <= self._before[one.kind].at_once
        ]

    def _alone(self, threads: ThreadSamples, *, free: bool = False) -> list[Term]:
        """The terms of the share that one of such threads has on any number of cores.

        As many as there are work side by side, such as those of a pool of four.

        Args:
            free: only where they hold no lock.
        """
        before, n = self._before[threads.kind], self._several.cores
        divisor = (n - 1) * threads.at_once
        counts = [one.free if free else one.samples for one in (before, threads)]
        return [
            (-self._own[0] / divisor, wilson(counts[0], self._samples_on_one)),
            (self._own[1] * n / divisor, wilson(counts[1], self.samples)),
        ]


def _sum_of_parts(parts: Iterable[list[Term]]) -> Proportion:
    """Return the sum of several sums, of which none is negative."""
    made = [(_value(terms), terms) for terms in parts]
    total = sum(max(0.0, value) for value, _ in made)
    return _around(total, [term for _, terms in made for term in terms])


def _sum(terms: Sequence[Term]) -> Proportion:
    return _around(_value(terms), terms)


def _value(terms: Sequence[Term]) -> float:
    return sum(factor * share.value for factor, share in terms)


def _around(value: float, terms: Iterable[Term]) -> Proportion:
    """Return a sum with the interval that follows from those of its terms.

    Source: Zou and Donner, Construction of confidence limits about effect measures, Statistics in
    Medicine 27 (2008).
    """
    below = above = 0.0
    for factor, share in terms:
        down, up = factor * (share.value - share.low), factor * (share.high - share.value)
        below += (down if factor > 0 else up) ** 2
        above += (up if factor > 0 else down) ** 2
    ends = (value, value - math.sqrt(below), value + math.sqrt(above))
    value, low, high = (min(1.0, max(0.0, end)) for end in ends)
    return Proportion(value=value, low=low, high=high)


def _rates(runs: Sequence[OnCores], serial: Proportion, most: Proportion) -> list[RateOnCores]:
    measured = {
        run.cores: median_interval([block.images_per_second for block in run.blocks])
        for run in runs
        if run.blocks
    }
    return [
        _extrapolated(runs[1], cores, serial, most).model_copy(
            update={"measured": measured.get(cores)}
        )
        for cores in sorted({*_TARGETS, *measured} - {1, runs[1].cores})
    ]


def _extrapolated(basis: OnCores, cores: int, serial: Proportion, most: Proportion) -> RateOnCores:
    image_s = median_interval(basis.cpu_s_per_image)
    rate = median([block.images_per_second for block in basis.blocks])
    least_s = image_s.low or image_s.value
    most_cores = min(cores, 1 / most.low) if most.low else cores
    high = max(rate, most_cores / least_s)
    busy = min(1.0, rate * image_s.value / basis.cores)
    low = busy * cores / (image_s.value * (1 + (cores - 1) * serial.high))
    return RateOnCores(cores=cores, low=min(max(low, rate), high), high=high)
