"""A process runs only inside its timed blocks."""

import os
import threading
import time
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from feedbench.bench.trials import timer
from feedbench.bench.trials.opened import OpenedFiles
from feedbench.bench.trials.protocol import BlockRequest, TrialJob, WarmUpDone
from feedbench.loaders import BatchSpec


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


@pytest.fixture
def evicted(monkeypatch):
    """The paths of the files that were evicted, in order."""
    paths = []

    def noted(file, *arguments):
        advise(file, *arguments)
        paths.append(Path(os.readlink(f"/proc/self/fd/{file}")))  # noqa: PTH115

    advise = os.posix_fadvise
    monkeypatch.setattr(os, "posix_fadvise", noted)
    return paths


@pytest.mark.parametrize("kept_open", [0, 1, 256])
def test_a_file_is_evicted_once_each_time_that_it_was_read(
    tmp_path, monkeypatch, evicted, kept_open
):
    """The eviction opens and closes it too."""
    monkeypatch.setattr(timer, "_KEPT_OPEN", kept_open)
    one, other = (tmp_path / name for name in ("one", "other"))
    for path in (one, other):
        path.write_bytes(b"x")
    read = [one, other, one]
    evicting = threading.Lock()
    with timer._Eviction() as evict:

        def on_close(path):
            with evicting:
                evict(path)

        with OpenedFiles([os.fsencode(tmp_path)], on_close):
            for count, path in enumerate(read, 1):
                path.read_bytes()
                while len(evicted) < count:
                    time.sleep(0.01)
                with evicting:  # it has closed what it closes
                    pass
                while evict._closed:  # that is announced
                    time.sleep(0.01)
            time.sleep(0.3)  # for what would be evicted again
    assert evicted == read


def test_a_file_that_is_read_again_while_it_is_evicted_is_evicted_again(
    tmp_path, monkeypatch, evicted
):
    """Two closings in a row are announced as one."""
    path = tmp_path / "one"
    path.write_bytes(b"x")
    advise = os.posix_fadvise

    def read_again(*arguments):
        advise(*arguments)
        if len(evicted) == 1:
            path.read_bytes()

    monkeypatch.setattr(os, "posix_fadvise", read_again)
    with timer._Eviction() as evict, OpenedFiles([os.fsencode(tmp_path)], evict):
        path.read_bytes()
        deadline = time.monotonic() + 60
        while len(evicted) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_one_device_of_several_runs_without_the_others_in_sight(on_disk, tmp_path, monkeypatch):
    environments = []
    monkeypatch.setattr(timer, "gpu_environment", lambda most: {"seen": str(most)})
    monkeypatch.setattr(
        timer, "Child", lambda service, job, log, environment, own: environments.append(environment)
    )
    for gpus, devices in ((2, "1"), (2, "2"), (1, "1")):
        job = TrialJob(
            manifest=tmp_path,
            loader="synthetic",
            settings={},
            spec=BatchSpec(batch_size=8, image_size=16),
            consumer="train",
            devices=devices,
            warm_up_s=0.1,
        )
        timer.Timer(on_disk, [(number, None) for number in range(gpus)]).start(job, tmp_path)
    assert environments == [{"seen": "1"}, None, None]
