"""A damaged shard gives one line that names it and the member, or an audit's word that holds."""

import io
import os
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from feedbench.loaders import (
    BatchSpec,
    ImageError,
    LoaderError,
    SourceError,
    open_loader,
    scan,
    usable,
)
from feedbench.loaders.address import extent_of, file_of
from feedbench.loaders.file_stamps import without_stale_facts

SPEC = BatchSpec(batch_size=1, image_size=16, shuffle=False)


def copy(source, folder):
    if source.is_dir():
        return shutil.copytree(source, folder / source.name)
    return Path(shutil.copy(source, folder))


def shards(source):
    files = [source] if source.is_file() else sorted(source.rglob("*"))
    return [path for path in files if path.suffix not in (".txt", ".json") and path.is_file()]


def flip(path, offset):
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)
        file.seek(offset)
        file.write(bytes([byte[0] ^ 0xFF]))


def reads(name, manifest, row):
    one = manifest.where(pa.array(np.arange(len(manifest)) == row))
    try:
        with open_loader(name, one, SPEC, epochs=1) as stream:
            return len(list(stream)) == 1
    except LoaderError as error:
        return {one.path(0) in str(error): False}[True]  # a name, and not an address


@pytest.mark.parametrize("form", ["zip", "deflated", "tar", "tfrecord", "arrow", "plain", "v2"])
def test_what_the_audit_says_of_damaged_images_is_what_loaders_do(
    form, sources, tmp_path, with_facts
):
    source = copy(sources[form], tmp_path)
    manifest = scan(source, validation=0, test=0)
    random = np.random.default_rng(3)
    hit = random.choice(len(manifest), 8, replace=False).tolist()
    for row in hit:
        path = manifest.paths(np.array([row]))[0]
        extent = extent_of(path)
        shard = Path(os.fsdecode(file_of(path)))
        status = shard.stat()
        flip(shard, extent.offset + int(random.integers(min(extent.length, 60))))
        os.utime(shard, ns=(status.st_atime_ns, status.st_mtime_ns))  # damage, and no new version
    audited = with_facts(manifest)
    for row in range(len(manifest)):
        faults = {name: audited.table[name][row].as_py() for name in ("pillow", "tensorflow")}
        if "checksum" in str(faults["pillow"]):
            assert set(faults.values()) == {"damaged: its checksum differs"}
        else:
            assert reads("keras_pil", manifest, row) == (faults["pillow"] is None)
            assert reads("turbo", audited, row) == (None in faults.values())
    kept, left_out = usable(audited, [("pillow",)])
    assert len(kept) + len(left_out) == len(manifest)
    if form in ("zip", "deflated", "tfrecord"):  # whose checksums tell of each
        assert len(left_out) == len(hit)


@pytest.mark.parametrize("form", ["zip", "tar", "folders", "tfrecord", "arrow", "plain"])
def test_a_truncated_shard_is_one_line(form, sources, tmp_path):
    source = copy(sources[form], tmp_path)
    shard = shards(source)[-1]
    with shard.open("r+b") as file:
        file.truncate(shard.stat().st_size * 2 // 3)
    with pytest.raises(SourceError, match=r"copy the (shard|zip|file) again") as caught:
        scan(source)
    assert str(shard) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("form", ["tar", "tfrecord"])
def test_a_truncated_member_is_named(form, sources, tmp_path):
    source = copy(sources[form], tmp_path)
    manifest = scan(source, validation=0, test=0)
    path = max(manifest.paths(np.arange(45)), key=lambda path: extent_of(path).offset)
    with Path(os.fsdecode(file_of(path))).open("r+b") as file:
        file.truncate(extent_of(path).offset + 1)
    member = manifest.path(manifest.paths(np.arange(45)).index(path)).rpartition(":")[2]
    wanted = member if form == "tar" else str(21)
    with pytest.raises(SourceError, match=f":{wanted}: the (tar|file) ends inside this"):
        scan(source)


def test_a_damaged_header_inside_a_tar_is_noticed(sources, tmp_path):
    source = copy(sources["folders"], tmp_path)
    with tarfile.open(source) as tar:
        third = tar.getmembers()[2]
    flip(source, third.offset + 5)
    with pytest.raises(SourceError, match="the tar is damaged behind this member"):
        scan(source)


def test_a_tar_behind_another_is_not_left_out(sources, tmp_path):
    """tarfile, as tar itself, reads up to the end of the first."""
    source = copy(sources["folders"], tmp_path)
    source.write_bytes(2 * source.read_bytes())
    with pytest.raises(SourceError, match="another tar follows; join them by tar --concatenate"):
        scan(source)


def test_a_negative_size_in_a_tar_is_refused(sources, tmp_path):
    """tarfile goes back by it, to the same header again."""
    source = copy(sources["folders"], tmp_path)
    with tarfile.open(source) as tar:
        third = tar.getmembers()[2]
    data = bytearray(source.read_bytes())
    header = data[third.offset : third.offset + tarfile.BLOCKSIZE]
    header[124:136] = (-tarfile.BLOCKSIZE).to_bytes(12, "big", signed=True)
    header[148:156] = b"%06o\0 " % tarfile.calc_chksums(header)[0]
    data[third.offset : third.offset + tarfile.BLOCKSIZE] = header
    source.write_bytes(data)
    with pytest.raises(SourceError, match="its size is negative; copy the shard again"):
        scan(source)


def test_a_damaged_length_of_a_record_is_noticed(sources, tmp_path):
    source = copy(sources["tfrecord"], tmp_path)
    flip(shards(source)[0], 1)
    with pytest.raises(SourceError, match=r"tfrecord:0: the length of this record is damaged"):
        scan(source)


def test_a_shard_that_has_changed_is_listed_again_and_its_facts_are_dropped(
    sources, tmp_path, with_facts
):
    source = copy(sources["folders"], tmp_path)
    before = with_facts(scan(source, validation=0, test=0))
    with tarfile.open(source, "a") as tar:
        member = tarfile.TarInfo("photos/ant/0.jpg")
        member.size = 3
        tar.addfile(member, io.BytesIO(b"new"))
    assert len(scan(source, validation=0, test=0)) == len(before) + 1
    assert without_stale_facts(before).table["bytes"].null_count == len(before)


def grey_tar(path, level):
    """Two classes of bitmaps of one level, which all have the same length."""
    data = io.BytesIO()
    Image.new("RGB", (16, 16), (level,) * 3).save(data, "BMP")
    with tarfile.open(path, "w") as tar:
        for name in (f"{label}/{number:02}.bmp" for label in "ab" for number in range(20)):
            member = tarfile.TarInfo(name)
            member.size = len(data.getvalue())
            tar.addfile(member, io.BytesIO(data.getvalue()))
    return path


@pytest.mark.parametrize("name", ["turbo", "keras_pil", "tf_data"])
def test_a_shard_that_is_replaced_during_a_run_ends_it_before_any_of_its_pixels(name, tmp_path):
    source = grey_tar(tmp_path / "x.tar", 50)
    manifest = scan(source, validation=0, test=0)
    with open_loader(name, manifest, SPEC) as stream:
        next(stream)
        grey_tar(source, 200)
        levels = [50]
        with pytest.raises(ImageError, match=r"x\.tar:.*the shard has changed since it was listed"):
            levels.extend(int(np.array(batch.images).max()) for batch in stream)
    assert set(levels) == {50}


def test_a_shard_that_is_gone_names_the_member(sources, tmp_path):
    source = copy(sources["zip"], tmp_path)
    manifest = scan(source, validation=0, test=0)
    source.unlink()
    for name in ("turbo", "keras_pil", "tf_data"):
        assert not reads(name, manifest, 3)


@pytest.mark.parametrize(
    "form", ["zip", "tar", "tfrecord", "arrow", "ipc", "parquet", "plain", "v2"]
)
def test_any_flipped_byte_is_one_line_or_a_listing(form, sources, tmp_path):
    source = copy(sources[form], tmp_path)
    shard = shards(source)[0]
    data, random = shard.read_bytes(), np.random.default_rng(7)
    ends = [*range(0, 200, 7), *range(len(data) - 1500, len(data), 31)]
    for offset in [*random.integers(len(data), size=40).tolist(), *ends]:
        shard.write_bytes(data)
        flip(shard, offset)
        try:
            scan(source, validation=0, test=0)
        except SourceError as error:
            assert "\n" not in str(error), offset  # noqa: PT017  it may also be listed
