"""Cold blocks of users' functions that do not say which images their batches hold."""

from textwrap import dedent

from feedbench.bench.trials.bench import MANIFEST
from feedbench.bench.trials.cache_state import unproven_reason
from feedbench.bench.trials.protocol import BlockRequest, TrialJob, WarmUpDone
from feedbench.bench.trials.timer import Timer
from feedbench.loaders import BatchSpec

PIPELINE = """
    import time
    from pathlib import Path

    import numpy as np

    def make_batches(manifest, batch_size):
        paths = [path.decode() for path in manifest.paths(np.arange(len(manifest)))]
        while True:
            for begin in range(0, len(paths) - batch_size + 1, batch_size):
                for path in paths[begin : begin + batch_size]:
                    Path(path).read_bytes()
                time.sleep(0.4 * batch_size / len(paths))  # the parent evicts meanwhile
                yield np.zeros((batch_size, 8, 8, 3), np.uint8), np.zeros(batch_size, int)
"""


def test_files_are_read_from_the_disk_in_every_epoch(on_disk, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pipeline.py").write_text(dedent(PIPELINE))
    on_disk.write(tmp_path / MANIFEST)
    job = TrialJob(
        manifest=tmp_path / MANIFEST,
        loader="pipeline.py:make_batches",
        spec=BatchSpec(batch_size=4, image_size=8),
        consumer="drain",
        cache_state="cold",
        warm_up_s=0.0,
    )
    timer = Timer(on_disk, [])
    request = BlockRequest(seconds=0.1, min_steps=3 * len(on_disk) // 4)
    child = timer.start(job, tmp_path / "log")
    try:
        child.wait_for(WarmUpDone, 120, "warm-up")
        child.pause()
        block = timer.time(child, job, request, 120, 0).block
    finally:
        child.close()
    assert block.images > 2 * len(on_disk) - 8
    assert unproven_reason("cold", block) is None
