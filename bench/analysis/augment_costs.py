"""What each augmentation costs a loader: the same blocks with it alone and without any."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from pydantic import BaseModel

from feedbench.bench.analysis.estimate import Estimate
from feedbench.bench.analysis.stats import median_interval, paired_ratio
from feedbench.bench.plan.plan import Choice
from feedbench.bench.record import Trial
from feedbench.loaders import Augment, find_loader


class AugmentCost(BaseModel):
    """One augmentation of one loader.

    Attributes:
        ratio: rate with it over the rate with none, with its 95 % interval, of paired blocks.
        ms_per_image: what it adds to an image, with its interval; below 0 where noise outweighs it.
    """

    loader: str
    settings: dict[str, object]
    augment: str
    ratio: Estimate
    ms_per_image: Estimate

    def __str__(self) -> str:
        name = Choice(loader=self.loader, settings=dict(self.settings))
        return (
            f"{name}: {self.augment} costs {self.ms_per_image:.3f} ms per image, "
            f"rate × {self.ratio:.2f}"
        )


def with_augment_trials(choices: Iterable[Choice], augment: Augment) -> Iterator[Choice]:
    """Each choice, and beside it the same with no augmentation, and with each of them alone."""
    for choice in choices:
        yield choice
        if choice.augment is None and find_loader(choice.loader).is_choice:
            for alone in ({}, *single_augmentations(augment)):
                yield choice.model_copy(update={"augment": alone})


def single_augmentations(augment: Augment) -> Iterator[dict[str, object]]:
    """The augmentations that are drawn, one by one, each where it is made."""
    drawn = augment.model_dump(mode="json", exclude_defaults=True)
    on_device = drawn.pop("on_device", [])
    for name, value in drawn.items():
        yield {name: value, **({"on_device": [name]} if name in on_device else {})}


def augment_costs(trials: Iterable[Trial]) -> list[AugmentCost]:
    """Of every trial with an augmentation of its own, against the one with none."""
    trials = list(trials)
    bare = {_key(trial): trial.rates for trial in trials if trial.augment == {}}
    pairs = [(trial, bare.get(_key(trial), {})) for trial in trials if trial.augment]
    return [cost for trial, without in pairs if (cost := _cost(trial, without))]


def _cost(trial: Trial, without: dict[int, float]) -> AugmentCost | None:
    """None without a block of the same round."""
    rates = trial.rates
    ratio = paired_ratio(rates, without)
    if ratio is None:
        return None
    added = [1e3 / rates[turn] - 1e3 / without[turn] for turn in rates.keys() & without.keys()]
    augment = Augment.model_validate(trial.augment)
    shown = augment.model_dump(mode="json", exclude_defaults=True)
    return AugmentCost(
        loader=trial.loader,
        settings=trial.settings,
        augment=" ".join(f"{name}={json.dumps(value)}" for name, value in shown.items()),
        ratio=ratio,
        ms_per_image=median_interval(added),
    )


def _key(trial: Trial) -> str:
    return f"{trial.loader} {json.dumps(trial.settings, sort_keys=True)}"
