"""What is known about a user's function before its file is run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

START_STEP = "start_step"
# What a function may ask for, by the names of its parameters.
OFFERED = (
    "data",
    "split",
    "batch_size",
    "image_size",
    "classes",
    "seed",
    "epochs",
    "manifest",
    "spec",
    START_STEP,
    "report_dropped",
)
REQUIRED = object()  # the default of a parameter that has none
_CACHES = re.compile(r"\.(?:cache|snapshot)\(")  # of tf.data, which the first epoch fills


@dataclass(frozen=True)
class Parameter:
    """One parameter of a function.

    Attributes:
        default: its value if the source says it literally, else its text; `REQUIRED` without one.
        positional_only: whether it can only be passed by position.
    """

    name: str
    default: Any = REQUIRED
    positional_only: bool = False


@dataclass(frozen=True)
class OwnFunction:
    """A function in a user's file, as its source describes it.

    Attributes:
        name: as the user gave it, such as `pipeline.py:make_dataset`.
        file: absolute path of the file that defines it.
        module: name under which the file is imported.
        folder: absolute path of the folder that must be first in `sys.path` for that.
        function: name of the function in its file.
        line: where it is defined.
        digest: SHA-256 of the file.
        parameters: those that can be given, in their order.
        takes_any: whether it takes any keyword argument.
        space: values to try, by parameter; from the file's `SPACE`.
    """

    name: str
    file: Path
    module: str
    folder: Path
    function: str
    line: int
    digest: str
    parameters: tuple[Parameter, ...] = ()
    takes_any: bool = False
    space: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)

    @property
    def can_start_later(self) -> bool:
        """Whether it can begin after the batches that a training has already taken."""
        return self.takes(START_STEP)

    def takes(self, name: str) -> bool:
        """Whether the signature names a parameter."""
        return any(one.name == name for one in self.parameters)

    def caches_datasets(self) -> bool:
        """Whether its file calls functions that cache a tf.data pipeline in the first epoch."""
        return bool(_CACHES.search(self.file.read_text("utf-8", "replace")))

    @property
    def place(self) -> str:
        """The file and the line, as every error names them."""
        return f"{shown(self.file)}, line {self.line}"


def shown(file: Path) -> str:
    """The path of a file as the user would write it: relative to the working directory."""
    try:
        return str(file.relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(file)
