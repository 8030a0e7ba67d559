"""The manifest: its splits, counts and Parquet file, and unusual sources."""

import contextlib
import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from feedbench.loaders import BatchSpec, SourceError, SpecError, open_loader, parse_spec, scan
from feedbench.loaders.manifest import SCHEMA, Manifest


def put(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return root


def write_parquet(path, table, **metadata):
    pq.write_table(table.replace_schema_metadata({"feedbench": json.dumps(metadata)}), path)
    return path


def test_one_split_has_its_own_rows_renumbered(splits_folder):
    manifest = scan(splits_folder)
    parts = [manifest.only(split) for split in ("train", "validation", "test")]
    assert [len(part) for part in parts] == [45, 6, 6]
    assert [part.left for part in parts] == [12, 51, 51]
    assert all(part.classes == manifest.classes for part in parts)
    assert {part.path(row) for part in parts for row in range(len(part))} == {
        manifest.path(row) for row in range(len(manifest))
    }
    for part, number in zip(parts, range(3), strict=True):
        assert (part.splits == number).all()
        assert part.labels.dtype == np.int32


def test_paths_are_joined_as_by_the_system(tmp_path):
    names, rows = [b"a/1.jpg", b"/elsewhere/2.jpg", b"\xff.jpg"], np.array([2, 0, 1])
    table = pa.table([names, [0, 0, 0], [0, 0, 0]], schema=SCHEMA)
    for root in (Path("/"), Path("photos"), tmp_path, Path()):
        found = Manifest(table, ("any",), root, "folder").paths(rows)
        assert found == [os.path.join(os.fsencode(root), names[row]) for row in rows]


def test_counts_are_by_split_and_class(splits_folder):
    assert scan(splits_folder).counts() == {
        "train": {"ant": 15, "bee": 15, "cat": 15},
        "validation": {"ant": 2, "bee": 2, "cat": 2},
        "test": {"ant": 2, "bee": 2, "cat": 2},
    }


def test_one_split_survives_parquet(splits_folder, tmp_path):
    part = scan(splits_folder).only("validation")
    part.write(tmp_path / "m.parquet")
    read = Manifest.read(tmp_path / "m.parquet")
    assert (read.left, read.layout, len(read)) == (51, "splits", 6)
    assert [path.name for path in tmp_path.iterdir()] == ["m.parquet"]


def test_an_unwritable_manifest_is_named(splits_folder, tmp_path):
    with pytest.raises(SourceError, match=r"m\.parquet: cannot be written"):
        scan(splits_folder).write(tmp_path / "nowhere" / "m.parquet")


def test_a_newer_manifest_asks_for_an_upgrade(tmp_path):
    table = pa.table({name: [] for name in SCHEMA.names}, SCHEMA)
    newer = write_parquet(tmp_path / "m.parquet", table, schema=99)
    with pytest.raises(SourceError, match=r"m\.parquet: manifest schema 99 is newer than 2"):
        scan(newer)


def test_another_parquet_file_is_refused(tmp_path):
    pq.write_table(pa.table({"path": ["x"]}), tmp_path / "m.parquet")
    with pytest.raises(
        SourceError, match=r"m\.parquet: no column holds the bytes of images"
    ) as raised:
        scan(tmp_path / "m.parquet")
    assert "\n" not in str(raised.value)


def test_a_csv_of_a_spreadsheet_is_read_with_byte_order_mark_and_crlf(class_folder, tmp_path):
    path = tmp_path / "list.csv"
    image = class_folder / "ant" / "00.jpg"
    path.write_bytes(f"\ufeffpath,label,note\r\n{image},x,1\r\n{image},y,two\r\n".encode())
    manifest = scan(path)
    assert manifest.classes == ("x", "y")
    assert {manifest.path(row) for row in range(2)} == {str(image)}


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_an_invalid_held_out_fraction_is_refused(class_folder, share):
    with pytest.raises(SourceError, match="validation must be at least 0 and below 1"):
        scan(class_folder, validation=share)


def test_a_manifest_read_from_parquet_is_in_one_chunk(tmp_path):
    rows = 300_000
    table = pa.table(
        {
            "path": pa.array([b"a/%d.jpg" % row for row in range(rows)], pa.large_binary()),
            "label": np.zeros(rows, np.int32),
            "split": np.zeros(rows, np.int8),
        },
        SCHEMA,
    )
    Manifest(table, ("a",), tmp_path, "folder").write(tmp_path / "m.parquet")
    read = Manifest.read(tmp_path / "m.parquet")
    assert read.path(299_999) == str(tmp_path / "a" / "299999.jpg")
    assert read.table["path"].num_chunks == 1


def test_a_newer_manifest_with_other_columns_asks_for_an_upgrade(tmp_path):
    newer = write_parquet(tmp_path / "m.parquet", pa.table({"file": [b"x"]}), schema=99)
    with pytest.raises(SourceError, match="schema 99 is newer"):
        scan(newer)


def test_training_and_validation_are_splits_not_classes(tmp_path):
    put(tmp_path, "training/a/1", "training/b/1", "validation/a/1", "validation/b/1")
    manifest = scan(tmp_path)
    assert (manifest.layout, manifest.classes) == ("splits", ("a", "b"))


def test_a_link_to_itself_gives_no_traceback(tmp_path):
    put(tmp_path, "a/1")
    (tmp_path / "a" / "loop").symlink_to("loop")
    with contextlib.suppress(SourceError):
        assert len(scan(tmp_path)) == 1


@pytest.mark.parametrize("header", ["pfäd,label", "path,path,label"])
def test_an_unusable_header_is_named(tmp_path, header):
    path = tmp_path / "list.csv"
    path.write_bytes(f"{header}\n{',' * header.count(',')}\n".encode("latin-1"))
    with pytest.raises(SourceError, match=r"list\.csv"):
        scan(path)


@pytest.mark.parametrize("name", [".hidden.jpg", ".thumbs/0.jpg", "later.jpg"])
def test_keras_directory_reads_only_the_manifests_files(class_folder, tmp_path, name):
    photo = (class_folder / "ant" / "00.jpg").read_bytes()
    put(tmp_path, "a/0.jpg", "b/0.jpg")
    for path in ("a/0.jpg", "b/0.jpg"):
        (tmp_path / path).write_bytes(photo)
    manifest = scan(tmp_path)
    put(tmp_path, f"a/{name}")
    (tmp_path / "a" / name).write_bytes(photo)
    with open_loader("keras_directory", manifest, BatchSpec(batch_size=2), epochs=1) as stream:
        assert sorted(row for batch in stream for row in batch.rows) == [0, 1]


def test_a_seed_that_some_loader_cannot_use_is_refused():
    with pytest.raises(SpecError, match="seed"):
        parse_spec({"seed": 2**32})
