"""Torch's DataLoader as what a user's function returns; its workers import the user's modules."""

import multiprocessing
import os
import signal

import numpy as np
import pytest

from feedbench.loaders import BatchSpec, OwnError, open_loader, scan

pytestmark = [
    pytest.mark.guests("torch"),
    pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning"),  # on one core
]

SPEC = BatchSpec(batch_size=4, image_size=8)
PIPELINE = """
import torch
from torch.utils.data import DataLoader, Dataset

from model import decoded

class Photos(Dataset):
    def __init__(self, manifest, bad):
        self.labels, self.bad = manifest.labels, bad

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, row):
        if row == self.bad:
            raise ValueError(f"photograph {row}")
        return decoded(row), int(self.labels[row]), row

def make(manifest, batch_size, workers=0, start=None, bad=-1):
    return DataLoader(
        Photos(manifest, bad), batch_size, num_workers=workers, multiprocessing_context=start,
        persistent_workers=workers > 0,
    )
"""
MODEL = (
    "import torch\ndef decoded(row):\n    return torch.full((8, 8, 3), row, dtype=torch.uint8)\n"
)


@pytest.fixture
def manifest(class_folder, write):
    write("model.py", MODEL)
    write("pipeline.py", PIPELINE)
    return scan(class_folder).only("train")


@pytest.mark.parametrize("settings", [
    {}, {"workers": 2, "start": "fork"}, {"workers": 2, "start": "spawn"},
])  # fmt: skip
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of fork with threads
def test_its_tensors_are_arrays_epoch_after_epoch(manifest, settings):
    count = -(-len(manifest) // 4)
    with open_loader("pipeline.py:make", manifest, SPEC, settings) as stream:
        batches = [next(stream) for _ in range(count + 1)]
    assert all(type(batch.images) is np.ndarray for batch in batches)
    assert [int(batch.images.max()) for batch in batches[:2]] == [3, 7]
    assert np.concatenate([one.rows for one in batches[:count]]).tolist() == [*range(len(manifest))]
    assert batches[-1].rows.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_an_error_in_a_worker_names_the_line(manifest, workers):
    settings = {"workers": workers, "bad": 5}
    with (
        pytest.raises(OwnError) as caught,
        open_loader("pipeline.py:make", manifest, SPEC, settings) as stream,
    ):
        list(zip(range(3), stream, strict=False))
    said = "pipeline.py, line 16, in __getitem__: ValueError: photograph 5 (batch 2)"
    assert str(caught.value) == said


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_killed_worker_is_an_error_of_the_next_batch_and_of_nothing_else(manifest):
    before = multiprocessing.active_children()
    with open_loader("pipeline.py:make", manifest, SPEC, {"workers": 1}) as stream:
        next(stream)
        (worker,) = set(multiprocessing.active_children()) - set(before)
        os.kill(worker.pid, signal.SIGKILL)
        os.waitid(os.P_PID, worker.pid, os.WEXITED | os.WNOWAIT)  # Torch would raise its error here
        with pytest.raises(OwnError) as caught:
            list(zip(range(100), stream, strict=False))
    said = str(caught.value)
    assert said.startswith(f"pipeline.py, line 19, in make: worker process {worker.pid} of its")
    assert "; if memory ran out, use fewer workers" in said
