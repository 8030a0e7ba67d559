"""The callback of a user's function for an image that it cannot give."""

from __future__ import annotations

import operator
import os
from typing import NoReturn, SupportsIndex

from feedbench.loaders.errors import ImageError, LoaderError
from feedbench.loaders.faults import Faults
from feedbench.loaders.images.pillow import reason as text_of
from feedbench.loaders.manifest import Manifest
from feedbench.loaders.own.function import OwnFunction

_ELSEWHERE = (
    "report_dropped works only in the process in which {function} was called: have worker "
    "processes return what failed, and report it where their results arrive"
)


class ReportDropped:
    """Given to a function as `report_dropped`: names an image that is missing from its batches.

    Threads may call it. It raises nothing if the run cannot continue without the image: the user's
    code might catch that. `check` raises it where the next batch is asked for.
    """

    def __init__(self, function: OwnFunction, manifest: Manifest, faults: Faults) -> None:
        self._function = function
        self._manifest = manifest
        self._faults = faults
        self._process = os.getpid()
        self._end: LoaderError | None = None

    def __call__(self, row: SupportsIndex, reason: object) -> None:
        """Note that an image is missing, and why.

        Args:
            row: of the manifest that the function was given.
            reason: a text, or the exception.

        Raises:
            RuntimeError: another process calls.
            ValueError: there is no such row.
        """
        if os.getpid() != self._process:
            raise RuntimeError(self._elsewhere)
        number, images = operator.index(row), len(self._manifest)
        if not 0 <= number < images:
            raise ValueError(
                f"report_dropped takes rows of the manifest, 0 to {images - 1}; received: {number}"
            )
        path = self._manifest.path(number)
        try:
            self._faults.add(ImageError(path, number, self._function.function, _text(reason)))
        except LoaderError as error:
            self._end = error

    def check(self) -> None:
        """Return if the run can continue.

        Raises:
            LoaderError: it cannot without an image that was reported.
        """
        if self._end is not None:
            raise self._end

    def __reduce__(self) -> NoReturn:
        raise RuntimeError(self._elsewhere)

    @property
    def _elsewhere(self) -> str:
        return _ELSEWHERE.format(function=self._function.function)


def _text(reason: object) -> str:
    """The reason on one line."""
    if isinstance(reason, Exception):
        return text_of(reason)
    return next(iter(str(reason).strip().splitlines()), "no reason given")
