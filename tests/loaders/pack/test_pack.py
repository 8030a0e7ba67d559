"""Packs are complete or not there, resumed, checked, and only used for their own images."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

from feedbench.loaders import BatchSpec, ImageError, SettingsError, SpecError, open_loader, scan
from feedbench.loaders.cached_source import CachedSource, PackStore
from feedbench.loaders.faults import Faults, tolerance
from feedbench.loaders.images.libjpeg_turbo import LiveImages
from feedbench.loaders.pack import array_shards
from feedbench.loaders.pack import folder as folders
from feedbench.loaders.pack.about import ABOUT, arrays_of
from feedbench.loaders.pack.build import Packing, RowEncoder, corrupt_positions, fill, opened
from feedbench.loaders.pack.pack import Pack
from feedbench.loaders.pack.writer import PackWriter
from feedbench.replacing import PART

SPEC = BatchSpec(batch_size=8, image_size=32, shuffle=False)


def packed(manifest, folder, kind="arrays", spec=SPEC, on_error="raise", budget=0.0):
    packing = Packing(manifest, spec, kind, side=64, quality=95)
    with opened(packing, folder) as writer:
        fill(packing, writer, Faults(tolerance(on_error, budget, len(manifest))), lambda _: None)
    return folder


def images(name, manifest, settings, spec=SPEC, **how):
    with open_loader(name, manifest, spec, settings, epochs=1, **how) as stream:
        return np.concatenate([np.array(batch.images) for batch in stream])


@pytest.mark.parametrize("resize", ["stretch", "crop", "pad"])
def test_packed_arrays_are_exactly_the_decoded_pixels(manifest, tmp_path, resize):
    spec = SPEC.model_copy(update={"resize": resize})
    folder = packed(manifest, tmp_path / "pack", spec=spec)
    live = images("turbo", manifest, {}, spec)
    assert np.array_equal(images("packed", manifest, {"pack": str(folder)}, spec), live)
    plain = np.load(folder / "images-00000.npy", mmap_mode="r")
    assert np.array_equal(plain, live)


def test_tensorflow_can_read_packed_jpegs(manifest, tmp_path):
    import tensorflow as tf

    folder = packed(manifest, tmp_path / "pack", "jpeg")
    kinds = {
        "image/encoded": tf.io.FixedLenFeature([], tf.string),
        "image/class/label": tf.io.FixedLenFeature([], tf.int64),
        "image/row": tf.io.FixedLenFeature([], tf.int64),
    }
    rows = []
    for record in tf.data.TFRecordDataset(str(folder / "images-00000.tfrecord")):
        example = tf.io.parse_single_example(record, kinds)
        rows.append(int(example["image/row"]))
        assert int(example["image/class/label"]) == manifest.labels[rows[-1]]
        assert max(tf.io.decode_jpeg(example["image/encoded"]).shape) <= 64
    assert sorted(rows) == list(range(len(manifest)))


@pytest.mark.parametrize("kind", ["arrays", "jpeg"])
def test_images_that_cannot_be_made_leave_no_folder(manifest, tmp_path, kind):
    """A folder would hold space for all images, and refuse those of the next attempt."""
    upright = SPEC.model_copy(update={"orientation": "apply"})
    with pytest.raises(SpecError, match="run feedbench scan on the data first"):
        packed(manifest, tmp_path / "pack", kind, upright)
    assert not (tmp_path / "pack").exists()


def test_packed_jpegs_look_like_the_originals(manifest, tmp_path):
    folder = packed(manifest, tmp_path / "pack", "jpeg")
    packed_images = images("packed", manifest, {"pack": str(folder)}).astype(int)
    live = images("turbo", manifest, {}).astype(int)
    assert np.abs(packed_images - live).mean() < 6


KILLED = """
import os, sys
from feedbench.loaders import scan, BatchSpec
from feedbench.loaders.faults import Faults, tolerance
from feedbench.loaders.pack.build import Packing, fill, opened
manifest = scan(sys.argv[1], validation=0, test=0)
packing = Packing(manifest, BatchSpec(image_size=32), sys.argv[3], side=64, quality=95)
done = 0
def advance(count):
    global done
    done += count
    if done == 20:
        os.kill(os.getpid(), 9)
with opened(packing, __import__("pathlib").Path(sys.argv[2])) as writer:
    fill(packing, writer, Faults(tolerance("raise", 0, len(manifest))), advance)
"""


@pytest.mark.parametrize("kind", ["arrays", "jpeg"])
def test_a_killed_pack_is_incomplete_and_can_be_resumed(photos, manifest, tmp_path, kind):
    folder = tmp_path / "pack"
    code = [sys.executable, "-c", KILLED, str(photos), str(folder), kind]
    assert subprocess.run(code, check=False).returncode == -signal.SIGKILL
    assert all(path.suffix == ".partial" for path in folder.glob("images-*"))
    with pytest.raises(SettingsError, match="not a complete pack"):
        Pack(folder)
    with opened(Packing(manifest, SPEC, kind, side=64, quality=95), folder) as writer:
        if kind == "arrays":
            assert writer.left <= len(manifest) - 20
    packed(manifest, folder, kind)
    pack = Pack(folder)
    assert corrupt_positions(pack, lambda _: None) == []
    undisturbed = packed(manifest, tmp_path / "other", kind)
    own, other = (images("packed", manifest, {"pack": str(one)}) for one in (folder, undisturbed))
    assert np.array_equal(own, other)
    pack.close()


def test_rows_that_are_corrupt_are_written_again(manifest, tmp_path):
    folder, packing = tmp_path / "pack", Packing(manifest, SPEC, "arrays")
    with opened(packing, folder) as writer:
        for row in range(10):
            writer.put(row, np.full((32, 32, 3), row, np.uint8))
    (shard,) = folder.glob("images-*.npy.partial")
    data = bytearray(shard.read_bytes())
    data[-45 * 32 * 32 * 3 + 5] ^= 1  # in row 0 of 45
    shard.write_bytes(data)
    store = PackWriter(folder, packing.about, manifest)  # a cache looks when it reads a row
    assert [store.read(row, np.empty((32, 32, 3), np.uint8)) for row in (0, 1)] == [False, True]
    store.close()
    with opened(packing, folder) as writer:
        assert writer.missing().tolist() == [0, *range(10, 45)]


def test_the_temporary_file_of_a_killed_writer_is_removed_when_it_resumes(manifest, tmp_path):
    """Also if it was killed before anything else was written."""
    folder = tmp_path / "pack"
    folder.mkdir()
    for name in ("pack.json.partial", "images-00000.npy.partial"):
        left = folder / f"{PART}1.{name}"
        left.touch()
        with opened(Packing(manifest, SPEC, "arrays"), folder):
            assert not left.exists()


def test_a_changed_byte_is_detected(manifest, tmp_path):
    folder = packed(manifest, tmp_path / "pack")
    path = folder / "images-00000.npy"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    pack = Pack(folder)
    assert corrupt_positions(pack, lambda _: None) == [len(manifest) - 1]
    pack.close()


def test_a_truncated_pack_names_the_image(manifest, tmp_path):
    folder = packed(manifest, tmp_path / "pack")
    path = folder / "images-00000.npy"
    os.truncate(path, path.stat().st_size - 1)
    with pytest.raises(ImageError, match=r"pack .*: row 44, .*cat.*14\.jpg: .* truncated; remove"):
        images("packed", manifest, {"pack": str(folder)})


def test_an_image_is_decoded_again_if_its_pack_was_truncated(manifest, tmp_path):
    kept = PackStore(PackWriter(tmp_path / "pack", arrays_of(manifest, SPEC, "full"), manifest))
    source, rows = CachedSource(LiveImages(manifest, SPEC, "full"), kept), np.arange(len(manifest))
    live = np.zeros((len(manifest), 32, 32, 3), np.uint8)
    for row, item in zip(rows, source.find(rows), strict=True):
        source.load(int(row), item, live[row])
    assert source.find(rows) == [None] * len(rows)  # nothing to look up: all are stored
    for shard in (tmp_path / "pack").glob("images-*"):
        os.truncate(shard, 200)
    again = np.zeros((32, 32, 3), np.uint8)
    source.load(44, None, again)
    assert live[44].any()
    assert np.array_equal(again, live[44])
    kept.close()


def test_an_image_that_could_not_be_packed_is_named_when_it_is_read(photos, tmp_path):
    (photos / "bee" / "03.jpg").write_text("no photograph")
    manifest = scan(photos, validation=0, test=0)
    with pytest.raises(ImageError, match=r"03\.jpg"):
        packed(manifest, tmp_path / "none")
    folder = packed(manifest, tmp_path / "pack", on_error="skip", budget=0.1)
    settings = {"pack": str(folder)}
    with pytest.raises(ImageError, match=r"row 18, .*bee/03\.jpg: .*could not be read when"):
        images("packed", manifest, settings)
    read = images("packed", manifest, settings, on_error="skip", error_budget=0.1)
    assert len(read) == len(manifest)


def test_a_spec_other_than_the_packs_is_refused(manifest, tmp_path):
    settings = {"pack": str(packed(manifest, tmp_path / "pack"))}
    for field, value in (("image_size", 48), ("resize", "crop"), ("interpolation", "bilinear")):
        spec = SPEC.model_copy(update={field: value})
        with pytest.raises(
            SpecError, match=rf"packed with {field} .*, the batch spec has {value!r}"
        ):
            open_loader("packed", manifest, spec, settings)


def test_a_row_that_is_not_in_the_pack_is_named(photos, manifest, tmp_path):
    settings = {"pack": str(packed(manifest, tmp_path / "pack"))}
    shutil.copy(photos / "ant" / "00.jpg", photos / "ant" / "new.jpg")
    with pytest.raises(SettingsError, match=r"does not contain ant/new\.jpg and 0 other images"):
        open_loader("packed", scan(photos, validation=0, test=0), SPEC, settings)


def test_a_folder_with_something_else_is_refused(manifest, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="not empty"):
        packed(manifest, tmp_path)
    assert not (tmp_path / "lock").exists()
    packing = Packing(manifest, SPEC, "arrays")
    with opened(packing, tmp_path / "begun"), pytest.raises(SettingsError, match="another process"):
        packed(manifest, tmp_path / "begun")
    other = SPEC.model_copy(update={"image_size": 48})
    with pytest.raises(
        SettingsError, match=r"holds images with image_size 32, not 48; remove the folder"
    ):
        packed(manifest, tmp_path / "begun", spec=other)


def test_a_disk_that_is_too_small_is_refused_at_the_start(manifest, tmp_path, monkeypatch):
    monkeypatch.setattr(folders.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 9))
    for kind in ("arrays", "jpeg"):
        with pytest.raises(SettingsError, match=r"needs \d+ kB, 9 bytes are free; free some"):
            packed(manifest, tmp_path / kind, kind)
        assert not (tmp_path / kind).exists()


def open_files():
    return len(os.listdir("/proc/self/fd"))


def test_a_folder_is_written_by_one_process_at_a_time(manifest, tmp_path):
    with (
        opened(Packing(manifest, SPEC, "arrays"), tmp_path / "pack"),
        pytest.raises(SettingsError, match="pack: another process is writing it; wait for it"),
    ):
        packed(manifest, tmp_path / "pack")
    packed(manifest, tmp_path / "pack")
    assert (tmp_path / "pack" / ABOUT).exists()


def test_what_is_refused_leaves_no_file_open(photos, manifest, tmp_path):
    settings = {"pack": str(packed(manifest, tmp_path / "pack"))}
    images("turbo", manifest, cached(tmp_path / "packs"))
    os.utime(photos / "bee" / "03.jpg")
    refused = (
        lambda: open_loader("packed", manifest, BatchSpec(image_size=48), settings),
        lambda: open_loader("packed", manifest, SPEC, settings),
        lambda: open_loader("turbo", manifest, SPEC, cached(tmp_path / "packs")),
        lambda: packed(manifest, tmp_path / "pack"),
        lambda: packed(manifest, photos),
    )
    before = open_files()
    for call in refused:
        with pytest.raises((SettingsError, SpecError)):
            call()
        assert open_files() == before


def test_a_pack_of_more_files_than_may_be_open_is_written_and_read(manifest, tmp_path, monkeypatch):
    monkeypatch.setattr(array_shards, "SHARD_BYTES", 32 * 32 * 3)  # one image each
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    for once in ("written", "read"):
        resource.setrlimit(resource.RLIMIT_NOFILE, (open_files() + 20, limits[1]))
        try:
            if once == "written":
                folder = packed(manifest, tmp_path / "pack")
            else:
                read = images("packed", manifest, {"pack": str(folder)})
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert len(list(folder.glob("images-*"))) == len(manifest)
    assert np.array_equal(read, images("turbo", manifest, {}))


def test_a_disk_that_fills_while_jpegs_are_written_is_one_line_and_the_rest_is_kept(
    manifest, tmp_path, monkeypatch
):
    import tensorflow as tf

    def full(*_):
        raise tf.errors.ResourceExhaustedError(None, None, "No space left on device")

    packing = Packing(manifest, SPEC, "jpeg", side=64, quality=95)
    with opened(packing, tmp_path / "pack") as writer:
        encode = RowEncoder(packing)
        writer.put(0, encode(0))
        with monkeypatch.context() as patch:
            patch.setattr(writer._shards._writer, "write", full)
            with pytest.raises(SettingsError, match="No space left on device; fix that and start"):
                writer.put(1, encode(1))
    with opened(packing, tmp_path / "pack") as writer:
        assert writer.missing().tolist() == list(range(1, 45))


def cached(folder):
    return {"cache": "packed", "pack_dir": str(folder)}


def test_after_one_epoch_the_packed_cache_needs_no_files(photos, manifest, tmp_path):
    live = images("turbo", manifest, {})
    assert np.array_equal(images("turbo", manifest, cached(tmp_path / "packs")), live)
    shutil.rmtree(photos)
    assert np.array_equal(images("turbo", manifest, cached(tmp_path / "packs")), live)


def test_one_unreadable_file_does_not_keep_a_cache_from_being_complete(photos, tmp_path):
    (photos / "bee" / "03.jpg").write_text("no photograph")
    manifest = scan(photos, validation=0, test=0)
    settings, tolerant = cached(tmp_path / "packs"), {"on_error": "skip", "error_budget": 0.1}
    first = images("turbo", manifest, settings, **tolerant)
    (folder,) = (tmp_path / "packs").iterdir()
    assert (folder / ABOUT).exists()
    assert np.array_equal(images("turbo", manifest, settings, **tolerant), first)


def test_an_image_that_failed_is_tried_again_when_a_pack_is_resumed(photos, tmp_path):
    good = (photos / "bee" / "03.jpg").read_bytes()
    (photos / "bee" / "03.jpg").write_text("no photograph")
    manifest = scan(photos, validation=0, test=0)
    with pytest.raises(ImageError, match=r"03\.jpg"):
        images("turbo", manifest, cached(tmp_path / "packs"))
    (photos / "bee" / "03.jpg").write_bytes(good)
    resumed = images("turbo", manifest, cached(tmp_path / "packs"))
    assert np.array_equal(resumed, images("turbo", manifest, {}))


def test_each_spec_has_its_own_pack(manifest, tmp_path):
    settings, other = cached(tmp_path / "packs"), SPEC.model_copy(update={"resize": "crop"})
    images("turbo", manifest, settings)
    assert np.array_equal(
        images("turbo", manifest, settings, other), images("turbo", manifest, {}, other)
    )
    assert len(list((tmp_path / "packs").iterdir())) == 2


FEEDS = """
import sys, time
from feedbench.loaders import scan, BatchSpec, open_loader
manifest = scan(sys.argv[1], validation=0, test=0)
settings = {"cache": "packed", "pack_dir": sys.argv[2], "prefetch": 0}
with open_loader("turbo", manifest, BatchSpec(batch_size=8, image_size=32), settings) as stream:
    for _ in range(3): next(stream)
    print("ready", flush=True)
    time.sleep(600)
"""


def test_a_packed_cache_of_a_killed_run_is_resumed(photos, manifest, tmp_path):
    parent = tmp_path / "packs"
    code = [sys.executable, "-c", FEEDS, str(photos), str(parent)]
    with subprocess.Popen(code, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        process.kill()
    (folder,) = parent.iterdir()
    assert not (folder / ABOUT).exists()
    assert not list(folder.glob("images-*.npy"))
    spec = SPEC.model_copy(update={"shuffle": True})
    with open_loader("turbo", manifest, spec, cached(parent), start_step=3) as stream:
        own = [next(stream) for _ in range(8)]
    with open_loader("turbo", manifest, spec, {}, start_step=3) as stream:
        live = [next(stream) for _ in range(8)]
    for one, other in zip(own, live, strict=True):
        assert np.array_equal(one.images, other.images)
        assert np.array_equal(one.rows, other.rows)
    assert json.loads((folder / ABOUT).read_text())["images"] == len(manifest)


OPENED_AND_CLOSED = """
import json, sys, time
from pathlib import Path
import psutil
import pyarrow as pa
from feedbench.loaders import scan, BatchSpec, open_loader
pa.set_cpu_count(1)  # Arrow's own threads would come one by one, as they are needed
pa.set_io_thread_count(1)
manifest, settings = scan(sys.argv[1], validation=0, test=0), json.loads(sys.argv[3])
SPEC = BatchSpec(batch_size=8, image_size=32)
def once():
    with open_loader(sys.argv[2], manifest, SPEC, settings) as stream: next(stream)
def held_now():
    here = Path("/proc/self")
    counts = [len(list((here / kind).iterdir())) for kind in ("task", "fd")]
    shared = (here / "maps").read_text().count("/dev/shm")
    return *counts, shared, len(psutil.Process().children())
def held():
    # A thread that has been joined is gone from the list a moment later.
    seen = [held_now()]
    while len(seen) < 5 or len(set(seen[-5:])) > 1:
        time.sleep(0.02)
        seen.append(held_now())
    return seen[-1]
once()
once()  # the second one reads what the first one wrote
before = held()
for _ in range(50): once()
print(held() == before, before, held())
def resident(): return psutil.Process().memory_info().rss
with open_loader(sys.argv[2], manifest, SPEC, settings) as stream:
    for _ in range(200): next(stream)
    early = resident()
    for _ in range(2000): next(stream)
    print(resident() - early)
"""


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("turbo", {}),
        ("turbo", {"cache": "decoded"}),
        ("turbo", {"cache": "packed", "pack_dir": "own"}),
        ("packed", {"pack": "arrays"}),
        ("packed", {"pack": "jpeg"}),
    ],
    ids=str,
)
def test_fifty_streams_leave_nothing_and_memory_stays_flat(
    photos, manifest, tmp_path, name, settings
):
    if name == "packed":
        settings = {"pack": str(packed(manifest, tmp_path / "pack", settings["pack"]))}
    elif "pack_dir" in settings:
        settings = {**settings, "pack_dir": str(tmp_path / "packs")}
    code = [sys.executable, "-c", OPENED_AND_CLOSED, str(photos), name, json.dumps(settings)]
    done = subprocess.run(code, capture_output=True, text=True, check=True)
    comparison, growth = done.stdout.splitlines()
    assert comparison.startswith("True"), comparison
    assert int(growth) < 2_000_000  # one batch in ten that is not freed would be 5 MB
