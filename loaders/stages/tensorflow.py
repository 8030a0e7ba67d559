"""The stages of a loader that decodes in a TensorFlow graph, or gathers its cache from one."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feedbench.loaders.contract import BatchSpec, Dtype
from feedbench.loaders.cores import usable_cores
from feedbench.loaders.images.tensorflow import Decode, Decoding
from feedbench.loaders.images.tensorflow_finish import augment, to_bytes, to_range
from feedbench.loaders.images.tensorflow_resize import resizer
from feedbench.loaders.manifest import Manifest
from feedbench.loaders.row_cache import RowCache
from feedbench.loaders.row_file import RowFile
from feedbench.loaders.stages.draws import drawn, drawn_crops
from feedbench.loaders.stages.stage import (
    HELD_BYTES,
    Concurrency,
    Kind,
    Run,
    Stages,
    of_all_sizes,
    repeated,
    sample,
    whole_files,
)

_ON_ALL_CORES = Concurrency("pipelined")
_PIECE = 8  # images that tf.data counts at once
_BATCHES = 64  # batches of random rows, requested repeatedly


def tensorflow_stages(
    manifest: Manifest,
    spec: BatchSpec,
    decode: Decode,
    image_dtype: Dtype,
    concurrency: Concurrency = _ON_ALL_CORES,
    *,
    reads: bool = True,
) -> Stages:
    """Return stages that read, decode, resize and batch in a graph; `reads` False: from memory."""
    work = TensorFlowWork(manifest, spec, decode, image_dtype)
    return Stages(
        whole_files(manifest) if reads else None,
        work.decode,
        work.transform,
        work.batch_copy,
        concurrency=concurrency,
    )


def pool_concurrency(calls: int | None, threads: int | None, prefetch: bool) -> Concurrency:
    """Return how tf.data works: as many images at once as there are calls, and threads for them.

    A read blocks the thread of its call.

    Args:
        calls: parallel ones; None for AUTOTUNE.
        threads: of the pool; None for one per core.
        prefetch: whether batches are prepared while the consumer works.
    """
    most = min(filter(None, (calls, threads)), default=None)
    workers = min(most or sys.maxsize, threads or usable_cores())
    kind: Kind = "in line" if workers == 1 and not prefetch else "pipelined"
    return Concurrency(kind) if most is None else Concurrency(kind, workers, most)


class TensorFlowWork:
    """Works on a sample of a manifest in tf.data, with one thread per core."""

    def __init__(
        self, manifest: Manifest, spec: BatchSpec, decode: Decode, image_dtype: Dtype
    ) -> None:
        self._manifest = manifest
        self._spec = spec
        self._decode: Decode = decode
        self._dtype = image_dtype

    def decode(self, cores: int) -> Run:
        """Decode in a graph, with the loader's decoder."""
        import tensorflow as tf

        files = tf.data.Dataset.from_tensor_slices(tuple(self._items))
        return _mapped(files, lambda *item: tf.shape(self._decoded(*item))[0], cores)

    def transform(self, cores: int) -> Run:
        """Resize and augment in a graph; all but flips are done for several images at once."""
        import tensorflow as tf

        few = of_all_sizes([pixels.nbytes for pixels in self._pictures])
        places, held = side_by_side([_even(self._pictures[index]) for index in few])
        pixels, resize = tf.constant(held), resizer(self._spec.as_resized())
        draws = drawn(len(self._pictures), self._spec)
        places = np.resize(places, (len(draws), places.shape[1]))
        items = tf.data.Dataset.from_tensor_slices((places, draws))

        def resized(place: Any) -> Any:
            return resize(tf.reshape(pixels[place[0] : place[1]], place[2:]))

        def flipped(place: Any, draw: Any) -> Any:
            return tf.shape(to_bytes(augment(resized(place), draw, self._spec)))[0]

        def augmented(images: Any, draws: Any) -> Any:
            return tf.shape(augment(images, draws, self._spec))[0]

        on_host = self._spec.augment.on_host
        if not on_host or on_host.only_flips:
            return _mapped(items, flipped, cores)
        pieces = items.repeat().map(
            lambda place, draw: (to_bytes(resized(place)), draw), _parallel(cores)
        )
        pieces = pieces.batch(_PIECE).map(augmented, _parallel(cores))
        return repeated(_counted(pieces.with_options(_options(cores)), _PIECE))

    def batch_copy(self, cores: int) -> Run:
        """Copy images into a batch, and scale them if the host does it; on one core."""
        import tensorflow as tf

        side, size = self._spec.image_size, self._spec.batch_size
        images = tf.data.Dataset.from_tensors(tf.zeros((side, side, 3), tf.uint8)).repeat()
        batches = images.batch(size)
        if self._dtype == "float32":
            batches = batches.map(lambda batch: to_range(batch, self._spec))
        return repeated(_counted(batches, size))

    @cached_property
    def _decoding(self) -> Decoding:
        return Decoding(self._manifest, self._spec, self._decode)

    @cached_property
    def _sample(self) -> tuple[NDArray[np.int64], list[bytes]]:
        return sample(self._manifest)

    @property
    def _files(self) -> list[bytes]:
        return self._sample[1]

    @property
    def _decode_paths(self) -> NDArray[np.int8]:
        rows, paths = self._sample[0], self._decoding.decode_paths
        return np.zeros(len(rows), np.int8) if paths is None else paths[rows]

    @property
    def _items(self) -> list[Any]:
        """Of each file its bytes, its decode path, and what to cut out of it, if anything."""
        crops = drawn_crops(len(self._files), self._spec)
        return [self._files, self._decode_paths, *([] if crops is None else [crops])]

    def _decoded(self, data: Any, code: Any, *crop: Any) -> Any:
        return self._decoding.region(data, code, *crop) if crop else self._decoding(data, code)

    @cached_property
    def _pictures(self) -> list[NDArray[np.uint8]]:
        pictures: list[NDArray[np.uint8]] = []
        held = 0
        for item in zip(*self._items, strict=True):
            pictures.append(self._decoded(*item).numpy())
            held += pictures[-1].nbytes
            if held > HELD_BYTES:
                break
        return pictures


class CacheWork:
    """Gathers rows in tf.data from a cache of decoded images, in memory or in a file."""

    def __init__(
        self, manifest: Manifest, spec: BatchSpec, image_dtype: Dtype, folder: Path | None
    ) -> None:
        """Gather from memory, or from a file in the folder if one is given."""
        self._spec = spec
        self._dtype = image_dtype
        self._folder = folder
        self._rows = min(len(manifest), max(1, HELD_BYTES // (3 * spec.image_size**2)))

    def batch_copy(self, cores: int) -> Run:
        """Gather a batch, augment it, and scale it if the host does it."""
        import tensorflow as tf

        spec, cache = self._spec, self._cache
        size, side = spec.batch_size, spec.image_size
        rows = np.random.default_rng(0).integers(self._rows, size=(_BATCHES, size))
        draws = spec.augment.draw(spec.seed, 0, np.arange(size))

        def taken(rows: Any) -> Any:
            images = tf.numpy_function(cache.take, [rows], tf.uint8, stateful=True)
            images = augment(tf.ensure_shape(images, (size, side, side, 3)), draws, spec)
            return to_range(images, spec) if self._dtype == "float32" else to_bytes(images)

        batches = tf.data.Dataset.from_tensor_slices(rows).repeat()
        batches = batches.map(taken, num_parallel_calls=_parallel(cores))
        return repeated(_counted(batches.with_options(_options(cores)), size))

    @cached_property
    def _cache(self) -> RowCache | RowFile:
        side = self._spec.image_size
        image = np.full((side, side, 3), 127, np.uint8)
        # Written: pages that never were share one physical page.
        if self._folder is None:
            return RowCache(np.repeat(image[None], self._rows, axis=0))
        file = RowFile(self._rows, side, self._folder)
        file.put(np.arange(self._rows), np.broadcast_to(image, (self._rows, *image.shape)))
        return file


def _parallel(cores: int) -> int | None:
    """Return the number of parallel calls that keeps these cores busy; None for no parallelism."""
    return None if cores == 1 else cores


def _mapped(items: Any, work: Callable[..., Any], cores: int) -> Run:
    made = items.repeat().map(work, num_parallel_calls=_parallel(cores))
    return repeated(_counted(made.batch(_PIECE).with_options(_options(cores)), _PIECE))


def _options(cores: int) -> Any:
    import tensorflow as tf

    options = tf.data.Options()
    options.autotune.enabled = False
    options.threading.private_threadpool_size = cores
    options.threading.max_intra_op_parallelism = 1
    options.deterministic = cores == 1
    return options


def _counted(dataset: Any, images: int) -> Iterator[int]:
    for _ in dataset:
        yield images


def _even(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Crop the last few rows and columns, so that the size in bytes is a multiple of 64."""
    high, wide, _ = pixels.shape
    return pixels[: max(1, high - high % 4), : max(1, wide - wide % 16)]


def side_by_side(pictures: list[NDArray[np.uint8]]) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """Return the place of each image (begin, end, shape), and all of them as one uint8 array.

    The graph then has one constant instead of one branch per image, which takes 20 s to build. Each
    image begins at a multiple of 64 bytes: a slice between two such offsets is not copied.
    """
    begin, places = 0, []
    for pixels in pictures:
        places.append([begin, begin + pixels.size, *pixels.shape])
        begin += -(-pixels.size // 64) * 64
    held = np.zeros(begin, np.uint8)
    for pixels, place in zip(pictures, places, strict=True):
        held[place[0] : place[1]] = pixels.reshape(-1)
    return np.array(places, np.int32), held
