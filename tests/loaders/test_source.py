"""Folders, splits and CSVs give the same kind of list, or one line that says why not."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from feedbench.loaders import SPLITS, SourceError, scan
from feedbench.loaders.manifest import Manifest


def put(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return root


def listed(manifest):
    return [
        (os.path.relpath(manifest.path(row), manifest.root), manifest.classes[label])
        for row, label in enumerate(manifest.labels)
    ]


def test_class_folders_are_listed_sorted_with_any_extension(tmp_path):
    put(tmp_path, "b/2.pic", "b/1.JPEG", "a/deep/er/x", "a/z.webp", "a/.hidden", ".git/c.jpg")
    assert listed(scan(tmp_path)) == [
        ("a/z.webp", "a"),
        ("a/deep/er/x", "a"),
        ("b/1.JPEG", "b"),
        ("b/2.pic", "b"),
    ]


def test_split_folders_keep_their_splits(splits_folder):
    manifest = scan(splits_folder)
    assert manifest.layout == "splits"
    assert [sum(manifest.counts()[split].values()) for split in SPLITS] == [45, 6, 6]
    assert all("/test/" in manifest.only("test").path(row) for row in range(6))


def test_a_csv_and_the_folders_it_lists_give_the_same_rows(splits_folder, table):
    from_table, from_folders = scan(table), scan(splits_folder)
    assert listed(from_table) == listed(from_folders)
    assert from_table.splits.tolist() == from_folders.splits.tolist()


def test_a_scan_can_be_repeated(class_folder):
    assert scan(class_folder, seed=1).table.equals(scan(class_folder, seed=1).table)
    assert not scan(class_folder, seed=1).table.equals(scan(class_folder, seed=2).table)


def test_the_same_fraction_of_each_class_is_held_out(tmp_path):
    put(
        tmp_path,
        *(f"many/{number}" for number in range(100)),
        *(f"few/{number}" for number in range(20)),
        "one/0",
    )
    counts = scan(tmp_path, validation=0.2, test=0.1).counts()
    assert counts["validation"] == {"few": 4, "many": 20, "one": 0}
    assert counts["test"] == {"few": 2, "many": 10, "one": 0}
    assert counts["train"] == {"few": 14, "many": 70, "one": 1}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "contains no folders"),
        (["a/1", "b/.keep"], "/b: no images in this class"),
        (["train/a/1", "test/b/1"], "/test/b: class 'b' is not in"),
        (["train/x.jpg", "val/a/1"], "/train: contains no folders"),
    ],
)
def test_an_unusable_folder_is_named(tmp_path, files, message):
    with pytest.raises(SourceError, match=message) as raised:
        scan(put(tmp_path, *files))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,class\na,b\n", "no column 'label'; there are path, class"),
        ("path,label\na.jpg,x\nb.jpg,y\n", r"row 2: no file b\.jpg"),
        ("path,label,split\na.jpg,x,holdout\n", "row 1: split is not one of train, validation"),
        ("path,label\n", "no rows"),
        ("path,label\na.jpg,\n", "row 1: label is empty"),
        ("path,label\na.jpg,x,3\n", "not a CSV"),
        ("path;label\na.jpg;x\n", "separated by semicolons; separate them by commas"),
        ("path\tlabel\na.jpg\tx\n", "separated by tabs; separate them by commas"),
        ("path,label\na.jpg,\0\n", "it has zero bytes"),
        ("", "not a CSV"),
    ],
)
def test_an_unusable_csv_is_named_with_its_row(tmp_path, text, message):
    put(tmp_path, "a.jpg")
    path = tmp_path / "list.csv"
    path.write_text(text)
    with pytest.raises(SourceError, match=message) as raised:
        scan(path)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "gif", "avif"])
def test_an_image_in_the_place_of_a_folder_is_named_without_its_bytes(tmp_path, kind):
    path = tmp_path / "cat.jpg"
    Image.new("RGB", (40, 30), "red").save(path, kind)
    with pytest.raises(SourceError) as raised:
        scan(path)
    assert str(raised.value) == (
        f"{path}: this is an image ({kind.upper()}); give the folder above its class"
    )


def test_what_cannot_be_printed_in_a_csv_is_escaped(tmp_path):
    (tmp_path / "list.csv").write_bytes(b"path,label\n\x1b[31ma.jpg,x\n\x1bb,c,d\n")
    with pytest.raises(SourceError) as raised:
        scan(tmp_path / "list.csv")
    assert str(raised.value).isprintable()


def test_litter_of_operating_systems_is_skipped(tmp_path):
    litter = ["__MACOSX/a/._1.jpg", "a/Thumbs.db", "a/desktop.ini", "b/.DS_Store", "b/@eaDir/1.jpg"]
    put(tmp_path, "a/1.jpg", "b/2.jpg", ".DS_Store", "Thumbs.db", *litter)
    assert listed(scan(tmp_path)) == [("a/1.jpg", "a"), ("b/2.jpg", "b")]


def test_a_link_further_up_is_no_class(tmp_path):
    root = put(tmp_path / "photos", "a/1.jpg", "b/2.jpg")
    (root / "loop").symlink_to(".")
    (root / "up").symlink_to("..")
    (root / "a" / "again").symlink_to("..")
    assert listed(scan(root)) == [("a/1.jpg", "a"), ("b/2.jpg", "b")]


def test_a_class_may_be_a_link_to_a_folder_elsewhere(tmp_path):
    put(tmp_path / "elsewhere", "cats/1.jpg")
    root = put(tmp_path / "photos", "dog/2.jpg")
    (root / "cat").symlink_to(tmp_path / "elsewhere" / "cats")
    assert listed(scan(root)) == [("cat/1.jpg", "cat"), ("dog/2.jpg", "dog")]


def test_a_csv_looks_for_each_file_once(tmp_path, monkeypatch):
    put(tmp_path, "a.jpg", "b.jpg")
    path = tmp_path / "list.csv"
    path.write_text("path,label\n" + "a.jpg,x\nb.jpg,y\n" * 500)
    looked = []
    there = os.path.isfile
    monkeypatch.setattr(os.path, "isfile", lambda name: looked.append(name) or there(name))
    assert len(scan(path)) == 1000
    assert sorted(map(os.path.basename, looked)) == [b"a.jpg", b"b.jpg"]


def test_a_missing_source_and_an_empty_split_are_named(tmp_path):
    with pytest.raises(SourceError, match=r"\*\.tgz: no shard matches this pattern"):
        scan(tmp_path / "*.tgz")
    with pytest.raises(SourceError, match="nowhere: no such folder"):
        scan(tmp_path / "nowhere")
    put(tmp_path, "train/a/1")
    with pytest.raises(SourceError, match="no images in the test split"):
        scan(tmp_path).only("test")


def test_an_unreadable_folder_is_named(tmp_path):
    put(tmp_path, "a/1", "b/1")
    (tmp_path / "b").chmod(0)
    code = (
        "import os, sys\n"
        "from feedbench.loaders import SourceError, scan\n"
        "if os.geteuid() == 0: os.seteuid(65534)\n"
        "try: scan(sys.argv[1])\n"
        "except SourceError as error: print(error)\n"
    )
    for parent in (tmp_path, *tmp_path.parents[:3]):
        parent.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    (tmp_path / "b").chmod(0o755)
    assert done.stdout == f"{tmp_path / 'b'}: cannot be listed: Permission denied\n"


def test_parquet_keeps_everything_even_names_that_are_not_utf8(tmp_path):
    names = ["a/with space.jpg", "a/quo'te\".jpg", "a/new\nline.jpg", "a/<script>.jpg"]
    put(tmp_path, *names)
    odd = os.fsencode(tmp_path) + b"/a/\xff\xfe.jpg"
    Path(os.fsdecode(odd)).write_bytes(b"x")
    manifest = scan(tmp_path, validation=0, test=0)
    kept = tmp_path / "m.parquet"
    manifest.write(kept)
    read = scan(kept)
    assert read.table.equals(manifest.table)
    assert (read.classes, read.root, read.layout) == (("a",), tmp_path, "folder")
    paths = {read.path(row) for row in range(len(read))}
    assert paths == {os.fsdecode(odd), *(str(tmp_path / name) for name in names)}


def test_a_source_may_have_a_name_that_is_not_utf8(tmp_path):
    root = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))
    put(root, "a/1.jpg", "b/2.jpg")
    manifest = scan(root, validation=0, test=0)
    manifest.write(root / "m.parquet")
    (root / "list.csv").write_text("path,label,split\na/1.jpg,a,train\nb/2.jpg,b,train\n")
    for source in (root / "m.parquet", root / "list.csv"):
        read = scan(source)
        assert read.table.equals(manifest.table)
        assert read.path(0) == str(root / "a/1.jpg")


def test_a_manifest_that_lacks_a_field_is_named(tmp_path):
    path = tmp_path / "m.parquet"
    about = b'{"schema": 2, "classes": ["a"], "root": "/", "layout": "folder"}'
    table = scan(put(tmp_path / "photos", "a/1.jpg")).table
    pq.write_table(table.replace_schema_metadata({"feedbench": about}), path)
    with pytest.raises(
        SourceError, match=r"m\.parquet: not a Feedbench manifest: it has no 'left'"
    ):
        Manifest.read(path)


def test_a_manifest_of_an_earlier_version_is_read(tmp_path):
    manifest = scan(put(tmp_path / "photos", "a/1.jpg"))
    manifest.write(tmp_path / "m.parquet")
    table = pq.read_table(tmp_path / "m.parquet")
    paths = table["path"].cast(pa.binary())
    facts = {"bytes": pa.array([1]), "pillow": pa.nulls(1, pa.string())}
    table = table.set_column(0, "path", paths)
    for name, column in facts.items():
        table = table.append_column(name, column)
    pq.write_table(table, tmp_path / "old.parquet")
    read = Manifest.read(tmp_path / "old.parquet")
    assert read.audited
    assert read.name(0) == b"a/1.jpg"
    assert read.table["same_pixels"].null_count == 1


def test_a_file_that_is_not_parquet_is_named(tmp_path):
    path = tmp_path / "m.parquet"
    path.write_bytes(b"text")
    with pytest.raises(SourceError, match=r"m\.parquet: not a Feedbench manifest"):
        Manifest.read(path)


# ru_maxrss does not work here: a process starts with its parent's peak.
PEAK = """
from pathlib import Path
def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
"""


def measured(code: str) -> dict[str, float]:
    """What a fresh process prints as `name value` lines; it may call `peak()`."""
    command = [sys.executable, "-c", PEAK + code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return {name: float(value) for name, value in map(str.split, done.stdout.splitlines())}


def test_ten_million_rows_stay_within_2_gb():
    values = measured("""
import numpy as np, pyarrow as pa
from feedbench.loaders import Manifest, Order
from feedbench.loaders.manifest import SCHEMA
def part(begin):
    names = pa.array([b"class-%04d/n%08d_photograph.jpeg" % (n // 1000, n)
                      for n in range(begin, begin + 250_000)], pa.large_binary())
    label = np.arange(begin, begin + 250_000, dtype=np.int32) // 1000
    return pa.record_batch([names, pa.array(label), pa.array(np.zeros(250_000, np.int8))],
                           schema=SCHEMA)
table = pa.Table.from_batches([part(n) for n in range(0, 10_000_000, 250_000)])
manifest = Manifest(table, tuple(map(str, range(10_000))), Path("/photos"), "folder").only("train")
order = Order(len(manifest), 192)
for step in range(100):
    rows = order.rows(*order.chunk(step * 500, order.batch_size))
    assert len(manifest.paths(rows)) == 192 and manifest.labels[rows].shape == (192,)
print("rows", len(manifest))
print("peak", peak())
""")
    assert values["rows"] == 10_000_000
    assert values["peak"] < 2e9


def test_a_hundred_thousand_files_are_listed_within_200_mb(tmp_path):
    first = tmp_path / "c000" / "0"
    put(tmp_path, "c000/0")
    for number in range(1, 100_000):
        folder = tmp_path / f"c{number // 1000:03}"
        if number % 1000 == 0:
            folder.mkdir()
        # A hard link is created faster than a file; ext4 allows 65,000 per file.
        if number % 50_000 == 0:
            first = folder / str(number)
            first.write_bytes(b"")
        else:
            os.link(first, folder / str(number))
    values = measured(f"""
from time import perf_counter
from feedbench.loaders import scan
before, begin = peak(), perf_counter()
manifest = scan({str(tmp_path)!r})
print("images", len(manifest))
print("seconds", perf_counter() - begin)
print("grown", peak() - before)
""")
    shutil.rmtree(tmp_path)
    assert values["images"] == 100_000
    assert values["grown"] < 200e6


def test_photos_whose_link_leads_nowhere_are_listed_and_reported(tmp_path):
    put(tmp_path, "a/1.jpg", "b/1.jpg")
    (tmp_path / "a" / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (tmp_path / "a" / "loop.jpg").symlink_to("loop.jpg")
    (tmp_path / "a" / "notes").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "a" / "pipe.jpg")
    names = ["1.jpg", "gone.jpg", "loop.jpg", "pipe.jpg"]
    assert listed(scan(tmp_path)) == [*((f"a/{name}", "a") for name in names), ("b/1.jpg", "b")]
