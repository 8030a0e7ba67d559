"""Commands to use a result and to repeat a run, as far as its record tells."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tomli_w

from feedbench.bench.analysis.best import BEST
from feedbench.bench.diagnose.record import DiagnosisRecord
from feedbench.bench.html.parts import Code, Part, Section, Text
from feedbench.bench.record import Trial

_SPEC = ("image_size", "batch_size", "resize", "interpolation")
_NOTE = "DATA stands for the folder or file with the images, which the record does not name."


def train_command(folder: Path, loader: str, settings: dict[str, Any]) -> str:
    """Return the command that trains with the winner.

    Args:
        folder: of the record; its best.toml is used if there is one. Only its name is shown of an
            absolute path: where it is on this machine is of no use to who reads the report.
    """
    words = ["feedbench", "train", "DATA"]
    if (folder / BEST).is_file():
        shown = Path(folder.name) if folder.is_absolute() else folder
        return shlex.join([*words, "--loader", str(shown / BEST)])
    return shlex.join([*words, *choice_options(loader, settings)])


def choice_options(loader: str, settings: dict[str, Any]) -> list[str]:
    """Return the options that choose a loader with its settings."""
    sets = [word for name in settings for word in ("--set", _setting(loader, name, settings[name]))]
    return ["--loader", loader, *sets]


def _setting(loader: str, name: str, value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return f"{loader}.{name}={text}"


def suite_text(trials: Sequence[Trial]) -> str:
    """Return a suite file that measures the same trials again."""
    first = trials[0]
    suite: dict[str, Any] = {
        "consumer": first.consumer,
        "timing": {"blocks": max(1, *(len(trial.blocks) for trial in trials), 1)},
        "spec": first.spec,
        "recipe": first.recipe,
        "trial": [_choice(trial) for trial in trials],
    }
    return tomli_w.dumps(_without_none(suite))


def _choice(trial: Trial) -> dict[str, Any]:
    augment = {} if trial.augment is None else {"augment": trial.augment}
    return {"loader": trial.loader, "settings": trial.settings, **augment}


def _without_none(value: Any) -> Any:
    """Return a value without the fields that are None, which TOML does not have."""
    if isinstance(value, dict):
        return {name: _without_none(one) for name, one in value.items() if one is not None}
    return [_without_none(one) for one in value] if isinstance(value, list) else value


def repeat_command(record: DiagnosisRecord, command: str) -> str:
    """Return a command that measures one loader again.

    Args:
        command: such as `diagnose`.
    """
    words = ["feedbench", command, "DATA", *choice_options(record.loader, record.settings)]
    words += ["--consumer", record.consumer, *spec_options(record.spec)]
    if record.consumer == "train" and "alpha" in record.recipe:
        words += ["--model", str(record.recipe.get("network", "MobileNetV2"))]
        words += ["--alpha", f"{record.recipe['alpha']:g}"]
    return shlex.join(words)


def spec_options(spec: dict[str, Any]) -> list[str]:
    """Return the options for the most important fields of a batch spec."""
    named = ((f"--{name.replace('_', '-')}", spec[name]) for name in _SPEC if name in spec)
    return [word for name, value in named for word in (name, str(value))]


def repeat_section(folder: Path, parts: Sequence[Part]) -> Section:
    """Return the commands that repeat a run, and the file with its winner, if there is one."""
    file = folder / BEST
    best = [Code(file.read_text("utf-8", "replace"), BEST)] if file.is_file() else []
    return Section("Repeat and use", [*parts, Text(_NOTE, "note"), *best], "repeat")
