"""webdataset: shards in tar files, read in their order or shuffled, decoded in processes.

Its own pipeline, as its documentation builds it: shards split among the workers of a DataLoader
and shuffled, a shuffle buffer, decoding and batching in the workers, which never stop.

Source: https://webdataset.github.io/webdataset/. Its `shuffle` would repeat one order every epoch
if it is given a seed, so that the reproducible `detshuffle` is used. The images of a batch are
decoded straight into the memory that is shared with the parent.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveInt

from feedbench.loaders.contract import Batch, BatchSpec, Loader, Request, Stream
from feedbench.loaders.errors import LoaderError, SourceError, SpecError
from feedbench.loaders.guests.data_loader import (
    Results,
    array_of,
    check_pinning,
)
from feedbench.loaders.guests.images import Decoder, Scaling
from feedbench.loaders.guests.map_style import (
    DecodingSettings,
    NumWorkers,
    PersistentWorkers,
    PinMemory,
    PrefetchFactor,
    decode_limit,
    options,
    worker_counts,
)
from feedbench.loaders.guests.package import Package
from feedbench.loaders.guests.stages import image_stages
from feedbench.loaders.guests.web_decoding import Decoding, Opening
from feedbench.loaders.guests.web_rows import SampleRows
from feedbench.loaders.manifest import Manifest
from feedbench.loaders.settings import Output
from feedbench.loaders.stages.stage import Stages


class WebDataset(DecodingSettings):
    """Settings of `webdataset`."""

    decoder: Decoder = "pillow"
    shuffle: PositiveInt = Field(
        1000,
        description="Samples in the buffer of each worker from which the next one is drawn; each "
        "takes the memory of its file. Without shuffling, images come in the order of the shards.",
    )
    num_workers: NumWorkers = None
    prefetch_factor: PrefetchFactor = 2
    persistent_workers: PersistentWorkers = True
    pin_memory: PinMemory = False
    decode: Scaling = "full"
    output: Output = "uint8"


def open_stream(request: Request, settings: WebDataset) -> Stream:
    """Batches of a pipeline whose worker processes are started at once."""
    _check(request)
    check_pinning("webdataset", pin_memory=settings.pin_memory)
    running = _Running(request, settings)
    return Stream(running.batches(), running.close, request.faults)


def _check(request: Request) -> None:
    if request.manifest.layout != "tar":
        raise SourceError(
            f"{request.manifest.root}: webdataset reads tar files, which feedbench pack --as "
            "webdataset writes; pack the data, or use another loader"
        )
    if request.spec.balance:
        raise SpecError(
            "webdataset cannot balance: it reads each shard once per epoch; set balance=0 or use "
            "another loader"
        )


class _Running:
    """A pipeline in the worker processes of a DataLoader, iterated once per epoch."""

    def __init__(self, request: Request, settings: WebDataset) -> None:
        self._request = request
        order = request.order
        self._rows = SampleRows(request.manifest)
        # A worker without a shard would have nothing to do; unshuffled, one keeps the order.
        most = len(self._rows.shards) if request.spec.shuffle else 1
        workers = min(settings.workers, most)
        self._settings = settings.model_copy(update={"num_workers": workers})
        self._first, self._skipped = divmod(order.start_step, order.steps_per_epoch)
        self._results = self._opened(self._first)
        self._seen = np.zeros(len(request.manifest), np.bool_)

    def batches(self) -> Iterator[Batch]:
        """The batches of all epochs; only the last of each may be smaller.

        Raises:
            LoaderError: an image cannot be read and may not be dropped, or a worker was killed.
        """
        epoch, last = self._first, self._request.order.epochs
        while last is None or epoch < last:
            if epoch > self._first:
                self._start(epoch)
            skipped = self._skipped if epoch == self._first else 0
            yield from islice(self._epoch(), skipped, None)
            self._check_seen()
            epoch += 1

    def close(self) -> None:
        """End the worker processes."""
        self._results.close()

    def _start(self, epoch: int) -> None:
        """Start an epoch, with the same processes if these are kept: they count the epochs."""
        if self._settings.persistent_workers and self._settings.workers:
            self._results.restart()
        else:
            self._results.close()
            self._results = self._opened(epoch)

    def _epoch(self) -> Iterator[Batch]:
        """Batches of one epoch; what is left over in each worker is joined.

        The last images come once more in the places of those that are dropped, so that an epoch has
        as many batches as it is said to have.
        """
        size, missing = self._request.order.batch_size, self._request.order.epoch_size
        parts: list[Batch] = []
        last: list[Batch] = []
        for batch in self._decoded():
            missing -= len(batch.rows)
            parts.append(batch)
            if sum(len(part.rows) for part in parts) >= size:
                whole, rest = _divided(parts, size)
                parts, last = [rest] if len(rest.rows) else [], [whole]
                yield whole
        if missing and (parts or last):
            parts.append(_repeated([*last, *parts], missing))
        while parts:
            whole, rest = _divided(parts, size)
            parts = [rest] if len(rest.rows) else []
            yield whole

    def _decoded(self) -> Iterator[Batch]:
        """What the workers give of one epoch; a batch of which images were dropped has fewer."""
        for images, filled in self._results:
            for fault in filled.failed:
                self._request.faults.add(fault)
            if len(filled.rows):
                self._seen[filled.rows] = True
                yield self._request.batch(array_of(images), filled.rows, filled.draws)

    def _check_seen(self) -> None:
        """Check after an epoch that the library has given each image of the list.

        Raises:
            LoaderError: it groups or skips files in another way.
        """
        self._seen[[*self._request.faults.dropped]] = True
        missing = np.flatnonzero(~self._seen)
        if len(missing):
            path = self._request.manifest.path(int(missing[0]))
            raise LoaderError(
                f"{path}: webdataset does not give this image, nor {len(missing) - 1:,} others: it "
                "joins consecutive files with the same name up to the first dot to one sample; "
                "write the shards by feedbench pack --as webdataset, or use another loader"
            )

    def _opened(self, epoch: int) -> Results:
        dataset = _pipeline(self._request, self._settings, self._rows, epoch)
        return Results("webdataset", dataset, batch_size=None, **options(self._settings))


def _pipeline(request: Request, settings: WebDataset, rows: SampleRows, epoch: int) -> Any:
    """The pipeline whose next epoch is this one."""
    import webdataset as wds

    spec = request.spec
    dataset = wds.WebDataset(
        rows.shards,
        shardshuffle=len(rows.shards) if spec.shuffle else False,
        detshuffle=True,
        seed=spec.seed,
        empty_check=False,  # a worker may have no image of the list
    ).map(rows.found)
    if spec.shuffle:
        dataset = dataset.compose(wds.detshuffle(settings.shuffle, seed=spec.seed))
    for number, stage in enumerate(dataset.pipeline):
        if isinstance(stage, wds.detshuffle):
            stage.epoch = epoch - 1
        elif isinstance(stage, wds.cache.StreamingOpen):
            dataset.pipeline[number] = Opening()
    decoding = Decoding(request, settings, epoch)
    return dataset.batched(spec.batch_size, collation_fn=None).compose(decoding)


def _divided(parts: list[Batch], size: int) -> tuple[Batch, Batch]:
    """The first images of some batches as one of at most this size, and those that are left."""
    if len(parts) == 1 and len(parts[0].rows) == size:
        return parts[0], _taken(parts[0], slice(0))
    joined = _joined(parts)
    return _taken(joined, slice(size)), _taken(joined, slice(size, None))


def _repeated(parts: list[Batch], count: int) -> Batch:
    """The images of some batches, over and over until there are as many."""
    joined = _joined(parts)
    return _taken(joined, np.arange(count) % len(joined.rows))


def _joined(parts: list[Batch]) -> Batch:
    images, labels, rows = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("images", "labels", "rows")
    )
    draws = [part.device_draws for part in parts if part.device_draws is not None]
    return Batch(images, labels, rows, np.concatenate(draws) if draws else None)


def _taken(batch: Batch, places: slice | NDArray[np.int64]) -> Batch:
    draws = batch.device_draws
    cut = (batch.images[places], batch.labels[places], batch.rows[places])
    return Batch(*cut, None if draws is None else draws[places])


def _stages(manifest: Manifest, spec: BatchSpec, settings: WebDataset) -> Stages:
    stages = image_stages(manifest, spec, settings)
    assert stages.reading is not None
    # It reads whole shards, whatever rows are asked for.
    return replace(stages, reading=replace(stages.reading, needs_all_rows=True))


LOADER = Loader(
    name="webdataset",
    summary="WebDataset: tar shards, read one after the other by the processes of a DataLoader",
    turns_by_scan=True,
    settings=WebDataset,
    open=open_stream,
    layouts=("tar",),
    follows_order=False,
    space={
        "decoder": ("pillow", "opencv", "simplejpeg"),
        "num_workers": worker_counts,
        "decode": ("full", "scaled"),
        "shuffle": (1000, 100),
        "prefetch_factor": (2, 4),
        "persistent_workers": (True, False),
        "output": ("uint8", "float32"),
    },
    suites={"peers": ({"decoder": ["pillow", "simplejpeg"]},)},
    upper_bound=decode_limit,
    stages=_stages,
    reads_objects=False,
    cuts_no_regions=lambda settings: None,
    package=Package("webdataset", ("webdataset", "torch")),
)
