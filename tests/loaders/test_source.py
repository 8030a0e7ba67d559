"""Folders, splits and CSVs give the same kind of list, or one line that says why not."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

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


def test_a_missing_source_and_an_empty_split_are_named(tmp_path):
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
                      for n in range(begin, begin + 250_000)], pa.binary())
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
