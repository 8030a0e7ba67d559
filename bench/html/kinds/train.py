"""The report of a training: its learning curves, its test score, and the rate check."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from feedbench.bench.consumers.device import devices_option, names_of
from feedbench.bench.errors import RecordError
from feedbench.bench.html.charts.curves import Line, curves
from feedbench.bench.html.charts.dots import Dot
from feedbench.bench.html.kinds.cells import (
    MOST_ROWS,
    Field,
    dots_chart,
    figure,
    first_rows,
    number,
    table_of,
)
from feedbench.bench.html.kinds.commands import choice_options, spec_options
from feedbench.bench.html.kinds.confusion import confusion_parts
from feedbench.bench.html.kinds.environment import facts_section
from feedbench.bench.html.kinds.workers import workers_section
from feedbench.bench.html.parts import (
    Cell,
    Chart,
    Code,
    Column,
    Details,
    Headline,
    Part,
    Report,
    Section,
    Table,
    Text,
)
from feedbench.bench.quantities import quantity
from feedbench.bench.results.kinds import TrainingResult
from feedbench.bench.training.delivery import delivery_sentences
from feedbench.bench.training.folder import LOADER, RECIPE, read_training
from feedbench.bench.training.outcome import (
    dropped_sentence,
    guess_sentence,
    test_sentence,
    together_sentence,
)
from feedbench.bench.training.rate_check import RATE_CHECK_KEY, RateCheck
from feedbench.trainer import ONE

_MODEL = "model.keras"
_HOSTS = "hosts.toml"  # stands for the file of workers, which the record does not name
_MOST_DOTS = 40  # classes in a chart


def report_of_train(result: TrainingResult) -> Report:
    """Return the report of a training."""
    values, folder = result.values, result.path.parent
    sections = [
        Section("Learning curves", list(_curves(values["epochs"])), "curves"),
        *_test(values, folder),
        Section("Rate", list(_rates(values)), "rate"),
        *workers_section(values),
        facts_section(values.get("environment") or {}),
        _repeat(values, folder),
    ]
    return Report(_title(values), Headline(_sentence(values), _use(folder)), sections)


def training_facts(path: Path) -> dict[str, object]:
    """Return the environment of a training.json; empty if it cannot be read."""
    try:
        return dict(read_training(path).get("environment") or {})
    except RecordError:
        return {}


def _title(values: dict[str, Any]) -> str:
    recipe, spec = values["recipe"], values["spec"]
    network = recipe.get("network", "MobileNetV2")
    epochs = quantity(len(values["epochs"]), "epoch")
    return f"Training of {network} at {spec['image_size']} px, {epochs}"


def _sentence(values: dict[str, Any]) -> str:
    score = test_sentence(values)
    sentences = [f"{text}." for text in (score, together_sentence(values)) if text]
    return " ".join([*sentences, values[RATE_CHECK_KEY]["text"]])


def _use(folder: Path) -> str | None:
    """Return the command that uses the model, if the training's folder still has it."""
    model = folder / _MODEL
    return f"{shlex.join(['feedbench', 'predict', str(model)])} FILES" if model.is_file() else None


def _curves(epochs: list[dict[str, Any]]) -> Iterator[Part]:
    for name, least in (("loss", True), ("accuracy", False)):
        if chart := _curve(epochs, name, least=least):
            yield chart
    rates = [(one["epoch"], rate) for one in epochs if (rate := one.get("learning_rate"))]
    if len({rate for _, rate in rates}) > 1:
        learning = Chart(
            f"The learning rate went from {rates[0][1]:.3g} to {rates[-1][1]:.3g}",
            "Learning rate at the end of each epoch.",
            curves({"learning rate": _positive(rates)}, "epoch", "learning rate"),
        )
        yield Details("Learning rate", [learning])
    yield Details("Epochs", [epochs_table(epochs)])


def _positive(points: Line) -> Line:
    """Return the points above 0, which a logarithmic axis can show."""
    return [(x, y) for x, y in points if y is not None and y > 0]


def _finite(value: float | None) -> float | None:
    """Return a value that an axis can show; records of older versions may hold infinity."""
    return value if value is not None and math.isfinite(value) else None


def _curve(epochs: list[dict[str, Any]], name: str, *, least: bool) -> Chart | None:
    """Return one measure in training and validation; None if it was not measured.

    Args:
        least: whether the smallest value is the best.
    """
    lines: dict[str, Line] = {
        label: [(one["epoch"], _finite(one.get(field))) for one in epochs]
        for label, field in (("training", name), ("validation", f"validation_{name}"))
    }
    known = {label: line for label, line in lines.items() if any(y is not None for _, y in line)}
    if not known:
        return None
    judged = "validation" if "validation" in known else "training"
    epoch, title = _best(known[judged], f"{judged} {name}", least=least)
    ends = ", ".join(f"{label} {line[-1][1]:.3g}" for label, line in known.items() if line[-1][1])
    return Chart(
        title,
        f"{title}. After the last epoch: {ends}.",
        curves(known, "epoch", name, best=epoch, form="" if least else ".0%"),
        table=_curve_table(known, ".4f" if least else ".1%"),
    )


def _best(line: Line, name: str, *, least: bool) -> tuple[float, str]:
    """Return the epoch with the best value, and a sentence that says so.

    It is the last of equals, as the epoch whose model a training keeps.
    """
    points = [(y, x) for x, y in line if y is not None]
    best, epoch = min(points, key=lambda point: (point[0], -point[1])) if least else max(points)
    value = f"{best:.3f}" if least else f"{best:.1%}"
    word = "lowest" if least else "highest"
    return epoch, f"{name[0].upper()}{name[1:]} is {word} after epoch {epoch:g}: {value}"


def _curve_table(lines: dict[str, Line], form: str) -> Table:
    columns = [Column("epoch", numeric=True), *(Column(name, numeric=True) for name in lines)]
    rows: list[list[Cell]] = [
        [int(points[0][0]), *(number(y, form) for _, y in points)]
        for points in zip(*lines.values(), strict=True)
    ]
    return Table("Epochs", columns, rows)


def epochs_table(epochs: list[dict[str, Any]]) -> Table:
    """Return one row per epoch."""
    return table_of("Epochs", _EPOCH_FIELDS, epochs)


def _images_per_second(epoch: dict[str, Any]) -> Cell:
    seconds = epoch["train_s"]
    return number(epoch["images"] / seconds if seconds else None, ",.0f")


def _wait(epoch: dict[str, Any]) -> Cell:
    seconds, wait = epoch["train_s"], epoch.get("wait_s")
    return number(wait / seconds if seconds and wait is not None else None, ".1%")


_EPOCH_FIELDS: list[Field[dict[str, Any]]] = [
    Field("epoch", lambda epoch: epoch["epoch"]),
    Field("loss", lambda epoch: number(epoch.get("loss"), ".4f")),
    Field("accuracy", lambda epoch: number(epoch.get("accuracy"), ".1%")),
    Field("validation loss", lambda epoch: number(epoch.get("validation_loss"), ".4f")),
    Field("validation accuracy", lambda epoch: number(epoch.get("validation_accuracy"), ".1%")),
    Field(
        "learning rate",
        lambda epoch: number(epoch.get("learning_rate"), ".3g"),
        "at the end of the epoch",
    ),
    Field("images/s", _images_per_second, "without validation"),
    Field("wait", _wait, "fraction of the time without a batch"),
    Field("seconds", lambda epoch: number(epoch["train_s"], ",.1f"), "without validation"),
    Field("validation, s", lambda epoch: number(epoch.get("validation_s"), ",.1f")),
]


def _test(values: dict[str, Any], folder: Path) -> Iterator[Section]:
    parts: list[Part] = []
    if score := test_sentence(values):
        parts.append(Text(f"{score}.", "verdict"))
    if guess := guess_sentence(values):
        parts.append(Text(f"{guess}."))
    if dropped := dropped_sentence(values):
        parts.append(Text(f"{dropped}.", "warning"))
    parts += confusion_parts(values, folder)
    if values["per_class"]:
        parts += _class_parts(values["per_class"])
    if parts:
        yield Section("On the test images", parts, "test")


def _class_parts(classes: list[dict[str, Any]]) -> Iterator[Part]:
    known = [line for line in classes if line["recall"] is not None]
    ordered = sorted(known, key=lambda line: -line["recall"])
    rows = [
        Dot(line["name"], line["recall"], f"{line['recall']:.1%}") for line in ordered[-_MOST_DOTS:]
    ]
    if rows:
        few = f" The {_MOST_DOTS} lowest of {len(known):,}." if len(known) > _MOST_DOTS else ""
        yield dots_chart(
            f"Recall is lowest for {rows[-1].name}: {rows[-1].text}",
            f"Share of each class that is recognized.{few}",
            rows,
            "recall",
            zero=True,
            form=".0%",
        )
    if len(classes) > MOST_ROWS:
        classes = ordered[::-1]
    shown, note = first_rows(classes, "the lowest recall; training.json has all")
    yield table_of("Classes", _CLASS_FIELDS, shown, note=note)


_CLASS_FIELDS: list[Field[dict[str, Any]]] = [
    Field("class", lambda line: line["name"]),
    Field(
        "recall",
        lambda line: number(line["recall"], ".1%"),
        "share of the images of the class that are predicted as it",
    ),
    Field(
        "precision",
        lambda line: number(line["precision"], ".1%"),
        "share of the images predicted as the class that belong to it",
    ),
    Field("test images", lambda line: line["images"]),
]


def _rates(values: dict[str, Any]) -> Iterator[Part]:
    check = RateCheck.model_validate(values[RATE_CHECK_KEY])
    yield Text(check.text, "verdict")
    epochs = values["epochs"]
    rates = [(one["epoch"], one["images"] / one["train_s"]) for one in epochs if one["train_s"]]
    if len(rates) > 1:
        waits = [one["wait_s"] / one["train_s"] for one in epochs if one.get("wait_s") is not None]
        share = f"; the trainer waited up to {max(waits):.0%} of the time" if waits else ""
        yield Chart(
            f"The epochs ran at {min(y for _, y in rates):,.0f} to {max(y for _, y in rates):,.0f} "
            f"images/s{share}",
            f"Images per second of each epoch; {_warmed_up(epochs)}.",
            curves({"images/s": rates}, "epoch", "images per second", form=",.0f"),
        )
    rows: list[list[Cell]] = [
        [name, figure(rate)]
        for name, rate in (("predicted", check.predicted), ("achieved", check.achieved))
        if rate
    ]
    if rows:
        columns = [Column("rate"), Column("images/s [95 %]", numeric=True)]
        yield Table("Predicted and achieved", columns, rows)
    yield from map(Text, delivery_sentences(values))


def _warmed_up(epochs: list[dict[str, Any]]) -> str:
    """Return which epochs include a warm-up."""
    resumed = [str(one["epoch"]) for one in epochs[1:] if one.get("first_of_process")]
    if not resumed:
        return "the first includes the tracing of the step"
    return f"the first, and those in which it was resumed ({', '.join(resumed)}), include a warm-up"


def _repeat(values: dict[str, Any], folder: Path) -> Section:
    words = ["feedbench", "train", "DATA", "--recipe", RECIPE]
    words += ["--loader", LOADER] if (folder / LOADER).is_file() else _options(values)
    words += ["--cluster", _HOSTS] if values.get("workers") else []
    parts: list[Part] = [Code(shlex.join(words), "Train again")]
    for name in (RECIPE, LOADER):
        if (folder / name).is_file():
            text = (folder / name).read_text("utf-8", "replace")
            parts.append(Details(name, [Code(text)]))
    return Section("Repeat and use", parts, "repeat")


def _options(values: dict[str, Any]) -> list[str]:
    loader = choice_options(values.get("loader", "turbo"), values.get("settings", {}))
    devices = devices_option(names_of(values.get("devices", ONE)))
    return [*loader, *devices, *spec_options(values["spec"])]
