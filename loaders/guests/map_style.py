"""A map-style data set behind Torch's DataLoader, which makes whole batches in its workers.

As Torch's documentation recommends: a batch sampler, `__getitems__` for whole batches, and memory
that is shared with the parent instead of a copy through a pipe.

Source: https://docs.pytorch.org/docs/stable/data.html. One sampler over all epochs, so that the
workers do not pause at the end of each, is the idea of timm's `MultiEpochsDataLoader`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field, NonNegativeInt, PositiveInt

from feedbench.loaders.batch_pool import Source
from feedbench.loaders.capabilities import UpperBound
from feedbench.loaders.contract import Batch, Dtype, Request, Stream, Values
from feedbench.loaders.cores import thread_counts, usable_cores
from feedbench.loaders.guests.data_loader import (
    Results,
    array_of,
    as_they_are,
    check_pinning,
    shared_tensor,
)
from feedbench.loaders.guests.filling import Filled, fill, in_range
from feedbench.loaders.guests.images import Decoder, Scaling
from feedbench.loaders.settings import Output, PixelOutput
from feedbench.loaders.stages.stage import IN_LINE, Concurrency

Span = tuple[int, int]  # positions of the order that make a batch: the first, and after the last
NumWorkers = Annotated[
    NonNegativeInt | None,
    Field(
        description="Worker processes, each with the memory of an interpreter; default: one per "
        "core; 0: none, each batch is made while the training waits for it."
    ),
]
PrefetchFactor = Annotated[
    PositiveInt,
    Field(description="Batches that each worker prepares ahead; each takes shared memory."),
]
PersistentWorkers = Annotated[
    bool,
    Field(
        description="Keep the workers from epoch to epoch. false: each epoch starts new ones, as "
        "DataLoader does by default."
    ),
]
PinMemory = Annotated[
    bool,
    Field(
        description="Copy each batch into page-locked memory, from which a GPU copies faster; "
        "needs a GPU that torch can use."
    ),
]


class DataLoaderSettings(PixelOutput):
    """Settings of the loaders that run on Torch's DataLoader."""

    if TYPE_CHECKING:
        num_workers: NumWorkers
        prefetch_factor: PrefetchFactor
        persistent_workers: PersistentWorkers
        pin_memory: PinMemory
        output: Output

    @property
    def workers(self) -> int:
        """The number of worker processes."""
        return usable_cores() if self.num_workers is None else self.num_workers

    @property
    def concurrency(self) -> Concurrency:
        """How the workers share the work."""
        return Concurrency("processes", self.num_workers) if self.workers else IN_LINE


class DecodingSettings(DataLoaderSettings):
    """Settings of those whose workers decode files by a library of choice."""

    if TYPE_CHECKING:
        decoder: Decoder
        decode: Scaling


class MapStyleSettings(DecodingSettings):
    """Settings of those that are a map-style data set, with nothing of their own."""

    decoder: Decoder = "pillow"
    num_workers: NumWorkers = None
    prefetch_factor: PrefetchFactor = 2
    persistent_workers: PersistentWorkers = True
    pin_memory: PinMemory = False
    decode: Scaling = "full"
    output: Output = "uint8"


def decode_limit(settings: DecodingSettings) -> UpperBound:
    """Return what bounds the rate: decoding."""
    return UpperBound("decode", scaled=settings.decode == "scaled")


def worker_counts(cores: int) -> tuple[int | None, ...]:
    """Return the numbers of workers worth trying; the default already is one per core."""
    return (None, *(count for count in (0, *thread_counts(cores)) if count != cores))


MAP_STYLE_SPACE: Mapping[str, Values | Callable[[int], Values]] = {
    "decoder": ("pillow", "opencv", "simplejpeg"),
    "num_workers": worker_counts,
    "decode": ("full", "scaled"),
    "prefetch_factor": (2, 4),
    "persistent_workers": (True, False),
    "output": ("uint8", "float32"),
}


def options(settings: DataLoaderSettings) -> dict[str, Any]:
    """Return the arguments of DataLoader that settings decide."""
    has_workers = settings.workers > 0
    return {
        "num_workers": settings.workers,
        "prefetch_factor": settings.prefetch_factor if has_workers else None,
        "persistent_workers": settings.persistent_workers and has_workers,
        "pin_memory": settings.pin_memory,
        "collate_fn": as_they_are,
    }


def open_map_style(
    name: str,
    request: Request,
    settings: DataLoaderSettings,
    make_source: Callable[[], Source],
    close: Callable[[], None] = lambda: None,
) -> Stream:
    """Batches of a DataLoader whose worker processes are started at once.

    Args:
        name: of the loader.
        make_source: called once in each worker; returns what the images come from.
        close: frees what is behind the source; called after the workers have ended.

    Raises:
        LoaderError: memory is to be pinned without a GPU.
    """
    check_pinning(name, pin_memory=settings.pin_memory)
    running = _Running(name, request, settings, make_source)

    def release() -> None:
        running.close()
        close()

    return Stream(running.batches(), release, request.faults)


class Batches:
    """The data set: makes a batch of a span of positions, in a worker process or in line.

    An error is returned, not raised: Torch would raise another one, whose text is a traceback.
    """

    def __init__(self, request: Request, output: Dtype, make_source: Callable[[], Source]) -> None:
        self._request = request
        self._output = output
        self._make_source = make_source

    def __getitems__(self, span: Span) -> tuple[Any, Filled] | Exception:
        """The images, a tensor `[batch, side, side, 3]`, and what else is in the batch."""
        try:
            return self._made(*span)
        except Exception as error:
            return error

    def _made(self, begin: int, end: int) -> tuple[Any, Filled]:
        side = self._request.spec.image_size
        shape = (end - begin, side, side, 3)
        images = shared_tensor(shape, self._output)
        pixels = array_of(images)
        if self._output == "float32":
            pixels = np.empty(shape, np.uint8)
        filled = fill(self._request, self._source, begin, end, pixels)
        if self._output == "float32":
            in_range(self._request, pixels, array_of(images))
        return images, filled

    @cached_property
    def _source(self) -> Source:
        return self._make_source()


class _Running:
    """A DataLoader that is iterated once, or once for each epoch."""

    def __init__(
        self,
        name: str,
        request: Request,
        settings: DataLoaderSettings,
        make_source: Callable[[], Source],
    ) -> None:
        self._name = name
        self._request, self._settings = request, settings
        self._batches = Batches(request, settings.output, make_source)
        self._passes = _passes(request, settings)
        self._results = self._started(next(self._passes, ()))

    def batches(self) -> Iterator[Batch]:
        """The batches of all passes.

        Raises:
            LoaderError: an image cannot be read and may not be dropped, or a worker was killed.
        """
        while True:
            yield from map(self._batch, self._results)
            self.close()
            spans = next(self._passes, None)
            if spans is None:
                return
            self._results = self._started(spans)

    def close(self) -> None:
        """End the worker processes."""
        self._results.close()

    def _started(self, spans: Iterable[Span]) -> Results:
        return Results(self._name, self._batches, batch_sampler=spans, **options(self._settings))

    def _batch(self, result: tuple[Any, Filled]) -> Batch:
        images, filled = result
        for fault in filled.failed:
            self._request.faults.add(fault)
        return self._request.batch(array_of(images), filled.rows, filled.draws)


def _passes(request: Request, settings: DataLoaderSettings) -> Iterator[Iterable[Span]]:
    """The spans of all batches, or of the batches of one epoch after the other."""
    order = request.order
    spans = order.chunks(order.batch_size)
    if settings.persistent_workers:
        yield spans
        return
    steps = order.steps_per_epoch
    while epoch := list(islice(spans, steps)):
        yield epoch
