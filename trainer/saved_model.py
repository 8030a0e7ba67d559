"""The saved model: a .keras file that also holds facts of the training for inference."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from feedbench.replacing import replacing
from feedbench.trainer.errors import UnknownClassError, WeightsError

# How Keras says that it lacks a class or a function.
_UNKNOWN = re.compile(r"^Could not (?:locate|deserialize) \w+ '([^']+)'")
_FACTS = "feedbench.json"  # a member of the .keras zip, which Keras ignores


def save_model(model: Any, path: Path, facts: dict[str, Any]) -> None:
    """Write the model and its facts as one .keras file, atomically."""
    with replacing(path, alone=True) as beside:
        model.save(beside)
        with zipfile.ZipFile(beside, "a") as archive:
            archive.writestr(_FACTS, json.dumps(facts))


def read_facts(path: Path) -> dict[str, Any] | None:
    """The facts in a .keras file; None if it has none.

    Raises:
        WeightsError: no such file, or not a .keras file.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if _FACTS not in archive.namelist():
                return None
            facts: dict[str, Any] = json.loads(archive.read(_FACTS))
            return facts
    except OSError as error:
        raise WeightsError(f"{path}: {error.strerror or error}") from error
    except (zipfile.BadZipFile, ValueError) as error:
        raise WeightsError(f"{path}: not a .keras file: {error}") from error


def load_model(path: Path, own: Mapping[str, Any] | None = None) -> Any:
    """Load the model of a .keras file for inference.

    Args:
        own: classes and functions of the user's code that the model may need, by name.

    Raises:
        UnknownClassError: it needs a class or function that is not in `own`.
        WeightsError: it cannot be read.
    """
    import keras

    try:
        return keras.saving.load_model(path, custom_objects=own, compile=False)
    except (OSError, ValueError, TypeError, KeyError) as error:
        reason = str(error).strip().partition("\n")[0]
        if unknown := _UNKNOWN.search(reason):
            raise UnknownClassError(path, unknown[1]) from error
        raise WeightsError(f"{path}: Keras cannot load it as a model: {reason}") from error
