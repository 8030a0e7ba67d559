"""What each augmentation costs a loader: the same blocks with it alone and without any."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from pydantic import BaseModel

from feedbench.bench.analysis.stats import Interval, median_interval, paired_ratio
from feedbench.bench.plan.plan import Choice
from feedbench.bench.record import Trial
from feedbench.loaders import Augment, find_loader


class Cost(BaseModel):
    """One augmentation of one loader.

    Attributes:
        ratio: rate with it over the rate with none, with its 95 % interval, of paired blocks.
        ms_per_image: what it adds to an image, with its interval; below 0 where noise outweighs it.
    """

    loader: str
    settings: dict[str, object]
    augment: str
    ratio: tuple[float, float, float]
    ms_per_image: tuple[float, float, float]

    def __str__(self) -> str:
        name = Choice(loader=self.loader, settings=dict(self.settings))
        ratio, low, high = self.ratio
        cost, least, most = self.ms_per_image
        return (
            f"{name}: {self.augment} costs {cost:.3f} ms an image [{least:.3f}, {most:.3f}], "
            f"rate × {ratio:.2f} [{low:.2f}, {high:.2f}]"
        )


def with_costs(choices: Iterable[Choice], augment: Augment) -> Iterator[Choice]:
    """Each choice, and beside it the same with no augmentation, and with each of them alone."""
    for choice in choices:
        yield choice
        if choice.augment is None and find_loader(choice.loader).is_choice:
            for alone in ({}, *each_alone(augment)):
                yield choice.model_copy(update={"augment": alone})


def each_alone(augment: Augment) -> Iterator[dict[str, object]]:
    """The augmentations that are drawn, one by one, each where it is made."""
    drawn = augment.model_dump(mode="json", exclude_defaults=True)
    on_device = drawn.pop("on_device", [])
    for name, value in drawn.items():
        yield {name: value, **({"on_device": [name]} if name in on_device else {})}


def costs(trials: Iterable[Trial]) -> list[Cost]:
    """Of every trial with an augmentation of its own, against the one with none."""
    trials = list(trials)
    bare = {_key(trial): _rates(trial) for trial in trials if trial.augment == {}}
    found = []
    for trial in trials:
        without = bare.get(_key(trial))
        if not trial.augment or without is None:
            continue
        ratio = paired_ratio(_rates(trial), without)
        if ratio is not None:
            found.append(_cost(trial, ratio, without))
    return found


def _cost(trial: Trial, ratio: Interval, without: dict[int, float]) -> Cost:
    rates = _rates(trial)
    added = [1e3 / rates[turn] - 1e3 / without[turn] for turn in rates.keys() & without.keys()]
    augment = Augment.model_validate(trial.augment)
    shown = augment.model_dump(mode="json", exclude_defaults=True)
    return Cost(
        loader=trial.loader,
        settings=trial.settings,
        augment=" ".join(f"{name}={json.dumps(value)}" for name, value in shown.items()),
        ratio=(ratio.median, ratio.low, ratio.high),
        ms_per_image=tuple(median_interval(added)),
    )


def _key(trial: Trial) -> str:
    return f"{trial.loader} {json.dumps(trial.settings, sort_keys=True)}"


def _rates(trial: Trial) -> dict[int, float]:
    return {block.round: block.images_per_second for block in trial.blocks}
