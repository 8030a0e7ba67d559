"""Cache states are proven by the bytes read from disk; unproven blocks are not counted."""

import os
import shutil
import tracemalloc

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from feedbench.bench.analysis.summary import summarize
from feedbench.bench.errors import PlanError
from feedbench.bench.plan.plan import Choice, Failures, PixelCheck, Plan, Timing
from feedbench.bench.record import TimedBlock
from feedbench.bench.trials.cache_state import (
    Files,
    check_cold,
    evict,
    read_bytes,
    unproven_reason,
)
from feedbench.bench.trials.run import run
from feedbench.loaders import BatchSpec, read_file, scan
from feedbench.trainer import Recipe


def measure(manifest, folder, state, **settings):
    knobs = {"prefetch": 1, "num_parallel_calls": 1, **settings}
    choices = (Choice(loader="tf_data", settings=knobs), Choice(loader="synthetic"))
    spec = BatchSpec(batch_size=8, image_size=16)
    steps = 2 * len(manifest) // spec.batch_size + 1  # more than two epochs, however long they take
    timing = Timing(
        blocks=2,
        block_seconds=0.3,
        block_steps=steps,
        warm_up_seconds=0.1,
        cache_state=state,
    )
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


def test_fifos_and_devices_among_the_photos_are_passed_over(tiny_photos, tmp_path):
    """To open a FIFO could wait forever, and reading /dev/zero would never end."""
    photos = shutil.copytree(tiny_photos, tmp_path / "photos")
    os.mkfifo(photos / "train" / "circle" / "fifo.jpg")
    (photos / "train" / "circle" / "endless.jpg").symlink_to("/dev/zero")
    files = Files(scan(photos))
    files.warm()
    files.evict(sync=True)


def test_the_paths_of_evicted_files_are_not_held():
    """Those of ten million files would take 1.7 GB."""
    for sync in (True, False):
        tracemalloc.start()
        evict((b"/missing/%09d.jpg" % number for number in range(20_000)), sync=sync)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 100_000


def test_cold_blocks_read_from_the_disk_in_every_epoch(on_disk, tmp_path):
    trials = measure(on_disk, tmp_path, "cold")
    assert trials[0].error is None
    assert all(block.images > 2 * len(on_disk) for block in trials[0].blocks)
    assert all(block.disk_read_bytes >= 0.9 * block.consumed_bytes for block in trials[0].blocks)
    summary = summarize(trials).trials[0]
    assert (summary.blocks, summary.unproven) == (2, [])


def test_warm_blocks_read_nothing_from_the_disk(on_disk, tmp_path):
    files, rows = Files(on_disk), np.arange(len(on_disk))
    files.evict(sync=True)
    trials = measure(on_disk, tmp_path, "warm")
    # A page of a library may be read meanwhile, where memory is short.
    assert all(block.disk_read_bytes < files.size(rows) / 4 for block in trials[0].blocks)
    assert summarize(trials).trials[0].blocks == 2


def test_blocks_that_cannot_be_cold_are_marked_and_not_counted(on_disk, tmp_path):
    trials = measure(on_disk, tmp_path, "cold", cache="decoded")
    summary = summarize(trials)
    assert len(trials[0].blocks) == 2
    assert summary.trials[0].blocks == 0
    assert summary.trials[0].unproven == ["not cold: 0% of the bytes came from the disk"] * 2
    assert summary.trials[1].blocks == 2  # synthetic reads no file: it has no state to prove
    assert summary.winner is None


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
    block = TimedBlock(
        seconds=1, images=1, wait_s=[], step_s=[], disk_read_bytes=read, consumed_bytes=consumed
    )
    unproven = unproven_reason(state, block)
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


@pytest.fixture
def shard_on_disk(on_disk, tmp_path):
    """The images of `on_disk` in a tar, in a folder on the same disk."""
    root = on_disk.root.parent
    archive = shutil.make_archive(str(root / f"{tmp_path.name}-shard"), "tar", on_disk.root)
    return scan(archive, validation=0, test=0)


def test_shards_are_warmed_and_evicted_whole_or_image_by_image(shard_on_disk):
    files, rows = Files(shard_on_disk), np.arange(len(shard_on_disk))
    files.evict(sync=True)
    before = read_bytes()
    files.warm()
    assert read_bytes() - before >= files.size(rows)
    files.evict(rows[:5])
    before = read_bytes()
    for address in shard_on_disk.paths(rows[:5]):
        read_file(address)
    assert read_bytes() - before >= files.size(rows[:5])
    check_cold(shard_on_disk)


def test_cold_blocks_of_a_shard_read_from_the_disk(shard_on_disk, tmp_path):
    trials = measure(shard_on_disk, tmp_path, "cold")
    assert trials[0].error is None
    assert all(block.disk_read_bytes >= 0.9 * block.consumed_bytes for block in trials[0].blocks)


def test_a_shard_that_was_written_at_once_can_be_cold(on_disk, tmp_path):
    """Its pages are in the cache in groups, which the kernel drops whole or not at all."""
    folder = on_disk.root.parent / f"{tmp_path.name}-parquet"
    folder.mkdir()
    random = np.random.default_rng(0)
    images = pa.array([random.bytes(20_000) for _ in range(400)], pa.binary())
    table = pa.table({"image": images, "label": np.arange(400) % 2})
    pq.write_table(table, folder / "x.parquet", compression="none", use_dictionary=False)
    manifest = scan(folder, validation=0, test=0)
    for _ in range(2):
        for address in manifest.paths(np.arange(len(manifest))):
            read_file(address)
        check_cold(manifest)
