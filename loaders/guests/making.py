"""Whole batches made by a function that a library calls on its threads or in its processes."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feedbench.loaders.batch_pool import Source
from feedbench.loaders.contract import Batch, Dtype, Request
from feedbench.loaders.guests.filling import Filled, fill, in_range

Made = tuple[NDArray[Any], Filled] | Exception


class MakeBatch:
    """From a step of the order to its batch.

    An error is returned, not raised: libraries raise another one, or leave the batch out.
    """

    def __init__(self, request: Request, output: Dtype, make_source: Callable[[], Source]) -> None:
        """Prepare to make batches.

        Args:
            make_source: called once in each process; returns what the images come from.
        """
        self._request = request
        self._output = output
        self._make_source = make_source

    def __call__(self, step: int) -> Made:
        """The images, uint8 or float32 `[batch, side, side, 3]`, and what else is in the batch.

        Args:
            step: counted from the order's first batch.
        """
        try:
            return self._made(*self._request.order.chunk(step, self._request.order.batch_size))
        except Exception as error:
            return error

    def _made(self, begin: int, end: int) -> Made:
        side = self._request.spec.image_size
        pixels = np.empty((end - begin, side, side, 3), np.uint8)
        filled = fill(self._request, self._source, begin, end, pixels)
        if self._output == "uint8":
            return pixels, filled
        floats = np.empty(pixels.shape, np.float32)
        in_range(self._request, pixels, floats)
        return floats, filled

    @cached_property
    def _source(self) -> Source:  # made where it is used: it may hold memory of one thread each
        return self._make_source()


def batch_of(request: Request, made: Made) -> Batch:
    """The batch of what a library passed on.

    Raises:
        LoaderError: an image cannot be read and may not be dropped.
    """
    if isinstance(made, Exception):
        raise made
    images, filled = made
    for fault in filled.failed:
        request.faults.add(fault)
    return request.batch(images, filled.rows, filled.draws)
