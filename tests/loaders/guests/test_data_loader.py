"""The processes, threads and shared memory of Torch's DataLoader end with the stream."""

import os
import signal
import threading
from contextlib import suppress
from itertools import islice
from pathlib import Path

import numpy as np
import psutil
import pytest
from memory_files import left_over, memory_files

from feedbench.loaders import LOADERS, BatchSpec, LoaderError, WorkerError, open_loader
from feedbench.loaders.guests.data_loader import Results

SPEC = BatchSpec(batch_size=4, image_size=16, seed=3)
NAMES = [name for name, one in LOADERS.items() if "persistent_workers" in one.settings.model_fields]
every_loader = pytest.mark.parametrize("name", NAMES)


@pytest.fixture
def manifest(name, for_loader):
    return for_loader(name)


def workers():
    found = set()
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.ZombieProcess):
            if "resource_tracker" not in " ".join(process.cmdline()):
                found.add(process.pid)
    return found


def opened_memory():
    """The number of open files of shared memory, which may have lost their names."""
    links = [entry.readlink() for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()]
    return sum(str(link).startswith("/dev/shm") for link in links)


def test_some_loaders_run_on_it():
    assert {"torch", "webdataset", "hf_datasets"} <= {*NAMES}


@every_loader
@pytest.mark.parametrize("persistent", [True, False])
def test_closing_ends_all_that_was_started(manifest, name, persistent):
    before, threads = workers(), set(threading.enumerate())
    opened, named = opened_memory(), memory_files()
    settings = {"num_workers": 2, "persistent_workers": persistent}
    with open_loader(name, manifest, SPEC, settings) as stream:
        assert workers() > before
        kept = [batch.images for batch in islice(stream, 20)]  # into the second epoch
    assert workers() == before
    assert set(threading.enumerate()) <= threads
    del kept
    assert opened_memory() == opened
    assert left_over(named) == set()


@every_loader
def test_batches_outlive_their_stream(manifest, name):
    with open_loader(name, manifest, SPEC, {"num_workers": 2}, epochs=1) as stream:
        batches = [(batch.rows, batch.images) for batch in stream]
    with open_loader("turbo", manifest, SPEC.for_evaluation(), epochs=1) as stream:
        plain = np.concatenate([batch.images for batch in stream])
    for rows, images in batches:
        assert np.array_equal(images, plain[rows])


@every_loader
@pytest.mark.parametrize(("persistent", "same"), [(True, True), (False, False)])
def test_workers_are_kept_from_epoch_to_epoch_or_started_again(manifest, name, persistent, same):
    settings = {"num_workers": 1, "persistent_workers": persistent}
    with open_loader(name, manifest, SPEC, settings) as stream:
        next(stream)
        first = workers()
        list(islice(stream, 14))
        assert (workers() == first) is same


@every_loader
def test_a_killed_worker_ends_the_run_and_leaves_no_processes(manifest, name):
    before = workers()
    stream = open_loader(name, manifest, SPEC, {"num_workers": 2})
    next(stream)
    for pid in workers() - before:
        os.kill(pid, signal.SIGKILL)
    with pytest.raises(WorkerError, match=rf"^{name}: worker process \d+ ended with SIGKILL; if "):
        list(stream)
    stream.close()
    assert workers() == before


@pytest.mark.guests("torch")
def test_a_worker_that_is_killed_while_its_batch_is_waited_for_is_named(for_loader):
    with open_loader("torch", for_loader("torch"), SPEC, {"num_workers": 1}) as stream:
        next(stream)
        (pid,) = workers()
        timer = threading.Timer(0.3, os.kill, (pid, signal.SIGKILL))
        timer.start()
        with pytest.raises(WorkerError, match=f"worker process {pid} ended with SIGKILL"):
            list(stream)
        timer.join()


@every_loader
def test_memory_is_pinned_only_for_a_gpu(manifest, name):
    import torch

    if torch.accelerator.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(LoaderError, match=f"^{name}: pin_memory needs a GPU that torch can use"):
        open_loader(name, manifest, SPEC, {"pin_memory": True})


class Failing:
    """A data set whose second item is an error that a DataLoader reports."""

    def __getitem__(self, index):
        if index:
            raise KeyError("no such key")
        return index


@pytest.mark.guests("torch")
@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_of_the_data_set_itself_is_one_line(workers):
    results = Results("torch", Failing(), sampler=[0, 1], batch_size=None, num_workers=workers)
    assert next(results) == 0
    with pytest.raises(LoaderError, match=r"^torch: .*no such key") as raised:
        next(results)
    assert "\n" not in str(raised.value)
    results.close()
