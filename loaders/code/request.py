"""The input of an export, and its output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from feedbench.loaders.manifest import Layout
    from feedbench.loaders.spec import BatchSpec

CODE_LAYOUTS = ("folder", "splits", "csv")  # that code can list without Feedbench


@dataclass(frozen=True)
class CodeRequest:
    """The loader, spec and source that code is written for.

    Attributes:
        loader: the loader's name.
        spec: size, pixels and order of every batch.
        settings: the loader's settings.
        layout: of the source; None to read folders of classes, with or without folders of splits.
        left_out: files of the source that the loader does not use, relative to its folder.
    """

    loader: str
    spec: BatchSpec
    settings: Any
    layout: Layout | None = None
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Code:
    """A Python module.

    Attributes:
        usage: the lines of its docstring that say how to use it.
        body: all that follows the docstring.
    """

    usage: str
    body: str
