"""One batch in memory again and again: what the consumer does when it never waits."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from pydantic import Field

from feedbench.loaders.contract import Batch, BatchSpec, Dtype, Loader, Settings, Stream
from feedbench.loaders.faults import Faults
from feedbench.loaders.images.host_augment import ranged
from feedbench.loaders.manifest import Manifest
from feedbench.loaders.order import Order


class Synthetic(Settings):
    """Knobs of `synthetic`."""

    output: Dtype = Field(
        "uint8", description="uint8: a quarter of the bytes to copy; float32: already in range"
    )

    @property
    def image_dtype(self) -> Dtype:
        """Type of the batches' images."""
        return self.output


def open_stream(
    manifest: Manifest, spec: BatchSpec, settings: Synthetic, order: Order, faults: Faults
) -> Stream:
    """Made-up images with the real labels and rows of each batch."""
    return Stream(_batches(manifest, spec, settings, order), faults=faults)


def _batches(
    manifest: Manifest, spec: BatchSpec, settings: Synthetic, order: Order
) -> Iterator[Batch]:
    shape = (spec.batch_size, spec.image_size, spec.image_size, 3)
    images = np.random.default_rng(spec.seed).integers(0, 256, shape, np.uint8)
    made = images if settings.output == "uint8" else ranged(images.astype(np.float32), spec)
    for begin, end in order.pieces(order.batch_size):
        rows = order.rows(begin, end)
        changes = spec.augment.for_device(order.draws(begin, end), spec.image_size)
        yield Batch(made[: len(rows)], manifest.labels[rows], rows, changes)


LOADER = Loader(
    name="synthetic",
    summary="made-up images that cost nothing: the consumer's ceiling, not a choice",
    settings=Synthetic,
    open=open_stream,
    role="baseline",
    readable_by=(),
)
