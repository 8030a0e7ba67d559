"""Writes the same 45 images in every form, by the libraries that people use."""

import io
import json
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

CLASSES = ("ant", "bee", "cat")
FORMATS = ("jpg", "png", "webp", "gif", "bmp")
FEATURES = {
    "image": {"_type": "Image"},
    "label": {"names": list(CLASSES), "_type": "ClassLabel"},
}


def encoded(number: int) -> bytes:
    random = np.random.default_rng(number)
    coarse = Image.fromarray(random.integers(0, 256, (4, 5, 3), np.uint8))
    image = coarse.resize((40 + number, 60), Image.Resampling.BICUBIC)
    kind = {"jpg": "JPEG"}.get(FORMATS[number % 5], FORMATS[number % 5])
    file = io.BytesIO()
    image.save(file, kind, **({"subsampling": 0} if kind == "JPEG" else {}))
    return file.getvalue()


def named_images() -> list[tuple[str, int, bytes]]:
    """Name, number of the class and bytes of each image, sorted by class and name."""
    found = []
    for number in range(45):
        label = number // 15
        found.append((f"{CLASSES[label]}{number:02}.{FORMATS[number % 5]}", label, encoded(number)))
    return found


def write_sources(images, root: Path) -> dict[str, Path]:
    names = ("zip", "deflated", "tar", "folders", "tfrecord", "tfds", "arrow", "ipc")
    found = {name: root / name for name in (*names, "parquet", "plain", "v2")}
    found["zip"], found["deflated"] = root / "stored.zip", root / "deflated.zip"
    found["folders"] = root / "folders.tar"
    write_zip(found["zip"], images, zipfile.ZIP_STORED, "")
    write_zip(found["deflated"], images, zipfile.ZIP_DEFLATED, "photos/")
    write_tars(found["tar"], images)
    write_folders_tar(found["folders"], images)
    write_tfrecords(found["tfrecord"], images)
    write_tfds(found["tfds"], images)
    write_arrow(found["arrow"], images, pa.ipc.new_stream)
    write_arrow(found["ipc"], images, pa.ipc.new_file)
    write_parquet(found["parquet"], images, compression="snappy")
    write_parquet(found["plain"], images, compression="none", use_dictionary=False)
    write_parquet(found["v2"], images, compression="zstd", data_page_version="2.0")
    return found


def write_zip(path, images, method, prefix):
    with zipfile.ZipFile(path, "w", method) as file:
        file.writestr(f"{prefix}__MACOSX/ant/._x.jpg", b"litter")
        for name, label, data in reversed(images):
            file.writestr(f"{prefix}{CLASSES[label]}/{name}", data)


def add(tar, name, data):
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


def write_tars(root, images):
    """Three shards, as WebDataset's writer does; one label in JSON."""
    root.mkdir()
    (root / "classes.txt").write_text("\n".join(CLASSES) + "\n")
    for shard in range(3):
        with tarfile.open(root / f"photos-{shard:06}.tar", "w") as tar:
            for name, label, data in images[shard::3]:
                key = name.partition(".")[0]
                add(tar, name, data)
                if shard:
                    add(tar, f"{key}.cls", str(label).encode())
                else:
                    add(tar, f"{key}.json", json.dumps({"label": label, "x": 1}).encode())


def write_folders_tar(path, images):
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for name, label, data in images:
            add(tar, f"./photos/{CLASSES[label]}/{name}", data)


def write_tfrecords(root, images):
    root.mkdir()
    (root / "classes.txt").write_text("\n".join(CLASSES))
    for shard in range(2):
        records_written(
            root / f"photos-{shard:05}-of-00002.tfrecord",
            [
                {"image/class/label": label, "image/encoded": data, "image/filename": name.encode()}
                for name, label, data in images[shard::2]
            ],
        )


def write_tfds(root, images):
    """As `tfds.load` prepares it: without names, in the order of its shards."""
    inner = root / "photos" / "1.0.0"
    inner.mkdir(parents=True)
    for shard, part in enumerate((images[:20], images[20:])):
        records_written(
            inner / f"photos-train.tfrecord-{shard:05}-of-00002",
            [{"label": label, "image": data} for _, label, data in part],
        )
    (inner / "label.labels.txt").write_text("\n".join(CLASSES) + "\n")
    (inner / "features.json").write_text("{}")
    (inner / "dataset_info.json").write_text("{}")


def records_written(path, records):
    import tensorflow as tf

    def feature(value):
        if isinstance(value, int):
            return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            values = {name: feature(value) for name, value in record.items()}
            example = tf.train.Example(features=tf.train.Features(feature=values))
            writer.write(example.SerializeToString())


def table_of(images) -> pa.Table:
    pictures = [{"bytes": data, "path": name} for name, _, data in images]
    schema = pa.schema(
        [
            ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
            ("label", pa.int64()),
        ],
        metadata={"huggingface": json.dumps({"info": {"features": FEATURES}})},
    )
    return pa.table([pictures, [label for _, label, _ in images]], schema=schema)


def write_arrow(root, images, writer):
    """As `save_to_disk` does."""
    root.mkdir()
    for shard in range(2):
        table = table_of(images[shard::2])
        path = root / f"data-{shard:05}-of-00002.arrow"
        with path.open("wb") as file, writer(file, table.schema) as stream:
            stream.write_table(table, max_chunksize=10)
    (root / "state.json").write_text("{}")
    (root / "dataset_info.json").write_text("{}")


def write_parquet(root, images, **options):
    (root / "data").mkdir(parents=True)
    for shard in range(2):
        path = root / "data" / f"photos-{shard:05}-of-00002.parquet"
        pq.write_table(table_of(images[shard::2]), path, row_group_size=9, **options)
