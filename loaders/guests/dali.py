"""dali: NVIDIA's DALI, a pipeline of operators on its own threads; it also runs without a GPU.

Written as DALI's guide recommends for an order of one's own: `fn.external_source` gives the paths,
and `fn.io.file.read` reads them on DALI's threads; a centre crop is decoded alone, by
`fn.decoders.image_slice`. Batches are not copied: with `exec_dynamic`, DALI allocates the memory of
each, as its plugin for PyTorch relies on too. Source: docs.nvidia.com/deeplearning/dali/user-guide,
operators `fn.io.file.read`, `fn.decoders.image_slice`, `fn.resize` and `fn.crop_mirror_normalize`;
and the release notes of DALI 1.44, "zero-copy outputs transfer with dynamic executor".

Pixels: JPEGs by libjpeg-turbo, so that `nearest` gives those of `turbo`; `bilinear` differs by 0.1
levels on average (docs/guests.md). DALI leaves out the alpha of transparent pixels instead of
laying them over a background.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from feedbench.loaders.contract import Batch, Loader, Request, Stream
from feedbench.loaders.cores import thread_counts
from feedbench.loaders.errors import ImageError, LoaderError, SettingsError
from feedbench.loaders.fifos import FifoWatch
from feedbench.loaders.files import image_error, read_file
from feedbench.loaders.guests.dali_graph import Dali, Graph, finish_of
from feedbench.loaders.guests.dali_stages import dali_stages
from feedbench.loaders.guests.importing import importing
from feedbench.loaders.guests.package import Package
from feedbench.loaders.order import Order, Rows

PACKAGE = Package("dali", ("nvidia.dali",))


def open_stream(request: Request, settings: Dali) -> Stream:
    """Batches in the seeded order, which an external source gives to the pipeline.

    Raises:
        SettingsError: `device` needs a GPU, and there is none.
        LoaderError: DALI cannot be imported.
    """
    if settings.device == "mixed" and not _gpus():
        raise SettingsError("settings of dali: device: mixed needs a GPU, there is none; use cpu")
    with importing("dali", PACKAGE):
        import nvidia.dali.fn  # noqa: F401
    batches = _Batches(request, settings)
    return Stream(batches.batches(), batches.close, request.faults)


def _gpus() -> int:
    import pynvml

    try:
        pynvml.nvmlInit()
        return int(pynvml.nvmlDeviceGetCount())
    except pynvml.NVMLError:
        return 0


class _Batches:
    """Batches of an order; after an image fails, a new pipeline continues without it.

    A pipeline of DALI cannot continue after an error.
    """

    def __init__(self, request: Request, settings: Dali) -> None:
        self._request = request
        self._settings = settings
        self._graph = Graph(request.spec, settings, reads_files=request.manifest.are_files)
        self._finish = finish_of(request.spec, settings)
        self._pipeline: Any = None

    def batches(self) -> Iterator[Batch]:
        """The batches in order.

        Raises:
            LoaderError: an image cannot be read and may not be dropped.
        """
        order, faults, step = self._request.order, self._request.faults, 0
        with FifoWatch(self._request.manifest) as watch:
            while order.steps is None or step < order.steps:
                try:
                    for batch in watch.over(self._run(order, step)):
                        yield batch
                        step += 1
                except (RuntimeError, OSError) as error:  # of DALI, or of reading a shard
                    failed = self._failed(order, step, error)
                    for fault in failed:
                        faults.add(fault)
                    order = order.without(fault.row for fault in failed)

    def close(self) -> None:
        """End the threads, and free the memory of the pipeline."""
        self._pipeline = None

    def _run(self, order: Order, step: int) -> Iterator[Batch]:
        """The batches from a step on, by a new pipeline."""
        spans = _spans(order, step)
        self._pipeline = None
        self._pipeline = self._graph.pipeline(self._samples(order, step), order.batch_size)
        for begin, end in spans:
            (images,) = self._pipeline.run()
            images = images.as_cpu() if self._settings.device == "mixed" else images
            pixels = np.asarray(images.as_tensor())  # no copy: the memory is this batch's alone
            draws = order.draws(begin, end)
            yield self._request.batch(self._finish(pixels, draws), order.rows(begin, end), draws)

    def _samples(self, order: Order, step: int) -> Iterator[list[list[Any]]]:
        """What the external source gives for each batch."""
        for begin, end in _spans(order, step):
            paths = self._request.manifest.paths(order.rows(begin, end))
            draws, crops = order.draws(begin, end), order.crops(begin, end)
            yield self._graph.inputs(self._given(paths), draws, crops)

    def _given(self, paths: Iterable[bytes]) -> Iterable[bytes]:
        """What the graph begins with: the paths of files, or the bytes of images in shards."""
        return paths if self._graph.reads_files else map(read_file, paths)

    def _failed(self, order: Order, step: int, error: Exception) -> list[ImageError]:
        """The images that DALI cannot decode, in a batch that failed or in those after it.

        Raises:
            LoaderError: it decodes each of them.
        """
        ahead = self._settings.prefetch_queue_depth + 1
        for (begin, end), _ in zip(_spans(order, step), range(ahead), strict=False):
            if failed := self._unreadable(order.rows(begin, end)):
                return failed
        raise LoaderError(f"DALI: {_reason(error)}; batch {step}") from error

    def _unreadable(self, rows: Rows) -> list[ImageError]:
        """Errors of the rows that cannot be decoded, each tried alone."""
        failed = []
        unique: Rows = np.unique(rows)
        for row, path in zip(unique.tolist(), self._request.manifest.paths(unique), strict=True):
            name = os.fsdecode(path)
            try:
                read_file(path)
                self._graph.try_one(*self._given([path]))
            except OSError as error:
                failed.append(image_error(row, path, error))
            except RuntimeError as error:
                failed.append(ImageError(name, row, "DALI", _reason(error)))
        return failed


def _spans(order: Order, step: int) -> Iterator[tuple[int, int]]:
    """The positions of each batch from a step on."""
    steps = order.steps
    while steps is None or step < steps:
        yield order.chunk(step, order.batch_size)
        step += 1


def _reason(error: Exception) -> str:
    """DALI's error on one line, without the operator and where in Python it was made."""
    text = str(error)
    said = text.partition("encountered:")[2] or text
    lines = (line.strip() for line in said.splitlines())
    return next((line for line in lines if line), type(error).__name__)


LOADER = Loader(
    name="dali",
    summary="NVIDIA's DALI: a graph of operators on its own threads, with or without a GPU",
    settings=Dali,
    open=open_stream,
    readable_by=("pillow",),
    space={
        "num_threads": lambda cores: (None, *(n for n in thread_counts(cores) if n != cores)),
        "prefetch_queue_depth": (2, 1, 4),
        "use_fast_idct": (False, True),
        "output": ("uint8", "float32"),
    },
    suites={"peers": ({},)},
    stages=dali_stages,
    cuts_no_regions=lambda settings: None,
    package=PACKAGE,
)
