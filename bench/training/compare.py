"""Two trainings side by side, on the same test images."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel

from feedbench.bench.analysis.estimate import Proportion
from feedbench.bench.analysis.stats import CONFIDENCE
from feedbench.bench.errors import RecordError
from feedbench.bench.training.folder import TRAINING, read_training
from feedbench.bench.training.predictions import Said, read_predictions
from feedbench.bench.training.rate_check import RateCheck

MARGIN = 0.01  # "within 1 % absolute"


class Side(BaseModel):
    """One of the two runs."""

    folder: str
    accuracy: Proportion
    recall: dict[str, Proportion]
    train_s: float
    images_per_second: float
    epochs: int
    description: str


class Comparison(BaseModel):
    """What `compare-training` tells.

    Attributes:
        difference: accuracy of the first less that of the second, paired by image.
        only_first, only_second: images that one of them alone has right.
        p_value: McNemar's exact test: how likely so uneven a split is, were both as good.
        within: whether the difference lies within 0.01; None: cannot tell.
    """

    images: int
    first: Side
    second: Side
    difference: Proportion
    only_first: int
    only_second: int
    p_value: float
    within: bool | None
    text: str


def compare_training(first: Path, second: Path) -> Comparison:
    """Compare two runs by what they said of each test image.

    Raises:
        RecordError: a folder is not a finished training's, or the test images differ.
    """
    one, other = read_predictions(first), read_predictions(second)
    _check_same_images(first, second, one, other)
    only_first = sum(said.right and not other[path].right for path, said in one.items())
    only_second = sum(said.right and not one[path].right for path, said in other.items())
    difference = paired_difference(only_first, only_second, len(one))
    p_value = mcnemar(only_first, only_second)
    within = is_within(difference, p_value)
    answer = {True: "yes", False: "no", None: "cannot tell"}[within]
    return Comparison(
        images=len(one),
        first=_side(first, one),
        second=_side(second, other),
        difference=difference,
        only_first=only_first,
        only_second=only_second,
        p_value=p_value,
        within=within,
        text=f"within 1 % absolute: {answer} (difference {difference:+.1%} on {len(one):,} images)",
    )


def _check_same_images(
    first: Path, second: Path, one: dict[str, Said], other: dict[str, Said]
) -> None:
    for path in one.keys() ^ other.keys():
        missing = second if path in one else first
        raise RecordError(
            f"{missing}: test images differ: it has no {path}; compare runs of the same data"
        )
    for path, said in one.items():
        if said.label != other[path].label:
            raise RecordError(
                f"{second}: test images differ: {path} is {other[path].label!r}, not "
                f"{said.label!r}; compare runs of the same data"
            )


def wilson(right: int, images: int) -> Proportion:
    """A proportion with its Wilson interval."""
    from scipy.stats import binomtest

    interval = binomtest(right, images).proportion_ci(CONFIDENCE, method="wilson")
    return Proportion(value=right / images, low=float(interval.low), high=float(interval.high))


def mcnemar(only_first: int, only_second: int) -> float:
    """The exact test's p: of images that one alone has right, is each as often the one?"""
    from scipy.stats import binomtest

    apart = only_first + only_second
    return float(binomtest(only_first, apart).pvalue) if apart else 1.0


def paired_difference(only_first: int, only_second: int, images: int) -> Proportion:
    """Difference of two shares of the same images.

    Source: Newcombe's simplest proposal after Agresti and Min, 2005: half an image is added to
    each of the four cells, without which runs that agree throughout would have no spread at all.
    """
    from scipy.stats import norm

    b, c, n = only_first + 0.5, only_second + 0.5, images + 2.0
    middle = (b - c) / n
    spread = math.sqrt(b + c - (b - c) ** 2 / n) / n
    reach = float(norm.ppf(0.5 + CONFIDENCE / 2)) * spread
    value = (only_first - only_second) / images
    return Proportion(value=value, low=max(-1.0, middle - reach), high=min(1.0, middle + reach))


def is_within(difference: Proportion, p_value: float) -> bool | None:
    """Yes where all of the interval is within the margin, no where none is; else None.

    No also asks for the exact test's word: on a few images the interval is too narrow.
    """
    if difference.low >= -MARGIN and difference.high <= MARGIN:
        return True
    apart = difference.high < -MARGIN or difference.low > MARGIN
    return False if apart and p_value < 1 - CONFIDENCE else None


def _side(folder: Path, said: dict[str, Said]) -> Side:
    result = read_training(folder / TRAINING)
    epochs, achieved = result["epochs"], RateCheck.model_validate(result["promise"]).achieved
    recipe, spec = result["recipe"], result["spec"]
    # The one epoch of a run that has no other must do, though it holds the tracing.
    rate = achieved.value if achieved else epochs[-1]["images"] / epochs[-1]["train_s"]
    return Side(
        folder=str(folder),
        accuracy=_right(said.values()),
        recall={
            name: _right(one for one in said.values() if one.label == name)
            for name in sorted({one.label for one in said.values()})
        },
        train_s=sum(epoch["train_s"] for epoch in epochs),
        images_per_second=rate,
        epochs=len(epochs),
        description=f"{recipe['network']} α {recipe['alpha']:g}, {spec['image_size']} px, "
        f"weights {recipe.get('weights', 'none')}, {recipe.get('optimizer', 'sgd')}",
    )


def _right(said: Iterable[Said]) -> Proportion:
    right = [one.right for one in said]
    return wilson(sum(right), len(right))
