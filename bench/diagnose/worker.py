"""The child process of the stages: prepares them, and works at one of them when told."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, time
from typing import Any

from feedbench.bench.diagnose.autotune import autotuned
from feedbench.bench.diagnose.stages import Read, Storage, counts_of, measured_stages, stages_of
from feedbench.bench.internal_loaders import register
from feedbench.bench.meters.process import tree_peak_memory, tree_usage
from feedbench.bench.record import Block
from feedbench.bench.trials.worker import die_with_parent, reason, take_output
from feedbench.loaders import BatchSpec, Manifest, find_loader, parse_settings
from feedbench.loaders.stages.stage import Run, Stages, Timed

_AUTOTUNE_S = 3.0  # AUTOTUNE looks again after 10 ms, 20 ms, 40 ms …: some eight times
Key = tuple[str, int]  # a stage's name, and the cores that it is prepared for


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
    register()
    loader = find_loader(order["loader"])
    manifest = Manifest.read(Path(order["manifest"]))
    spec = BatchSpec.model_validate(order["spec"])
    settings = parse_settings(loader, order["settings"])
    stages = stages_of(loader, manifest, spec, settings)
    storage = Storage(manifest, stages.reading) if stages.reading else None
    opened = perf_counter()
    runs = _runs(stages, order["cores"])
    for run in runs.values():
        run(order["warm_up_s"])
    nodes = [node.model_dump() for node in autotuned(loader, manifest, spec, settings, _AUTOTUNE_S)]
    answer("warm", start_s=time() - begun, seconds=perf_counter() - opened, autotuned=nodes)
    for line in sys.stdin:
        given = json.loads(line)
        if storage and given["stage"] == "storage":
            storage.prepare(given["cache_state"])
        before = tree_usage()
        done: Read | Timed
        if storage and given["stage"] == "storage":
            done = storage.read(given["cache_state"], given["parallel"], given["seconds"])
        else:
            done = runs[given["stage"], given["parallel"]](given["seconds"])
        used = tree_usage().since(before)
        block = _block(done, used.cpu_s, used.read_bytes if used.disk_known else None)
        if isinstance(done, Read):
            block.consumed_bytes = done.bytes
        answer("block", block=block.model_dump(), peak_memory_bytes=tree_peak_memory())


def _runs(stages: Stages, cores: int) -> dict[Key, Run]:
    """Every stage that there is, prepared for each number of cores on which it is measured."""
    return {
        (name, count): stage(count)
        for name, stage in measured_stages(stages)
        for count in counts_of(stages, name, cores)
    }


def _block(done: Read | Timed, cpu_s: float, read_bytes: int | None) -> Block:
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
