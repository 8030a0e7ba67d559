"""A part of a loader that can be measured alone, and the ways to run one on several cores."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import cycle
from multiprocessing.connection import wait
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from feedbench.loaders.errors import WorkerError
from feedbench.loaders.files import read_file
from feedbench.loaders.manifest import Manifest
from feedbench.loaders.order import Rows

if TYPE_CHECKING:
    from feedbench.loaders.service.traffic import Traffic

ServicePart = Literal["service workers", "network"]
Kind = Literal["in line", "threads", "processes", "pipelined"]
HELD_BYTES = 200_000_000  # limit for the decoded images that a stage works on
_FEW = 8  # decoded images that stay in the processor's cache while each core works on them
SAMPLE = 256  # number of files whose bytes are kept in memory for decoding


class Timed(NamedTuple):
    """The work of one timed window.

    Attributes:
        traffic: what crossed the network meanwhile; None if that is not used or unknown.
    """

    images: int
    seconds: float
    traffic: Traffic | None = None


Run = Callable[[float], Timed]  # works for at least that many seconds, and at least once
Stage = Callable[[int], Run]  # prepares the work for a number of cores


@dataclass(frozen=True)
class Reading:
    """How a loader reads images, one item after the other, on any number of threads.

    Attributes:
        find: returns what `read` needs for some rows, one item each; not timed.
        read: reads one item and returns the number of its bytes.
        pack_bytes: of all rows, in the pack that is read; None where `read` reads the manifest's
            own files whole.
        needs_all_rows: whether a subset of the rows would need another pack.
        in_shards: whether images are parts of files, which could also be read in their order.
    """

    find: Callable[[Rows], Sequence[Any]]
    read: Callable[[Any], int]
    pack_bytes: int | None = None
    needs_all_rows: bool = False
    in_shards: bool = False


@dataclass(frozen=True)
class Concurrency:
    """How many images a loader works on at the same time.

    Attributes:
        kind: "in line": the parts follow one another in the consumer's thread. "threads" and
            "processes": each worker takes an image, or a batch, through all parts, and waits for
            its own reads. "pipelined": workers do so up to the batch copy, which runs beside them
            on one thread unless several cores can copy.
        workers: number of threads or processes; None for one per core.
        most: how many the settings allow where there are more cores, if these are the limit here.
    """

    kind: Kind
    workers: int | None = None
    most: int | None = None

    @property
    def most_workers(self) -> int | None:
        """How many there are at most on any number of cores; None if more cores have more."""
        return self.most or self.workers


IN_LINE = Concurrency("in line", 1)


@dataclass(frozen=True)
class Service:
    """The workers of a tf.data service, on whatever machine.

    Attributes:
        workers: batches that they make, and do not send.
        network: batches that they send, and made before.
        count: the number of workers that run.
        use_up: takes what is ready of one of them, before its clock starts.
        close: ends what the two have started.
    """

    workers: Stage
    network: Stage
    count: Callable[[], int]
    use_up: Callable[[ServicePart], None]
    close: Callable[[], None]


@dataclass(frozen=True)
class Stages:
    """The parts of a loader's work for an image with full caches; None for a part it does not have.

    Attributes:
        reading: from the disk or its cache to bytes in memory.
        decode: from a file's bytes to pixels.
        transform: from pixels to an image of the batch's size, augmented.
        batch_copy: from such images to a batch in its value range.
        copies_in_parallel: whether several cores copy batches at once.
        concurrency: how the loader runs its parts; None if it does not say.
        service: the workers that do all this, on any machine; None without them.
        reads_nothing: why this machine reads no files, if the reason is not a full cache.
    """

    reading: Reading | None
    decode: Stage | None = None
    transform: Stage | None = None
    batch_copy: Stage | None = None
    copies_in_parallel: bool = False
    concurrency: Concurrency | None = None
    service: Service | None = None
    reads_nothing: str | None = None


def whole_files(manifest: Manifest, read: Callable[[bytes], int] | None = None) -> Reading:
    """Return the reading of whole files; `read` takes a path and returns its size in bytes."""
    return Reading(
        manifest.paths, read or _read, in_shards=manifest.in_shards and not manifest.is_remote
    )


def _read(path: bytes) -> int:
    return len(read_file(path))


def sample(manifest: Manifest, seed: int = 0) -> tuple[Rows, list[bytes]]:
    """Return a random sample of rows, and the bytes of their files."""
    drawn = np.random.default_rng(seed).permutation(len(manifest))[:SAMPLE]
    return drawn, [read_file(path) for path in manifest.paths(drawn)]


def repeated(work: Iterator[int]) -> Run:
    """Return a run that consumes an endless iterator of image counts."""

    def run(seconds: float) -> Timed:
        begin = perf_counter()
        images = 0
        while not images or perf_counter() - begin < seconds:
            images += next(work)
        return Timed(images, perf_counter() - begin)

    return run


def on_processes(work: Callable[[int], object], count: int, cores: int) -> Run:
    """A run of work on items 0 to `count`, one image each, on as many processes as cores.

    The processes are forked here, so that they inherit the items, and wait between the windows.
    One core needs no process of its own. A run raises a WorkerError if one of them has died.
    """
    if cores == 1:
        return repeated(_each(work, count, 1))
    context = multiprocessing.get_context("fork")
    processes = []
    for _ in range(cores):
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, work, count), daemon=True)
        process.start()
        processes.append((process, ours))

    def run(seconds: float) -> Timed:
        begin = perf_counter()
        for _, pipe in processes:
            with suppress(ConnectionError):  # it has died: its answer says so
                pipe.send(seconds)
        images = sum(_answer(process, pipe) for process, pipe in processes)
        return Timed(images, perf_counter() - begin)

    return run


def of_all_sizes(sizes: Sequence[int]) -> list[int]:
    """The places of a few decoded images, evenly over their sizes.

    A loader resizes an image that it has just decoded, so that it is in the processor's cache. A
    stage that went through many images would read each from memory again.
    """
    order = np.argsort(sizes, kind="stable")
    count = min(_FEW, len(order))
    return [int(order[(2 * n + 1) * len(order) // (2 * count)]) for n in range(count)]


def on_threads(work: Callable[[int], object], count: int, cores: int, images: int = 1) -> Run:
    """A run of work on items 0 to `count`, `images` each, on as many threads as cores."""
    pool = ThreadPoolExecutor(cores)
    # Each starts at another item, so that no two read the same memory at the same time.
    runs = [repeated(_each(work, count, images, count * core // cores)) for core in range(cores)]

    def run(seconds: float) -> Timed:
        begin = perf_counter()
        done = sum(timed.images for timed in pool.map(lambda one: one(seconds), runs))
        return Timed(done, perf_counter() - begin)

    return run


def _each(work: Callable[[int], object], count: int, images: int, first: int = 0) -> Iterator[int]:
    for index in cycle([*range(first, count), *range(first)]):
        work(index)
        yield images


def _answer(process: Any, pipe: Any) -> int:
    """What a process answers."""
    if pipe in wait([process.sentinel, pipe]):
        with suppress(EOFError, ConnectionError):
            return int(pipe.recv())
    raise WorkerError(
        "a process that measures on a core was ended, as the system does when memory runs out; "
        "free some memory"
    )


def _serve(pipe: Any, work: Callable[[int], object], count: int) -> None:
    run = repeated(_each(work, count, 1))
    while True:
        pipe.send(run(pipe.recv()).images)
