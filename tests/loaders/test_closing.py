"""Closing gives back what the stream took, waits for nothing else, and reports nothing unasked."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import traceback
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from feedbench.loaders import BatchSpec, LoaderError, SettingsError, Stream, open_loader, scan
from feedbench.loaders.pack.writer import PackWriter

SPEC = BatchSpec(batch_size=4, image_size=16, shuffle=False)
WORKERS = [{"workers": 2}, {"workers": 2, "use_multiprocessing": True}]


@pytest.fixture(scope="module")
def manifest(class_folder):
    return scan(class_folder, validation=0, test=0)


def files_in(folder: Path) -> list[os.stat_result]:
    """The open files of this process that lie in a folder, with or without a name."""
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the listing's own
            if str(entry.readlink()).startswith(f"{folder}/"):
                found.append(entry.stat())
    return found


def test_the_disk_cache_has_no_name_and_all_of_its_space(manifest, tmp_path):
    settings = {"cache": "disk", "cache_dir": str(tmp_path)}
    with open_loader("tf_data", manifest, SPEC, settings) as stream:
        next(stream)
        assert not list(tmp_path.iterdir())  # a kill leaves nothing
        (file,) = files_in(tmp_path)
        assert file.st_size == len(manifest) * 16 * 16 * 3
        assert file.st_blocks * 512 >= file.st_size  # a disk that fills later does not matter
        maps = Path("/proc/self/maps").read_text()
        assert str(tmp_path) not in maps
    assert not files_in(tmp_path)


def test_the_disk_cache_is_removed_when_an_image_fails(class_folder, tmp_path):
    photos, kept = tmp_path / "photos", tmp_path / "kept"
    shutil.copytree(class_folder, photos)
    kept.mkdir()
    (photos / "ant" / "03.jpg").write_text("not a photograph")
    settings = {"cache": "disk", "cache_dir": str(kept)}
    with (
        pytest.raises(LoaderError, match=r"03\.jpg"),
        open_loader("tf_data", scan(photos), SPEC, settings) as stream,
    ):
        list(stream)
    assert not files_in(kept)


@pytest.mark.parametrize("settings", WORKERS, ids=str)
def test_closing_waits_only_for_its_own_threads(manifest, settings):
    done = threading.Event()
    bystander = threading.Thread(target=done.wait, args=(120,), daemon=True)
    with open_loader("keras_pil", manifest, SPEC, settings) as stream:
        next(stream)
        bystander.start()
    still_alive = bystander.is_alive()
    done.set()
    bystander.join()
    assert still_alive


@pytest.mark.parametrize("settings", WORKERS, ids=str)
def test_closing_before_an_unreadable_image_is_due_raises_nothing(class_folder, tmp_path, settings):
    photos = tmp_path / "photos"
    shutil.copytree(class_folder, photos)
    (photos / "ant" / "09.jpg").write_text("not a photograph")
    before = set(threading.enumerate())
    with open_loader("keras_pil", scan(photos), SPEC, settings) as stream:
        next(stream)
        time.sleep(2)  # by now the third batch has been read ahead
    assert set(threading.enumerate()) <= before


def interrupt_wait():
    """Interrupt the main thread, as Ctrl-C does, once it waits for another thread to end."""
    main = threading.main_thread().ident
    while not any(
        frame.f_code is threading.Thread.join.__code__
        for frame, _ in traceback.walk_stack(sys._current_frames()[main])
    ):
        time.sleep(0.001)
    signal.pthread_kill(main, signal.SIGINT)


def test_a_pack_is_released_although_closing_is_interrupted(manifest, tmp_path, monkeypatch):
    is_writing, may_write, is_released = (threading.Event() for _ in range(3))
    put, release = PackWriter.put, PackWriter.close

    def put_when_allowed(writer, row, *data):
        if row >= SPEC.batch_size:  # of the batches after the first
            is_writing.set()
            may_write.wait()
        put(writer, row, *data)

    def release_and_say_so(writer):
        release(writer)
        is_released.set()

    monkeypatch.setattr(PackWriter, "put", put_when_allowed)
    monkeypatch.setattr(PackWriter, "close", release_and_say_so)
    settings = {"cache": "packed", "pack_dir": str(tmp_path)}
    stream = open_loader("turbo", manifest, SPEC, settings)
    next(stream)
    is_writing.wait()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=interrupt_wait).start()
    with pytest.raises(KeyboardInterrupt):
        stream.close()
    signal.signal(signal.SIGINT, before)
    with pytest.raises(SettingsError, match="another process is writing it"):  # its threads do
        open_loader("turbo", manifest, SPEC, settings)
    may_write.set()
    # Not by join: Python 3.11 takes a thread for ended whose join was interrupted.
    assert is_released.wait(300)  # only against a test that hangs
    open_loader("turbo", manifest, SPEC, settings).close()


def test_a_stream_is_released_although_closing_the_one_opened_again_is_interrupted():
    released = []

    def interrupted():
        raise KeyboardInterrupt

    stream = Stream(iter(()), lambda: released.append(True))
    stream._again = Stream(iter(()), interrupted)
    with pytest.raises(KeyboardInterrupt):
        stream.close()
    assert released == [True]


def test_a_stream_is_closed_where_no_thread_can_start(manifest, tmp_path, monkeypatch):
    settings = {"cache": "packed", "pack_dir": str(tmp_path)}
    stream = open_loader("turbo", manifest, SPEC, settings)
    next(stream)

    def refused(thread):
        raise RuntimeError("can't create new thread at interpreter shutdown")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refused)
        stream.close()
    open_loader("turbo", manifest, SPEC, settings).close()


LEFT_OPEN = """
import json
import sys
from pathlib import Path
from feedbench.loaders import BatchSpec, open_loader, scan

def batches(photos, name, settings):
    spec = BatchSpec(batch_size=4, image_size=16)
    manifest = scan(Path(photos), validation=0, test=0)
    with open_loader(name, manifest, spec, json.loads(settings)) as stream:
        yield from stream

unfinished = batches(*sys.argv[1:])
next(unfinished)
print("read")
"""


@pytest.mark.parametrize(
    ("name", "settings"), [("turbo", {}), *(("keras_pil", workers) for workers in WORKERS)]
)
def test_a_program_ends_that_has_not_read_a_stream_to_its_end(class_folder, name, settings):
    """Python closes the stream when no thread can run any more."""
    command = [sys.executable, "-c", LEFT_OPEN, str(class_folder), name, json.dumps(settings)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert (done.returncode, done.stdout) == (0, "read\n"), done.stderr
    assert "Exception ignored" not in done.stderr


def test_the_memory_of_the_encoded_cache_is_freed(tmp_path):
    random = np.random.default_rng(0)
    (tmp_path / "a").mkdir()
    for number in range(40):
        noise = random.integers(0, 256, (400, 400, 3), np.uint8)
        Image.fromarray(noise).save(tmp_path / "a" / f"{number}.bmp")
    # The streams themselves are kept: closing alone must free.
    code = """
import gc, sys
import psutil
from feedbench.loaders import BatchSpec, open_loader, scan
manifest, streams = scan(sys.argv[1], validation=0, test=0), []
for _ in range(6):
    with open_loader("tf_data", manifest, BatchSpec(batch_size=4, image_size=16),
                     {"cache": "encoded"}, epochs=2) as stream:
        for batch in stream: pass
    streams.append(stream)
    gc.collect()
    print(psutil.Process().memory_info().rss)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    resident = [int(line) for line in done.stdout.split()]
    # 19 MB of files, five times more.
    assert resident[-1] - resident[0] < 30e6
