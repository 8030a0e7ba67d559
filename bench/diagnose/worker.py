"""The child process of the stages: prepares them, and works at one of them when told."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, time
from typing import Any

from feedbench.bench.diagnose import delay_loader as rehearsal
from feedbench.bench.diagnose.autotune import autotuned
from feedbench.bench.diagnose.stages import (
    PillowStages,
    Run,
    Stages,
    Storage,
    TensorFlowStages,
    Timed,
)
from feedbench.bench.meters.process import tree_peak_memory, tree_usage
from feedbench.bench.record import Block
from feedbench.bench.trials.worker import die_with_parent, reason, take_output
from feedbench.loaders import BatchSpec, Manifest, find_loader, parse_settings
from feedbench.loaders.tf_data import TfData

_AUTOTUNE_S = 3.0  # AUTOTUNE looks again after 10 ms, 20 ms, 40 ms …: some eight times
Stage = tuple[str, int]  # its name, and the cores or the reads under way at once


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
    manifest = Manifest.read(Path(order["manifest"]))
    storage = Storage(manifest, read=_reader(order))
    opened = perf_counter()
    runs = _runs(_stages(order, manifest), order["cores"])
    for run in runs.values():
        run(order["warm_up_s"])
    nodes = _autotuned(order, manifest)
    answer("warm", start_s=time() - begun, seconds=perf_counter() - opened, autotuned=nodes)
    for line in sys.stdin:
        given = json.loads(line)
        if given["stage"] == "storage":
            storage.prepare(given["cache_state"])
        before = tree_usage()
        if given["stage"] == "storage":
            done = storage.read(given["cache_state"], given["parallel"], given["seconds"])
        else:
            done = runs[given["stage"], given["parallel"]](given["seconds"])
        used = tree_usage().since(before)
        block = _block(done, used.cpu_s, used.read_bytes if used.disk_known else None)
        if done.rows is not None:
            block.consumed_bytes = storage.size(done.rows)
        answer("block", block=block.model_dump(), peak_memory_bytes=tree_peak_memory())


def _reader(order: dict[str, Any]) -> Callable[[bytes], int] | None:
    if order["loader"] != rehearsal.NAME:
        return None
    return rehearsal.throttled(rehearsal.Rehearsal.model_validate(order["settings"]))


def _stages(order: dict[str, Any], manifest: Manifest) -> Stages:
    spec = BatchSpec.model_validate(order["spec"])
    if order["loader"] == rehearsal.NAME:
        settings = rehearsal.Rehearsal.model_validate(order["settings"])
        return rehearsal.RehearsalStages(manifest, spec, settings)
    loader = find_loader(order["loader"])
    kind = PillowStages if loader.decoder == "pillow" else TensorFlowStages
    return kind(manifest, spec, parse_settings(loader, order["settings"]))


def _autotuned(order: dict[str, Any], manifest: Manifest) -> list[dict[str, Any]] | None:
    if order["loader"] != "tf_data":
        return None
    settings = TfData.model_validate(order["settings"])
    if not settings.autotuned:
        return None
    spec = BatchSpec.model_validate(order["spec"])
    return [node.model_dump() for node in autotuned(manifest, spec, settings, _AUTOTUNE_S)]


def _runs(stages: Stages, cores: int) -> dict[Stage, Run]:
    runs: dict[Stage, Run] = {}
    for count in sorted({1, cores}):
        runs["decode", count] = stages.decode(count)
        runs["transform", count] = stages.transform(count)
    runs["assemble", 1] = stages.assemble()
    return runs


def _block(done: Timed, cpu_s: float, read_bytes: int | None) -> Block:
    return Block(
        seconds=done.seconds,
        images=done.images,
        wait_s=[],
        step_s=[],
        cpu_s=round(cpu_s, 4),
        disk_read_bytes=read_bytes,
    )


if __name__ == "__main__":
    main()
