"""Storage reads real files, warm and cold, and counts their bytes."""

import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

from feedbench.bench.errors import PlanError, TrialError
from feedbench.bench.trials.cache_state import check_cold, read_bytes
from feedbench.bench.trials.storage import Storage
from feedbench.bench.trials.storage_in_order import InOrder
from feedbench.loaders import scan, stamp_of
from feedbench.loaders.stages.stage import whole_files


@pytest.fixture
def manifest(tiny_photos):
    return scan(tiny_photos).only("train")


def paths(manifest):
    return manifest.paths(np.arange(len(manifest)))


def total_size(manifest):
    return sum(Path(os.fsdecode(path)).stat().st_size for path in paths(manifest))


@pytest.mark.parametrize(("depth", "processes"), [(1, 1), (4, 1), (4, 2), (1, 2)])
def test_a_warm_block_reads_the_same_images_over_and_over(manifest, depth, processes):
    storage = Storage(manifest, whole_files(manifest), processes=processes)
    storage.prepare("warm")
    seconds = 0.2  # twenty ticks of a clock of CPU time that ticks every 10 ms
    result = storage.read("warm", depth, seconds=seconds)
    repeats, remainder = divmod(result.images, len(manifest))
    assert repeats >= 1
    assert remainder == 0
    assert result.bytes == repeats * total_size(manifest)
    assert result.seconds >= seconds
    assert result.cpu_s > 0


def test_reads_are_spread_over_processes_as_far_as_there_are_reads(manifest, tmp_path):
    def read(path):
        (tmp_path / f"{os.getpid()}").touch()
        return len(path)

    storage = Storage(manifest, whole_files(manifest, read), processes=2)
    storage.read("warm", 8, seconds=0.02)
    assert len(list(tmp_path.iterdir())) == 2
    assert not (tmp_path / f"{os.getpid()}").exists()
    storage.read("warm", 1, seconds=0.02)
    assert (tmp_path / f"{os.getpid()}").exists()


def test_a_reading_process_that_is_killed_is_an_error_instead_of_a_hang(manifest):
    def killed(path):
        os.kill(os.getpid(), signal.SIGKILL)

    storage = Storage(manifest, whole_files(manifest, killed), processes=2)
    for _ in range(2):
        with pytest.raises(TrialError, match="a process that reads was ended"):
            storage.read("warm", 2, seconds=0.1)


def test_preparing_a_warm_block_reads_every_image_once(manifest):
    read = []
    storage = Storage(manifest, whole_files(manifest, lambda path: len(read.append(path) or path)))
    storage.prepare("cold")
    assert read == []
    storage.prepare("warm")
    assert sorted(read) == sorted(paths(manifest))


def test_a_cold_block_reads_its_bytes_from_the_disk(manifest):
    try:
        check_cold(manifest)
    except PlanError as error:
        pytest.skip(str(error))
    storage = Storage(manifest, whole_files(manifest))
    before = read_bytes()
    result = storage.read("cold", 4, seconds=0.02)
    assert read_bytes() - before >= 0.9 * result.bytes


@pytest.fixture
def shards(tiny_photos, tmp_path):
    """The training images in a tar and in two zips, behind one another as in the folder."""
    for suffix in ("tar", "zip"):
        shutil.make_archive(str(tmp_path / "train"), suffix, tiny_photos / "train")
    return {suffix: scan(tmp_path / f"train.{suffix}") for suffix in ("tar", "zip")}


@pytest.mark.parametrize("suffix", ["tar", "zip"])
@pytest.mark.parametrize("state", ["warm", "cold"])
def test_shards_are_read_in_their_order(shards, suffix, state):
    manifest = shards[suffix]
    result = InOrder(manifest).read(state, seconds=0.02)
    repeats, remainder = divmod(result.images, len(manifest))
    assert repeats >= 1
    assert remainder == 0
    assert result.bytes == repeats * sum(stamp_of(path)[0] for path in paths(manifest))


def test_images_in_shards_are_read_at_random_too(shards):
    manifest = shards["tar"]
    storage = Storage(manifest, whole_files(manifest))
    for state in ("warm", "cold"):
        storage.prepare(state)
        assert storage.read(state, 4, seconds=0.02).images >= 2
    assert whole_files(manifest).in_shards
