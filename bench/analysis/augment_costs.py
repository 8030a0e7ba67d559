"""The cost of each augmentation: trials with it alone are compared with trials without any."""

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
    """The cost of one augmentation in one loader.

    Attributes:
        ratio: rate with the augmentation ÷ rate without any, over paired blocks.
        ms_per_image: milliseconds that it adds per image; may be negative because of noise.
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
    """Yield each choice, then the same without augmentation and with each augmentation alone."""
    for choice in choices:
        yield choice
        if choice.augment is None and find_loader(choice.loader).is_choice:
            for fields in ({}, *single_augmentations(augment)):
                yield choice.model_copy(update={"augment": fields})


def single_augmentations(augment: Augment) -> Iterator[dict[str, object]]:
    """Yield the fields of each augmentation that is on, where it runs (host, device) included."""
    fields = augment.model_dump(mode="json", exclude_defaults=True)
    on_device = fields.pop("on_device", [])
    ratio = {name: fields.pop(name) for name in ("aspect_ratio",) if name in fields}
    for name, value in fields.items():
        more = ratio if name == "random_resized_crop" else {}
        yield {name: value, **more, **({"on_device": [name]} if name in on_device else {})}


def augment_costs(trials: Iterable[Trial]) -> list[AugmentCost]:
    """Return the cost of every trial that has one augmentation, compared with none."""
    trials = list(trials)
    plain_rates = {_key(trial): trial.rates for trial in trials if trial.augment == {}}
    costs = [_cost(trial, plain_rates.get(_key(trial), {})) for trial in trials if trial.augment]
    return [cost for cost in costs if cost is not None]


def _cost(trial: Trial, plain_rates: dict[int, float]) -> AugmentCost | None:
    """Return None if no round has a block with and a block without the augmentation."""
    rates = trial.rates
    ratio = paired_ratio(rates, plain_rates)
    if ratio is None:
        return None
    rounds = rates.keys() & plain_rates.keys()
    added_ms = [1e3 / rates[index] - 1e3 / plain_rates[index] for index in rounds]
    fields = Augment.model_validate(trial.augment).model_dump(mode="json", exclude_defaults=True)
    return AugmentCost(
        loader=trial.loader,
        settings=trial.settings,
        augment=" ".join(f"{name}={json.dumps(value)}" for name, value in fields.items()),
        ratio=ratio,
        ms_per_image=median_interval(added_ms, positive=False),
    )


def _key(trial: Trial) -> str:
    return f"{trial.loader} {json.dumps(trial.settings, sort_keys=True)}"
