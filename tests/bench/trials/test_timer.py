"""A process runs only inside its timed blocks."""

import os
import time
from contextlib import closing

import psutil

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


def test_a_file_is_evicted_once_each_time_that_it_was_read(tmp_path, monkeypatch):
    """The eviction opens and closes it too."""
    evict, evicted = timer.evict, []

    def noted(paths, *, sync):
        evict(paths, sync=sync)
        evicted.extend(paths)

    monkeypatch.setattr(timer, "evict", noted)
    one, other = (tmp_path / name for name in ("one", "other"))
    for path in (one, other):
        path.write_bytes(b"x")
    read = [one, other, one]
    with OpenedFiles([os.fsencode(tmp_path)], timer._Eviction()):
        for count, path in enumerate(read, 1):
            path.read_bytes()
            while len(evicted) < count:
                time.sleep(0.01)
    assert evicted == [os.fsencode(path) for path in read]


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
