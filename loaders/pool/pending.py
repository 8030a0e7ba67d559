"""A batch while its images are made."""

from __future__ import annotations

from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any

from feedbench.loaders.augment.draws import Draws
from feedbench.loaders.augment.regions import Crops
from feedbench.loaders.errors import ImageError
from feedbench.loaders.order import Order, Rows
from feedbench.loaders.pool.compiled import Work


@dataclass
class Pending:
    """A batch that is being filled.

    Attributes:
        order: positions `begin` to `end` of it make the batch.
        crops: the region to cut out of each image; None for whole images.
        images: uint8 `[batch, side, side, 3]`, contiguous; in the end in the batch's dtype, and
            without those that failed.
        work: how the compiled module makes them; None if Python makes them.
        failed: the images that failed so far.
        error: what ended the run.
        unfinished: of pieces that Python makes, the numbers of those not filled yet, down to 0.
        outcome: takes a sign when Python has filled the batch, or it has failed.
    """

    order: Order
    begin: int
    end: int
    rows: Rows
    items: Any
    draws: Draws
    crops: Crops | None
    images: Any
    work: Work | None
    failed: list[ImageError] = field(default_factory=list)
    error: BaseException | None = None
    unfinished: list[int] = field(default_factory=list)
    outcome: SimpleQueue[None] = field(default_factory=SimpleQueue)
