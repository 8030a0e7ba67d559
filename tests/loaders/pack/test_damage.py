"""Whatever is damaged in a pack: other pixels are never given, and the message has one line."""

import json
import os
import shutil
from contextlib import suppress
from itertools import islice

import numpy as np
import pytest

from feedbench.loaders import BatchSpec, LoaderError, SettingsError, open_loader, scan
from feedbench.loaders.errors import PackedImageError
from feedbench.loaders.npy import write_npy
from feedbench.loaders.originals import FILES, MANIFEST
from feedbench.loaders.pack import pack
from feedbench.loaders.pack.about import ABOUT, INDEX, file_crc32
from feedbench.loaders.pack.build import Packing, check_packing, corrupt_positions, fill, opened
from feedbench.loaders.pack.pack import FAILED, PARTIAL, Pack

SPEC = BatchSpec(batch_size=8, image_size=32, shuffle=False)
SHARDS = {"arrays": "images-00000.npy", "jpeg": "images-00000.tfrecord"}


@pytest.fixture(scope="session")
def files(class_folder):
    return scan(class_folder, validation=0, test=0)


@pytest.fixture(scope="session")
def whole(files, tmp_path_factory):
    """A pack of each kind, and the images that it holds."""
    root, made = tmp_path_factory.mktemp("whole"), {}
    from feedbench.loaders.faults import Faults

    for kind in SHARDS:
        packing = Packing(files, SPEC, kind, side=64, quality=95)
        with opened(packing, root / kind) as writer:
            fill(packing, writer, Faults(), lambda _: None)
        made[kind] = root / kind
    return made


@pytest.fixture
def damaged(whole, tmp_path):
    """Copies a pack and changes one of its files."""

    def damage(kind, name, change):
        folder = tmp_path / "pack"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(whole[kind], folder)
        data = bytearray((folder / name).read_bytes())
        (folder / name).write_bytes(change(data))
        return folder

    return damage


def flipped(place, bit):
    def change(data):
        data[place % len(data)] ^= 1 << bit
        return data

    return change


@pytest.mark.parametrize("kind", SHARDS)
@pytest.mark.parametrize("name", [ABOUT, MANIFEST, FILES, INDEX, "shard"])
def test_a_flipped_bit_never_gives_other_pixels(files, whole, damaged, images_of, kind, name):
    right = images_of("packed", files, {"pack": str(whole[kind])})
    name = SHARDS[kind] if name == "shard" else name
    random, refused = np.random.default_rng(0), 0
    messages = []
    for place, bit in zip(
        random.integers(2**40, size=12), random.integers(8, size=12), strict=True
    ):
        folder = damaged(kind, name, flipped(int(place), int(bit)))
        try:
            images = images_of("packed", files, {"pack": str(folder)})
        except LoaderError as error:
            refused += 1
            messages.append(str(error))
        else:
            assert np.array_equal(images, right)
        messages += check(folder, Packing(files, SPEC, kind, side=64, quality=95))
    assert refused > 6 or name == ABOUT
    assert all("\n" not in text and str(folder) in text for text in messages)


def check(folder, packing):
    """What `feedbench pack` does with a complete pack; its message, if there is one."""
    try:
        pack = Pack(folder)
        check_packing(pack, packing)
    except LoaderError as error:
        return [str(error)]
    corrupt_positions(pack, lambda _: None)
    pack.close()
    return []


@pytest.mark.parametrize("name", [ABOUT, MANIFEST, FILES, INDEX, SHARDS["arrays"]])
@pytest.mark.parametrize("length", [0, 100])
def test_a_truncated_file_is_named(files, damaged, images_of, name, length):
    folder = damaged("arrays", name, lambda data: data[:length])
    with pytest.raises(LoaderError, match=name if name != SHARDS["arrays"] else "truncated"):
        images_of("packed", files, {"pack": str(folder)})


@pytest.mark.parametrize("name", [MANIFEST, FILES, INDEX, SHARDS["arrays"]])
def test_a_file_that_is_gone_is_named(whole, tmp_path, name):
    folder = shutil.copytree(whole["arrays"], tmp_path / "pack")
    (folder / name).unlink()
    with pytest.raises(SettingsError, match=rf"{name}: No such file or directory; remove"):
        Pack(folder)


@pytest.mark.parametrize("text", ["[]", "7", "[" * 100_000, '"a"', "{}", "\xff", "null"])
def test_a_description_that_is_no_object_is_damaged(whole, tmp_path, text):
    folder = shutil.copytree(whole["arrays"], tmp_path / "pack")
    (folder / ABOUT).write_bytes(text.encode("latin-1"))
    with pytest.raises(SettingsError, match=r"pack\.json is damaged; remove the folder"):
        Pack(folder)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("shards", ["../other/images-00000.npy"], "shards"),
        ("shards", [], r"pack\.json is damaged"),
        ("fields", {}, "fields must be image_size"),
        ("images", 44, r"index\.npy is damaged"),
        ("checksums", {}, r"index\.npy is damaged"),
    ],
)
def test_a_description_of_another_pack_is_refused(whole, tmp_path, field, value, words):
    folder = shutil.copytree(whole["arrays"], tmp_path / "pack")
    about = json.loads((folder / ABOUT).read_text())
    (folder / ABOUT).write_text(json.dumps({**about, field: value}))
    with pytest.raises(SettingsError, match=words):
        Pack(folder)


@pytest.mark.parametrize(
    "changes",
    [{"shard": -1}, {"offset": -8}, {"length": -1}, {"shard": 99, "state": FAILED}],
    ids=str,
)
def test_an_index_that_leads_out_of_the_files_is_refused(whole, tmp_path, changes):
    """Even if `pack.json` says that it is the right one."""
    folder = shutil.copytree(whole["jpeg"], tmp_path / "pack")
    index = np.load(folder / INDEX)
    for name, value in changes.items():
        index[name][9] = value
    write_npy(folder / INDEX, index)
    about = json.loads((folder / ABOUT).read_text())
    about["checksums"][INDEX] = file_crc32(folder / INDEX)
    (folder / ABOUT).write_text(json.dumps(about))
    with pytest.raises(SettingsError, match=r"index\.npy is damaged; remove the folder"):
        Pack(folder)


@pytest.mark.parametrize("kind", SHARDS)
def test_a_damaged_row_blames_the_pack_not_the_photograph(files, damaged, images_of, kind):
    folder = damaged(kind, SHARDS[kind], flipped(2_000, 3))
    with pytest.raises(PackedImageError) as caught:
        images_of("packed", files, {"pack": str(folder)})
    assert str(caught.value).startswith(f"pack {folder}: row ")
    assert "pack the data again" in str(caught.value)
    assert "fix or remove the file" not in str(caught.value)


@pytest.mark.parametrize("kind", SHARDS)
def test_a_partial_pack_that_was_damaged_is_completed_with_the_right_images(
    files, whole, tmp_path, images_of, make_pack, kind
):
    right = images_of("packed", files, {"pack": str(whole[kind])})
    random, completed = np.random.default_rng(1), 0
    for name in (SHARDS[kind] + PARTIAL, INDEX + PARTIAL, MANIFEST, FILES):
        for trial in range(3):
            folder = tmp_path / f"{name}-{trial}"
            partial(files, folder, kind)
            data = bytearray((folder / name).read_bytes())
            (folder / name).write_bytes(flipped(int(random.integers(2**40)), trial)(data))
            with suppress(SettingsError):  # what cannot be repaired is refused
                make_pack(files, folder, kind)
                completed += 1
                assert np.array_equal(images_of("packed", files, {"pack": str(folder)}), right)
    assert completed > 6


def partial(files, folder, kind):
    from feedbench.loaders.pack.build import RowEncoder

    packing = Packing(files, SPEC, kind, side=64, quality=95)
    with opened(packing, folder) as writer:
        encode, labels = RowEncoder(packing), files.labels
        for row in range(30):
            writer.put(row, encode(row), int(labels[row]))


@pytest.mark.parametrize("kind", SHARDS)
def test_a_pack_that_is_written_to_during_a_run_ends_it(files, whole, tmp_path, kind, monkeypatch):
    """Every row was compared with its checksum in the first epoch."""
    monkeypatch.setattr(pack, "_LOOK_S", 0)
    folder = shutil.copytree(whole[kind], tmp_path / "pack")
    shard = folder / SHARDS[kind]
    settings = {"pack": str(folder), "prefetch": 0}
    with open_loader("packed", files, SPEC, settings) as stream:
        for _ in range(6):  # an epoch
            next(stream)
        shard.write_bytes(bytes(len(shard.read_bytes())))
        with pytest.raises(SettingsError, match=rf"{shard.name} was written to while it was read;"):
            list(islice(stream, 6))


def test_a_pack_that_is_removed_during_a_run_is_read_to_the_end(files, whole, tmp_path):
    folder = shutil.copytree(whole["arrays"], tmp_path / "pack")
    with open_loader("packed", files, SPEC, {"pack": str(folder)}, epochs=2) as stream:
        images = [image for batch in islice(stream, 6) for image in np.array(batch.images)]
        shutil.rmtree(folder)
        images += [image for batch in stream for image in np.array(batch.images)]
    assert len(images) == 2 * len(files)
    assert np.array_equal(images[: len(files)], images[len(files) :])


def test_an_index_that_is_truncated_while_a_cache_is_filled_kills_nothing(files, tmp_path):
    cached = {"cache": "packed", "pack_dir": str(tmp_path)}
    with open_loader("turbo", files, SPEC, cached, epochs=2) as stream:
        batches = [next(stream)]
        (index,) = tmp_path.glob(f"*/{INDEX}{PARTIAL}")
        os.truncate(index, 0)
        batches += stream
    assert sum(len(batch.rows) for batch in batches) == 2 * len(files)
