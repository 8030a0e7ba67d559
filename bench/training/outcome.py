"""The outcome of a training in sentences: its test score and the files that were skipped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from feedbench.bench.consumers.device import names_of, several_text
from feedbench.bench.quantities import quantity
from feedbench.bench.training.folder import TRAINING
from feedbench.loaders import printable
from feedbench.trainer import ONE

_MOST_NAMED = 40  # classes in a sentence


def test_sentence(result: dict[str, Any]) -> str:
    """Return the score on the test images; empty without a test split.

    Args:
        result: the contents of training.json.
    """
    if result.get("test") is None:
        return ""
    images = sum(line["images"] for line in result["per_class"])
    of_images = f" of {quantity(images, 'image')}" if images else ""
    accuracy = result["test"].get("accuracy")  # a model of the user's own may have none
    score = "loss" if accuracy is None else "accuracy"
    value = f"{result['test']['loss']:.3f}" if accuracy is None else f"{accuracy:.1%}"
    return f"Test {score}: {value}{of_images}"


def guess_sentence(result: dict[str, Any]) -> str:
    """Return what always guessing the most frequent class would score; empty if unknown.

    The most frequent class of the test images, so that no constant guess scores more.
    """
    classes = result["per_class"]
    accuracy = (result.get("test") or {}).get("accuracy")
    if not classes or accuracy is None:
        return ""
    images = sum(line["images"] for line in classes)
    largest = max(classes, key=lambda line: line["images"])
    share = largest["images"] / images
    is_better = accuracy > share + 0.5 / images  # by an image or more: accuracies are rounded
    verdict = "" if is_better else ": this model is no better"
    is_alone = sum(line["images"] == largest["images"] for line in classes) == 1
    which = "the most frequent class" if is_alone else "one of the most frequent classes"
    return f"Always guessing {printable(largest['name'])}, {which}, scores {share:.1%}{verdict}"


def together(devices: str, workers: int, batch_size: int) -> str:
    """Return what trains together, and how many images each takes; empty for a single device.

    Args:
        devices: the value of --devices, of a training on one machine.
        workers: how many there are; 1 for one machine.
        batch_size: images of a step.
    """
    names = names_of(devices)
    who = f"{workers} workers" if workers > 1 else several_text(names)
    if not who:
        return ""
    each = batch_size // max(workers, len(names))
    return f"{who}, each with {each:,} of the {batch_size:,} images of a batch"


def together_sentence(result: dict[str, Any]) -> str:
    """Return what trained together; empty for a single device, and in older records."""
    workers, batch_size = len(result.get("workers") or ()) or 1, result["spec"].get("batch_size")
    if batch_size is None:
        return ""
    text = together(result.get("devices", ONE), workers, batch_size)
    return f"Trained on {text}" if text else ""


def dropped_sentence(result: dict[str, Any]) -> str:
    """Return how many files were skipped; empty if none were."""
    dropped = result["dropped"]
    if not dropped:
        return ""
    return (
        f"Unreadable files skipped: {len(dropped)}, listed in {TRAINING}; the first is "
        f"{dropped[0]['path']}"
    )


def counts_sentence(counts: Mapping[str, int]) -> str:
    """Return the number of images of each class; of very many classes, of the smallest."""
    listed = list(counts.items())
    if len(listed) <= _MOST_NAMED:
        return ", ".join(f"{count:,} {printable(name)}" for name, count in listed)
    listed.sort(key=lambda one: one[1])
    smallest = ", ".join(f"{count:,} {printable(name)}" for name, count in listed[:_MOST_NAMED])
    return f"{smallest} and more of {len(listed) - _MOST_NAMED:,} other classes"
