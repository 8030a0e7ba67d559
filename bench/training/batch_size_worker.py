"""The child process of one batch size: trains on made-up images and tells rate and memory.

It reads one line of JSON from its standard input and answers with one.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from time import perf_counter
from typing import Any

from feedbench.bench.consumers.base import make_trainer
from feedbench.bench.meters.gpu import GpuMeter, find_gpus
from feedbench.bench.meters.process import tree_peak_memory
from feedbench.bench.trials.worker import die_with_parent, reason, take_output
from feedbench.loaders import BASELINE, BatchSpec, Manifest, open_loader
from feedbench.trainer import Recipe

_WARM_STEPS = 3  # the first traces; the ones after it may still choose algorithms and take memory
_LEAST_STEPS = 3


def main() -> None:
    """Answer one order."""
    answers = take_output()
    die_with_parent()
    _go_first()
    try:
        answer = _measured(json.loads(sys.stdin.readline()))
    except Exception as error:
        print(json.dumps({"error": reason(error)}), file=answers, flush=True)
        raise
    print(json.dumps(answer), file=answers, flush=True)


def _go_first() -> None:
    """Where memory runs out, let Linux end this process and no other."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _measured(order: dict[str, Any]) -> dict[str, Any]:
    manifest = Manifest.read(Path(order["manifest"]))
    spec = BatchSpec.model_validate(order["spec"])
    trainer = make_trainer(Recipe.model_validate(order["recipe"]), spec, manifest, "uint8")
    with open_loader(BASELINE, manifest, spec, {}) as batches:
        for _ in range(_WARM_STEPS):
            trainer.step(next(batches))
        trainer.finish()
        begin, steps = perf_counter(), 0
        while steps < _LEAST_STEPS or perf_counter() - begin < order["seconds"]:
            trainer.step(next(batches))
            steps += 1
        trainer.finish()
    seconds = perf_counter() - begin
    return {
        "images_per_second": steps * spec.batch_size / seconds,
        "host_bytes": tree_peak_memory(),
        "device_bytes": _device_bytes(),
    }


def _device_bytes() -> int | None:
    """In use on the fullest GPU. TensorFlow gives no memory back, so the end is the peak."""
    meter = GpuMeter(find_gpus())
    meter.sample()
    used = [int(size) for size in meter.latest("memory_bytes")]
    return max(used, default=None)


if __name__ == "__main__":
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    main()
