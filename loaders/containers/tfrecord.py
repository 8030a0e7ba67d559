"""TFRecord files of `tf.train.Example`, as TensorFlow's tools and TFDS write them."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from feedbench.loaders.containers.checksum import RECORD
from feedbench.loaders.containers.crc32c import masked_crc32c
from feedbench.loaders.containers.entries import (
    IMAGE_NAMES,
    Entry,
    Hints,
    Listing,
    damaged,
    listing,
)
from feedbench.loaders.containers.example import Span, bytes_of, features, values_of
from feedbench.loaders.containers.mapped import mapped
from feedbench.loaders.errors import SourceError, printable
from feedbench.loaders.signature import format_of

_TEXTS = ("image/class/text", "class_name", "label_name")
_LABELS = (*_TEXTS, "image/class/label", "label", "class", "class_id", "target", "y")
_NAMES = ("image/filename", "file_name", "filename", "image/file_name", "image/filename_stem")
_HEADER = struct.Struct("<QI")  # length of the record, and its checksum
_FOOTER = 4  # bytes of the checksum of the record
_ENOUGH = 4096  # compressed bytes, for those of a header


class _Features(NamedTuple):
    image: str
    label: str
    name: str | None


def list_tfrecord(path: Path, hints: Hints) -> Listing:
    """The images of a TFRecord file.

    Raises:
        SourceError: it is damaged, compressed, or has no image or label that can be found.
    """
    if not path.stat().st_size:
        return listing(())
    return listing(_entries(path, mapped(path), hints))


def _entries(path: Path, data: memoryview, hints: Hints) -> Iterator[Entry]:
    chosen: _Features | None = None
    for number, (offset, length) in enumerate(_records(path, data)):
        begin = offset + _HEADER.size
        record = data[begin : begin + length]
        try:
            places = features(record)
            chosen = chosen or _choose(path, record, places, hints)
            label = _label(f"{path}:{number}", chosen.label, record, places)
            yield _entry(record, places, chosen, offset, label)
        except KeyError as error:
            raise damaged(path, str(number), f"it has no feature {error}") from error
        except ValueError as error:  # UnicodeDecodeError is one
            raise damaged(path, str(number), "its record is no tf.train.Example") from error


def _records(path: Path, data: memoryview) -> Iterator[tuple[int, int]]:
    """Offset and length of each record, whose length has a checksum of its own."""
    offset = number = 0
    while offset < len(data):
        if offset + _HEADER.size > len(data):
            raise damaged(path, str(number), "the file ends inside this record")
        length, checksum = _HEADER.unpack_from(data, offset)
        if masked_crc32c(bytes(data[offset : offset + 8])) != checksum:
            if not offset and _is_zlib(data):
                raise SourceError(
                    f"{path}: compressed as a whole by zlib, so that no image in it can be read "
                    "alone; write it without compression, as TFRecordWriter does by default"
                )
            raise damaged(path, str(number), "the length of this record is damaged")
        after = offset + _HEADER.size + length + _FOOTER
        if after > len(data):
            raise damaged(path, str(number), "the file ends inside this record")
        yield offset, length
        offset, number = after, number + 1


def _is_zlib(data: memoryview) -> bool:
    """Whether a file is a compressed one, as TFRecordWriter writes it with options='ZLIB'."""
    try:
        header = zlib.decompressobj().decompress(data[:_ENOUGH], _HEADER.size)
    except zlib.error:
        return False
    return len(header) == _HEADER.size and masked_crc32c(header[:8]) == _HEADER.unpack(header)[1]


def _choose(path: Path, record: memoryview, places: dict[str, Span], hints: Hints) -> _Features:
    image = hints.image or _find_image(record, places)
    label = hints.label or _find_label(record, places)
    for role, name in (("image", image), ("label", label)):
        if name is None or name not in places:
            known = ", ".join(sorted(places))
            named = f"{name!r} " if name else ""  # by source.toml
            raise SourceError(
                f"{path}: no feature {named}for the {role} found among {known}; state it in "
                f'source.toml beside the file: {role} = "NAME"'
            )
    return _Features(str(image), str(label), next((one for one in _NAMES if one in places), None))


def _find_image(record: memoryview, places: dict[str, Span]) -> str | None:
    """The feature with a usual name, or the only one that begins like an image."""
    found = [name for name, place in places.items() if _is_image(record, place)]
    usual = [name for name in IMAGE_NAMES if name in found]
    if usual or len(found) == 1:
        return (usual or found)[0]
    return next((name for name in IMAGE_NAMES if name in places), None)  # damaged, or a rare format


def _is_image(record: memoryview, place: Span) -> bool:
    span = bytes_of(record, place)
    return span is not None and bool(format_of(bytes(record[span[0] : span[0] + 16])))


def _entry(
    record: memoryview, places: dict[str, Span], chosen: _Features, offset: int, label: str
) -> Entry:
    image = bytes_of(record, places[chosen.image])
    if image is None:
        raise KeyError(chosen.image)
    begin, end = image
    return Entry(
        _name(record, places, chosen.name),
        offset + _HEADER.size + begin,
        end - begin,
        label,
        check=f"{RECORD}{offset}",
    )


def _name(record: memoryview, places: dict[str, Span], name: str | None) -> bytes:
    span = bytes_of(record, places[name]) if name in places else None
    return bytes(record[slice(*span)]).replace(b"\0", b"") if span else b""


def _find_label(record: memoryview, places: dict[str, Span]) -> str | None:
    """The feature with a usual name that has a value: the text of a class may be left empty."""
    usual = [name for name in _LABELS if name in places]
    valued = (
        name for name in usual if any(value != b"" for value in values_of(record, places[name]))
    )
    return next(valued, usual[0] if usual else None)


def _label(where: str, name: str, record: memoryview, places: dict[str, Span]) -> str:
    values = values_of(record, places[name])
    if len(values) != 1 or values == [b""]:
        raise SourceError(
            f"{where}: its {name} must be one text or integer, got {printable(str(values))}; name "
            'another feature in source.toml beside the file: label = "NAME"'
        )
    value = values[0]
    try:
        return value.decode() if isinstance(value, bytes) else str(value)
    except UnicodeDecodeError as error:
        raise SourceError(
            f"{where}: its {name} is not UTF-8, got {value!r}; write it again, or name another "
            'feature in source.toml beside the file: label = "NAME"'
        ) from error
