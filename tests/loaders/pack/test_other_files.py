"""A pack is only used for the files that it was made of."""

import io
import os
import shutil
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from feedbench.loaders import BatchSpec, SettingsError, file_stamps, open_loader, scan
from feedbench.loaders.manifest import AUDIT
from feedbench.loaders.pack.about import ABOUT
from feedbench.loaders.pack.build import Packing, RowEncoder, opened
from feedbench.loaders.pack.pack import Pack

SPEC = BatchSpec(batch_size=8, image_size=32, shuffle=False)
AGAIN = "remove the folder and pack the data again, or name another folder"


def repaint(path, level=200):
    """Other pixels under the same name."""
    with Image.open(path) as image:
        size = image.size
    Image.new("RGB", size, (level, level, level)).save(path, quality=95)


def same_size_and_time(path):
    """Other bytes that the file system cannot tell from those before."""
    status, data = path.stat(), bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.fixture
def scanned(with_facts):
    return lambda photos: with_facts(scan(photos, validation=0, test=0))


def refused(manifest, settings, match, name="packed", spec=SPEC):
    with pytest.raises(SettingsError, match=match) as caught:
        open_loader(name, manifest, spec, settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("kind", ["arrays", "jpeg"])
def test_a_replaced_file_is_refused_and_named(photos, manifest, tmp_path, make_pack, kind):
    settings = {"pack": str(make_pack(manifest, tmp_path / "pack", kind))}
    repaint(photos / "bee" / "03.jpg")
    repaint(photos / "cat" / "00.jpg")
    message = refused(manifest, settings, r"bee/03\.jpg has changed, as have 1 others")
    assert message.endswith(AGAIN)


def test_a_file_of_the_same_size_is_known_by_its_time(photos, manifest, tmp_path, make_pack):
    settings = {"pack": str(make_pack(manifest, tmp_path / "pack"))}
    file = photos / "bee" / "03.jpg"
    os.utime(file, ns=(0, file.stat().st_mtime_ns + 1_000_000))
    refused(manifest, settings, r"bee/03\.jpg has changed: modified 20.* then, 20.* now")


@pytest.mark.parametrize("kind", ["arrays", "jpeg"])
def test_data_of_the_same_names_are_refused(photos, manifest, tmp_path, make_pack, kind):
    settings = {"pack": str(make_pack(manifest, tmp_path / "pack", kind))}
    other = shutil.copytree(photos, tmp_path / "other")
    for file in other.rglob("*.jpg"):
        repaint(file)
    message = refused(scan(other, validation=0, test=0), settings, "has changed")
    assert str(photos) in message
    assert str(other / "ant" / "00.jpg") in message


def test_data_that_were_moved_with_their_times_are_accepted(
    photos, manifest, tmp_path, make_pack, images_of
):
    settings = {"pack": str(make_pack(manifest, tmp_path / "pack"))}
    before = images_of("packed", manifest, settings)
    moved = scan(photos.rename(tmp_path / "moved"), validation=0, test=0)
    assert np.array_equal(images_of("packed", moved, settings), before)


def test_a_digest_says_more_than_size_and_time(photos, tmp_path, make_pack, scanned):
    before = scanned(photos)
    settings = {"pack": str(make_pack(before, tmp_path / "pack"))}
    for file in photos.rglob("*.jpg"):
        os.utime(file)  # the same content
    refused(before, settings, "modified")  # what the scan knew is no longer of these files
    open_loader("packed", scanned(photos), SPEC, settings).close()


def test_other_content_is_refused_whatever_size_and_time_say(photos, tmp_path, make_pack, scanned):
    before = scanned(photos)
    settings = {"pack": str(make_pack(before, tmp_path / "pack"))}
    same_size_and_time(photos / "bee" / "03.jpg")
    after = scanned(photos)
    refused(after, settings, r"bee/03\.jpg has changed: its content differs")


def as_scanned_by_an_earlier_version(manifest):
    """It did not see that decoders guess parts of a progressive JPEG without all scans."""
    same = pa.array([True] * len(manifest))
    place = manifest.table.column_names.index("same_pixels")
    return replace(manifest, table=manifest.table.set_column(place, "same_pixels", same))


def unscanned(manifest):
    return replace(manifest, table=manifest.table.drop_columns(AUDIT.names))


@pytest.fixture
def guessed(photos, scanned):
    """Rows of which one is a progressive JPEG without its last scans."""
    path, data = photos / "bee" / "03.jpg", io.BytesIO()
    with Image.open(path) as image:
        image.save(data, "JPEG", progressive=True)
    whole = data.getvalue()
    path.write_bytes(whole[: whole.rindex(b"\xff\xda")] + b"\xff\xd9")
    return scanned(photos)


@pytest.mark.parametrize("kind", ["arrays", "jpeg"])
@pytest.mark.parametrize("before", [as_scanned_by_an_earlier_version, unscanned])
def test_a_pack_of_images_that_are_decoded_otherwise_since_a_scan_is_refused(
    guessed, tmp_path, make_pack, kind, before
):
    settings = {"pack": str(make_pack(before(guessed), tmp_path / "old", kind))}
    message = refused(guessed, settings, r"other pixels of bee/03\.jpg than loaders give since")
    assert message.endswith(AGAIN)
    open_loader("packed", before(guessed), SPEC, settings).close()
    settings = {"pack": str(make_pack(guessed, tmp_path / "new", kind))}
    open_loader("packed", guessed, SPEC, settings).close()


def test_such_an_image_is_packed_again_if_the_pack_is_partial(guessed, tmp_path):
    before = as_scanned_by_an_earlier_version(guessed)
    with opened(Packing(before, SPEC, "arrays"), tmp_path / "pack") as writer:
        encode = RowEncoder(Packing(before, SPEC, "arrays"))
        for row in range(len(before) - 1):
            writer.put(row, encode(row))
    with opened(Packing(guessed, SPEC, "arrays"), tmp_path / "pack") as writer:
        missing = writer.missing().tolist()
    assert [guessed.name(row) for row in missing] == [b"bee/03.jpg", guessed.name(len(before) - 1)]


def test_of_very_many_files_a_random_sample_is_compared(
    photos, manifest, tmp_path, make_pack, monkeypatch
):
    settings = {"pack": str(make_pack(manifest, tmp_path / "pack"))}
    monkeypatch.setattr(file_stamps, "_CHECKED_ROWS", 5)
    looked = [file_stamps.rows_to_check(manifest).tolist() for _ in range(10)]
    assert {len(rows) for rows in looked} == {5}
    assert len({tuple(rows) for rows in looked}) > 1
    for file in photos.rglob("*.jpg"):
        repaint(file)
    refused(manifest, settings, "has changed, as have 4 others")


def test_a_cache_is_of_one_folder(photos, manifest, tmp_path, cached, images_of):
    images_of("turbo", manifest, cached)
    other = shutil.copytree(photos, tmp_path / "other")
    for file in other.rglob("*.jpg"):
        repaint(file)
    rows = scan(other, validation=0, test=0)
    own = images_of("turbo", rows, cached)
    assert np.array_equal(own, images_of("turbo", rows, {}))
    assert np.array_equal(images_of("turbo", rows, cached), own)


def test_a_cache_of_replaced_files_is_refused(photos, manifest, tmp_path, cached, images_of):
    images_of("turbo", manifest, cached)
    repaint(photos / "bee" / "03.jpg")
    message = refused(manifest, cached, r"bee/03\.jpg has changed", "turbo")
    assert str(tmp_path / "packs") in message
    assert message.endswith(AGAIN)


def test_a_scan_between_two_runs_does_not_change_the_cache(
    photos, manifest, tmp_path, cached, images_of, scanned
):
    images_of("turbo", manifest, cached)
    images_of("turbo", scanned(photos), cached)
    assert len(list((tmp_path / "packs").iterdir())) == 1


@pytest.mark.parametrize("kind", ["arrays", "jpeg"])
def test_files_that_change_while_a_pack_is_partial_are_packed_again(
    photos, manifest, tmp_path, make_pack, images_of, kind
):
    folder, packing = tmp_path / "pack", Packing(manifest, SPEC, kind, side=64, quality=95)
    with opened(packing, folder) as writer:
        encode = RowEncoder(packing)
        for row in range(30):
            writer.put(row, encode(row))
    repaint(photos / "ant" / "04.jpg")
    with opened(packing, folder) as writer:
        missing = writer.missing().tolist()
    # Records cannot be replaced in the middle of a file: those behind are lost with them.
    assert missing == ([4] if kind == "arrays" else list(range(4, 30))) + list(range(30, 45))
    make_pack(manifest, folder, kind)
    repainted = images_of("packed", manifest, {"pack": str(folder)})[4]
    assert abs(int(repainted.mean()) - 200) < 3


def test_a_partial_pack_of_another_folder_is_not_resumed(photos, manifest, tmp_path, make_pack):
    with opened(Packing(manifest, SPEC, "arrays"), tmp_path / "pack"):
        pass
    other = scan(shutil.copytree(photos, tmp_path / "other"), validation=0, test=0)
    with pytest.raises(SettingsError, match=r"started with the images of .*photos, not of .*other"):
        make_pack(other, tmp_path / "pack")


def test_the_first_other_row_is_named(photos, manifest, tmp_path, make_pack):
    folder = tmp_path / "pack"
    with opened(Packing(manifest, SPEC, "arrays"), folder):
        pass
    (photos / "bee" / "03.jpg").rename(photos / "bee" / "99.jpg")
    with pytest.raises(SettingsError, match=r"does not contain bee/99\.jpg"):
        make_pack(scan(photos, validation=0, test=0), folder)
    (photos / "bee" / "99.jpg").unlink()
    with pytest.raises(SettingsError, match=r"contains bee/03\.jpg, which is not among"):
        make_pack(scan(photos, validation=0, test=0), folder)


def test_a_pack_of_an_earlier_version_is_refused(manifest, tmp_path, make_pack):
    folder = make_pack(manifest, tmp_path / "pack")
    about = folder / ABOUT
    about.write_text(about.read_text().replace('"schema_number": 2', '"schema_number": 1'))
    with pytest.raises(SettingsError, match=f"earlier Feedbench, which did not record.*; {AGAIN}"):
        Pack(folder)


@pytest.fixture
def cached(tmp_path):
    return {"cache": "packed", "pack_dir": str(tmp_path / "packs")}
