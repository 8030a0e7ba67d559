"""Cold blocks of users' functions that do not say which images their batches hold."""

from textwrap import dedent

import numpy as np

from feedbench.bench.trials import cache_state
from feedbench.bench.trials import timer as timer_module
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
        paths = [Path(path.decode()) for path in manifest.paths(np.arange(len(manifest)))]
        has_been_read = False
        while True:
            for begin in range(0, len(paths) - batch_size + 1, batch_size):
                for row in range(begin, begin + batch_size):
                    evicted = Path("evicted", str(row))
                    while has_been_read and not evicted.exists():
                        time.sleep(0.001)
                    evicted.unlink(missing_ok=True)
                    paths[row].read_bytes()
                yield np.zeros((batch_size, 8, 8, 3), np.uint8), np.zeros(batch_size, int)
            has_been_read = True
"""


def note_evictions(monkeypatch, manifest, folder):
    """Have the parent note which rows it has evicted, however late it comes to that."""
    folder.mkdir()
    rows = {path: row for row, path in enumerate(manifest.paths(np.arange(len(manifest))))}
    evict = cache_state.evict

    def noting(paths, *, sync):
        evict(paths := list(paths), sync=sync)
        for path in paths:
            (folder / str(rows[path])).touch()

    class Noting(timer_module._Eviction):
        def __call__(self, path):
            super().__call__(path)
            (folder / str(rows[path])).touch()

    monkeypatch.setattr(cache_state, "evict", noting)
    monkeypatch.setattr(timer_module, "_Eviction", Noting)


def test_files_are_read_from_the_disk_in_every_epoch(on_disk, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pipeline.py").write_text(dedent(PIPELINE))
    on_disk.write(tmp_path / MANIFEST)
    note_evictions(monkeypatch, on_disk, tmp_path / "evicted")
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
