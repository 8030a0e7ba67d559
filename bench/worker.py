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

from bench.block import Consumer, Drain, timed_block
from bench.meters.process import tree_peak_memory, tree_usage
from loaders import BatchSpec, LoaderError, Manifest, Stream, find_loader, open_loader
from loaders import parse_settings as parse

SIGN_OF_LIFE_S = 1.0
_LEAST_WARM_STEPS = 3
_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Serve orders until the input ends."""
    answers = _take_output()
    _die_with_parent()
    begun = float(sys.argv[1])

    def answer(event: str, **values: Any) -> None:
        print(json.dumps({"event": event, **values}), file=answers, flush=True)

    try:
        order = json.loads(sys.stdin.readline())
        with _open(order) as stream:
            _serve(order, stream, begun, answer)
    except Exception as error:
        answer("error", reason=reason(error))
        raise


def _serve(order: dict[str, Any], stream: Stream, begun: float,
           answer: Callable[..., None]) -> None:
    opened = perf_counter()
    start_s = time() - begun
    first = next(stream)
    first_batch_s = perf_counter() - opened
    consumer = _consumer(order)
    consumer.step(first)
    consumer.finish()
    seconds, images = _warm_up(stream, consumer, order, answer)
    answer("warm", start_s=start_s, first_batch_s=first_batch_s, seconds=seconds, images=images,
           left_out=stream.left_out)
    for line in sys.stdin:
        before = tree_usage()
        block = timed_block(stream, consumer, json.loads(line)["seconds"])
        used = tree_usage().since(before)
        block.cpu_s = round(used.cpu_s, 4)
        block.disk_read_bytes = used.read_bytes if used.disk_known else None
        answer("block", block=block.model_dump(), peak_memory_bytes=tree_peak_memory())


def _open(order: dict[str, Any]) -> Stream:
    manifest = Manifest.read(Path(order["manifest"]))
    spec = BatchSpec.model_validate(order["spec"])
    order["images"] = len(manifest)
    order["classes"] = len(manifest.classes)
    settings = parse(find_loader(order["loader"]), order["settings"])
    order["image_dtype"] = settings.image_dtype
    # Rows decoded before all of a cache is filled would make the first blocks slower.
    least = len(manifest) + 2 * spec.batch_size if settings.fills_cache else 0
    order["warm_up_images"] = max(least, _LEAST_WARM_STEPS * spec.batch_size)
    if order["consumer"] == "train":
        import trainer.step  # noqa: F401  its import belongs to the start, not to the first batch
    return open_loader(order["loader"], manifest, spec, settings)


def _consumer(order: dict[str, Any]) -> Consumer:
    if order["consumer"] == "drain":
        return Drain()
    from trainer import Recipe
    from trainer.step import Trainer

    spec = BatchSpec.model_validate(order["spec"])
    return Trainer(
        Recipe.model_validate(order["recipe"]), image_size=spec.image_size,
        batch_size=spec.batch_size, classes=order["classes"], images=order["images"],
        value_range=spec.value_range, image_dtype=order["image_dtype"])


def _warm_up(stream: Stream, consumer: Consumer, order: dict[str, Any],
             answer: Callable[..., None]) -> tuple[float, int]:
    begin = perf_counter()
    told, images = begin, 0
    while perf_counter() - begin < order["warm_up_s"] or images < order["warm_up_images"]:
        batch = next(stream)
        consumer.step(batch)
        images += len(batch.labels)
        if perf_counter() - told > SIGN_OF_LIFE_S:
            told = perf_counter()
            answer("warming", images=images, of=order["warm_up_images"])
    consumer.finish()
    return perf_counter() - begin, images


def reason(error: BaseException) -> str:
    """One line that says why the trial ended."""
    if isinstance(error, LoaderError):
        return str(error)
    text = (str(error).strip().splitlines() or [""])[0]
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
        return f"out of memory: {text}" if text else "out of memory"
    return f"{type(error).__name__}: {text}"


def _take_output() -> TextIO:
    """Keep standard output for answers; what libraries print goes to standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return answers


def _die_with_parent() -> None:
    """Linux ends this process when its parent dies, even while it is stopped."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    main()
