"""The file trials.jsonl, which holds one trial per line."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from feedbench.bench.described import check_described
from feedbench.bench.differences import as_text, differing
from feedbench.bench.errors import RecordError
from feedbench.bench.files import check_schema, parse_json, write_text
from feedbench.bench.record import SCHEMA_NUMBER, Trial, differences
from feedbench.bench.signals import interrupts_deferred
from feedbench.loaders import explain

TRIALS = "trials.jsonl"


def _plan_of(trial: Trial) -> dict[str, str]:
    """Return what all trials of one run share, as text by name."""
    spec = dict(trial.spec)
    if trial.augment is not None:
        spec.pop("augment", None)
    if trial.alone:
        spec.pop("batch_size", None)
    profile = trial.accelerator or {}
    accelerator = {f"accelerator's {name}": value for name, value in profile.items()}
    facts = {"consumer": trial.consumer, "images": trial.images, **accelerator, **spec}
    return {name: as_text(value) for name, value in {**facts, **trial.recipe}.items()}


def write_trials(folder: Path, trials: list[Trial]) -> None:
    """Replace the trials.jsonl of a folder.

    Raises:
        RecordError: the file cannot be written.
    """
    # Ctrl-C inside pydantic's serializer would surface as a serialization error.
    with interrupts_deferred():
        write_text(folder / TRIALS, "".join(trial.model_dump_json() + "\n" for trial in trials))


def read_trials(folder: Path) -> list[Trial]:
    """Return the trials of a result folder.

    Raises:
        RecordError: the file does not exist, a line is not a trial, or a trial was measured under
            other conditions or by another plan than the first; the text names the line.
    """
    path = folder / TRIALS
    try:
        lines = path.read_text("utf-8").rstrip().split("\n")
    except OSError as error:
        raise RecordError(f"{path}: {error.strerror}; give the result folder of a bench") from error
    except UnicodeDecodeError as error:
        raise RecordError(f"{path}: not UTF-8: the file is damaged or not a record") from error
    trials = [_trial(path, number, line) for number, line in enumerate(lines, 1) if line]
    for number, trial in enumerate(trials, 1):
        diffs = (differences(trials[0], trial), differing(_plan_of(trials[0]), _plan_of(trial)))
        if diff := ", ".join(filter(None, diffs)):
            raise RecordError(
                f"{path}: line {number} was not measured under the conditions of line 1: {diff}; "
                "give the record of one run"
            )
    return trials


def _trial(path: Path, number: int, line: str) -> Trial:
    try:
        values = parse_json(line, is_raw=True)
        check_schema(values, SCHEMA_NUMBER, f"{path}: line {number}")
        if isinstance(values.get("left_out"), list):  # schema 1: of this loader alone
            values["left_out"] = {"its loader cannot read it": len(values["left_out"])}
        trial = Trial.model_validate(values)
        check_described(trial)
        return trial
    except ValidationError as error:
        raise RecordError(f"{path}: line {number}: {explain(error)}") from error
    except (ValueError, AttributeError, TypeError, RecursionError) as error:
        raise RecordError(f"{path}: line {number} is not a trial: {error}") from error
