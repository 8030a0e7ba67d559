"""The stages between a file and a batch, each alone: what the machine can do without a loader."""

from __future__ import annotations

import io
import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from feedbench.bench.record import CacheState
from feedbench.bench.trials.cache_state import Files
from feedbench.loaders import BatchSpec, Manifest, Settings
from feedbench.loaders.augment import FLIP, NEUTRAL

DEPTHS = (1, 4, 16)  # reads under way at once
_WARM = 1024  # files that are read warm, again and again
_SAMPLE = 256  # files whose bytes are held to be decoded
_HELD_BYTES = 200_000_000  # of decoded pictures, at most
_PIECE = 8  # images that tf.data counts at once
Rows = NDArray[np.int64]


class Timed(NamedTuple):
    """What one block did."""

    images: int
    seconds: float
    rows: Rows | None = None


Run = Callable[[float], Timed]  # works at a stage for so many seconds


class Stages(Protocol):
    """Decoding, transforming and assembling as one kind of loader does it."""

    def decode(self, cores: int) -> Run:
        """From a file's bytes in memory to pixels."""

    def transform(self, cores: int) -> Run:
        """From pixels to an image of the batch's size, changed as the spec says."""

    def assemble(self) -> Run:
        """From such images to a batch; one core."""


def repeated(work: Iterator[int]) -> Run:
    """Takes from an endless iterator, whose items are numbers of images that were worked at."""

    def run(seconds: float) -> Timed:
        begin = perf_counter()
        images = 0
        while not images or perf_counter() - begin < seconds:
            images += next(work)
        return Timed(images, perf_counter() - begin)

    return run


class Storage:
    """Reads whole files in a random order, many at once."""

    def __init__(
        self, manifest: Manifest, seed: int = 0, read: Callable[[bytes], int] | None = None
    ) -> None:
        """Read the manifest's files, by another reader if one is given."""
        self._read = read or _read
        self._manifest = manifest
        self._files = Files(manifest)
        order = np.random.default_rng(seed).permutation(len(manifest))
        self._rows = cycle(order.tolist())
        self._kept = order[:_WARM]
        self._synced: set[int] = set()

    def prepare(self, state: CacheState) -> None:
        """Read what is to be read warm; cold files are evicted piece by piece."""
        if state == "warm":
            for path in self._manifest.paths(self._kept):
                _read(path)

    def read(self, state: CacheState, depth: int, seconds: float) -> Timed:
        """Read for so many seconds; evicting files is not timed."""
        taken: list[Rows] = []
        spent = 0.0
        with ThreadPoolExecutor(depth) as threads:
            list(threads.map(len, [()] * depth))  # threads are there before the clock runs
            while spent < seconds:
                rows = self._next(state, 64 * depth)
                paths = self._manifest.paths(rows)
                begin = perf_counter()
                list(threads.map(self._read, paths))
                spent += perf_counter() - begin
                taken.append(rows)
        every = np.concatenate(taken)
        return Timed(len(every), spent, every)

    def _next(self, state: CacheState, count: int) -> Rows:
        if state == "warm":
            return self._kept
        rows = np.array(list(islice(self._rows, min(len(self._manifest), count))), np.int64)
        new = [row for row in rows.tolist() if row not in self._synced]
        self._files.evict(np.array(new, np.int64), sync=True)
        self._synced.update(new)
        self._files.evict(rows)
        return rows

    def size(self, rows: Rows) -> int:
        """Bytes of these rows' files."""
        return self._files.size(rows)


def _read(path: bytes) -> int:
    return len(Path(os.fsdecode(path)).read_bytes())


def sample(manifest: Manifest, seed: int = 0) -> tuple[Rows, list[bytes]]:
    """Some rows and their files' bytes, in memory."""
    drawn = np.random.default_rng(seed).permutation(len(manifest))[:_SAMPLE]
    return drawn, [Path(os.fsdecode(path)).read_bytes() for path in manifest.paths(drawn)]


def _draws(count: int, spec: BatchSpec) -> NDArray[np.float32]:
    """Half of the images mirrored if the spec asks for it, nothing else."""
    draws = np.tile(np.asarray(NEUTRAL, np.float32), (count, 1))
    draws[:, FLIP] = np.arange(count) % 2 if spec.augment.horizontal_flip else 0
    return draws


class PillowStages:
    """By Pillow and NumPy; more cores are more processes, so that no lock is shared."""

    def __init__(self, manifest: Manifest, spec: BatchSpec, settings: Settings) -> None:
        from feedbench.loaders.images.pillow import picture

        self._spec = spec
        _, self._files = sample(manifest)
        self._pictures: list[Any] = []
        held = 0
        for data in self._files:
            self._pictures.append(picture(io.BytesIO(data), spec))
            held += 3 * self._pictures[-1].width * self._pictures[-1].height
            if held > _HELD_BYTES:
                break
        self._images = [self._transformed(index) for index in range(len(self._pictures))]

    def decode(self, cores: int) -> Run:
        """Pillow's own calls, as load_img makes them."""
        return on_cores(self._decoded, len(self._files), cores)

    def transform(self, cores: int) -> Run:
        """Resizing, and the copy out of Pillow."""
        return on_cores(self._transformed, len(self._pictures), cores)

    def assemble(self) -> Run:
        """Stacking, flips and range."""
        return repeated(self._batches())

    def _batches(self) -> Iterator[int]:
        from feedbench.loaders.images.host_augment import augment_to_range

        size = self._spec.batch_size
        batch = [self._images[index % len(self._images)] for index in range(size)]
        draws = _draws(size, self._spec)
        while True:
            augment_to_range(np.stack(batch), draws, self._spec)
            yield size

    def _decoded(self, index: int) -> Any:
        from feedbench.loaders.images.pillow import picture

        return picture(io.BytesIO(self._files[index]), self._spec)

    def _transformed(self, index: int) -> NDArray[np.float32]:
        from feedbench.loaders.images.pillow import fitted

        return np.asarray(fitted(self._pictures[index], self._spec), np.float32)


class TensorFlowStages:
    """By TensorFlow's graph and tf.data; more cores are more of its threads."""

    def __init__(self, manifest: Manifest, spec: BatchSpec, settings: Settings) -> None:
        from feedbench.loaders.images.tensorflow import Decoding, resizer

        self._spec = spec
        self._float = settings.image_dtype == "float32"
        self._decoding = Decoding(manifest, spec, getattr(settings, "decode", "image"))
        self._resize = resizer(spec)
        rows, self._files = sample(manifest)
        codes = self._decoding.decode_paths
        self._codes = np.zeros(len(rows), np.int8) if codes is None else codes[rows]
        self._pictures: list[Any] = []
        held = 0
        for data, code in zip(self._files, self._codes, strict=True):
            self._pictures.append(self._decoding(data, code).numpy())
            held += self._pictures[-1].nbytes
            if held > _HELD_BYTES:
                break

    def decode(self, cores: int) -> Run:
        """The loader's own decoder in a graph."""
        import tensorflow as tf

        files = tf.data.Dataset.from_tensor_slices((self._files, self._codes))
        return self._mapped(
            files, lambda data, code: tf.shape(self._decoding(data, code))[0], cores
        )

    def transform(self, cores: int) -> Run:
        """Resizing and flips in a graph."""
        import tensorflow as tf

        places, held = side_by_side([_even(pixels) for pixels in self._pictures])
        pixels, draws = tf.constant(held), _draws(len(places), self._spec)

        def made(place: Any, draw: Any) -> Any:
            picture = tf.reshape(pixels[place[0] : place[1]], place[2:])
            return tf.shape(self._transformed(picture, draw))[0]

        return self._mapped(tf.data.Dataset.from_tensor_slices((places, draws)), made, cores)

    def assemble(self) -> Run:
        """Copying images into a batch, and the range where the host brings them into it."""
        import tensorflow as tf

        from feedbench.loaders.images.tensorflow import to_range

        side, size = self._spec.image_size, self._spec.batch_size
        images = tf.data.Dataset.from_tensors(tf.zeros((side, side, 3), tf.uint8)).repeat()
        batches = images.batch(size)
        if self._float:
            batches = batches.map(lambda batch: to_range(batch, self._spec))
        return repeated(_counted(batches, size))

    def _transformed(self, pixels: Any, draw: Any) -> Any:
        from feedbench.loaders.images.tensorflow import augment, to_bytes

        return to_bytes(augment(self._resize(pixels), draw, self._flips))

    @property
    def _flips(self) -> BatchSpec:
        """The spec with flips alone, which are all that an image by itself is changed by."""
        augment = {"horizontal_flip": self._spec.augment.horizontal_flip}
        return BatchSpec.model_validate({**self._spec.model_dump(), "augment": augment})

    def _mapped(self, items: Any, work: Callable[..., Any], cores: int) -> Run:
        import tensorflow as tf

        options = tf.data.Options()
        options.autotune.enabled = False
        options.threading.private_threadpool_size = cores
        options.threading.max_intra_op_parallelism = 1
        parallel = None if cores == 1 else cores
        options.deterministic = cores == 1
        made = items.repeat().map(work, num_parallel_calls=parallel)
        return repeated(_counted(made.batch(_PIECE).with_options(options), _PIECE))


def _even(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """All but the last few rows and columns, so that the bytes are a multiple of 64."""
    high, wide, _ = pixels.shape
    return pixels[: max(1, high - high % 4), : max(1, wide - wide % 16)]


def side_by_side(pictures: list[NDArray[np.uint8]]) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """Where each picture is (begin, end, shape) and all of them in one array, uint8 `[bytes]`.

    A graph has one constant then and not a branch a picture, which takes 20 s to build. Each begins
    at a multiple of 64 bytes: a slice from there to another such place is not copied.
    """
    begin, places = 0, []
    for pixels in pictures:
        places.append([begin, begin + pixels.size, *pixels.shape])
        begin += -(-pixels.size // 64) * 64
    held = np.zeros(begin, np.uint8)
    for pixels, place in zip(pictures, places, strict=True):
        held[place[0] : place[1]] = pixels.reshape(-1)
    return np.array(places, np.int32), held


def _counted(dataset: Any, images: int) -> Iterator[int]:
    for _ in dataset:
        yield images


def on_cores(work: Callable[[int], object], count: int, cores: int) -> Run:
    """Work at items 0 to `count` again and again; each further core is a process of its own.

    They are forked here, so that they inherit the items, and stand still between the blocks.
    """
    if cores == 1:
        return repeated(_each(work, count))
    context = multiprocessing.get_context("fork")
    pipes = [context.Pipe() for _ in range(cores)]
    for _, theirs in pipes:
        context.Process(target=_serve, args=(theirs, work, count), daemon=True).start()

    def run(seconds: float) -> Timed:
        begin = perf_counter()
        for ours, _ in pipes:
            ours.send(seconds)
        images = sum(ours.recv() for ours, _ in pipes)
        return Timed(images, perf_counter() - begin)

    return run


def _each(work: Callable[[int], object], count: int) -> Iterator[int]:
    for index in cycle(range(count)):
        work(index)
        yield 1


def _serve(pipe: Any, work: Callable[[int], object], count: int) -> None:
    run = repeated(_each(work, count))
    while True:
        pipe.send(run(pipe.recv()).images)
