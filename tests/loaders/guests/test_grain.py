"""Grain: the pixels of Pillow by each decoder, in threads and in processes."""

import gc
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from time import monotonic, sleep

import numpy as np
import psutil
import pytest

from feedbench.loaders import BatchSpec, ImageError, WorkerError, open_loader, scan

pytestmark = pytest.mark.guests("grain")

SPEC = BatchSpec(batch_size=8, image_size=32, seed=3)


@pytest.fixture(scope="module")
def manifest(class_folder):
    return scan(class_folder, validation=0, test=0)


def batches_of(name, manifest, spec=SPEC, settings=None, **options):
    with open_loader(name, manifest, spec, settings, **{"epochs": 1, **options}) as stream:
        return [(np.array(images), rows.tolist()) for images, _, rows in stream]


@pytest.mark.parametrize("decoder", ["pillow", "opencv", "simplejpeg"])
@pytest.mark.parametrize("resize", ["stretch", "crop", "pad"])
def test_its_pixels_are_those_of_turbo(manifest, decoder, resize):
    spec = SPEC.model_copy(update={"resize": resize})
    ours = batches_of("grain", manifest, spec, {"decoder": decoder})
    theirs = batches_of("turbo", manifest, spec)
    for (images, rows), (expected, expected_rows) in zip(ours, theirs, strict=True):
        assert rows == expected_rows
        assert np.array_equal(images, expected)


def test_processes_give_the_same_batches_and_end(manifest):
    before = set(psutil.Process().children(recursive=True))
    ours = batches_of("grain", manifest, settings={"worker_count": 2}, epochs=2)
    assert [rows for _, rows in ours] == [
        rows for _, rows in batches_of("turbo", manifest, epochs=2)
    ]
    left = set(psutil.Process().children(recursive=True)) - before
    assert all("resource_tracker" in " ".join(process.cmdline()) for process in left)


def test_the_memory_of_the_last_batches_is_freed(manifest):
    def shared():
        return "/dev/shm/psm_" in Path("/proc/self/maps").read_text()

    gc.collect()
    gc.disable()
    try:
        batches_of("grain", manifest, settings={"worker_count": 1}, epochs=1)
        end = monotonic() + 30  # Grain frees it in a thread of its own
        while shared() and monotonic() < end:
            sleep(0.05)
        assert not shared()
    finally:
        gc.enable()


def test_a_killed_process_ends_the_run_with_one_line(manifest):
    before = set(psutil.Process().children(recursive=True))
    with open_loader("grain", manifest, SPEC, {"worker_count": 1}) as stream:
        next(stream)
        for process in set(psutil.Process().children(recursive=True)) - before:
            if "resource_tracker" not in " ".join(process.cmdline()):
                process.kill()
        with pytest.raises(WorkerError, match=r"^grain: Worker process .* exit code -9$"):
            list(stream)


_WAITING = """
import sys
from time import sleep
from feedbench.loaders import BatchSpec, open_loader, scan

if __name__ == "__main__":
    manifest = scan(sys.argv[1], validation=0, test=0)
    stream = open_loader("grain", manifest, BatchSpec(batch_size=8), {"worker_count": 1})
    next(stream)
    print("reads", flush=True)
    sleep(600)
"""


def test_processes_end_after_their_parent_was_killed(class_folder, tmp_path):
    (tmp_path / "waiting.py").write_text(_WAITING)
    command = [sys.executable, str(tmp_path / "waiting.py"), str(class_folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "reads\n"
        children = psutil.Process(parent.pid).children(recursive=True)
        parent.kill()
    assert len(children) >= 1
    left = psutil.wait_procs(children, timeout=120)[1]
    assert not [one for one in left if one.status() != psutil.STATUS_ZOMBIE]


_INTERRUPTED = """
import sys
from time import sleep
from feedbench.loaders import BatchSpec, open_loader, scan

if __name__ == "__main__":
    manifest = scan(sys.argv[1], validation=0, test=0)
    with open_loader("grain", manifest, BatchSpec(batch_size=8), {"worker_count": 2}) as stream:
        for _ in range(4):
            next(stream)
        try:
            print("reads", flush=True)
            sleep(600)
        except KeyboardInterrupt:
            pass
"""


def test_after_ctrl_c_a_stream_is_closed_and_its_memory_is_freed(class_folder, tmp_path):
    (tmp_path / "interrupted.py").write_text(_INTERRUPTED)
    command = [sys.executable, str(tmp_path / "interrupted.py"), str(class_folder)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes, start_new_session=True) as process:
        assert process.stdout.readline() == "reads\n"
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate()
    assert (process.returncode, said) == (0, "")  # of what is left, Python says so as it ends


def test_closing_does_not_wait_for_another_stream(manifest, monkeypatch):
    monkeypatch.setattr("feedbench.loaders.guests.grain._JOIN_S", 600.0)
    first = open_loader("grain", manifest, SPEC)
    next(first)
    with open_loader("grain", manifest, SPEC) as second:
        next(second)
        first.close()
        next(second)


@pytest.mark.parametrize("settings", [{}, {"worker_count": 1}], ids=str)
def test_a_file_that_cannot_be_read_is_named(class_folder, tmp_path, settings):
    manifest = scan(shutil.copytree(class_folder, tmp_path / "photos"), validation=0, test=0)
    with open(manifest.path(11), "wb"):  # noqa: PTH123
        pass
    with pytest.raises(ImageError, match=r": row 11: Pillow cannot read it"):
        batches_of("grain", manifest, settings=settings)
    with open_loader(
        "grain", manifest, SPEC, settings, epochs=1, on_error="skip", error_budget=0.1
    ) as stream:
        assert sum(len(batch.rows) for batch in stream) == len(manifest)
        assert [fault.row for fault in stream.dropped] == [11]


@pytest.mark.parametrize("ahead", [0, 2])
def test_closing_an_endless_stream_ends_its_threads(manifest, ahead):
    threads = set(threading.enumerate())
    with open_loader("grain", manifest, SPEC, {"prefetch_buffer_size": ahead}) as stream:
        for _ in range(20):
            next(stream)
    assert set(threading.enumerate()) <= threads
