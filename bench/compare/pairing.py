"""The rates of two runs that are compared with each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from feedbench.bench.compare.outcome import Measured, Ratio, independent, outcomes
from feedbench.bench.compare.subject import NamedRate, Subject
from feedbench.bench.results.comparison import Outcome, RatePair, Unpaired


@dataclass(frozen=True)
class Candidate:
    """A pair of rates before its outcome is decided together with all others.

    Attributes:
        run: index of the other run.
        name: of the other's rate.
        base_name: of the base's rate.
        ratio: None if the other has no rate.
        blocks: of the base and of the other; of pairs, if they are paired.
    """

    run: int
    name: str
    base_name: str
    base: Measured
    other: Measured | None
    ratio: Ratio | None
    blocks: tuple[int, int]
    is_judged: bool = True
    reads_images: bool = True
    differs: tuple[str, ...] = ()
    error: str | None = None

    def decided(self, outcome: Outcome) -> RatePair:
        """Return the pair with its outcome."""
        return RatePair(
            run=self.run,
            name=self.name,
            base_name=self.base_name,
            base=self.base.estimate,
            other=None if self.other is None else self.other.estimate,
            blocks=self.blocks,
            ratio=None if self.ratio is None else self.ratio.estimate,
            outcome=outcome,
            is_judged=self.is_judged,
            reads_images=self.reads_images,
            differs=list(self.differs),
            error=self.error,
        )


def decided(pairs: Sequence[Candidate]) -> list[RatePair]:
    """Return all pairs of a comparison with their outcomes, which are decided together."""
    found = outcomes([pair.ratio for pair in pairs])
    return [pair.decided(outcome) for pair, outcome in zip(pairs, found, strict=True)]


def candidates(base: Subject, other: Subject, run: int, *, judged: bool) -> list[Candidate]:
    """Return the pairs of rates of one name, and of the winners if they differ.

    Args:
        run: index of the other run.
        judged: whether the rates of these runs count for `--fail-if-slower`.
    """
    found = [
        _candidate(run, name, rate, other.rates[name], judged=judged)
        for name, rate in base.rates.items()
        if rate.measured is not None and _is_tried(other, name)
    ]
    return [*found, *_winners(base, other, run, found, judged=judged)]


def _candidate(
    run: int, name: str, base: NamedRate, other: NamedRate, *, judged: bool, base_name: str = ""
) -> Candidate:
    assert base.measured is not None
    values, others = base.details, other.details
    differing = [key for key in values if values[key] != others.get(key, values[key])]
    first, second = base.compared or base.measured, other.compared or other.measured
    if base_name not in ("", name):
        first, second = base.as_other or first, other.as_other or second
    ratio = None if second is None else independent(second, first)
    return Candidate(
        run=run,
        name=name,
        base_name=base_name or name,
        base=base.measured,
        other=other.measured,
        ratio=ratio,
        blocks=(first.blocks, second.blocks if second else 0),
        is_judged=judged and base.is_judged and other.is_judged,
        reads_images=base.reads_images and other.reads_images,
        differs=tuple(f"{key} {values[key]} against {others[key]}" for key in differing),
        error=other.error,
    )


def _winners(
    base: Subject, other: Subject, run: int, found: list[Candidate], *, judged: bool
) -> Iterator[Candidate]:
    """Yield the pair of two different winners; it is judged if there is no other pair to judge."""
    if base.winner is None or other.winner is None or base.winner == other.winner:
        return
    first, second = base.rates.get(base.winner), other.rates.get(other.winner)
    if first is None or second is None or first.measured is None or second.measured is None:
        return
    alone = not any(one.reads_images for one in found)
    pair = _candidate(
        run, other.winner, first, second, judged=judged and alone, base_name=base.winner
    )
    yield Candidate(**{**vars(pair), "differs": ()})


def _is_tried(run: Subject, name: str) -> bool:
    """Whether a run has a rate of this name, or failed; one that was interrupted may have none."""
    rate = run.rates.get(name)
    return rate is not None and (rate.measured is not None or rate.error is not None)


def unpaired(base: Subject, other: Subject, run: int) -> list[Unpaired]:
    """Return the rates that only one of two runs has."""
    gone = [
        name for name, rate in base.rates.items() if rate.measured and not _is_tried(other, name)
    ]
    new = [
        name
        for name, rate in other.rates.items()
        if rate.measured and (name not in base.rates or base.rates[name].measured is None)
    ]
    return [
        *(_unpaired(run, name, base.rates[name], is_in_base=True) for name in gone),
        *(_unpaired(run, name, other.rates[name], is_in_base=False) for name in new),
    ]


def _unpaired(run: int, name: str, rate: NamedRate, *, is_in_base: bool) -> Unpaired:
    value = None if rate.measured is None else rate.measured.estimate
    return Unpaired(run=run, name=name, is_in_base=is_in_base, images_per_second=value)
