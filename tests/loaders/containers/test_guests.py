"""Shards that WebDataset and Hugging Face's `datasets` themselves write give the same rows."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from feedbench.loaders import read_file, scan


def data_of(source):
    manifest = scan(source, validation=0, test=0)
    return manifest, [read_file(path) for path in manifest.paths(np.arange(len(manifest)))]


@pytest.mark.guests("webdataset")
def test_shards_of_webdataset(images, tmp_path):
    import webdataset

    with webdataset.ShardWriter(str(tmp_path / "train-%06d.tar"), maxcount=20, verbose=0) as writer:
        for name, label, data in images:
            key, _, extension = name.partition(".")
            writer.write({"__key__": key, extension: data, "cls": label})
    manifest, data = data_of(tmp_path)
    assert data == [data for _, _, data in images]
    assert manifest.labels.tolist() == [label for _, label, _ in images]


def hugging_face(images):
    import datasets

    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=["ant", "bee", "cat"])}
    )
    pictures = [{"bytes": data, "path": name} for name, _, data in images]
    labels = [label for _, label, _ in images]
    return datasets.Dataset.from_dict({"image": pictures, "label": labels}, features=features)


@pytest.mark.guests("datasets")
def test_a_folder_that_hugging_face_saves(images, tmp_path):
    hugging_face(images).save_to_disk(tmp_path / "saved", num_shards=2)
    manifest, data = data_of(tmp_path / "saved")
    assert manifest.classes == ("ant", "bee", "cat")
    assert data == [data for _, _, data in images]


@pytest.mark.guests("datasets")
def test_splits_that_hugging_face_saves(images, tmp_path):
    parts = hugging_face(images).train_test_split(0.2, seed=0)
    parts.save_to_disk(tmp_path / "saved")
    manifest = scan(tmp_path / "saved")
    assert [sum(manifest.counts()[name].values()) for name in ("train", "test")] == [36, 9]


@pytest.mark.guests("datasets")
def test_parquet_of_hugging_face(images, tmp_path):
    for number in range(2):
        path = tmp_path / "data" / f"train-{number:05}-of-00002.parquet"
        path.parent.mkdir(exist_ok=True)
        hugging_face(images).shard(2, number).to_parquet(path)
    manifest, data = data_of(tmp_path)
    assert manifest.layout == "parquet"
    assert data == [data for _, _, data in images]
    assert Path(manifest.path(0)).name == "train-00000-of-00002.parquet:ant00.jpg"
    assert Image.open(io.BytesIO(data[0])).format == "JPEG"
