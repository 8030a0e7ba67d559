"""Pages of Parquet files of every encoding and compression give the bytes that were written."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from feedbench.loaders import SourceError, read_file, scan
from feedbench.loaders.containers import codecs, pages
from feedbench.loaders.containers.footer import Chunk
from feedbench.loaders.containers.thrift import read_struct

pa_codec = pa.Codec


@pytest.mark.parametrize("compression", ["none", "snappy", "gzip", "zstd", "brotli", "lz4"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("use_dictionary", [True, False])
def test_values_are_found(tmp_path, compression, version, use_dictionary):
    random = np.random.default_rng(1)
    values = [random.bytes(int(size)) for size in random.integers(1, 4000, 40)] * 2
    table = pa.table({"image": pa.array(values, pa.binary()), "label": np.arange(80) % 3})
    pq.write_table(
        table,
        tmp_path / "x.parquet",
        compression=compression,
        data_page_version=version,
        use_dictionary=use_dictionary,
        dictionary_pagesize_limit=20_000,
        data_page_size=3_000,
        write_batch_size=4,
        row_group_size=50,
        write_page_checksum=True,
    )
    manifest = scan(tmp_path, validation=0, test=0)
    for row in range(len(manifest)):
        number = int(manifest.path(row).rpartition(":")[2])
        assert read_file(manifest.address(row)) == values[number]
        assert manifest.classes[manifest.labels[row]] == str(number % 3)


def test_images_of_one_page_are_decompressed_once_if_read_in_order(tmp_path, monkeypatch):
    values = [bytes([number]) * 500 for number in range(12)]
    table = pa.table({"image": pa.array(values, pa.binary()), "label": [0, 1] * 6})
    pq.write_table(
        table, tmp_path / "x.parquet", compression="zstd", use_dictionary=False,
        data_page_size=2_000, write_batch_size=4,
    )  # fmt: skip
    manifest = scan(tmp_path, validation=0, test=0)
    asked = []
    monkeypatch.setattr(codecs.pa, "Codec", lambda name: asked.append(name) or pa_codec(name))
    rows = sorted(range(12), key=lambda row: int(manifest.path(row).rpartition(":")[2]))
    assert [read_file(manifest.address(row)) for row in rows] == values
    assert len(asked) == 3
    assert read_file(manifest.address(rows[0])) == values[0]
    assert len(asked) == 4


def test_a_missing_image_is_refused(tmp_path):
    table = pa.table({"image": pa.array([b"x", None], pa.binary()), "label": [0, 1]})
    pq.write_table(table, tmp_path / "x.parquet")
    with pytest.raises(SourceError, match="elsewhere or missing"):
        scan(tmp_path)


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("use_dictionary", [True, False])
def test_a_page_of_many_images_is_read(tmp_path, version, use_dictionary):
    """pyarrow's own defaults, and numbers in its pages that take more than one byte."""
    values = [number.to_bytes(2, "big") * 50 for number in range(600)]
    images = pa.array([{"bytes": value} for value in values], pa.struct([("bytes", pa.binary())]))
    table = pa.table({"image": images, "label": np.arange(600) % 3})
    pq.write_table(
        table, tmp_path / "x.parquet", data_page_version=version, use_dictionary=use_dictionary
    )
    manifest = scan(tmp_path, validation=0, test=0)
    numbers = [int(manifest.path(row).rpartition(":")[2]) for row in range(len(manifest))]
    assert sorted(numbers) == list(range(600))
    for row, number in enumerate(numbers):
        assert read_file(manifest.address(row)) == values[number]


def test_a_file_without_rows_among_others_is_read(tmp_path):
    table = pa.table({"image": pa.array([b"x", b"y"], pa.binary()), "label": [0, 1]})
    pq.write_table(table.slice(0, 0), tmp_path / "a.parquet")
    pq.write_table(table, tmp_path / "b.parquet")
    assert len(scan(tmp_path)) == 2


@pytest.mark.parametrize("codec", [3, 8, 60, -1])
def test_a_codec_that_does_not_exist_is_one_line(tmp_path, codec):
    """pyarrow's own metadata would end the process."""
    values = pa.array([bytes([number]) * 100 for number in range(8)], pa.binary())
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"label": [0, 1] * 4, "image": values}), path, compression="snappy")
    data = path.read_bytes()
    about = data.rindex(b"\x19\x18\x05image\x15\x02")  # the path in the schema, and the codec
    path.write_bytes(
        data[: about + 9] + bytes([2 * codec if codec >= 0 else 1]) + data[about + 10 :]
    )
    with pytest.raises(SourceError, match=r"x\.parquet: cannot be listed: .*codec"):
        scan(tmp_path)


def test_a_page_of_negative_size_does_not_lead_back_to_itself():
    header = bytes([0x15, 2, 0x15, 0, 0x15, 13, 0])  # of a page of an index; its size is -7
    with pytest.raises(ValueError, match="the size of a page is negative"):
        list(pages.values(memoryview(header), Chunk(0, 0, len(header)), 0))


def test_a_run_that_claims_more_numbers_than_a_page_has_takes_no_more_memory():
    billions = b"\xfe\xff\xff\xff\xff\xff\x0f"
    assert pages._runs(memoryview(billions + b"\1"), 1, 5).tolist() == [1] * 5


@pytest.mark.parametrize("kind", [1, 2, 3, 12])
def test_a_list_that_claims_more_elements_than_there_are_bytes_is_refused(kind):
    billions = bytes([0x19, 0xF0 | kind]) + b"\xff\xff\xff\xff\x0f"
    with pytest.raises(ValueError, match="ends too early"):
        read_struct(memoryview(billions), 0)
