"""Rows of a pack are read several at a time, with the same bytes by both ways."""

import os
from itertools import islice

import numpy as np
import pytest

from feedbench.loaders import BatchSpec, ImageError, open_loader
from feedbench.loaders.pack import reading
from feedbench.loaders.pack.reading import Places, compiled_module, read_rows

SPEC = BatchSpec(batch_size=8, image_size=32, shuffle=False)
LENGTHS = np.array([7, 0, 100, 1, 50_000], np.int64)


@pytest.fixture(params=["compiled", "not compiled"])
def way(request, monkeypatch):
    if request.param == "not compiled":
        monkeypatch.setattr(reading, "compiled_module", lambda: None)
    elif compiled_module() is None:
        pytest.skip("not compiled")
    return request.param


@pytest.fixture
def files(tmp_path):
    """Two open files of random bytes, and these."""
    random = np.random.default_rng(0)
    contents = [random.integers(0, 256, 90_000, np.uint8) for _ in range(2)]
    opened = []
    for number, content in enumerate(contents):
        content.tofile(tmp_path / str(number))
        opened.append(os.open(tmp_path / str(number), os.O_RDONLY))
    yield np.array(opened, np.int32), contents
    for file in opened:
        os.close(file)


@pytest.mark.usefixtures("way")
def test_rows_follow_one_another_whatever_their_lengths(files):
    numbers, contents = files
    shards = np.array([0, 1, 1, 0, 1])
    offsets = np.array([5, 0, 89_900, 0, 11], np.int64)
    into = np.zeros(LENGTHS.sum() + 3, np.uint8)
    places = Places(numbers[shards], offsets, LENGTHS)
    assert read_rows(places, range(5), into) == len(LENGTHS)
    expected = [
        contents[shard][offset : offset + length]
        for shard, offset, length in zip(shards, offsets, LENGTHS, strict=True)
    ]
    assert np.array_equal(into, np.concatenate([*expected, np.zeros(3, np.uint8)]))
    into[:] = 0
    assert read_rows(places, range(2, 4), into) == 2  # a piece of the batch
    assert np.array_equal(into[:101], np.concatenate(expected[2:4]))
    assert not into[101:].any()


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("fault", ["ends", "closed", "no room"])
def test_it_ends_before_the_first_row_that_cannot_be_read(files, fault):
    numbers, _ = files
    of_rows, offsets = numbers[[0, 0, 0, 0, 0]].copy(), np.zeros(5, np.int64)
    into = np.zeros(LENGTHS.sum(), np.uint8)
    if fault == "ends":
        offsets[2] = 90_000 - 99
    elif fault == "closed":
        of_rows[2] = 12_345
    else:
        into = into[:106]
    places = Places(of_rows, offsets, LENGTHS)
    assert read_rows(places, range(5), into) == 2
    assert read_rows(places, range(1, 5), into) == (3 if fault == "no room" else 1)


def test_as_many_offsets_as_files_are_needed(files):
    if compiled_module() is None:
        pytest.skip("not compiled")
    numbers, _ = files
    fewer = Places(numbers[[0, 1]], np.zeros(1, np.int64), np.zeros(2, np.int64))
    two = fewer._replace(offsets=np.zeros(2, np.int64))
    for places, piece in ((fewer, range(2)), (two, range(3)), (two, range(-1, 2))):
        with pytest.raises(ValueError, match="one item per row"):
            read_rows(places, piece, np.empty(9, "B"))


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
    for module in ("images.jpeg_region", "images.fitted_jpeg", "pack.reading"):
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


def test_rows_that_were_checked_are_read_with_one_call(manifest, make_pack, tmp_path, monkeypatch):
    calls = []

    def counted(places, piece, into):
        calls.append(len(piece))
        return read_rows(places, piece, into)

    monkeypatch.setattr("feedbench.loaders.pack.source.read_rows", counted)
    settings = {"pack": str(make_pack(manifest, tmp_path / "pack")), "num_threads": 1}
    with open_loader("packed", manifest, SPEC, settings, epochs=1) as stream:
        list(stream)
    assert not calls  # each was checked alone
    with open_loader("packed", manifest, SPEC, settings, epochs=2) as stream:
        list(stream)
    assert sum(calls) >= len(manifest) - SPEC.batch_size
    assert max(calls) == SPEC.batch_size
