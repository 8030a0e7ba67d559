"""The checkpoint of a run: its position, and every value that the next step depends on."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from feedbench.replacing import replacing
from feedbench.trainer.errors import CheckpointError
from feedbench.trainer.history import Epoch

CHECKPOINT = "checkpoint.npz"
_SCHEMA_NUMBER = 1
_HEADER = "about"  # member of the file that is JSON; all others are arrays


@dataclass
class Position:
    """How far a run has come.

    Attributes:
        epoch: the current one, from 1.
        step: batches trained on in total; the order continues with this one.
        phase, phase_steps: the phase of the recipe, and batches trained on in it.
        images: images trained on in total.
        epoch_images, train_s, wait_s: of the current epoch so far.
        gap_s: between this epoch's first step and the previous one's last, without validation.
        first_of_process: whether a process began within the current epoch.
        history: the finished epochs.
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
    first_of_process: bool = False
    history: tuple[Epoch, ...] = field(default=())


def is_finite(values: Sequence[Any]) -> bool:
    """Whether no value is NaN or infinite: a run cannot be resumed from such a state."""
    arrays = (np.asarray(value) for value in values)
    return all(bool(np.isfinite(array).all()) for array in arrays if array.dtype.kind == "f")


def write_checkpoint(
    path: Path, position: Position, values: Sequence[Any], identity: dict[str, Any]
) -> None:
    """Write a checkpoint; the previous file stays until this one is complete.

    Args:
        values: from `Trainer.capture`.
        identity: identifies the run; returned by `read_checkpoint`.
    """
    with replacing(path, alone=True) as beside, beside.open("wb") as file:
        _write(file, position, values, identity)


def checkpoint_bytes(position: Position, values: Sequence[Any]) -> bytes:
    """The contents of a checkpoint, for another process."""
    file = io.BytesIO()
    _write(file, position, values, {})
    return file.getvalue()


def from_bytes(data: bytes) -> tuple[Position, list[NDArray[Any]]]:
    """The position and values of `checkpoint_bytes`."""
    return _read(io.BytesIO(data))[:2]


def _write(
    file: IO[bytes], position: Position, values: Sequence[Any], identity: dict[str, Any]
) -> None:
    header = {"schema_number": _SCHEMA_NUMBER, "of": identity, "position": asdict(position)}
    arrays: dict[str, Any] = {
        f"{number:05}": np.asarray(value) for number, value in enumerate(values)
    }
    arrays[_HEADER] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    np.savez(file, **arrays)


def read_checkpoint(path: Path) -> tuple[Position, list[NDArray[Any]], dict[str, Any]]:
    """The position, values and identity that `write_checkpoint` wrote.

    Raises:
        CheckpointError: no such file, or not a checkpoint.
    """
    try:
        with path.open("rb") as file:
            return _read(file)
    except _NewerSchema as error:
        raise CheckpointError(
            f"{path}: schema {error} is newer than {_SCHEMA_NUMBER}; upgrade feedbench"
        ) from error
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{path}: no checkpoint; name the folder of a run that was started, or start again"
        ) from error
    except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise CheckpointError(f"{path}: not a Feedbench checkpoint: {error}") from error


class _NewerSchema(Exception):
    """The number of a schema that this version does not know."""


def _read(raw: IO[bytes]) -> tuple[Position, list[NDArray[Any]], dict[str, Any]]:
    with np.load(raw, allow_pickle=False) as file:
        header = json.loads(file[_HEADER].tobytes())
        values = [file[name] for name in sorted(file.files) if name != _HEADER]
    if header["schema_number"] > _SCHEMA_NUMBER:
        raise _NewerSchema(header["schema_number"])
    return _position(header["position"]), values, header["of"]


def _position(values: dict[str, Any]) -> Position:
    history = tuple(
        Epoch(**{**epoch, "part_rates": tuple(epoch.get("part_rates", ()))})
        for epoch in values.pop("history")
    )
    return Position(**values, history=history)
