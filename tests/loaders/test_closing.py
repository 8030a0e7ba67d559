"""Closing gives back what the stream took, waits for nothing else, and reports nothing unasked."""

import os
import shutil
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from feedbench.loaders import BatchSpec, LoaderError, open_loader, scan

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
