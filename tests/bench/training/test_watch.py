"""A user's function that a training waits for is reported with the line where it stands."""

import importlib
import os
import sys
import time
from contextlib import contextmanager

import pytest

from feedbench.bench.training import watch
from feedbench.bench.trials import silence
from feedbench.loaders import BatchSpec, find_loader, open_loader, scan
from feedbench.loaders.own import Waiting

HANGS = """
import time
import numpy as np

def make(batch_size):
    yield np.zeros((batch_size, 8, 8, 3), "u1"), np.zeros(batch_size, int)
    while not told:
        time.sleep(0.01)
    yield np.zeros((batch_size, 8, 8, 3), "u1"), np.zeros(batch_size, int)

told = []
"""
HANGS_IN_A_WORKER = """
import multiprocessing, time
import numpy as np

def work(queue):
    queue.put("begun"); time.sleep(600)

def make(batch_size):
    spawn = multiprocessing.get_context("spawn")
    queue = spawn.Queue()
    worker = spawn.Process(target=work, args=[queue], daemon=True)
    worker.start()
    queue.get()
    while not told or "in work" not in told[-1]:
        time.sleep(0.01)
    worker.kill()
    yield np.zeros((batch_size, 8, 8, 3), "u1"), np.zeros(batch_size, int)

told = []
"""


@pytest.fixture
def stream(request, tiny_photos, tmp_path, monkeypatch):
    (tmp_path / "hanging.py").write_text(getattr(request, "param", HANGS))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    importlib.invalidate_caches()
    manifest = scan(tiny_photos).only("train")
    with open_loader("hanging.py:make", manifest, BatchSpec(batch_size=4, image_size=8)) as stream:
        yield stream
    del sys.modules["hanging"]


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(silence, "FIRST_S", 0.0)
    monkeypatch.setattr(watch, "_POLL_S", 0.05)


@contextmanager
def logged(path):
    """Have this process write its standard error to a file; pytest would undo it in a fixture."""
    before = os.dup(2)
    with path.open("ab") as file:
        os.dup2(file.fileno(), 2)
    try:
        yield path
    finally:
        os.dup2(before, 2)
        os.close(before)


def test_the_line_in_which_it_hangs_is_named_once_it_does(stream, tmp_path):
    from hanging import told

    with logged(tmp_path / "log") as log, watch.hangs_told(told.append, log):
        next(stream)
        next(stream)  # returns once something is told
    assert told[0].startswith("make (batch 2): nothing for 0 s; it is at hanging.py, line ")
    assert told[0].partition(", line ")[2] in ("7, in make", "8, in make")


@pytest.mark.parametrize("stream", [HANGS_IN_A_WORKER], indirect=True, ids=["spawned"])
@pytest.mark.spawned
def test_the_line_of_a_worker_process_is_named_beside_that_which_waits(stream, tmp_path):
    from hanging import told

    with logged(tmp_path / "log") as log, watch.hangs_told(told.append, log):
        next(stream)
    own, _, worker = told[-1].partition("; a worker process in ")
    assert "make (batch 1): nothing for " in own
    assert worker == "hanging.py, line 6, in work"


def test_time_between_batches_is_not_its_own(stream, tmp_path):
    told = []
    next(stream)
    with logged(tmp_path / "log") as log, watch.hangs_told(told.append, log):
        time.sleep(0.3)
    assert told == []


def test_an_import_that_a_function_waits_for_is_named(tmp_path, monkeypatch):
    """The import system's own frames lie between the user's and that of the library."""
    (tmp_path / "own.py").write_text("def make():\n    import largelibrary\n")
    other = tmp_path / "site-packages"
    other.mkdir()
    (other / "largelibrary.py").write_text("import own\nown.said.append(own.call.place())\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), str(other), *sys.path])
    importlib.invalidate_caches()
    import own

    own.call, own.said = Waiting(find_loader("own.py:make").own, "start"), []
    own.make()
    del sys.modules["own"], sys.modules["largelibrary"]
    assert own.said == ["own.py, line 2, in make, which is still importing"]
