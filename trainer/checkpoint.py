"""Where a run stands, with every value that its next step depends on, in one file."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feedbench.trainer.errors import CheckpointError
from feedbench.trainer.files import replacing
from feedbench.trainer.history import Epoch

CHECKPOINT = "checkpoint.npz"
_SCHEMA_NUMBER = 1
_ABOUT = "about"


@dataclass
class Position:
    """How far a run has come.

    Attributes:
        epoch: the one under way, from 1.
        step: batches trained on in all: the order goes on with this one.
        phase, phase_steps: the phase of the recipe, and batches trained on in it.
        images: trained on in all.
        epoch_images, train_s, wait_s: of the epoch under way so far.
        gap_s: between this epoch's first step and the last of the one before, validation aside.
        history: the epochs that are done.
    """

    epoch: int = 1
    step: int = 0
    phase: int = 0
    phase_steps: int = 0
    images: int = 0
    epoch_images: int = 0
    train_s: float = 0.0
    wait_s: float = 0.0
    gap_s: float = 0.0
    history: tuple[Epoch, ...] = field(default=())


def is_finite(values: Sequence[Any]) -> bool:
    """Whether every value is a number: others are no state to go on from."""
    arrays = (np.asarray(value) for value in values)
    return all(bool(np.isfinite(array).all()) for array in arrays if array.dtype.kind == "f")


def write_checkpoint(
    path: Path, position: Position, values: Sequence[Any], of: dict[str, Any]
) -> None:
    """Write where the run stands; the file before it stays until this one is whole.

    Args:
        values: what `Trainer.capture` gave.
        of: what identifies the run; given back by `read_checkpoint`.
    """
    about = {"schema_number": _SCHEMA_NUMBER, "of": of, "position": asdict(position)}
    arrays: dict[str, Any] = {
        f"{number:05}": np.asarray(value) for number, value in enumerate(values)
    }
    arrays[_ABOUT] = np.frombuffer(json.dumps(about).encode(), np.uint8)
    with replacing(path) as beside, beside.open("wb") as file:
        np.savez(file, **arrays)


def read_checkpoint(path: Path) -> tuple[Position, list[NDArray[Any]], dict[str, Any]]:
    """What `write_checkpoint` was given.

    Raises:
        CheckpointError: no such file, or not a checkpoint.
    """
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            about = json.loads(file[_ABOUT].tobytes())
            values = [file[name] for name in sorted(file.files) if name != _ABOUT]
        if about["schema_number"] > _SCHEMA_NUMBER:
            raise CheckpointError(
                f"{path}: schema {about['schema_number']} is newer than {_SCHEMA_NUMBER}; "
                "upgrade feedbench"
            )
        return _position(about["position"]), values, about["of"]
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{path}: no checkpoint; name the folder of a run that was begun, or begin anew"
        ) from error
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise CheckpointError(f"{path}: not a checkpoint of feedbench: {error}") from error


def _position(values: dict[str, Any]) -> Position:
    history = tuple(Epoch(**epoch) for epoch in values.pop("history"))
    return Position(**values, history=history)
