"""What lists and packs keep per row is bounded: proven by counting calls and bytes, not by time."""

import tracemalloc

import numpy as np
import pyarrow.compute as pc
import pytest

from feedbench.loaders import BatchSpec, Manifest, Order, Sampling, SourceError, manifest, scan
from feedbench.loaders.audit import ProbeLimits, Store, attach, audit
from feedbench.loaders.audit import store as stores
from feedbench.loaders.faults import Faults
from feedbench.loaders.pack import build, writer
from feedbench.loaders.pack.build import Packing, corrupt_positions, fill, opened
from feedbench.loaders.pack.pack import Pack
from feedbench.loaders.pack.sharding import Sharding

SPEC = BatchSpec(image_size=16)


@pytest.fixture
def photos(class_folder) -> Manifest:
    return scan(class_folder, validation=0, test=0)


@pytest.fixture
def paths_at_once(monkeypatch) -> list[int]:
    """The number of paths that each call of `Manifest.paths` has made Python objects of."""
    counts, paths = [], Manifest.paths

    def counted(self, rows):
        counts.append(len(rows))
        return paths(self, rows)

    monkeypatch.setattr(Manifest, "paths", counted)
    return counts


def test_a_million_rows_of_an_epoch_take_four_bytes_each():
    order = Order(1_000_000, 192)
    tracemalloc.start()
    rows = order.rows(0, 192)
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert rows.dtype == np.int64
    assert kept < 5e6
    assert peak < 15e6


def test_the_permutation_is_that_of_64_bit_numbers():
    expected = np.random.default_rng([7, 3]).permutation(1000)
    assert Order(1000, 10, seed=7).epoch(3).tolist() == expected.tolist()


def test_a_balanced_epoch_is_made_in_a_third_of_the_memory_of_64_bit_lists():
    labels = np.repeat(np.arange(1000, dtype=np.int32), np.arange(1000) % 50 + 1)
    sampling = Sampling.of(labels, 1000, 1.0)
    sampling.epoch(0, 0)  # sorts the rows, once
    tracemalloc.start()
    sampling.epoch(1, 0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sampling.epoch_size == 50_000
    assert peak < 12 * sampling.epoch_size


def test_a_fingerprint_looks_at_the_size_of_a_million_files_at_most(photos, monkeypatch):
    looked, size = [], manifest._size
    monkeypatch.setattr(manifest, "_size", lambda path: looked.append(path) or size(path))
    before = photos.fingerprint(sizes=True)
    assert len(looked) == len(photos) == 45
    looked.clear()
    monkeypatch.setattr(manifest, "_SIZED", 20)
    assert photos.fingerprint(sizes=True) != before
    assert len(looked) == 15


def counting(files):
    return lambda count: None


def test_a_scan_of_known_files_makes_no_table_of_all_paths(photos, tmp_path, monkeypatch):
    def run():
        return audit(photos, Store(tmp_path), ProbeLimits(), processes=1, start=counting)

    first = run()
    written = (tmp_path / "facts.parquet").stat().st_mtime_ns

    def refused(*_):
        raise AssertionError("a table of 14 million paths takes 2 GB")

    monkeypatch.setattr(pc, "index_in", refused)
    monkeypatch.setattr(stores, "first_of_each", refused)
    monkeypatch.setattr("feedbench.loaders.audit.facts.first_of_each", refused)
    assert run().table.equals(first.table)
    assert attach(photos, Store(tmp_path).facts()).table.equals(first.table)
    assert (tmp_path / "facts.parquet").stat().st_mtime_ns == written


def test_facts_are_kept_in_the_order_of_the_source(photos, tmp_path):
    audit(photos, Store(tmp_path), ProbeLimits(), processes=2, start=counting)
    assert Store(tmp_path).facts()["path"].equals(photos.table["path"])


def test_a_csv_names_a_file_that_is_missing_among_many(tmp_path, monkeypatch):
    monkeypatch.setattr("feedbench.loaders.source._CHUNK", 4)
    for number in range(30):
        (tmp_path / f"{number}.jpg").touch()
    lines = [f"{number}.jpg,{number % 3}\n" for number in range(30)]
    (tmp_path / "list.csv").write_text("path,label\n" + "".join(lines * 2))
    assert len(scan(tmp_path / "list.csv")) == 60
    (tmp_path / "17.jpg").unlink()
    with pytest.raises(SourceError, match=r"row 18: no file 17\.jpg"):
        scan(tmp_path / "list.csv")


@pytest.fixture
def packed(photos, tmp_path):
    packing = Packing(photos, SPEC, "arrays")
    with opened(packing, tmp_path / "pack") as writing:
        fill(packing, writing, Faults(), lambda _: None)
    return tmp_path / "pack"


def test_a_pack_is_checked_with_few_entries_as_python_objects(packed, monkeypatch):
    counts, entries = [], Pack.entries

    def counted(self, positions):
        counts.append(len(positions))
        return entries(self, positions)

    monkeypatch.setattr(Pack, "entries", counted)
    monkeypatch.setattr(build, "_CHUNK", 10)
    pack, advanced = Pack(packed), []
    assert corrupt_positions(pack, advanced.append) == []
    pack.close()
    assert sorted(counts) == [5, 10, 10, 10, 10]
    assert advanced == [10, 10, 10, 10, 5]


def test_a_resumed_pack_hands_its_rows_to_the_threads_in_pieces(photos, tmp_path, monkeypatch):
    pieces, pool = [], writer.ThreadPoolExecutor

    class Counting(pool):
        def map(self, work, rows):
            pieces.append(len(rows))
            return super().map(work, rows)

    packing = Packing(photos, SPEC, "arrays")
    with opened(packing, tmp_path / "pack") as writing:
        for row in range(25):
            writing.put(row, np.zeros((16, 16, 3), np.uint8))
    monkeypatch.setattr(writer, "ThreadPoolExecutor", Counting)
    monkeypatch.setattr(writer, "_CHUNK", 10)
    with opened(packing, tmp_path / "pack") as writing:
        assert writing.left == 20
    assert pieces == [10, 10, 5]


def test_shards_are_planned_without_a_list_of_all_paths(photos, paths_at_once, monkeypatch):
    monkeypatch.setattr("feedbench.loaders.file_stamps._CHUNK", 10)
    size = Sharding(photos, "webdataset").size
    assert max(paths_at_once) == 10
    assert size == sum(path.stat().st_size + 2048 for path in photos.root.glob("*/*"))
