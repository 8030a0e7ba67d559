"""FFCV: its file is written once, and tied to the files that it was made of."""

import fcntl
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from multiprocessing import shared_memory
from pathlib import Path
from time import monotonic, sleep

import numpy as np
import psutil
import pytest
from memory_files import left_over, memory_files

from feedbench.loaders import (
    LOADERS,
    BatchSpec,
    ImageError,
    SettingsError,
    SpecError,
    WorkerError,
    open_loader,
    parse_settings,
    scan,
)
from feedbench.loaders.guests import beton

pytestmark = [
    pytest.mark.guests("ffcv"),
    pytest.mark.filterwarnings("ignore"),  # of fork with threads, and of Numba
]

SPEC = BatchSpec(batch_size=8, image_size=32, seed=3, interpolation="bilinear", antialias=True)


@pytest.fixture(scope="module")
def packs(tmp_path_factory):
    return tmp_path_factory.mktemp("betons")


@pytest.fixture(scope="module")
def manifest(class_folder):
    return scan(class_folder, validation=0, test=0)


def images_of(name, manifest, spec, settings=None, **options):
    with open_loader(name, manifest, spec, settings, **{"epochs": 1, **options}) as stream:
        batches = [(np.array(images), rows) for images, _, rows in stream]
    rows = np.concatenate([rows for _, rows in batches])
    return rows.tolist(), np.concatenate([images for images, _ in batches]).astype(np.float32)


_ON_ONE_CORE = """
import os, sys
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
from feedbench.loaders import BatchSpec, open_loader, scan

manifest = scan(sys.argv[1], validation=0, test=0)
settings = {"pack_dir": sys.argv[2]}
with open_loader("ffcv", manifest, BatchSpec(batch_size=8), settings, epochs=1) as stream:
    print(sum(len(batch.rows) for batch in stream))
"""


def test_a_program_that_writes_and_reads_the_file_on_one_core_ends(class_folder, tmp_path):
    command = [sys.executable, "-c", _ON_ONE_CORE, str(class_folder), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=180)
    images = len(scan(class_folder, validation=0, test=0))
    assert (done.returncode, done.stdout) == (0, f"{images}\n"), done.stderr


def test_a_file_that_is_not_whole_is_named(manifest, tmp_path):
    settings = {"pack_dir": str(tmp_path)}
    open_loader("ffcv", manifest, SPEC, settings).close()
    (path,) = tmp_path.glob("*/images.beton")
    os.truncate(path, 1000)
    with pytest.raises(SettingsError, match=r"images\.beton has 1,000 bytes, but was written with"):
        open_loader("ffcv", manifest, SPEC, settings)
    (path.parent / "about.json").write_text("{")
    with pytest.raises(SettingsError, match=r"about\.json is damaged; remove the folder"):
        open_loader("ffcv", manifest, SPEC, settings)


def test_a_file_that_was_removed_since_is_named(manifest, tmp_path):
    settings = {"pack_dir": str(tmp_path)}
    open_loader("ffcv", manifest, SPEC, settings, epochs=1).close()
    (path,) = tmp_path.glob("*/images.beton")
    path.unlink()
    with pytest.raises(SettingsError, match=r"images\.beton is missing; remove the folder"):
        open_loader("ffcv", manifest, SPEC, settings, epochs=1)


@pytest.mark.parametrize("resize", ["stretch", "crop"])
@pytest.mark.parametrize("write_mode", ["raw", "jpg"])
def test_its_pixels_are_near_those_of_turbo(manifest, packs, resize, write_mode):
    spec = SPEC.model_copy(update={"resize": resize})
    settings = {"pack_dir": str(packs), "write_mode": write_mode, "jpeg_quality": 100}
    rows, images = images_of("ffcv", manifest, spec, settings, epochs=2)
    expected_rows, expected = images_of("turbo", manifest, spec, epochs=2)
    assert rows == expected_rows
    assert np.abs(images - expected).mean() < 4


def test_the_file_is_written_once_and_nothing_else_is_left(manifest, packs):
    settings = {"pack_dir": str(packs)}
    images_of("ffcv", manifest, SPEC, settings)
    before = {path: path.stat().st_mtime_ns for path in packs.rglob("*.beton")}
    threads, named = set(threading.enumerate()), memory_files()
    with open_loader("ffcv", manifest, SPEC, {**settings, "batches_ahead": 1}) as stream:
        for _ in range(14):
            next(stream)
    assert {path: path.stat().st_mtime_ns for path in packs.rglob("*.beton")} == before
    assert set(threading.enumerate()) <= threads
    assert left_over(named) == set()
    left = psutil.Process().children(recursive=True)
    assert all("resource_tracker" in " ".join(process.cmdline()) for process in left)


def test_batches_stay_as_they_are_unless_they_are_not_copied(manifest, packs):
    kept = {}
    for copy in (True, False):
        settings = {"pack_dir": str(packs), "copy_batches": copy, "batches_ahead": 1}
        with open_loader("ffcv", manifest, SPEC, settings) as stream:
            first = next(stream).images
            before = first.copy()
            for _ in range(4):
                next(stream)
            kept[copy] = np.array_equal(first, before)
    assert kept == {True: True, False: False}


def test_passes_of_any_length_give_the_same_batches(manifest, packs, monkeypatch):
    found = []
    for least in (1, 1000):  # six batches, an epoch, or all four epochs
        monkeypatch.setattr("feedbench.loaders.guests.ffcv_batches._PASS", least)
        found.append(images_of("ffcv", manifest, SPEC, {"pack_dir": str(packs)}, epochs=4))
    assert found[0][0] == found[1][0] == images_of("turbo", manifest, SPEC, epochs=4)[0]
    assert np.array_equal(found[0][1], found[1][1])


def test_adapters_give_batches_that_stay_as_they_are(manifest, packs):
    settings = {"pack_dir": str(packs), "copy_batches": False, "batches_ahead": 1}
    with open_loader("ffcv", manifest, SPEC, settings) as stream:
        batches = iter(stream.as_dataset())
        first = next(batches)[0].numpy()
        before = first.copy()
        for _ in range(4):
            next(batches)
        assert np.array_equal(first, before)


def test_its_parts_run_alone_on_any_number_of_cores(manifest, packs):
    settings = parse_settings(LOADERS["ffcv"], {"pack_dir": str(packs)})
    stages = LOADERS["ffcv"].stages(manifest, SPEC, settings)
    assert (stages.concurrency.kind, stages.reading.needs_all_rows) == ("pipelined", True)
    runs = [stages.decode(cores) for cores in (1, 2)]
    for run in [*runs, *runs]:
        assert run(0.01).images % 8 == 0
    assert stages.batch_copy(1)(0.01).images >= 8
    places = stages.reading.find(np.array([3, 1]))
    assert [stages.reading.read(place) for place in places] == [size for _, size in places]


def test_without_a_copy_no_copy_is_measured_and_nothing_is_written_before(manifest, tmp_path):
    values = {"pack_dir": str(tmp_path), "copy_batches": False}
    stages = LOADERS["ffcv"].stages(manifest, SPEC, parse_settings(LOADERS["ffcv"], values))
    assert stages.batch_copy is None
    assert stages.reading.pack_bytes == len(manifest) * 3 * 256**2
    assert not list(tmp_path.iterdir())


def test_a_file_that_has_changed_is_named(class_folder, tmp_path):
    manifest = scan(shutil.copytree(class_folder, tmp_path / "photos"), validation=0, test=0)
    settings = {"pack_dir": str(tmp_path / "packs")}
    images_of("ffcv", manifest, SPEC, settings)
    shutil.copy(manifest.path(0), manifest.path(5))
    with pytest.raises(SettingsError, match=r"05\.jpg has changed.*remove the folder"):
        open_loader("ffcv", manifest, SPEC, settings)


def test_files_that_cannot_be_read_are_named_and_replaced(class_folder, tmp_path):
    manifest = scan(shutil.copytree(class_folder, tmp_path / "photos"), validation=0, test=0)
    for row in (3, 4, 21):
        with open(manifest.path(row), "wb"):  # noqa: PTH123
            pass
    settings = {"pack_dir": str(tmp_path / "packs")}
    options = {"epochs": 2, "on_error": "skip", "error_budget": 0.1}
    rows, _ = images_of("ffcv", manifest, SPEC, settings, **options)
    assert rows == images_of("turbo", manifest, SPEC, **options)[0]
    with pytest.raises(ImageError, match=r"row (3|4|21), .*could not be read when it was packed"):
        images_of("ffcv", manifest, SPEC, settings)


def test_a_folder_may_have_a_name_that_is_not_utf_8(class_folder, tmp_path):
    folder = shutil.copytree(class_folder, tmp_path / os.fsdecode(b"\xff"))
    manifest = scan(folder, validation=0, test=0)
    settings = {"pack_dir": str(tmp_path / "packs")}
    rows, _ = images_of("ffcv", manifest, SPEC, settings)
    assert sorted(rows) == list(range(len(manifest)))


def test_what_it_cannot_do_is_refused(manifest, packs, tmp_path):
    with pytest.raises(SpecError, match="ffcv cannot pad"):
        open_loader("ffcv", manifest, BatchSpec(resize="pad"), {"pack_dir": str(packs)})
    with pytest.raises(SettingsError, match="pack_dir: no folder given"):
        open_loader("ffcv", manifest, SPEC)
    with pytest.raises(SettingsError, match="num_workers must be at most"):
        open_loader("ffcv", manifest, SPEC, {"pack_dir": str(packs), "num_workers": 1_000})
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="name another folder"):
        open_loader("ffcv", manifest, SPEC, {"pack_dir": str(tmp_path / "file")})


@pytest.mark.parametrize("os_cache", [True, False])
def test_closing_does_not_wait_for_the_rest_of_an_epoch(manifest, packs, monkeypatch, os_cache):
    from ffcv.loader.epoch_iterator import EpochIterator

    made = []
    run = EpochIterator.run_pipeline

    def counted(self, *batch):
        made.append(batch)
        return run(self, *batch)

    monkeypatch.setattr(EpochIterator, "run_pipeline", counted)
    spec = SPEC.model_copy(update={"batch_size": 1})
    settings = {"pack_dir": str(packs), "batches_ahead": 1, "os_cache": os_cache}
    with open_loader("ffcv", manifest, spec, settings) as stream:
        next(stream)
    assert 1 <= len(made) <= 6 < len(manifest)


def children():
    found = psutil.Process().children(recursive=True)
    return [one for one in found if "resource_tracker" not in " ".join(one.cmdline())]


@pytest.fixture
def shared(monkeypatch):
    """The names of the shared memory that FFCV's writer makes."""
    made = []

    class Noted(shared_memory.SharedMemory):
        def __init__(self, *given, **named):
            super().__init__(*given, **named)
            made.append(self.name)

    monkeypatch.setattr(shared_memory, "SharedMemory", Noted)
    return made


def assert_nothing_is_left(folder, shared):
    assert [path.name for path in folder.iterdir()] == ["lock"]
    assert not children()
    assert shared
    assert not any(Path("/dev/shm", name).exists() for name in shared)


def test_a_killed_process_ends_the_writing(manifest, tmp_path, monkeypatch, shared):
    class Killed(beton.LiveImages):
        def whole(self, row, item):
            if row == 20:
                os.kill(os.getpid(), signal.SIGKILL)
            return super().whole(row, item)

    monkeypatch.setattr(beton, "LiveImages", Killed)
    with pytest.raises(WorkerError, match=r"writes the \.beton file ended with SIGKILL"):
        open_loader("ffcv", manifest, SPEC, {"pack_dir": str(tmp_path)})
    assert_nothing_is_left(tmp_path, shared)


def test_a_file_that_cannot_be_written_is_an_error(manifest, tmp_path, shared):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, limits[1]))  # as on a full disk
    try:
        with pytest.raises(SettingsError, match="File too large; name another folder"):
            open_loader("ffcv", manifest, SPEC, {"pack_dir": str(tmp_path)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert_nothing_is_left(tmp_path, shared)


def test_upright_photographs_need_a_scan(class_folder, tmp_path):
    spec = SPEC.model_copy(update={"orientation": "apply"})
    unseen = scan(class_folder, validation=0, test=0)
    assert not unseen.audited
    with pytest.raises(SpecError, match="needs the EXIF orientation of each file"):
        open_loader("ffcv", unseen, spec, {"pack_dir": str(tmp_path)})


_SLOW = """
import sys
from time import sleep
from feedbench.loaders import BatchSpec, open_loader, scan
from feedbench.loaders.guests import beton

class Slow(beton.LiveImages):
    def whole(self, row, item):
        print("writes", flush=True)
        sleep(600)

beton.LiveImages = Slow
manifest = scan(sys.argv[1], validation=0, test=0)
open_loader("ffcv", manifest, BatchSpec(batch_size=8), {"pack_dir": sys.argv[2]})
"""


def test_the_processes_of_a_killed_writer_end_and_leave_the_folder_free(class_folder, tmp_path):
    command = [sys.executable, "-c", _SLOW, str(class_folder), str(tmp_path)]
    with (tmp_path / "errors").open("w") as errors:
        writer = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
    assert writer.stdout is not None
    assert writer.stdout.readline() == "writes\n", (tmp_path / "errors").read_text()
    writer.kill()
    writer.wait()
    writer.stdout.close()
    end = monotonic() + 60
    with Path(tmp_path, "lock").open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                assert monotonic() < end, _children_of(tmp_path)
                sleep(0.05)
            else:
                return


def _children_of(folder):
    """The state of each process whose command names a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if str(folder).encode() in (process / "cmdline").read_bytes():
                found.append((process / "status").read_text())
    return found
