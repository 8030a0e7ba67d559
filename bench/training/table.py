"""What is printed of a finished training: its classes, its test result, and the rate check."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from feedbench.bench.report.document import (
    Column,
    Line,
    Part,
    TableData,
    Value,
    only_csv,
    words,
)
from feedbench.bench.training.delivery import delivery_sentences
from feedbench.bench.training.folder import TRAINING
from feedbench.bench.training.outcome import guess_sentence, test_sentence, together_sentence
from feedbench.bench.training.workers_table import workers_table
from feedbench.loaders import printable

_PRINTED_CLASSES = 40
_RESUME = " To resume:"  # then a command that is copied, of a training that is not finished


def parts(result: dict[str, Any]) -> Iterator[Part]:
    """Yield what is printed.

    Args:
        result: the contents of training.json.
    """
    if result["per_class"]:
        yield class_table(result["per_class"])
    yield epochs_table(result["epochs"])
    if workers := result.get("workers"):
        yield workers_table(workers)
    yield from outcome(result)


def class_table(classes: list[dict[str, Any]]) -> TableData[dict[str, Any]]:
    """Return one row per class; of many, those with the worst recall are printed."""
    if len(classes) > _PRINTED_CLASSES:
        classes = sorted(classes, key=lambda row: (row["recall"] is None, row["recall"]))
    return TableData(
        name="classes",
        columns=[
            words("class", "class", lambda row: printable(row["name"])),
            Column("test images", "test_images", lambda row: row["images"], "{:,}"),
            Column("recall", "recall", lambda row: row["recall"], "{:.1%}"),
            Column("precision", "precision", lambda row: row["precision"], "{:.1%}"),
        ],
        rows=classes,
        printed_rows=_PRINTED_CLASSES,
    )


def epochs_table(epochs: list[dict[str, Any]]) -> TableData[dict[str, Any]]:
    """Return one row per epoch, for the CSV alone: the terminal has shown them one by one."""
    rows = [_flat(epoch) for epoch in epochs]
    names = dict.fromkeys(name for row in rows for name in row)
    return TableData(
        name="epochs",
        columns=[only_csv(name, partial(_value, name)) for name in names],
        rows=rows,
    )


def _flat(epoch: dict[str, Any]) -> dict[str, Any]:
    """Return an epoch with the metrics of a user's own model beside the other figures."""
    figures = {name: value for name, value in epoch.items() if not isinstance(value, dict)}
    return {**epoch.get("metrics", {}), **figures}


def _value(name: str, epoch: dict[str, Any]) -> Value:
    value: Value = epoch.get(name)
    return value


def outcome(result: dict[str, Any]) -> Iterator[Line]:
    """Yield what trained together, the accuracy, what was skipped or repeated, the rate check."""
    if text := together_sentence(result):
        yield Line(f"{text}.")
    if score := test_sentence(result):
        yield Line(score)
    if guess := guess_sentence(result):
        yield Line(f"{guess}.")
    if dropped := result["dropped"]:
        yield Line(
            f"Unreadable files skipped: {len(dropped)}, listed in {TRAINING}; the first is "
            f"{dropped[0]['path']}",
            form="whole",
        )
    yield from map(Line, delivery_sentences(result))
    sentences, command, resume = result["promise"]["text"].partition(_RESUME)
    yield Line(sentences, "bold")
    if command:
        yield Line(f"{command.strip()}{resume}", "bold", "whole")
