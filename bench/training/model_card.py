"""MODEL_CARD.md: what a model takes and returns, how it was trained, and how well it does."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from feedbench.bench.quantities import quantity
from feedbench.bench.training.outcome import counts_sentence, guess_sentence, together_sentence
from feedbench.bench.training.rate_check import RATE_CHECK_KEY
from feedbench.bench.training.workers_table import machine, worker_name
from feedbench.loaders import UNCHANGED, printable
from feedbench.trainer import Recipe

MODEL_CARD = "MODEL_CARD.md"
_SPLITS = ("train", "validation", "test")
_MOST_CLASSES = 200  # in a table: a card is read from top to bottom


def model_card(result: dict[str, Any]) -> str:
    """Return the model card as Markdown.

    Args:
        result: the contents of training.json.
    """
    parts = [
        f"# {result['recipe']['network']}, {len(result['classes'])} classes",
        _usage(result),
        "## Results",
        _results(result),
        "## Data",
        _data(result),
        _sampling(result),
        "## Input pipeline",
        _pipeline(result),
        "## Recipe",
        "Fields that differ from their default are bold.",
        _table(("field", "value"), _recipe(result["recipe"])),
        "## Trained on",
        _table(("", ""), [*_machine(result["environment"]), *_together(result)]),
    ]
    text = "\n\n".join(parts) + "\n"
    return text.encode(errors="backslashreplace").decode()  # of paths that are not UTF-8


def _usage(result: dict[str, Any]) -> str:
    spec = result["spec"]
    size = spec["image_size"]
    if result.get("model"):
        return _own_usage(result)
    return (
        f"`model.keras` takes RGB pixels of 0 to 255, {size} × {size}, scales them to the range "
        f"{spec['value_range']} itself, and returns one probability per class, in the order of "
        f"`classes.json`. Images are resized by `{spec['resize']}` with the filter "
        f"`{spec['interpolation']}`; `feedbench predict model.keras FILES` does all of this."
    )


def _own_usage(result: dict[str, Any]) -> str:
    """Return what a user's own model is given."""
    text = (
        f"`model.keras` is the model of `{result['recipe']['network']}` as `model.save` writes it, "
        f"with the SHA-256 digest of its file `{result['model']['sha256'][:12]}`. "
    )
    if result.get("own"):
        return f"{text}It takes the batches of `{result['loader']}`."
    return (
        f"{text}It was trained on images of {result['spec']['image_size']} px, with labels in the "
        "order of `classes.json`; `feedbench predict model.keras FILES` prepares images likewise."
    )


def _results(result: dict[str, Any]) -> str:
    last = result["epochs"][-1]
    lines = [
        f"- Training: {_scores(last['accuracy'], last['loss'])} (epoch {last['epoch']})",
        f"- Validation: {_scores(last['validation_accuracy'], last['validation_loss'])}",
    ]
    if result["test"] is None:
        return "\n".join([*lines, "- Test: there was no test split"])
    lines.append(f"- Test: {_scores(result['test'].get('accuracy'), result['test']['loss'])}")
    if guess := guess_sentence(result):
        lines.append(f"- {guess}")
    if not result["per_class"]:
        return "\n".join([*lines, "", "![Learning curves](learning-curves.png)"])
    plots = "![Learning curves](learning-curves.png)\n\n![Confusion matrix](confusion.png)"
    return "\n".join(lines) + f"\n\n{_per_class(result['per_class'])}\n\n{plots}"


def _per_class(classes: list[dict[str, Any]]) -> str:
    """Return the table of recalls and precisions; of very many classes, of the worst."""
    shown = classes
    if len(classes) > _MOST_CLASSES:
        shown = sorted(classes, key=lambda line: (line["recall"] is None, line["recall"]))
    rows = [
        (line["name"], line["images"], _percent(line["recall"]), _percent(line["precision"]))
        for line in shown[:_MOST_CLASSES]
    ]
    table = _table(("class", "test images", "recall", "precision"), rows)
    return table + _left_out(len(classes), "those with the lowest recall")


def _left_out(classes: int, which: str) -> str:
    """Return a paragraph on the classes that a table leaves out; empty if it has all."""
    if classes <= _MOST_CLASSES:
        return ""
    return f"\n\n{_MOST_CLASSES} of {classes:,} classes: {which}; `training.json` has all."


def _data(result: dict[str, Any]) -> str:
    """Return the table of images by class and split, with a row for all together."""
    images, names = result["images"], result["classes"]
    if len(names) > _MOST_CLASSES:
        names = sorted(names, key=lambda name: images[_SPLITS[0]][name])
    rows = [(name, *(images[split][name] for split in _SPLITS)) for name in names[:_MOST_CLASSES]]
    total = ("**all**", *(sum(images[split].values()) for split in _SPLITS))
    table = _table(("class", *_SPLITS), [*rows, total])
    return table + _left_out(len(names), "those with the fewest training images")


def _sampling(result: dict[str, Any]) -> str:
    """Return a paragraph on how an epoch is made of the training images."""
    # Records of versions before 0.1 have it under an earlier name.
    spec, counts = result["spec"], result.get("images_per_epoch") or result["images_an_epoch"]
    balance = ""
    if spec["balance"]:
        balance = f" (balance {spec['balance']:g}: {counts_sentence(counts)})"
    default = UNCHANGED.model_dump(mode="json")
    augment = [
        f"{name} {value}" for name, value in spec["augment"].items() if value != default[name]
    ]
    return (
        f"An epoch has {sum(counts.values()):,} images{balance}. Augmentation: "
        f"{', '.join(augment) or 'none'}."
    )


def _pipeline(result: dict[str, Any]) -> str:
    settings = ", ".join(f"{name}={value}" for name, value in result["settings"].items())
    return (
        f"Loader `{result['loader']}` ({settings or 'default settings'}), batches of "
        f"{result['spec']['batch_size']}. {result[RATE_CHECK_KEY]['text']}"
    )


def _scores(accuracy: float | None, loss: float | None) -> str:
    """Return both scores; the loss is None if it was NaN or infinite."""
    loss_text = "loss is no finite number" if loss is None else f"loss {loss:.3f}"
    return loss_text if accuracy is None else f"accuracy {accuracy:.1%}, {loss_text}"


def _recipe(recipe: dict[str, Any]) -> Iterable[tuple[str, str]]:
    for name, field in Recipe.model_fields.items():
        value = recipe[name]
        default = list(field.default) if isinstance(field.default, tuple) else field.default
        yield name, f"{value}" if value == default else f"**{value}**"


def _machine(facts: dict[str, Any]) -> Iterable[tuple[str, Any]]:
    yield "processor", f"{facts['processor']}, {quantity(facts['cores'], 'core')}"
    yield "GPU", ", ".join(facts["gpus"]) or "none"
    yield from (facts["packages"] | {"python": facts["python"]}).items()


def _together(result: dict[str, Any]) -> Iterable[tuple[str, Any]]:
    """Yield the devices, if there were several, and the machine of each worker."""
    if text := together_sentence(result):
        yield "together", text
    for worker in result.get("workers") or ():
        yield f"worker {worker_name(worker)}", f"{worker['address']}: {machine(worker)}"


def _percent(fraction: float | None) -> str:
    return "–" if fraction is None else f"{fraction:.1%}"


def _table(header: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> str:
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(value: Any) -> str:
    return printable(str(value).replace("\n", " ")).replace("|", "\\|")
