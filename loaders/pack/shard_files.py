"""The two kinds of shards that other tools read: TFRecord files, and the tars of WebDataset."""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from feedbench.loaders.pack.records import system_errors_of_tensorflow
from feedbench.loaders.signature import format_of

_SUFFIX = re.compile(rb"\.([A-Za-z0-9]{1,5})$")


@dataclass(frozen=True)
class Original:
    """A file as it is, and what is known of it.

    Attributes:
        row: in the manifest.
        name: its path in the source.
        data: its bytes.
        label: number of its class.
        class_name: the name of its class.
    """

    row: int
    name: bytes
    data: bytes
    label: int
    class_name: str


Write = Callable[[Original], None]


@contextmanager
def tfrecord_writer(path: Path) -> Iterator[Write]:
    """A function that appends one `tf.train.Example` per image.

    Its features are `image/encoded`, `image/class/label`, `image/class/text` and `image/filename`.

    Raises:
        OSError: the disk is full, or another error of the system.
    """
    import tensorflow as tf

    with system_errors_of_tensorflow(), tf.io.TFRecordWriter(str(path)) as writer:
        yield lambda image: writer.write(_example(image))


def _example(image: Original) -> bytes:
    import tensorflow as tf

    def text(value: bytes) -> Any:
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    label = tf.train.Feature(int64_list=tf.train.Int64List(value=[image.label]))
    features = {
        "image/encoded": text(image.data),
        "image/class/label": label,
        "image/class/text": text(image.class_name.encode("utf-8", "surrogateescape")),
        "image/filename": text(image.name),
    }
    example = tf.train.Example(features=tf.train.Features(feature=features))
    return bytes(example.SerializeToString())


@contextmanager
def tar_writer(path: Path) -> Iterator[Write]:
    """A function that appends two members per image: `KEY.jpg` and `KEY.cls`.

    Raises:
        OSError: the disk is full, or another error of the system.
    """
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:

        def add(name: str, data: bytes) -> None:
            member = tarfile.TarInfo(name)  # its time is 0: the same images give the same bytes
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))

        keys: set[str] = set()

        def write(image: Original) -> None:
            key = _key(image)
            if key in keys:  # a.jpg and a.png
                key = f"{key}-{image.row}"
            keys.add(key)
            add(f"{key}.{_extension(image)}", image.data)
            add(f"{key}.cls", str(image.label).encode())

        yield write


def _key(image: Original) -> str:
    """The name without what follows a dot: WebDataset's keys end at the first one."""
    stem = _SUFFIX.sub(b"", image.name).replace(b".", b"_").lstrip(b"/")
    return stem.decode("utf-8", "surrogateescape")


def _extension(image: Original) -> str:
    """The extension of the file, by which WebDataset chooses a decoder; by content if none."""
    found = _SUFFIX.search(image.name)
    kind = found[1].decode().lower() if found else format_of(image.data).lower()
    return {"jpeg": "jpg", "": "img", "cls": "img"}.get(kind, kind)
