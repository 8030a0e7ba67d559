"""Compares two trainings on the same test images."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from feedbench.bench.analysis.estimate import Proportion
from feedbench.bench.analysis.stats import CONFIDENCE, wilson
from feedbench.bench.errors import RecordError
from feedbench.bench.training.folder import TRAINING, read_training
from feedbench.bench.training.predictions import LabelledPrediction, read_predictions
from feedbench.bench.training.rate_check import RATE_CHECK_KEY, RateCheck
from feedbench.trainer import is_own_model

MARGIN = 0.01  # "within 1 % absolute"
Predictions = dict[str, LabelledPrediction]


class TrainingSummary(BaseModel):
    """One of the two trainings.

    Attributes:
        folder: of the training.
        accuracy: on the test images, with its Wilson interval.
        recall: of each class, with its Wilson interval.
        train_s: seconds of all epochs, validation not counted.
        images_per_second: while training.
        epochs: number of epochs.
        description: network, image size, weights and optimizer.
    """

    folder: str
    accuracy: Proportion
    recall: dict[str, Proportion]
    train_s: float
    images_per_second: float
    epochs: int
    description: str


class TrainingComparison(BaseModel):
    """Two trainings, and the difference between their accuracies.

    Attributes:
        images: test images.
        first: the first of the two.
        second: the second.
        difference: accuracy of the second minus that of the first, paired by image.
        only_first: images that only the first classifies correctly.
        only_second: images that only the second classifies correctly.
        p_value: p-value of McNemar's exact test.
        within: whether the difference lies within ±0.01; None if the images cannot tell.
        text: the answer as a sentence.
    """

    images: int
    first: TrainingSummary
    second: TrainingSummary
    difference: Proportion
    only_first: int
    only_second: int
    p_value: float
    within: bool | None
    text: str


def compare_training(first: Path, second: Path) -> TrainingComparison:
    """Compare two trainings by their predictions for each test image.

    Args:
        first: folder of a training.
        second: folder of the other one.

    Raises:
        RecordError: a folder does not hold a finished training, or the test images differ.
    """
    predictions, others = read_predictions(first), read_predictions(second)
    _check_same_images(first, second, predictions, others)
    correct = {path for path, prediction in predictions.items() if prediction.correct}
    others_correct = {path for path, prediction in others.items() if prediction.correct}
    only_first, only_second = len(correct - others_correct), len(others_correct - correct)
    images = len(predictions)
    difference = paired_difference(only_second, only_first, images)
    p_value = mcnemar(only_first, only_second)
    within = is_within(difference, p_value)
    answer = {True: "yes", False: "no", None: "cannot tell"}[within]
    return TrainingComparison(
        images=images,
        first=_summary(first, predictions),
        second=_summary(second, others),
        difference=difference,
        only_first=only_first,
        only_second=only_second,
        p_value=p_value,
        within=within,
        text=f"accuracy within 1 % absolute: {answer} (difference {difference:+.1%} on {images:,} "
        "images)",
    )


def _check_same_images(
    first: Path, second: Path, predictions: Predictions, others: Predictions
) -> None:
    for path in predictions.keys() ^ others.keys():
        folder = second if path in predictions else first
        raise RecordError(
            f"{folder}: the test images differ: {path} is missing; compare trainings with the "
            "same data"
        )
    for path, prediction in predictions.items():
        if prediction.label != others[path].label:
            raise RecordError(
                f"{second}: the test images differ: {path} is labelled {others[path].label!r} "
                f"instead of {prediction.label!r}; compare trainings with the same data"
            )


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the p-value of McNemar's exact test.

    It is the probability of a split at least as uneven as this if both were equally good.
    """
    from scipy.stats import binomtest

    discordant = only_first + only_second
    return float(binomtest(only_first, discordant).pvalue) if discordant else 1.0


def paired_difference(only_one: int, only_other: int, images: int) -> Proportion:
    """Return the first of two proportions of the same images minus the other, with its interval.

    Args:
        only_one: images that count for the first proportion alone.
        only_other: images that count for the other alone.
        images: all of them.

    Source: Newcombe's simplest proposal after Agresti and Min, 2005: half an image is added to
    each of the four cells. Without it, two trainings that agree on every image would have an
    interval of width zero.
    """
    from scipy.stats import norm

    b, c, n = only_one + 0.5, only_other + 0.5, images + 2.0
    middle = (b - c) / n
    standard_error = math.sqrt(b + c - (b - c) ** 2 / n) / n
    half_width = float(norm.ppf(0.5 + CONFIDENCE / 2)) * standard_error
    return Proportion(
        value=(only_one - only_other) / images,
        low=max(-1.0, middle - half_width),
        high=min(1.0, middle + half_width),
    )


def is_within(difference: Proportion, p_value: float) -> bool | None:
    """Return True if the whole interval is within the margin, False if none of it, else None.

    False also requires a significant exact test: on a few images the interval is too narrow.
    """
    if difference.low >= -MARGIN and difference.high <= MARGIN:
        return True
    outside = difference.high < -MARGIN or difference.low > MARGIN
    return False if outside and p_value < 1 - CONFIDENCE else None


def _summary(folder: Path, predictions: Predictions) -> TrainingSummary:
    result = read_training(folder / TRAINING)
    epochs = result["epochs"]
    achieved = RateCheck.model_validate(result[RATE_CHECK_KEY]).achieved
    recipe, spec = result["recipe"], result["spec"]
    # After a single epoch there is no other rate than this one, although it includes the tracing.
    rate = achieved.value if achieved else epochs[-1]["images"] / epochs[-1]["train_s"]
    return TrainingSummary(
        folder=str(folder),
        accuracy=_accuracy(predictions.values()),
        recall=_recall(predictions.values()),
        train_s=sum(epoch["train_s"] for epoch in epochs),
        images_per_second=rate,
        epochs=len(epochs),
        description=describe(recipe, spec["image_size"]),
    )


def describe(recipe: dict[str, Any], side: int) -> str:
    """Return network, image size, weights and optimizer of a training."""
    network, size = recipe.get("network", "MobileNetV2"), f"{side} px"
    if is_own_model(network):
        return f"{network}, {size}"
    weights, optimizer = recipe.get("weights", "none"), recipe.get("optimizer", "sgd")
    return f"{network} α {recipe.get('alpha', 1.0):g}, {size}, weights {weights}, {optimizer}"


def _accuracy(predictions: Collection[LabelledPrediction]) -> Proportion:
    return wilson(sum(prediction.correct for prediction in predictions), len(predictions))


def _recall(predictions: Collection[LabelledPrediction]) -> dict[str, Proportion]:
    images = Counter(prediction.label for prediction in predictions)
    recognized = Counter(prediction.label for prediction in predictions if prediction.correct)
    return {label: wilson(recognized[label], images[label]) for label in sorted(images)}
