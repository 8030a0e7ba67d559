"""The tree of what a user can mend in input and settings; every text is one line.

LoaderError
├── SourceError      the images' list: folder, CSV, Parquet
├── SpecError        the batch spec, or a spec that this loader cannot give
├── SettingsError    a knob of a loader
├── UnknownLoader    a name that no loader has
├── ImageError       one image file that cannot be read
├── BudgetError      more such files than a run may drop
└── WorkerError      a process of a loader that ended by itself
"""

from __future__ import annotations


class LoaderError(Exception):
    """Whatever is wrong with what a loader was given."""


class SourceError(LoaderError):
    """The source of images cannot be listed."""


class SpecError(LoaderError):
    """The batch spec is not valid, or the loader cannot give such batches."""


class SettingsError(LoaderError):
    """A loader's setting is not valid."""


class UnknownLoader(LoaderError):
    """No loader has the name."""


class ImageError(LoaderError):
    """An image file cannot be read; the text names it, its row, and gives the decoder's words."""

    def __init__(self, path: str, row: int, decoder: str, reason: str) -> None:
        super().__init__(path, row, decoder, reason)
        self.path, self.row, self.decoder, self.reason = path, row, decoder, reason

    def __str__(self) -> str:
        return (
            f"{printable(self.path)}: row {self.row}: {self.decoder} cannot read it: {self.reason};"
            " mend or remove the file, or audit all files by feedbench scan, or drop such ones "
            "by --on-error skip"
        )


class BudgetError(LoaderError):
    """More images failed than the run may drop."""


class WorkerError(LoaderError):
    """A process that decodes for a loader was ended from outside or crashed."""


def printable(path: str | bytes) -> str:
    """A file's name on one line, in valid text, whatever bytes it holds."""
    text = path.decode("utf-8", "surrogateescape") if isinstance(path, bytes) else path
    return "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text
    )
