"""grain: Google's Grain, a `MapDataset` of batches that threads or processes prepare.

Written as Grain's guide builds a pipeline: a source, `map`, `to_iter_dataset` with `ReadOptions`
and, with `worker_count`, `mp_prefetch`. The source are the steps of the order, and `map` makes a
whole batch in one piece of memory: with `map` per image and `batch` behind it, images would be
copied once more. Source: https://google-grain.readthedocs.io, tutorials on `Dataset`.

Pixels: those of `turbo`, with each decoder.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from collections.abc import Iterator
from functools import partial
from time import sleep
from typing import Any

from pydantic import Field, NonNegativeInt, PositiveInt

from feedbench.loaders.capabilities import UpperBound
from feedbench.loaders.contract import Batch, Loader, Request, Stream
from feedbench.loaders.cores import thread_counts, usable_cores
from feedbench.loaders.errors import WorkerError
from feedbench.loaders.guests.images import Decoder, Images, Scaling
from feedbench.loaders.guests.making import Made, MakeBatch, batch_of
from feedbench.loaders.guests.package import Package
from feedbench.loaders.guests.stages import image_stages
from feedbench.loaders.settings import Output, PixelOutput
from feedbench.loaders.stages.stage import Concurrency

_JOIN_S = 30.0  # for a thread that makes its last batch
_LOOK_S = 1.0  # between two looks for the parent


class Grain(PixelOutput):
    """Settings of `grain`."""

    num_threads: PositiveInt | None = Field(
        None,
        description="Threads of ReadOptions, each making a batch; default: one per core. Grain's "
        "own default is 16, each of which holds the memory of a batch.",
    )
    prefetch_buffer_size: NonNegativeInt | None = Field(
        None,
        description="Batches of ReadOptions prepared ahead; each takes memory; default: two per "
        "thread; 0 prepares a batch only when the trainer waits for it.",
    )
    worker_count: NonNegativeInt = Field(
        0,
        description="Processes, each with such threads and such a buffer of its own: no shared "
        "Python lock, but each takes the memory of an interpreter; 0: threads of this process.",
    )
    decoder: Decoder = "pillow"
    decode: Scaling = "full"
    output: Output = "uint8"

    @property
    def threads(self) -> int:
        """Threads of each process."""
        return self.num_threads or usable_cores()

    @property
    def concurrency(self) -> Concurrency:
        """How threads and processes share the work; the threads of a process share its lock."""
        if self.worker_count:
            return Concurrency("processes", self.worker_count * self.threads)
        return Concurrency("threads", self.num_threads)

    @property
    def batches_ahead(self) -> int:
        """Batches that each process prepares ahead."""
        ahead = self.prefetch_buffer_size
        return 2 * self.threads if ahead is None else ahead


def open_stream(request: Request, settings: Grain) -> Stream:
    """Batches in the seeded order, whose steps are the source of Grain's data set."""
    running = _Running(request, settings)
    return Stream(running.batches(), running.close, request.faults)


class _Running:
    """The iterator of Grain, and the threads that it starts."""

    def __init__(self, request: Request, settings: Grain) -> None:
        self._request = request
        self._threads: set[threading.Thread] = set()
        self._has_processes = settings.worker_count > 0
        self._iterator: Any = iter(_dataset(request, settings))

    def batches(self) -> Iterator[Batch]:
        """The batches in order.

        Raises:
            LoaderError: an image cannot be read and may not be dropped, or a process was killed.
        """
        steps, step = self._request.order.steps, 0
        while steps is None or step < steps:
            yield batch_of(self._request, self._next())
            step += 1

    def _next(self) -> Made:
        before = set(threading.enumerate())
        try:
            return next(self._iterator)  # type: ignore[no-any-return]
        except RuntimeError as error:
            line = (str(error).splitlines() or [type(error).__name__])[0]
            raise WorkerError(f"grain: {line.partition('. ')[0]}") from error
        finally:
            self._threads |= set(threading.enumerate()) - before

    def close(self) -> None:
        """End processes and threads; for the threads, Grain itself does not wait."""
        iterator, self._iterator = self._iterator, iter(())
        getattr(iterator, "close", lambda: None)()
        del iterator  # its threads end when it is collected
        for thread in self._threads:
            if thread.name.startswith("ThreadPoolExecutor") or "grain" in thread.name.lower():
                thread.join(_JOIN_S)
        if self._has_processes:
            # Where all batches came to an end, the traceback of that holds the last ones of each
            # process, whose memory is shared.
            gc.collect()


def _dataset(request: Request, settings: Grain) -> Any:
    """The data set of batches: from steps, by threads, by processes."""
    import grain

    images = partial(Images, request.manifest, request.spec, settings.decoder, settings.decode)
    steps = request.order.steps
    dataset: Any = grain.MapDataset.range(sys.maxsize if steps is None else steps)
    dataset = dataset.map(MakeBatch(request, settings.output, images))
    threads = grain.ReadOptions(
        num_threads=settings.threads, prefetch_buffer_size=settings.batches_ahead
    )
    dataset = dataset.to_iter_dataset(threads)
    if settings.worker_count:
        _parse_flags()
        processes = grain.MultiprocessingOptions(num_workers=settings.worker_count)
        dataset = dataset.mp_prefetch(processes, _leave_the_end_to_parent)
    return dataset


def _parse_flags() -> None:
    """Give the flags of programs that use absl their defaults, unless they have been parsed.

    Where JAX is installed, Grain reads one of them as it starts processes.
    """
    from absl import flags

    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()


def _leave_the_end_to_parent(worker: int, workers: int) -> None:
    """Have a process end when its parent closes the stream or was killed, and not by Ctrl-C.

    Grain's would wait for a killed parent forever; and after Ctrl-C, which reaches all processes of
    a terminal, they leave the memory of their batches behind.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_watch, args=(os.getppid(),), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        sleep(_LOOK_S)
    os._exit(1)


LOADER = Loader(
    name="grain",
    summary="Google's Grain: Pillow, OpenCV or simplejpeg on Python's threads or in processes",
    turns_by_scan=True,
    settings=Grain,
    open=open_stream,
    space={
        "decoder": ("pillow", "opencv", "simplejpeg"),
        "num_threads": lambda cores: (None, *(n for n in thread_counts(cores) if n != cores)),
        "worker_count": lambda cores: (0, cores),
        "decode": ("full", "scaled"),
        "output": ("uint8", "float32"),
    },
    suites={"peers": ({"decoder": ["pillow", "opencv", "simplejpeg"]},)},
    upper_bound=lambda settings: UpperBound("decode", scaled=settings.decode == "scaled"),
    stages=image_stages,
    cuts_no_regions=lambda settings: None,
    package=Package("grain", ("grain",)),
)
