"""Streams that the pool fills end with their threads, and say so in a process that was forked."""

import os
import subprocess
import sys
import time

import numpy as np
import pytest

from feedbench.loaders import BatchSpec, open_loader, scan

SPEC = BatchSpec(batch_size=16, image_size=224, shuffle=False)


@pytest.fixture(scope="module")
def manifest(class_folder):
    return scan(class_folder, validation=0, test=0)


def own_threads():
    """The numbers of this process's threads."""
    return set(os.listdir("/proc/self/task"))


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("settings", [{}, {"cache": "decoded"}, {"output": "float32"}], ids=str)
def test_no_thread_is_left_when_a_stream_is_closed_within_a_batch(manifest, settings):
    stream = open_loader("turbo", manifest, SPEC, {**settings, "num_threads": 3, "prefetch": 4})
    before = own_threads()
    next(stream)
    started = own_threads() - before
    assert len(started) == 3
    stream.close()
    while started & own_threads():  # the kernel still lists a thread for a while after its end
        time.sleep(0.01)


FORKING = """
import os, sys, warnings
from itertools import islice
import numpy as np
warnings.simplefilter("ignore", DeprecationWarning)  # of Python, about forks with threads
from feedbench.loaders import BatchSpec, LoaderError, open_loader, scan
from feedbench.loaders.pool import compiled, tasks
if sys.argv[2] == "not compiled":
    compiled.compiled_module = tasks.compiled_module = lambda: None
manifest = scan(sys.argv[1], validation=0, test=0)
streams = [open_loader("turbo", manifest, BatchSpec(batch_size=8, image_size=64)) for _ in range(2)]
used, unused = streams
next(used)

def in_child():
    for _ in islice(unused, 9):
        pass
    unused.close()
    try:
        next(used)
    except LoaderError as error:
        print(error, flush=True)
    used.close()

for _ in range(5):  # in one of them, some thread holds a lock
    if not (child := os.fork()):
        in_child()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
for one, other in islice(zip(used, unused), 9):
    pass
for stream in streams:
    stream.close()
"""


@pytest.mark.parametrize("way", ["compiled", "not compiled"])
def test_a_process_forked_from_one_with_an_open_stream_does_not_hang(class_folder, way):
    done = subprocess.run(
        [sys.executable, "-c", FORKING, str(class_folder), way],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 5
    assert all("belongs to the process that read its first batch" in line for line in lines)


@pytest.mark.usefixtures("way")
def test_two_streams_of_one_source_give_the_same_images(manifest):
    with (
        open_loader("turbo", manifest, SPEC, {"num_threads": 2}, epochs=2) as one,
        open_loader("turbo", manifest, SPEC, {"num_threads": 3, "prefetch": 0}, epochs=2) as other,
    ):
        for first, second in zip(one, other, strict=True):
            assert np.array_equal(first.images, second.images)
            assert np.array_equal(first.labels, second.labels)
