"""The steps of an order in segments: the service has one job for each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from feedbench.loaders.order import Order, Rows

# The rows and paths of a segment travel to every worker: some 15 MB. A job begins with empty
# buffers, and AUTOTUNE from scratch, so that a segment should take minutes.
_IMAGES = 2**17


class Segment(NamedTuple):
    """Consecutive steps.

    Attributes:
        number: equal for all trainers that share a job, wherever they start.
    """

    number: int
    first: int
    end: int

    @property
    def steps(self) -> Rows:
        """The numbers of the steps."""
        return np.arange(self.first, self.end)


def segments(order: Order) -> Iterator[Segment]:
    """The segments of an order, from the step at which it starts."""
    size = max(1, _IMAGES // order.batch_size)
    end = None if order.steps is None else order.start_step + order.steps
    step = order.start_step
    while end is None or step < end:
        number = step // size
        stop = (number + 1) * size
        yield Segment(number, step, stop if end is None else min(stop, end))
        step = stop
