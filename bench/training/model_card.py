"""The model card: what was trained on what, how, and how well, for those who get the model."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from feedbench.loaders.augment import UNCHANGED
from feedbench.trainer import Recipe

MODEL_CARD = "MODEL_CARD.md"


def model_card(result: dict[str, Any]) -> str:
    """Markdown from what training.json holds."""
    parts = [
        f"# {result['recipe']['network']}, {len(result['classes'])} classes",
        _what(result),
        "## Results",
        _results(result),
        "## Data",
        _table(("class", "train", "validation", "test"), _counts(result)),
        _sampling(result),
        "## Input pipeline",
        _pipeline(result),
        "## Recipe",
        "Fields that are not at their default are bold.",
        _table(("field", "value"), _recipe(result["recipe"])),
        "## Trained on",
        _table(("", ""), _machine(result["environment"])),
    ]
    return "\n\n".join(parts) + "\n"


def _what(result: dict[str, Any]) -> str:
    low_high, size = result["spec"]["value_range"], result["spec"]["image_size"]
    return (
        f"`model.keras` takes RGB pixels of 0 to 255, {size} × {size}, brings them into the range "
        f"{low_high} itself, and gives one share for each class in the order of `classes.json`. "
        f"Images are resized by `{result['spec']['resize']}` with the filter "
        f"`{result['spec']['interpolation']}`; `feedbench predict model.keras FILES` does all that."
    )


def _results(result: dict[str, Any]) -> str:
    last = result["epochs"][-1]
    lines = [
        f"- Training: accuracy {last['accuracy']:.1%}, loss {last['loss']:.3f} "
        f"(epoch {last['epoch']})",
        f"- Validation: accuracy {last['validation_accuracy']:.1%}, "
        f"loss {last['validation_loss']:.3f}",
    ]
    if result["test"] is None:
        return "\n".join([*lines, "- Test: there was no test split"])
    lines.append(
        f"- Test: accuracy {result['test']['accuracy']:.1%}, loss {result['test']['loss']:.3f}"
    )
    rows = [
        (line["name"], line["images"], _percent(line["recall"]), _percent(line["precision"]))
        for line in result["per_class"]
    ]
    table = _table(("class", "test images", "recall", "precision"), rows)
    pictures = "![Learning curves](learning-curves.png)\n\n![Confusion matrix](confusion.png)"
    return "\n".join(lines) + f"\n\n{table}\n\n{pictures}"


def _counts(result: dict[str, Any]) -> Iterable[tuple[Any, ...]]:
    images = result["images"]
    for name in result["classes"]:
        yield (name, *(images[split][name] for split in ("train", "validation", "test")))
    yield ("**all**", *(sum(images[split].values()) for split in ("train", "validation", "test")))


def _sampling(result: dict[str, Any]) -> str:
    """What an epoch makes of the training images."""
    spec, counts = result["spec"], result["images_an_epoch"]
    told = [f"An epoch has {sum(counts.values()):,} images"]
    if spec["balance"]:
        each = ", ".join(f"{count:,} {name}" for name, count in counts.items())
        told.append(f" (balance {spec['balance']:g}: {each})")
    plain = UNCHANGED.model_dump(mode="json")
    changes = {name: value for name, value in spec["augment"].items() if value != plain[name]}
    drawn = ", ".join(f"{name} {value}" for name, value in changes.items()) or "none"
    return "".join(told) + f". Augmentation: {drawn}."


def _pipeline(result: dict[str, Any]) -> str:
    settings = ", ".join(f"{name}={value}" for name, value in result["settings"].items())
    return (
        f"Loader `{result['loader']}` ({settings or 'default settings'}), batches of "
        f"{result['spec']['batch_size']}. {result['promise']['text']}"
    )


def _recipe(recipe: dict[str, Any]) -> Iterable[tuple[str, str]]:
    for name, field in Recipe.model_fields.items():
        value = recipe[name]
        default = list(field.default) if isinstance(field.default, tuple) else field.default
        yield name, f"{value}" if value == default else f"**{value}**"


def _machine(facts: dict[str, Any]) -> Iterable[tuple[str, Any]]:
    yield "processor", f"{facts['processor']}, {facts['cores']} cores"
    yield "GPU", ", ".join(facts["gpus"]) or "none"
    yield from (facts["packages"] | {"python": facts["python"]}).items()


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}"


def _table(head: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(value: Any) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")
