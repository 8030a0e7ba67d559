"""One batch of an order, filled row by row in a worker; failed rows are replaced."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from feedbench.loaders.augment.draws import Draws
from feedbench.loaders.augment.host import augmenter, to_range
from feedbench.loaders.augment.regions import Crops
from feedbench.loaders.batch_pool import RegionSource, Source
from feedbench.loaders.contract import Request
from feedbench.loaders.errors import ImageError
from feedbench.loaders.images.resize import Pixels
from feedbench.loaders.order import Rows


class Filled(NamedTuple):
    """What is in a batch besides its images.

    Attributes:
        failed: the rows that could not be read; others of the order have taken their places.
    """

    rows: Rows
    draws: Draws
    failed: list[ImageError]


def fill(request: Request, source: Source, begin: int, end: int, into: Pixels) -> Filled:
    """Fill `into`, uint8 `[end - begin, side, side, 3]`, with augmented images.

    Args:
        begin: first position in the request's order.
        end: position after the last.

    Raises:
        LoaderError: an image cannot be read and may not be dropped.
    """
    order = request.order
    rows = order.rows(begin, end)
    failed: dict[int, ImageError] = {}
    places: Iterable[int] = range(end - begin)
    while faults := _load(request, source, rows, order.crops(begin, end), places, into, failed):
        failed |= faults
        order = order.without(faults)
        before, rows = rows, order.rows(begin, end)
        places = np.flatnonzero(rows != before).tolist()
    draws = order.draws(begin, end)
    augmenter(request.spec)(into, draws)
    return Filled(rows, draws, list(failed.values()))


def _load(
    request: Request,
    source: Source,
    rows: Rows,
    crops: Crops | None,
    places: Iterable[int],
    into: Pixels,
    failed: dict[int, ImageError],
) -> dict[int, ImageError]:
    """Load the rows at some places of a batch; return the errors of those that failed."""
    faults: dict[int, ImageError] = {}
    items, regions = source.find(rows), cast("RegionSource", source)
    for place in places:
        row = int(rows[place])
        if row in faults:  # with oversampling, a row may come twice
            continue
        try:
            if crops is None:
                source.load(row, items[place], into[place])
            else:
                regions.load_region(row, items[place], into[place], crops[place])
        except ImageError as error:
            faults[row] = error
            request.faults.tolerance.check(len(failed) + len(faults), error)
    return faults


def in_range(request: Request, pixels: Pixels, into: NDArray[np.float32]) -> None:
    """Write pixels as float32 in the value range of the batch spec."""
    np.copyto(into, pixels)
    to_range(into, request.spec)
