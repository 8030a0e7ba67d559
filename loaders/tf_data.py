"""tf_data: images decoded, batched, cached and prefetched by tf.data, in TensorFlow's threads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from feedbench.loaders.capabilities import UpperBound
from feedbench.loaders.code.tf_data import tf_data_code
from feedbench.loaders.contract import Autotuning, BatchSpec, Loader, Request, Stream
from feedbench.loaders.cores import thread_counts
from feedbench.loaders.images.library_call import decode_image
from feedbench.loaders.manifest import Manifest
from feedbench.loaders.settings import (
    READ_DEPTHS,
    filled_in_an_epoch,
    resized_in_cache,
)
from feedbench.loaders.stages.stage import Stages
from feedbench.loaders.stages.tensorflow import CacheWork, pool_concurrency, tensorflow_stages
from feedbench.loaders.tf_pipeline import Pipeline, disk_cache_folder
from feedbench.loaders.tf_settings import TfData
from feedbench.loaders.tf_stream import batches

if TYPE_CHECKING:
    import tensorflow as tf


def open_stream(request: Request, settings: TfData) -> Stream:
    """One iterator over all epochs: a new one per epoch would start autotuning from scratch."""
    pipeline = Pipeline(request, settings)
    stream = batches(
        pipeline.dataset, request, pipeline.decoding, deterministic=settings.deterministic
    )
    return Stream(stream, pipeline.close, request.faults)


@contextmanager
def dataset_of(request: Request, settings: TfData) -> Iterator[tf.data.Dataset]:
    """The dataset behind the loader's batches, to ask tf.data itself about it."""
    pipeline = Pipeline(request, settings)
    try:
        yield pipeline.dataset(request.order)
    finally:
        pipeline.close()


def _fixed(settings: TfData, cores: int) -> list[dict[str, Any]]:
    """Settings that replace AUTOTUNE: one or two calls per core, and a prefetch of 2."""
    every = ({"num_parallel_calls": calls, "prefetch": 2} for calls in (cores, 2 * cores))
    left = [
        {name: value for name, value in one.items() if getattr(settings, name) == "autotune"}
        for one in every
    ]
    return [one for index, one in enumerate(left) if one and one not in left[:index]]


def _upper_bound(settings: TfData) -> UpperBound:
    is_copied = settings.cache in ("decoded", "disk")
    return UpperBound("copy") if is_copied else UpperBound("decode", settings.decode == "scaled")


def _stages(manifest: Manifest, spec: BatchSpec, settings: TfData) -> Stages:
    calls = None if settings.num_parallel_calls == "autotune" else settings.num_parallel_calls
    concurrency = pool_concurrency(calls, settings.private_threads, bool(settings.prefetch))
    if settings.cache in ("decoded", "disk"):
        folder = disk_cache_folder(settings) if settings.cache == "disk" else None
        work = CacheWork(manifest, spec, settings.output, folder)
        return Stages(None, None, None, work.batch_copy, True, concurrency)
    decode, output, reads = settings.decode, settings.output, settings.cache == "none"
    return tensorflow_stages(manifest, spec, decode, output, concurrency, reads=reads)


LOADER = Loader(
    name="tf_data",
    summary="tf.data: parallel decoding, prefetching and caching inside TensorFlow's own threads",
    turns_by_scan=True,
    settings=TfData,
    open=open_stream,
    is_default=True,
    readable_by=("pillow", "tensorflow"),  # what TensorFlow cannot read goes to Pillow
    space={
        "cache": ("none", "decoded", "encoded", "disk"),
        "decode": ("image", "jpeg", "scaled"),
        "num_parallel_calls": lambda cores: ("autotune", *thread_counts(cores)),
        "prefetch": ("autotune", 0, 2, 8),
        "private_threads": lambda cores: (None, cores),
        "deterministic": (True, False),
        "output": ("uint8", "float32"),
        "read_depth": READ_DEPTHS,
    },
    object_settings=("read_depth",),
    suites={
        "quick": ({"num_parallel_calls": 1, "prefetch": 0}, {}, {"cache": "decoded"}),
        "standard": (
            {"num_parallel_calls": 1, "prefetch": 0},
            {"num_parallel_calls": 1},
            {"prefetch": [0, "autotune", 4]},
            {"decode": "jpeg"},
            {"output": "float32"},
            {"private_threads": 2},
            {"cache": ["encoded", "decoded", "disk"]},
        ),
        "limits": ({"decode": ["image", "scaled"]},),
        "peers": ({},),
    },
    upper_bound=_upper_bound,
    stages=_stages,
    cannot_share=filled_in_an_epoch,
    cuts_no_regions=resized_in_cache,
    autotuning=Autotuning(dataset_of, _fixed),
    library_call=decode_image,
    code=tf_data_code,
)
