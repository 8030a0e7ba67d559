"""synthetic: one random batch in memory, repeated; shows the consumer's rate without waiting."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feedbench.loaders.augment.host import to_range
from feedbench.loaders.buffers import Buffers
from feedbench.loaders.contract import Batch, Loader, Request, Stream
from feedbench.loaders.settings import Output, PixelOutput


class Synthetic(PixelOutput):
    """Settings of `synthetic`."""

    output: Output = "uint8"


def open_stream(request: Request, settings: Synthetic) -> Stream:
    """Random images with the real labels and rows of each batch."""
    return Stream(_batches(request, settings), faults=request.faults)


def _batches(request: Request, settings: Synthetic) -> Iterator[Batch]:
    spec, order = request.spec, request.order
    shape = (spec.batch_size, spec.image_size, spec.image_size, 3)
    pixels = np.random.default_rng(spec.seed).integers(0, 256, shape, np.uint8)
    # Aligned as in the fast loaders, whose ceiling it is: TensorFlow need not copy it.
    if settings.output == "uint8":
        images: NDArray[Any] = Buffers().allocate(shape)
        images[...] = pixels
    else:
        images = Buffers().floats(shape)
        images[...] = pixels
        to_range(images, spec)
    for begin, end in order.chunks(order.batch_size):
        rows = order.rows(begin, end)
        yield request.batch(images[: len(rows)], rows, order.draws(begin, end))


LOADER = Loader(
    name="synthetic",
    summary="made-up images that cost nothing: the consumer's ceiling, not a choice",
    settings=Synthetic,
    open=open_stream,
    role="baseline",
    readable_by=(),
)
