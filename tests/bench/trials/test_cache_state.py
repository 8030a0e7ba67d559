"""Cache states are verified by the bytes read from disk; unproven blocks are not counted."""

import shutil
from contextlib import closing

import numpy as np
import psutil
import pytest

from feedbench.bench.analysis.summary import summarize
from feedbench.bench.errors import PlanError
from feedbench.bench.plan.plan import Choice, Failures, PixelCheck, Plan, Timing
from feedbench.bench.trials import timer
from feedbench.bench.trials.cache_state import Files, check_cold, read_bytes, unproven_reason
from feedbench.bench.trials.protocol import BlockRequest, TrialJob, WarmUpDone
from feedbench.bench.trials.run import run
from feedbench.loaders import BatchSpec, Manifest, scan
from feedbench.trainer import Recipe


@pytest.fixture(scope="module")
def on_disk(tiny_photos, tmp_path_factory) -> Manifest:
    manifest = scan(tiny_photos).only("train")
    try:
        check_cold(manifest)
    except PlanError as error:
        pytest.skip(str(error))
    return manifest


def measure(manifest, folder, state, **settings):
    knobs = {"prefetch": 1, "num_parallel_calls": 1, **settings}
    choices = (Choice(loader="tf_data", settings=knobs), Choice(loader="synthetic"))
    timing = Timing(blocks=2, block_seconds=0.3, warm_up_seconds=0.1, cache_state=state)
    spec = BatchSpec(batch_size=8, image_size=16)
    pixels = PixelCheck(images=0)
    plan = Plan(choices, spec, Recipe(), "drain", timing, Failures(), pixels)
    return run(plan, manifest, folder, lambda event: None)


def test_evicted_files_are_read_from_the_disk_and_warm_ones_are_not(on_disk):
    files, rows = Files(on_disk), np.arange(len(on_disk))
    files.evict(sync=True)
    before = read_bytes()
    files.warm()
    cold = read_bytes() - before
    files.warm()
    assert cold >= files.size(rows)
    assert read_bytes() - before == cold


def test_cold_blocks_read_from_the_disk_in_every_epoch(on_disk, tmp_path):
    trials = measure(on_disk, tmp_path, "cold")
    assert trials[0].error is None
    assert all(block.images > 2 * len(on_disk) for block in trials[0].blocks)
    assert all(block.disk_read_bytes >= 0.9 * block.consumed_bytes for block in trials[0].blocks)
    summary = summarize(trials).trials[0]
    assert (summary.blocks, summary.unproven) == (2, [])


def test_warm_blocks_read_nothing_from_the_disk(on_disk, tmp_path):
    Files(on_disk).evict(sync=True)
    trials = measure(on_disk, tmp_path, "warm")
    assert [block.disk_read_bytes for block in trials[0].blocks] == [0, 0]
    assert summarize(trials).trials[0].blocks == 2


def test_blocks_that_cannot_be_cold_are_marked_and_not_counted(on_disk, tmp_path):
    trials = measure(on_disk, tmp_path, "cold", cache="decoded")
    summary = summarize(trials)
    assert len(trials[0].blocks) == 2
    assert summary.trials[0].blocks == 0
    assert summary.trials[0].unproven == ["not cold: 0% of the bytes came from the disk"] * 2
    assert summary.trials[1].blocks == 2  # synthetic reads no file: it has no state to prove
    assert summary.winner is None


def test_a_prefetching_loader_makes_no_batch_between_two_blocks(on_disk, tmp_path, monkeypatch):
    """Neither bringing files into a state nor reading counters lets it fill its buffers untimed."""
    on_disk.write(tmp_path / "manifest.parquet")
    job = TrialJob(
        manifest=tmp_path / "manifest.parquet",
        loader="tf_data",
        settings={"prefetch": 64},
        spec=BatchSpec(batch_size=8, image_size=16),
        consumer="drain",
        cache_state="cold",
        warm_up_s=0.1,
    )
    meter = timer.Timer(on_disk, [])
    with closing(meter.start(job, tmp_path / "log")) as child:
        child.wait_for(WarmUpDone, 120, "warm-up")
        child.pause()
        process, seen = psutil.Process(child.pid), []

        def observe(module, name):
            original = getattr(module, name)

            def observed(*arguments):
                seen.append((name, process.status(), process.io_counters().read_chars))
                return original(*arguments)

            monkeypatch.setattr(module, name, observed)

        observe(timer.Files, "bring_into")
        observe(timer, "tree_usage")
        observe(timer, "tree_peak_memory")
        for round_index in range(2):
            meter.time(child, job, BlockRequest(seconds=0.3), 60, round_index)
    names, states, reads = zip(*seen, strict=True)
    assert names == ("bring_into", "tree_usage", "tree_usage", "tree_peak_memory") * 2
    assert set(states) == {psutil.STATUS_STOPPED}
    assert reads[1] < reads[2] == reads[3] == reads[4] == reads[5] < reads[6]


@pytest.mark.parametrize(
    ("state", "read", "consumed", "reason"),
    [
        (None, 0, None, None),
        ("cold", 95, 100, None),
        ("cold", 50, 100, "not cold: 50%"),
        ("warm", 0, 100, None),
        ("warm", 5, 100, "not warm: 5%"),
        ("cold", None, 100, "does not report"),
        ("warm", None, 100, "does not report"),
    ],
)
def test_a_state_is_proven_by_the_fraction_read_from_the_disk(state, read, consumed, reason):
    unproven = unproven_reason(state, read, consumed)
    assert unproven is None if reason is None else reason in unproven


def test_files_that_stay_in_memory_are_refused(tiny_photos, tmp_path):
    memory = "/dev/shm"
    try:
        folder = shutil.copytree(tiny_photos, f"{memory}/{tmp_path.name}-feedbench")
    except OSError:
        pytest.skip("needs a file system in memory")
    try:
        with pytest.raises(PlanError, match=r"--cache-state cold: .* not read from a local disk"):
            check_cold(scan(folder).only("train"))
    finally:
        shutil.rmtree(folder)
