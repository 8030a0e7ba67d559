"""Hugging Face's tables: Arrow and Parquet files give the images of the manifest's rows."""

import os
import tempfile
from pathlib import Path

import numpy as np
import pytest

from feedbench.loaders import BatchSpec, LoaderError, SourceError, open_loader, scan

pytestmark = pytest.mark.guests("datasets", "torch")
SPEC = BatchSpec(batch_size=4, image_size=16, seed=3)


@pytest.fixture(scope="module")
def table(class_folder):
    """The class folders as Hugging Face builds a data set of them."""
    import datasets

    paths = sorted(class_folder.rglob("*.jpg"), key=lambda path: path.name)  # classes mixed
    names = ["ant", "bee", "cat"]
    features = datasets.Features(
        {"photo": datasets.Image(), "label": datasets.ClassLabel(names=names)}
    )
    columns = {
        "photo": [{"bytes": path.read_bytes(), "path": path.name} for path in paths],
        "label": [names.index(path.parent.name) for path in paths],
    }
    return datasets.Dataset.from_dict(columns, features=features)


@pytest.fixture(params=["arrow", "parquet"])
def source(request, table, tmp_path):
    folder = tmp_path / "data"
    if request.param == "arrow":
        table.save_to_disk(folder, num_shards=2)
        return folder
    folder.mkdir()
    for number in range(2):
        table.shard(2, number, contiguous=True).to_parquet(folder / f"part-{number}.parquet")
    return folder


def images(name, manifest, settings=None):
    with open_loader(name, manifest, SPEC, settings, epochs=2) as stream:
        return [(batch.rows.tolist(), batch.images) for batch in stream]


@pytest.mark.parametrize("workers", [0, 2])
def test_rows_of_arrow_and_parquet_files_have_their_images(source, workers):
    manifest = scan(source, validation=0.3, test=0).only("train")
    assert len(manifest) < 45
    expected = images("turbo", manifest)
    found = images("hf_datasets", manifest, {"num_workers": workers})
    assert [rows for rows, _ in found] == [rows for rows, _ in expected]
    assert all(np.array_equal(a, b) for (_, a), (_, b) in zip(found, expected, strict=True))


def test_the_arrow_files_made_of_parquet_are_removed(source):
    before = set(os.listdir(tempfile.gettempdir()))
    stream = open_loader("hf_datasets", scan(source), SPEC, {"num_workers": 1})
    next(stream)
    stream.close()
    assert set(os.listdir(tempfile.gettempdir())) == before
    maps = Path("/proc/self/maps").read_text()
    assert "feedbench-hf-" not in maps


def test_an_arrow_file_that_the_library_cannot_open_is_named(table, tmp_path):
    import pyarrow as pa

    whole = table.data.table.combine_chunks().replace_schema_metadata(table.data.schema.metadata)
    path = str(tmp_path / "train.arrow")  # with a footer, not a stream
    with pa.OSFile(path, "wb") as file, pa.ipc.new_file(file, whole.schema) as writer:
        writer.write_table(whole)
    with pytest.raises(LoaderError, match=r"train\.arrow: hf_datasets cannot open it: "):
        open_loader("hf_datasets", scan(tmp_path), SPEC)


def test_a_name_that_is_not_utf_8_is_refused(class_folder, tmp_path):
    folder = tmp_path / "photos" / "ant"
    folder.mkdir(parents=True)
    photo = next(class_folder.rglob("*.jpg"))
    for name in (b"a.jpg", b"\xff.jpg"):
        Path(os.fsdecode(os.path.join(os.fsencode(folder), name))).write_bytes(photo.read_bytes())
    manifest = scan(tmp_path / "photos", validation=0, test=0)
    with pytest.raises(SourceError, match=r"\\udcff\.jpg: hf_datasets takes names in UTF-8 only"):
        open_loader("hf_datasets", manifest, SPEC)
