"""DALI: the pixels of Pillow, its own threads, files that it cannot read."""

import os
import shutil
import subprocess
import sys
import threading
from time import monotonic, sleep

import numpy as np
import pytest
from PIL import Image

from feedbench.loaders import (
    LOADERS,
    Augment,
    BatchSpec,
    ImageError,
    SettingsError,
    open_loader,
    parse_settings,
    scan,
)

pytestmark = pytest.mark.guests("nvidia.dali")

SPEC = BatchSpec(batch_size=8, image_size=32, seed=3, interpolation="bilinear")


@pytest.fixture(scope="module")
def manifest(class_folder):
    return scan(class_folder, validation=0, test=0)


def images_of(name, manifest, spec, settings=None):
    with open_loader(name, manifest, spec, settings, epochs=1) as stream:
        batches = [(np.array(images), rows) for images, _, rows in stream]
    rows = np.concatenate([rows for _, rows in batches])
    images = np.concatenate([images for images, _ in batches])
    return rows, images.astype(np.float32)


@pytest.mark.parametrize("resize", ["stretch", "crop", "pad"])
@pytest.mark.parametrize(
    ("interpolation", "antialias"), [("nearest", False), ("bilinear", False), ("bilinear", True)]
)
def test_its_pixels_are_those_of_turbo(manifest, resize, interpolation, antialias):
    spec = BatchSpec(
        batch_size=8,
        image_size=32,
        resize=resize,
        interpolation=interpolation,
        antialias=antialias,
    )
    rows, images = images_of("dali", manifest, spec)
    expected_rows, expected = images_of("turbo", manifest, spec)
    assert rows.tolist() == expected_rows.tolist()
    difference = np.abs(images - expected)
    assert difference.mean() < 1
    assert np.percentile(difference, 99) < 8


@pytest.mark.parametrize(("scale", "ratio"), [(0.25, 1.0), (1.0, 2.0)])
def test_regions_whose_sides_end_in_a_half_are_those_of_turbo(tmp_path, scale, ratio):
    (tmp_path / "any").mkdir()
    for side in (33, 35):  # of which the halves are rounded down and up
        noise = np.random.default_rng(side).integers(0, 256, (side, side, 3), np.uint8)
        Image.fromarray(noise).save(tmp_path / "any" / f"{side}.png")
    augment = Augment(random_resized_crop=(scale, scale), aspect_ratio=(ratio, ratio))
    spec = BatchSpec(batch_size=2, image_size=16, augment=augment)
    manifest = scan(tmp_path, validation=0, test=0)
    images, expected = (images_of(name, manifest, spec)[1] for name in ("dali", "turbo"))
    assert np.array_equal(images, expected)


def test_an_image_whose_side_rounding_makes_shorter_is_padded_as_by_turbo(tmp_path):
    (tmp_path / "any").mkdir()
    noise = np.random.default_rng(0).integers(1, 256, (35, 56, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "any" / "some.png")
    spec = BatchSpec(batch_size=1, image_size=96, resize="pad")  # 35 / (56 / 96) is 59.99...
    manifest = scan(tmp_path, validation=0, test=0)
    images, expected = (images_of(name, manifest, spec)[1] for name in ("dali", "turbo"))
    assert np.array_equal(images, expected)


def test_flips_and_range_are_applied_by_dali(manifest):
    spec = SPEC.model_copy(
        update={"augment": Augment(horizontal_flip=True), "value_range": (-1.0, 1.0)}
    )
    rows, images = images_of("dali", manifest, spec, {"output": "float32"})
    expected_rows, expected = images_of("turbo", manifest, spec, {"output": "float32"})
    assert rows.tolist() == expected_rows.tolist()
    assert np.abs(images - expected).mean() < 0.01


def test_batches_stay_as_they_are_although_they_are_not_copied(manifest):
    with open_loader("turbo", manifest, SPEC, epochs=4) as stream:
        expected = [np.array(batch.images) for batch in stream]
    with open_loader("dali", manifest, SPEC, {"prefetch_queue_depth": 1}, epochs=4) as stream:
        kept = [batch.images for batch in stream]
    assert all(images.flags.writeable for images in kept)
    for images, other in zip(kept, expected, strict=True):
        assert np.abs(images.astype(np.float32) - other).mean() < 1


def test_other_augmentations_are_those_of_turbo(manifest):
    spec = SPEC.model_copy(update={"augment": Augment(rotation=20, brightness=0.2)})
    _, images = images_of("dali", manifest, spec)
    _, expected = images_of("turbo", manifest, spec)
    assert np.abs(images - expected).mean() < 1


@pytest.mark.parametrize(
    "augment", [{}, {"horizontal_flip": True}, {"rotation": 20}, {"random_resized_crop": (0.5, 1)}]
)
def test_its_parts_run_alone_on_any_number_of_cores(manifest, augment):
    spec = SPEC.model_copy(update={"augment": Augment(**augment)})
    stages = LOADERS["dali"].stages(manifest, spec, parse_settings(LOADERS["dali"], {}))
    assert stages.concurrency.kind == "pipelined"
    for cores in (1, 2):
        assert stages.decode(cores)(0.01).images % 8 == 0
    assert (stages.batch_copy is None) == ("rotation" not in augment)
    if stages.batch_copy is not None:
        assert stages.batch_copy(1)(0.01).images >= 8


def test_images_in_shards_are_decoded_alone_too(tar_shards):
    manifest = scan(tar_shards, validation=0, test=0)
    settings = parse_settings(LOADERS["dali"], {"output": "float32"})
    stages = LOADERS["dali"].stages(manifest, SPEC, settings)
    assert stages.decode(2)(0.01).images >= 8
    assert stages.reading.in_shards


def test_the_device_mixed_is_refused_without_a_gpu(manifest, monkeypatch):
    monkeypatch.setattr("feedbench.loaders.guests.dali._gpus", lambda: 0)
    with pytest.raises(SettingsError, match="device: mixed needs a GPU, there is none; use cpu"):
        open_loader("dali", manifest, SPEC, {"device": "mixed"})


@pytest.fixture
def photos(class_folder, tmp_path):
    return shutil.copytree(class_folder, tmp_path / "photos")


def test_files_that_it_cannot_read_are_named_and_replaced(photos):
    manifest = scan(photos, validation=0, test=0)
    for row in (3, 4, 21):
        with open(manifest.path(row), "wb"):  # noqa: PTH123
            pass
    options = {"epochs": 2, "on_error": "skip", "error_budget": 0.1}
    with open_loader("dali", manifest, SPEC, **options) as stream:
        rows = [batch.rows.tolist() for batch in stream]
        dropped = {fault.row: fault for fault in stream.dropped}
    with open_loader("turbo", manifest, SPEC, **options) as stream:
        assert rows == [batch.rows.tolist() for batch in stream]
    assert dropped.keys() == {3, 4, 21}
    assert all(fault.decoder == "DALI" for fault in dropped.values())
    with (
        open_loader("dali", manifest, SPEC, epochs=1) as stream,
        pytest.raises(ImageError) as raised,
    ):
        list(stream)
    assert "\n" not in str(raised.value)


_CUT_SHORT = """
import os, sys, threading
from feedbench.loaders import BatchSpec, LoaderError, open_loader, scan

manifest, path = scan(sys.argv[1], validation=0, test=0), sys.argv[2]
is_over = threading.Event()

def change():
    while not is_over.is_set():
        os.truncate(path, 50_000_000)
        os.truncate(path, 100_000)

thread = threading.Thread(target=change)
thread.start()
for _ in range(10):
    try:
        with open_loader("dali", manifest, BatchSpec(batch_size=1), epochs=10) as stream:
            list(stream)
    except LoaderError:
        pass
is_over.set()
thread.join()
"""


def test_a_file_that_is_cut_short_while_it_is_read_does_not_end_the_process(manifest, tmp_path):
    (tmp_path / "any").mkdir()
    path = shutil.copy(manifest.path(0), tmp_path / "any")
    command = [sys.executable, "-c", _CUT_SHORT, str(tmp_path), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


_LARGE_BATCHES = """
import sys
from feedbench.loaders import BatchSpec, open_loader, scan

manifest = scan(sys.argv[1], validation=0, test=0)
spec = BatchSpec(batch_size=192, image_size=8, resize=sys.argv[2])
for _ in range(8):
    options = {"epochs": 6, "on_error": "skip", "error_budget": 0.1}
    with open_loader("dali", manifest, spec, **options) as stream:
        print(sum(len(batch.rows) for batch in stream), [fault.row for fault in stream.dropped])
"""


@pytest.mark.parametrize("resize", ["stretch", "crop", "pad"])
def test_bytes_that_are_no_image_do_not_end_the_process(photos, resize):
    manifest = scan(photos, validation=0, test=0)
    with open(manifest.path(7), "wb") as file:  # noqa: PTH123
        file.write(b"hello" * 100)
    command = [sys.executable, "-c", _LARGE_BATCHES, str(photos), resize]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{6 * len(manifest)} [7]\n" * 8


def test_images_of_a_shard_that_was_truncated_are_named_and_replaced(tar_shards, tmp_path):
    folder = shutil.copytree(tar_shards, tmp_path / "shards")
    manifest = scan(folder, validation=0, test=0)
    last = sorted(folder.glob("*.tar"))[-1]
    os.truncate(last, last.stat().st_size // 2)
    options = {"epochs": 1, "on_error": "skip", "error_budget": 0.6}
    with open_loader("dali", manifest, SPEC, **options) as stream:
        rows = [batch.rows.tolist() for batch in stream]
        dropped = {fault.row: fault for fault in stream.dropped}
    with open_loader("turbo", manifest, SPEC, **options) as stream:
        assert rows == [batch.rows.tolist() for batch in stream]
        assert dropped.keys() == {fault.row for fault in stream.dropped}
    assert {fault.decoder for fault in dropped.values()} <= {"the system", "DALI"}
    with (
        open_loader("dali", manifest, SPEC, epochs=1) as stream,
        pytest.raises(ImageError, match="the shard has changed since it was listed"),
    ):
        list(stream)


def test_a_fifo_is_named(photos, monkeypatch):
    monkeypatch.setattr("feedbench.loaders.fifos.STALL_S", 0.3)
    manifest = scan(photos, validation=0, test=0)
    os.unlink(manifest.path(7))  # noqa: PTH108
    os.mkfifo(manifest.path(7))
    with (
        open_loader("dali", manifest, SPEC, epochs=1) as stream,
        pytest.raises(ImageError, match="not a regular file"),
    ):
        list(stream)


def test_closing_ends_its_threads(manifest):
    def tasks():
        return len(os.listdir("/proc/self/task"))

    with open_loader("dali", manifest, SPEC) as stream:  # what stays for good starts with it
        next(stream)
    before, threads = tasks(), set(threading.enumerate())
    for _ in range(3):
        with open_loader("dali", manifest, SPEC, {"num_threads": 4}) as stream:
            next(stream)
            assert tasks() > before
    deadline = monotonic() + 60  # a thread that has ended leaves the list a moment later
    while tasks() > before + 1:
        assert monotonic() < deadline
        sleep(0.02)
    assert set(threading.enumerate()) <= threads
