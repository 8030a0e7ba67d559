"""Write the same photographs as zip, TFRecord, WebDataset tar and Parquet, in a random order.

    python results/containers/write_forms.py PHOTOS OUT [SHARDS]

PHOTOS has a folder `train` of class folders. Beside the forms, OUT/folder has the photographs as
files, copied in the same order, so that all of them are written to the disk in the same way.
"""

import hashlib
import io
import json
import os
import shutil
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from feedbench.loaders import Manifest, read_file, scan

SHARDS = 8


def main() -> None:
    """Write all forms and check that each holds the same bytes in the same rows."""
    source, out = Path(sys.argv[1]), Path(sys.argv[2])
    shards = int(sys.argv[3]) if len(sys.argv) > 3 else SHARDS
    manifest = scan(source).only("train")
    order = np.random.default_rng(0).permutation(len(manifest))
    write_folder(manifest, order, out / "folder")
    write_zip(manifest, order, out / "photos.zip")
    for name, write in (
        ("tar", write_tar),
        ("tfrecord", write_tfrecord),
        ("parquet", write_parquet),
        ("parquet-snappy", write_snappy),
    ):
        (out / name).mkdir(parents=True)
        (out / name / "classes.txt").write_text("\n".join(manifest.classes) + "\n")
        for shard in range(shards):
            write(manifest, order[shard::shards], out / name, f"{shard:05}-of-{shards:05}")
    os.sync()
    expected = digests(manifest)
    for form in sorted(out.iterdir()):
        listed = scan(form, validation=0, test=0)
        assert listed.labels.tolist() == manifest.labels.tolist(), form
        assert digests(listed) == expected, form
        sys.stdout.write(f"{form}: {len(listed):,} images, {listed.layout}\n")


def digests(manifest: Manifest) -> list[bytes]:
    """SHA-256 of the file of each row: equal ones give equal pixels."""
    rows = range(len(manifest))
    return [hashlib.sha256(read_file(manifest.address(row))).digest() for row in rows]


def images(manifest: Manifest, rows: np.ndarray) -> Iterator[tuple[str, int, bytes]]:
    """Name, class and bytes of each row."""
    for row in rows.tolist():
        path = Path(manifest.path(row))
        yield path.name, int(manifest.labels[row]), path.read_bytes()


def write_folder(manifest: Manifest, rows: np.ndarray, folder: Path) -> None:
    """One folder per class."""
    for name in manifest.classes:
        (folder / name).mkdir(parents=True)
    for row in rows.tolist():
        shutil.copy(manifest.path(row), folder / manifest.classes[manifest.labels[row]])


def write_zip(manifest: Manifest, rows: np.ndarray, path: Path) -> None:
    """Stored, with class folders."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as file:
        for name, label, data in images(manifest, rows):
            file.writestr(f"{manifest.classes[label]}/{name}", data)


def write_tar(manifest: Manifest, rows: np.ndarray, folder: Path, shard: str) -> None:
    """KEY.jpg and KEY.cls, as WebDataset writes them."""
    with tarfile.open(folder / f"photos-{shard}.tar", "w") as tar:
        for name, label, data in images(manifest, rows):
            for member, content in ((name, data), (f"{Path(name).stem}.cls", b"%d" % label)):
                info = tarfile.TarInfo(member)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))


def write_tfrecord(manifest: Manifest, rows: np.ndarray, folder: Path, shard: str) -> None:
    """Examples with the usual features."""
    import tensorflow as tf

    def text(value: bytes) -> tf.train.Feature:
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    with tf.io.TFRecordWriter(str(folder / f"photos-{shard}.tfrecord")) as writer:
        for name, label, data in images(manifest, rows):
            number = tf.train.Feature(int64_list=tf.train.Int64List(value=[label]))
            features = {
                "image/encoded": text(data),
                "image/filename": text(name.encode()),
                "image/class/label": number,
            }
            example = tf.train.Example(features=tf.train.Features(feature=features))
            writer.write(example.SerializeToString())


def write_parquet(
    manifest: Manifest, rows: np.ndarray, folder: Path, shard: str, **options: object
) -> None:
    """As Hugging Face stores images, without compression."""
    names, labels, data = zip(*images(manifest, rows), strict=True)
    features = {
        "image": {"_type": "Image"},
        "label": {"names": list(manifest.classes), "_type": "ClassLabel"},
    }
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    schema = pa.schema(
        [("image", kind), ("label", pa.int64())],
        metadata={"huggingface": json.dumps({"info": {"features": features}})},
    )
    pictures = [{"bytes": one, "path": name} for one, name in zip(data, names, strict=True)]
    table = pa.table([pictures, list(labels)], schema=schema)
    chosen = {"compression": "none", **options}
    pq.write_table(table, folder / f"photos-{shard}.parquet", row_group_size=100, **chosen)


def write_snappy(manifest: Manifest, rows: np.ndarray, folder: Path, shard: str) -> None:
    """With pyarrow's default compression, by which 100 images share a page."""
    write_parquet(manifest, rows, folder, shard, compression="snappy")


if __name__ == "__main__":
    main()
