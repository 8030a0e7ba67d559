"""Rows of a pack are the same, and fail in the same words, with the compiled modules or without."""

import os
from itertools import islice

import numpy as np
import pytest

from feedbench.loaders import BatchSpec, ImageError, open_loader
from feedbench.loaders.pack import source
from feedbench.loaders.pack.pack import Pack

SPEC = BatchSpec(batch_size=8, image_size=32, shuffle=False)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("kind", ["arrays", "jpeg"])
def test_later_epochs_have_the_images_of_the_first(manifest, make_pack, images_of, tmp_path, kind):
    settings = {"pack": str(make_pack(manifest, tmp_path / "pack", kind)), "num_threads": 2}
    images = images_of("packed", manifest, settings)
    with open_loader("packed", manifest, SPEC, settings, epochs=3) as stream:
        again = np.concatenate([np.array(batch.images) for batch in stream])
    assert np.array_equal(again, np.concatenate([images] * 3))


def test_packed_jpegs_have_the_same_pixels_without_the_modules(
    manifest, make_pack, images_of, tmp_path, monkeypatch
):
    settings = {"pack": str(make_pack(manifest, tmp_path / "pack", "jpeg")), "num_threads": 2}
    images = images_of("packed", manifest, settings)
    for module in ("images.jpeg_region", "images.fitted_jpeg", "pool.compiled", "pool.tasks"):
        monkeypatch.setattr(f"feedbench.loaders.{module}.compiled_module", lambda: None)
    assert np.array_equal(images_of("packed", manifest, settings), images)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("kind", ["arrays", "jpeg"])
def test_a_file_that_is_truncated_during_a_run_names_the_image(manifest, make_pack, tmp_path, kind):
    folder = make_pack(manifest, tmp_path / "pack", kind)
    settings = {"pack": str(folder), "prefetch": 0}
    with open_loader("packed", manifest, SPEC, settings) as stream:
        for _ in islice(stream, 7):  # an epoch of 45 images, and some more
            pass
        (shard,) = folder.glob("images-*")
        os.truncate(shard, 1000)
        with pytest.raises(ImageError, match=r"pack .*: row \d+, .* truncated; remove"):
            list(stream)


class FoundIntactMeanwhile(list):
    """What is known of rows, while another thread reads each of them intact."""

    def __setitem__(self, row, is_intact):
        super().__setitem__(row, True)


def test_damaged_bytes_are_refused_though_another_thread_reads_the_row_intact(
    manifest, make_pack, tmp_path
):
    pack = Pack(make_pack(manifest, tmp_path / "pack", "arrays"))
    arrays = source.Arrays(pack, manifest)
    arrays._checked = FoundIntactMeanwhile([False] * len(manifest))
    pack.index["crc32"] ^= 1
    with pytest.raises(ImageError, match="the pack is damaged"):
        arrays.load(3, int(arrays.find(np.array([3]))[0]), np.empty((32, 32, 3), np.uint8))
    pack.close()


@pytest.mark.usefixtures("way")
def test_an_error_of_the_system_names_the_image(manifest, make_pack, tmp_path):
    folder = make_pack(manifest, tmp_path / "pack")
    (shard,) = folder.glob("images-*")
    shard.unlink()
    shard.mkdir()  # can be opened, not read
    with (
        open_loader("packed", manifest, SPEC, {"pack": str(folder)}) as stream,
        pytest.raises(ImageError, match=r"pack .*: row \d+, .*: Is a directory; remove"),
    ):
        next(stream)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("kind", ["arrays", "jpeg"])
def test_a_row_that_was_damaged_is_named_whenever_it_is_read_first(
    manifest, make_pack, tmp_path, kind
):
    folder = make_pack(manifest, tmp_path / "pack", kind)
    (shard,) = folder.glob("images-*")
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    with (
        open_loader("packed", manifest, SPEC, {"pack": str(folder)}) as stream,
        pytest.raises(ImageError, match=r"pack .*: row \d+, .* not what was written; remove"),
    ):
        list(stream)
