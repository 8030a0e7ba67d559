"""Errors in input and settings that a user can fix; every message is one line.

LoaderError
├── SourceError      the list of images: folder, CSV, Parquet
├── SpecError        the batch spec, or a spec that a loader does not support
├── SettingsError    a setting of a loader
├── UnknownLoader    a name that no loader has, a file or a function that is not there
├── OwnError         a user's function that fails (loaders/own/errors.py)
├── ImageError       an image file that cannot be read
│   └── PackedImageError  the same of an image in a pack
├── BudgetError      more such files than a run may drop
├── LimitError       a limit of the system on open files or memory
└── WorkerError      a loader's process that was killed or crashed
"""

from __future__ import annotations

from feedbench.loaders.address import name_of


class LoaderError(Exception):
    """An error that the user of a loader can fix."""


CLOSED = "this stream is closed; open the loader again"
FORKED = (
    "this stream belongs to the process that read its first batch, not to one that was forked from "
    "it later; open the loader again in this process"
)


def ended_by(error: BaseException) -> str:
    """Why a stream gives no more batches after an error or Ctrl-C."""
    if isinstance(error, KeyboardInterrupt):
        return "this stream was interrupted, and a batch may be lost; open the loader again"
    lines = str(error).splitlines()
    reason = lines[0] if lines else type(error).__name__
    return f"this stream was ended by an error; open the loader again; the error was: {reason}"


class SourceError(LoaderError):
    """The source of images cannot be listed."""


class SourceWarning(UserWarning):
    """The source of images can be listed, but has something that is probably a mistake."""


class SpecError(LoaderError):
    """The batch spec is invalid, or the loader does not support it."""


class SettingsError(LoaderError):
    """A loader's setting is invalid."""


class UnknownLoader(LoaderError):
    """No loader has this name."""


class ImageError(LoaderError):
    """An image file cannot be read; the message has its path, its row and the decoder's error."""

    def __init__(self, path: str, row: int, decoder: str, reason: str) -> None:
        path = name_of(path)
        super().__init__(path, row, decoder, reason)
        self.path, self.row, self.decoder, self.reason = path, row, decoder, reason

    def __str__(self) -> str:
        return (
            f"{printable(self.path)}: row {self.row}: {self.decoder} cannot read it: {self.reason};"
            " fix or remove the file, find all such files with feedbench scan, or drop them with "
            "--on-error skip"
        )


class PackedImageError(ImageError):
    """An image that a pack cannot give; its original file may be intact."""

    def __str__(self) -> str:
        return (
            f"{self.decoder}: row {self.row}, {printable(self.path)}: {self.reason}; remove the "
            "pack and pack the data again, or drop such images with --on-error skip"
        )


class BudgetError(LoaderError):
    """More images failed than the run may drop."""


class LimitError(LoaderError):
    """The system refuses this process more open files or memory; no image is at fault."""


class WorkerError(LoaderError):
    """A process that decodes for a loader was killed or crashed."""


def printable(path: str | bytes) -> str:
    """A file name as valid text on one line, whatever bytes it holds."""
    text = path.decode("utf-8", "surrogateescape") if isinstance(path, bytes) else path
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )
