"""The child process of one trial: opens the loader and the consumer, times blocks when told.

It reads one order a line from its standard input and answers each with lines of JSON.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, time
from typing import Any, TextIO

from feedbench.bench.consumers.base import Consumer, Drain, make_trainer
from feedbench.bench.consumers.emulated import Emulated
from feedbench.bench.consumers.transfer import Transfer
from feedbench.bench.errors import BenchError
from feedbench.bench.meters.process import tree_peak_memory, tree_usage
from feedbench.bench.plan.accelerators import Accelerator
from feedbench.bench.record import CacheState
from feedbench.bench.trials.block import timed_block
from feedbench.bench.trials.cache_state import Files, Watched
from feedbench.bench.trials.internal_loaders import let_in
from feedbench.loaders import (
    BatchSpec,
    LoaderError,
    Manifest,
    Stream,
    find_loader,
    images_per_epoch,
    open_loader,
    parse_settings,
    printable,
)
from feedbench.trainer import Recipe

SIGN_OF_LIFE_S = 1.0
_LEAST_WARM_STEPS = 3
_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Serve orders until the input ends."""
    answers = take_output()
    die_with_parent()
    begun = float(sys.argv[1])

    def answer(event: str, **values: Any) -> None:
        print(json.dumps({"event": event, **values}), file=answers, flush=True)

    try:
        _serve(json.loads(sys.stdin.readline()), begun, answer)
    except Exception as error:
        answer("error", reason=reason(error))
        raise


def _serve(order: dict[str, Any], begun: float, answer: Callable[..., None]) -> None:
    let_in(order["loader"])
    manifest = Manifest.read(Path(order["manifest"]))
    spec = BatchSpec.model_validate(order["spec"])
    settings = parse_settings(find_loader(order["loader"]), order["settings"])
    if order["consumer"] == "train":
        import keras  # noqa: F401  the trainer needs it: no loader shall be charged for its import
    start_s = time() - begun
    opened = perf_counter()
    with open_loader(order["loader"], manifest, spec, settings, **order["failures"]) as stream:
        first = next(stream)
        first_batch_s = perf_counter() - opened
        consumer = _consumer(order, manifest, spec, settings.image_dtype)
        watched = _watched(consumer, manifest, order["cache_state"])
        consumer = watched or consumer
        consumer.step(first)
        consumer.finish()
        # While a cache is being filled its loader is slower than it will be.
        epoch = int(images_per_epoch(manifest, spec).sum())
        least = epoch + 2 * spec.batch_size if settings.fills_cache else 0
        seconds, images = _warm_up(
            stream,
            consumer,
            order["warm_up_s"],
            max(least, order.get("least_warm_steps", _LEAST_WARM_STEPS) * spec.batch_size),
            answer,
        )
        answer(
            "warm",
            start_s=start_s,
            first_batch_s=first_batch_s,
            seconds=seconds,
            images=images,
        )
        for line in sys.stdin:
            if watched:
                watched.begin_block(warm_again=order.get("others_evict", False))
            before = tree_usage()
            block = timed_block(stream, consumer, **json.loads(line))
            used = tree_usage().since(before)
            block.cpu_s = round(used.cpu_s, 4)
            block.disk_read_bytes = used.read_bytes if used.disk_known else None
            block.consumed_bytes = watched.consumed_bytes() if watched else None
            answer(
                "block",
                block=block.model_dump(),
                peak_memory_bytes=tree_peak_memory(),
                dropped=dropped(stream),
            )


def _consumer(
    order: dict[str, Any], manifest: Manifest, spec: BatchSpec, image_dtype: str
) -> Consumer:
    if order["consumer"] == "drain":
        return Drain()
    if order["consumer"] == "transfer":
        return Transfer(order["device"])
    if order["accelerator"] is not None:
        accelerator = Accelerator.model_validate(order["accelerator"])
        return Emulated(accelerator.seconds_per_image(spec.image_size))
    return make_trainer(Recipe.model_validate(order["recipe"]), spec, manifest, image_dtype)


def _watched(consumer: Consumer, manifest: Manifest, state: CacheState | None) -> Watched | None:
    """The consumer, its files in the state that was asked for; None where none was."""
    if state is None:
        return None
    files = Files(manifest)
    if state == "warm":
        files.warm()
    watched = Watched(consumer, files, state)
    watched.begin_block()  # so that a loader that reads ahead in its warm-up finds it so too
    return watched


def _warm_up(
    stream: Stream,
    consumer: Consumer,
    least_s: float,
    least_images: int,
    answer: Callable[..., None],
) -> tuple[float, int]:
    """Feed the consumer untimed; seconds and images that it took."""
    begin = told = perf_counter()
    images = 0
    while perf_counter() - begin < least_s or images < least_images:
        batch = next(stream)
        consumer.step(batch)
        images += len(batch.labels)
        if perf_counter() - told > SIGN_OF_LIFE_S:
            told = perf_counter()
            answer("warming", images=images, of=least_images)
    consumer.finish()
    return perf_counter() - begin, images


def dropped(stream: Stream) -> list[dict[str, Any]]:
    """The files that failed and were passed over, for the record."""
    return [
        {
            "path": printable(fault.path),
            "row": fault.row,
            "reason": f"{fault.decoder}: {fault.reason}",
        }
        for fault in stream.dropped
    ]


def reason(error: BaseException) -> str:
    """One line that says why the trial ended."""
    if isinstance(error, BenchError | LoaderError):
        return str(error)
    text = (str(error).strip().splitlines() or [""])[0]
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
        return f"out of memory: {text}" if text else "out of memory"
    return f"{type(error).__name__}: {text}"


def take_output() -> TextIO:
    """Keep standard output for answers; what libraries print goes to standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return answers


def die_with_parent() -> None:
    """Linux ends this process when its parent dies, even while it is stopped."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    main()
