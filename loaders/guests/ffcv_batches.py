"""FFCV's Loader over a .beton file, in the seeded order; and the settings that shape it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from queue import Empty
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveInt, field_validator

from feedbench.loaders.contract import Batch, BatchSpec, Request
from feedbench.loaders.cores import usable_cores
from feedbench.loaders.errors import ImageError, LoaderError, SettingsError
from feedbench.loaders.guests.beton import About, Beton, WriteMode
from feedbench.loaders.guests.finish import Finish
from feedbench.loaders.manifest import Manifest
from feedbench.loaders.order import Order, Rows
from feedbench.loaders.settings import Output, PixelOutput

# Functions of Numba, whose finalizer fails where one is collected before the process ends.
_COMPILED: list[Any] = []
_LOOK_S = 1.0  # between two looks at a thread that gives no batch
# Batches of one pass at least. After each, FFCV ends its thread and allocates all batches again,
# which is a noticeable pause where an epoch has few.
_PASS = 1000


class Ffcv(PixelOutput):
    """Settings of `ffcv`."""

    pack_dir: str | None = Field(
        None,
        validate_default=True,
        description="Folder for .beton files; each gets a subfolder of its own; required.",
    )
    write_mode: WriteMode = Field(
        "raw",
        description="How images are kept. raw: pixels; jpg: JPEGs; proportion: either, by chance.",
    )
    max_resolution: int = Field(
        256, ge=1, le=4096, description="Largest side in pixels to which images are shrunk."
    )
    jpeg_quality: int = Field(90, ge=1, le=100, description="Quality of the JPEGs.")
    compress_probability: float = Field(
        0.5, ge=0, le=1, description="Fraction of JPEGs with write_mode 'proportion'."
    )
    num_workers: PositiveInt | None = Field(
        None, description="Threads that decode a batch together; default: one per core."
    )
    os_cache: bool = Field(
        True,
        description="Leave caching to the system, which suits a file that fits into memory; false: "
        "FFCV reads ahead into memory of its own.",
    )
    batches_ahead: PositiveInt = Field(3, description="Batches prepared ahead; each takes memory.")
    copy_batches: bool = Field(
        True,
        description="Copy each batch out of FFCV's memory. false: it is valid only until the next "
        "one is asked for, as in FFCV's own loops.",
    )
    output: Output = "uint8"

    @field_validator("pack_dir")
    @classmethod
    def _is_given(cls, folder: str | None) -> str:
        if folder is None:
            raise ValueError("no folder given for .beton files; pass --set ffcv.pack_dir=FOLDER")
        return folder


def about_of(manifest: Manifest, spec: BatchSpec, settings: Ffcv) -> About:
    """What the images of the file depend on."""
    return About(
        rows=manifest.fingerprint(),
        root=str(manifest.root),
        write_mode=settings.write_mode,
        max_resolution=settings.max_resolution,
        jpeg_quality=settings.jpeg_quality,
        compress_probability=settings.compress_probability,
        orientation=spec.orientation,
        background=spec.background,
    )


class _Planned(NamedTuple):
    """One batch, before FFCV has made it.

    Attributes:
        order: without the rows that are known to have failed.
        failed: the images whose places others take in this batch.
    """

    order: Order
    begin: int
    end: int
    failed: list[ImageError]

    @property
    def rows(self) -> Rows:
        """The rows of the batch."""
        return self.order.rows(self.begin, self.end)


class Batches:
    """FFCV's Loader, which passes over an epoch of the order or several at a time."""

    def __init__(self, beton: Beton, request: Request, settings: Ffcv) -> None:
        self._failed = beton.failed
        self._request = request
        self._copy = settings.copy_batches and settings.output == "uint8"
        self._finish = Finish(request.spec, settings.output)
        self._indices = _Indices()
        self._loader = _loader(beton.path, request, settings)
        _COMPILED.append(self._loader.code)
        self._loader.traversal_order = self._indices
        self._running: Any = None

    def batches(self) -> Iterator[Batch]:
        """The batches in order.

        Raises:
            LoaderError: an image cannot be read and may not be dropped.
        """
        planned = self._planned()
        now = list(islice(planned, max(self._request.order.steps_per_epoch, _PASS)))
        while now:
            self._start(np.concatenate([batch.rows for batch in now]))
            following: list[_Planned] = []
            for batch in now:
                for error in batch.failed:
                    self._request.faults.add(error)
                yield self._batch(batch, self._next())
                following += islice(planned, 1)  # while FFCV decodes, not between two passes
            self.stop()
            now = following

    def close(self) -> None:
        """End FFCV's thread, and free its memory."""
        self.stop()
        self._loader = None

    def _planned(self) -> Iterator[_Planned]:
        order = self._request.order
        for begin, end in order.chunks(order.batch_size):
            failed: list[ImageError] = []
            while bad := [row for row in order.rows(begin, end).tolist() if row in self._failed]:
                failed += [self._failed[row] for row in dict.fromkeys(bad)]
                order = order.without(bad)
            yield _Planned(order, begin, end, failed)

    def _start(self, rows: Rows) -> None:
        self._indices.rows = rows.astype(np.uint64)
        self._loader.first_traversal_order = self._indices.rows  # of which FFCV takes the length
        self._running = iter(self._loader)

    def _batch(self, batch: _Planned, result: tuple[NDArray[np.uint8]]) -> Batch:
        draws = batch.order.draws(batch.begin, batch.end)
        pixels = result[0].copy() if self._copy else result[0]
        return self._request.batch(self._finish(pixels, draws), batch.rows, draws)

    def _next(self) -> tuple[NDArray[np.uint8]]:
        """What FFCV made; its own `next` would wait forever for a thread that has failed."""
        while True:
            try:
                _, result = self._running.output_queue.get(timeout=_LOOK_S)
            except Empty:
                if not self._running.is_alive():
                    raise LoaderError("ffcv: its thread has failed; see the error above") from None
            else:
                return result  # type: ignore[no-any-return]

    def stop(self) -> None:
        """End the thread of a pass, which may wait until it can put a batch into its queue.

        It looks at its own event only where it cannot put one; and it is not closed before it has
        ended, since it would wait forever for pages that nobody reads any more.
        """
        running, self._running = self._running, None
        if running is None:
            return
        running.terminate_event.set()
        running.iter_ixes = iter(())  # of the batches that are left
        while running.is_alive():
            try:
                running.output_queue.get(timeout=0.05)
            except Empty:
                continue
        running.join()
        running.close()


class _Indices:
    """The order of one pass, as FFCV's `TraversalOrder` gives it."""

    rows: NDArray[np.uint64]

    def sample_order(self, epoch: int) -> NDArray[np.uint64]:
        """The indices of the images, in the order in which they are to come."""
        return self.rows


def _loader(path: Path, request: Request, settings: Ffcv) -> Any:
    from ffcv.loader import Loader as FfcvLoader
    from ffcv.loader import OrderOption
    from numba import config

    workers = settings.num_workers or usable_cores()
    if workers > config.NUMBA_NUM_THREADS:
        raise SettingsError(
            f"settings of ffcv: num_workers must be at most {config.NUMBA_NUM_THREADS}, the number "
            f"of Numba's threads, got {workers}"
        )
    return FfcvLoader(
        str(path),
        batch_size=request.order.batch_size,
        num_workers=workers,
        os_cache=settings.os_cache,
        order=OrderOption.SEQUENTIAL,
        pipelines={"image": [_decoder(request.spec)]},
        drop_last=False,
        batches_ahead=settings.batches_ahead,
    )


def _decoder(spec: BatchSpec) -> Any:
    """FFCV's decoder of a centre crop, or of the whole image by the same operations."""
    from ffcv.fields.rgb_image import CenterCropRGBImageDecoder

    class Stretch(CenterCropRGBImageDecoder):  # type: ignore[misc]
        @property
        def get_crop_generator(self) -> Any:
            return _whole

    size = (spec.image_size, spec.image_size)
    return CenterCropRGBImageDecoder(size, 1) if spec.resize == "crop" else Stretch(size, 1)


def _whole(height: Any, width: Any, scale: Any, ratio: Any) -> Any:
    """Top, left, height and width of the whole image; compiled by Numba."""
    return 0, 0, height, width
