"""Which columns of Arrow and Parquet files are taken, and what their labels may be."""

import json
import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from feedbench.loaders import SourceError, read_file, scan

LABELS = [0, 1]


def parquet(path, metadata=None, **columns):
    table = pa.table(columns)
    pq.write_table(table.replace_schema_metadata(metadata), path / "x.parquet", row_group_size=2)
    return path / "x.parquet"


def arrow(path, **columns):
    table = pa.table(columns)
    with (
        pa.OSFile(str(path / "x.arrow"), "wb") as file,
        pa.ipc.new_stream(file, table.schema) as stream,
    ):
        stream.write_table(table, max_chunksize=2)
    return path / "x.arrow"


def first(source):
    return read_file(scan(source, validation=0, test=0).address(0))


@pytest.mark.parametrize("write", [parquet, arrow])
@pytest.mark.parametrize("name", ["image", "jpg"])
def test_a_usual_name_goes_before_the_order_of_columns(tmp_path, write, name):
    columns = {"mask": [b"m", b"n"], name: [b"x", b"y"], "label": LABELS}
    assert first(write(tmp_path, **columns)) == b"x"


def test_the_only_column_of_bytes_may_have_any_name(tmp_path):
    assert first(parquet(tmp_path, number=[5, 6], bild=[b"x", b"y"], label=LABELS)) == b"x"


@pytest.mark.parametrize("write", [parquet, arrow])
def test_several_columns_of_bytes_without_a_usual_name_are_refused(tmp_path, write):
    source = write(tmp_path, id=[b"1", b"2"], bild=[b"x", b"y"], label=LABELS)
    with pytest.raises(SourceError, match=r'no column for the image .*: image = "NAME"'):
        scan(source)
    (tmp_path / "source.toml").write_text('image = "photo"')
    with pytest.raises(SourceError, match="no column 'photo' for the image found among id, bild"):
        scan(source)
    (tmp_path / "source.toml").write_text('image = "bild"')
    assert first(source) == b"x"


def test_the_usual_name_among_several_that_the_metadata_types(tmp_path):
    types = {"mask": "Image", "image": "Image", "shape": "ClassLabel", "label": "ClassLabel"}
    features = {name: {"_type": kind, "names": ["p", "q"]} for name, kind in types.items()}
    source = parquet(
        tmp_path,
        {"huggingface": json.dumps({"info": {"features": features}})},
        mask=[b"m", b"n"],
        image=[b"x", b"y"],
        shape=[1, 0],
        label=LABELS,
    )
    assert first(source) == b"x"


IMAGES = [b"short", bytes(range(99)), b"", b"twelve bytes", b"thirteen byte", bytes(9999)]


@pytest.mark.parametrize(
    ("write", "is_struct"),
    [(parquet, False), (arrow, False), (arrow, True)],  # pyarrow writes no structs of views
)
def test_views_of_bytes_and_texts_are_read(tmp_path, write, is_struct):
    images, names = pa.array(IMAGES, pa.binary_view()), [f"{row}.jpg" for row in range(6)]
    texts = pa.array(names, pa.string_view())
    column = pa.StructArray.from_arrays([images, texts], ["bytes", "path"])
    label = pa.array(["p"] * 6, pa.string_view())
    source = write(tmp_path, image=column if is_struct else images, label=label)
    manifest = scan(source, validation=0, test=0)
    rows = range(len(manifest))
    assert [read_file(manifest.address(row)) for row in rows] == IMAGES


def test_views_of_a_compressed_arrow_file_are_refused(tmp_path):
    table = pa.table({"image": pa.array(IMAGES, pa.binary_view()), "label": [0] * 6})
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_file(str(tmp_path / "x.arrow"), table.schema, options=options) as file:
        file.write_table(table)
    with pytest.raises(SourceError, match="its batches are compressed"):
        scan(tmp_path / "x.arrow")


@pytest.mark.parametrize("write", [parquet, arrow])
@pytest.mark.parametrize("labels", [[0, 1, 2, None], ["p", "q", "r", None]])
def test_a_row_without_a_label_is_named(tmp_path, write, labels):
    source = write(tmp_path, image=[b"w", b"x", b"y", b"z"], label=labels)
    with pytest.raises(SourceError, match=rf"{source.name}:3: this row has no label"):
        scan(source)


@pytest.mark.parametrize("write", [parquet, arrow])
def test_a_row_without_an_image_is_named(tmp_path, write):
    source = write(tmp_path, image=[b"w", b"x", b"y", None], label=[0, 1, 0, 1])
    with pytest.raises(SourceError, match=rf"{source.name}:3: its image is not in the file"):
        scan(source)


@pytest.mark.parametrize("write", [parquet, arrow])
@pytest.mark.parametrize("labels", [[[0], [0, 1]], [b"p", b"q"], [{"a": 1}, {"a": 2}]])
def test_a_column_that_holds_no_class_is_refused(tmp_path, write, labels):
    source = write(tmp_path, image=[b"x", b"y"], label=labels)
    with pytest.raises(SourceError, match=r"'label' for the label is .*, and a class is one text"):
        scan(source)


def test_a_stream_that_ends_between_two_batches_is_refused(tmp_path):
    source = arrow(tmp_path, image=[b"w", b"x", b"y", b"z"], label=[0, 1, 0, 1])
    data = source.read_bytes()
    messages = [found.start() for found in re.finditer(b"\xff{4}", data)]
    for end in messages[2:]:  # behind schema and first batch, or only without the end's mark
        source.write_bytes(data[:end])
        with pytest.raises(SourceError, match=r"it ends too early.*; copy the file again"):
            scan(source)
    source.write_bytes(data + data)
    with pytest.raises(SourceError, match="another stream follows the first"):
        scan(source)
