"""synthetic: one random batch in memory, repeated; shows the consumer's rate without waiting."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from feedbench.loaders.augment.host import to_range
from feedbench.loaders.buffers import Buffers
from feedbench.loaders.contract import Batch, Loader, Request, Stream, parse_settings
from feedbench.loaders.settings import Output, PixelOutput


class Synthetic(PixelOutput):
    """Settings of `synthetic`."""

    output: Output = "uint8"
    like: str | None = Field(
        None, description="A loader of your own, whose first batch is repeated instead."
    )
    like_settings: dict[str, Any] = Field({}, description="Settings of the loader `like`.")


def open_stream(request: Request, settings: Synthetic) -> Stream:
    """Random images with the real labels and rows of each batch."""
    if settings.like is not None:
        return Stream(repeat(_first_batch(request, settings.like, settings.like_settings)))
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


def _first_batch(request: Request, like: str, values: dict[str, Any]) -> Batch:
    """The first batch of a user's own loader, in memory of its own: the loader is closed again."""
    from feedbench.loaders import find_loader

    loader = find_loader(like)
    with loader.open(request, parse_settings(loader, values)) as stream:
        first = next(stream)
        return replace(first, images=_copied(first.images), labels=_copied(first.labels))


def _copied(values: Any) -> Any:
    if isinstance(values, dict):
        return {name: _copied(value) for name, value in values.items()}
    if isinstance(values, list | tuple):
        return type(values)([_copied(value) for value in values])
    return values.copy() if isinstance(values, np.ndarray) else values


LOADER = Loader(
    name="synthetic",
    summary="made-up images that cost nothing: the consumer's ceiling, not a choice",
    settings=Synthetic,
    open=open_stream,
    role="baseline",
    readable_by=(),
)
