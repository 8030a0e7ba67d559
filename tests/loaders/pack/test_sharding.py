"""Original files in TFRecord and WebDataset shards, as other tools read them."""

import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest

from feedbench.loaders import Faults, LoaderError, SettingsError, scan, tolerance
from feedbench.loaders.files import read_file
from feedbench.loaders.pack import Sharding, are_complete, check_shards, sharding, write_shards

KINDS = ("tfrecord", "webdataset")


@pytest.fixture(scope="module")
def manifest(splits_folder):
    return scan(splits_folder)


def written(manifest, kind, folder, count=3, faults=None):
    shards = Sharding(manifest, kind, count)
    write_shards(shards, folder, faults or Faults(), lambda images: None)
    return shards


def expected(manifest):
    """Bytes and label of each file, by its name."""
    return {
        manifest.name(row).decode(): (
            Path(manifest.path(row)).read_bytes(),
            int(manifest.labels[row]),
        )
        for row in range(len(manifest))
    }


def from_tfrecord(folder, manifest):
    import tensorflow as tf

    found = {}
    for path in sorted(folder.glob("*.tfrecord")):
        for record in tf.data.TFRecordDataset(str(path)):
            feature = tf.train.Example.FromString(record.numpy()).features.feature
            name = feature["image/filename"].bytes_list.value[0].decode()
            label = feature["image/class/label"].int64_list.value[0]
            text = feature["image/class/text"].bytes_list.value[0].decode()
            assert text == manifest.classes[label]
            assert name.startswith(path.name.partition("-")[0])
            found[name] = feature["image/encoded"].bytes_list.value[0], label
    return found


def from_tars(folder):
    found = {}
    for path in sorted(folder.glob("*.tar")):
        with tarfile.open(path) as tar:
            members = [(one.name, tar.extractfile(one).read()) for one in tar]
        for (name, data), (label_name, label) in zip(members[::2], members[1::2], strict=True):
            assert name.partition(".")[0] + ".cls" == label_name
            found[name] = data, int(label)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_shards_hold_every_file_as_it_is_once(manifest, tmp_path, kind):
    written(manifest, kind, tmp_path)
    read = from_tfrecord(tmp_path, manifest) if kind == "tfrecord" else from_tars(tmp_path)
    assert read == expected(manifest)
    names = {path.name for path in tmp_path.iterdir()} - {"shards.json", "classes.txt", "lock"}
    assert (
        names
        == {
            "tfrecord": {
                "train-00000-of-00003.tfrecord",
                "train-00001-of-00003.tfrecord",
                "train-00002-of-00003.tfrecord",
                "validation-00000-of-00001.tfrecord",
                "test-00000-of-00001.tfrecord",
            },
            "webdataset": {
                "train-000000.tar",
                "train-000001.tar",
                "train-000002.tar",
                "validation-000000.tar",
                "test-000000.tar",
            },
        }[kind]
    )
    assert (tmp_path / "classes.txt").read_text() == "ant\nbee\ncat\n"


def test_training_images_are_mixed_and_the_same_bytes_are_written_again(manifest, tmp_path):
    for name in ("one", "two"):
        written(manifest, "webdataset", tmp_path / name)
    labels = [label for _, label in from_tars(tmp_path / "one").values()]
    assert len(set(labels[-15:])) > 1
    for path in (tmp_path / "one").glob("*.tar"):
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_writing_leaves_whole_shards_and_is_resumed(manifest, tmp_path, kind, monkeypatch):
    real, calls = sharding.read_file, []

    def killed(path):
        calls.append(path)
        if len(calls) == 35:
            raise KeyboardInterrupt
        return real(path)

    monkeypatch.setattr(sharding, "read_file", killed)
    with pytest.raises(KeyboardInterrupt):
        written(manifest, kind, tmp_path)
    done = sorted(tmp_path.glob("train-*"))
    assert 0 < len(done) < 3
    assert not are_complete(tmp_path)
    before = [path.stat().st_mtime_ns for path in done]
    shards = written(manifest, kind, tmp_path)
    assert [path.stat().st_mtime_ns for path in done] == before
    read = from_tfrecord(tmp_path, manifest) if kind == "tfrecord" else from_tars(tmp_path)
    assert read == expected(manifest)
    check_shards(shards, tmp_path, lambda images: None)
    with done[0].open("r+b") as file:
        file.seek(700)
        file.write(b"other")
    with pytest.raises(SettingsError, match="missing or damaged"):
        check_shards(shards, tmp_path, lambda images: None)


def test_what_does_not_belong_together_is_refused(manifest, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").touch()
    with pytest.raises(SettingsError, match=r"not empty, it holds mine\.txt"):
        written(manifest, "tfrecord", tmp_path / "full")
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["mine.txt"]
    folder = tmp_path / "shards"
    written(manifest, "tfrecord", folder)
    about = json.loads((folder / "shards.json").read_text())
    assert about["images"]["train-00000-of-00003.tfrecord"] == 15
    for other, message in (
        (Sharding(manifest, "webdataset", 3), "of another kind"),
        (Sharding(manifest.only("train"), "tfrecord", 3), "of other images"),
        (Sharding(manifest, "tfrecord", 5), "holds 3 shards of train images, not 5; "),
    ):
        with pytest.raises(SettingsError, match=message):
            check_shards(other, folder, lambda images: None)


def test_a_file_that_cannot_be_read_is_named_or_left_out(splits_folder, tmp_path):
    photos = shutil.copytree(splits_folder, tmp_path / "photos")
    (photos / "train" / "bee" / "03.jpg").write_bytes(b"")
    manifest = scan(photos)
    with pytest.raises(LoaderError, match=r"bee/03\.jpg: row .*: empty"):
        written(manifest, "tfrecord", tmp_path / "one")
    faults = Faults(tolerance("skip", 0.1, len(manifest)))
    written(manifest, "tfrecord", tmp_path / "two", faults=faults)
    assert len(from_tfrecord(tmp_path / "two", manifest)) == len(manifest) - 1
    assert len(json.loads((tmp_path / "two" / "shards.json").read_text())["left_out"]) == 1


def test_keys_of_webdataset_are_unique_and_end_at_the_first_dot(splits_folder, tmp_path):
    folder = tmp_path / "photos" / "ant"
    folder.mkdir(parents=True)
    photo = next(splits_folder.rglob("*.jpg"))
    for name in ("a.jpg", "a.JPEG", "b.v2.jpg", "none"):
        shutil.copyfile(photo, folder / name)
    manifest = scan(tmp_path / "photos", validation=0, test=0)
    written(manifest, "webdataset", tmp_path / "shards", 1)
    names = sorted(from_tars(tmp_path / "shards"))
    assert [name.partition(".")[2] for name in names] == ["jpg", "jpg", "jpg", "jpg"]
    keys = {name.partition(".")[0] for name in names}
    assert len(keys) == 4
    assert {"ant/a", "ant/b_v2", "ant/none"} <= keys


def test_shards_by_size_never_outnumber_their_images(manifest, monkeypatch):
    assert len(Sharding(manifest, "tfrecord").shards) == 3
    monkeypatch.setattr(sharding, "_SHARD_BYTES", 1)
    shards = Sharding(manifest, "tfrecord").shards
    assert len(shards) == len(manifest)
    rows = np.concatenate([shard.rows for shard in shards])
    assert sorted(rows) == list(range(len(manifest)))


@pytest.mark.parametrize("kind", KINDS)
def test_shards_are_a_source_with_the_rows_of_the_files_and_can_be_written_again(
    manifest, tmp_path, kind
):
    written(manifest, kind, tmp_path / "one")
    again = scan(tmp_path / "one")
    assert again.classes == manifest.classes
    assert again.labels.tolist() == manifest.labels.tolist()
    assert again.splits.tolist() == manifest.splits.tolist()
    for row in (0, 20, len(manifest) - 1):
        (address,) = again.paths(np.array([row]))
        assert read_file(address) == Path(manifest.path(row)).read_bytes()
    other = KINDS[KINDS[0] == kind]
    written(again, other, tmp_path / "two")
    third = scan(tmp_path / "two")
    assert third.labels.tolist() == manifest.labels.tolist()
    (address,) = third.paths(np.array([17]))
    assert read_file(address) == Path(manifest.path(17)).read_bytes()
