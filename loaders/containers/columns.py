"""Which columns of an Arrow or Parquet file hold images and classes, as Hugging Face stores them.

An image is a struct of `bytes` and `path`, or plain bytes; the file's metadata says what the number
of a class means.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from feedbench.loaders.containers.entries import IMAGE_NAMES, Hints
from feedbench.loaders.errors import SourceError

_LABELS = ("label", "labels", "fine_label", "class", "class_name", "target", "y")


@dataclass(frozen=True)
class Columns:
    """The columns to read.

    Attributes:
        image: name of the column.
        is_struct: whether it is a struct of `bytes` and perhaps `path`.
        has_path: whether it has `path`.
        label: name of the column.
        classes: names of the classes, by number; empty if the file does not say.
    """

    image: str
    is_struct: bool
    has_path: bool
    label: str
    classes: tuple[str, ...]


def find_columns(path: Path, schema: pa.Schema, hints: Hints) -> Columns:
    """The columns of a file by its schema.

    Raises:
        SourceError: there is none for the image or for the class.
    """
    features = _features(schema)
    images = [field.name for field in schema if is_image(field.type)]
    pictures = [name for name in _of_type(features, "Image") if name in images]
    image = hints.image or _chosen(pictures or images, IMAGE_NAMES)
    labels = _of_type(features, "ClassLabel")
    label = hints.label or _chosen(labels, _LABELS) or _usual(schema.names, _LABELS)
    for role, name, known in (("image", image, images), ("label", label, schema.names)):
        if name not in known:
            named = f"{name!r} " if name else ""  # by source.toml
            raise SourceError(
                f"{path}: no column {named}for the {role} found among {', '.join(schema.names)}; "
                f'state it in source.toml beside the file: {role} = "NAME"'
            )
    image, label = str(image), str(label)
    _check_classes(path, schema.field(label))
    kind = schema.field(image).type
    is_struct = pa.types.is_struct(kind)
    has_path = is_struct and kind.get_field_index("path") >= 0
    classes = tuple(features.get(label, {}).get("names", ()))
    return Columns(image, is_struct, has_path, label, classes)


def _check_classes(path: Path, column: pa.Field) -> None:
    kind = column.type
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    if pa.types.is_nested(kind) or _is_binary(kind):
        raise SourceError(
            f"{path}: column {column.name!r} for the label is {kind}, and a class is one text or "
            'number; state another column in source.toml beside the file: label = "NAME"'
        )


def is_image(kind: pa.DataType) -> bool:
    """Whether a column of this type may hold images: bytes, or a struct with `bytes`."""
    if pa.types.is_struct(kind):
        index = kind.get_field_index("bytes")
        return index >= 0 and _is_binary(kind.field(index).type)
    return _is_binary(kind)


def _is_binary(kind: pa.DataType) -> bool:
    kinds = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view)
    return any(is_kind(kind) for is_kind in kinds)


def _features(schema: pa.Schema) -> dict[str, Any]:
    """What the `datasets` library says of each column."""
    text = (schema.metadata or {}).get(b"huggingface", b"{}")
    try:
        features = json.loads(text)["info"]["features"]
    except (ValueError, KeyError, TypeError):
        return {}
    return {name: one for name, one in features.items() if isinstance(one, dict)}


def _of_type(features: dict[str, Any], kind: str) -> list[str]:
    return [name for name, one in features.items() if one.get("_type") == kind]


def _chosen(names: list[str], usual: tuple[str, ...]) -> str | None:
    """The name that is usual, or else the only one."""
    return _usual(names, usual) or (names[0] if len(names) == 1 else None)


def _usual(names: list[str], usual: tuple[str, ...]) -> str | None:
    return next((name for name in usual if name in names), None)


def label_texts(path: Path, column: Any, first: int) -> list[str]:
    """Names or numbers of classes as text, of rows whose numbers begin with `first`.

    Raises:
        SourceError: one is missing.
    """
    texts = column.to_pylist()
    if None in texts:
        raise SourceError(
            f"{path}:{first + texts.index(None)}: this row has no label; write the file without "
            'such rows, or state another column in source.toml beside it: label = "NAME"'
        )
    return [str(text) for text in texts]


def base_names(column: Any) -> list[bytes]:
    """Names of images, texts or bytes, as bytes; empty where there is none."""
    values = column.to_pylist()
    return [value.encode() if isinstance(value, str) else value or b"" for value in values]
