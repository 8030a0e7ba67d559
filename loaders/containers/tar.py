"""Tar shards: as WebDataset writes them, or of class folders."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from feedbench.loaders.containers.entries import Entry, Hints, Listing, listing
from feedbench.loaders.containers.tar_members import Member, extensions, is_image, members
from feedbench.loaders.errors import SourceError, printable

_LABELS = (b"cls", b"cls.txt", b"label", b"json")  # extensions, the first that is there
_JSON_FIELDS = ("label", "cls", "class", "class_name", "category")
_LARGEST_LABEL = 1 << 20  # bytes
_Sample = dict[bytes, Member]  # members with one key, by extension: `KEY.jpg`, `KEY.cls`


def list_tar(path: Path, hints: Hints) -> Listing:
    """The images of a tar: those with labels beside them, or all files if it has no labels.

    Raises:
        SourceError: it is damaged, or a label is missing or cannot be read.
    """
    with path.open("rb") as file:
        found = members(path, file)
        samples = _samples(found)
        if not any(_images(sample) and _label_of(sample) for sample in samples.values()):
            return listing(Entry(*member[:3]) for member in found)
        return listing(_entries(path, file, samples, hints))


def _samples(found: list[Member]) -> dict[bytes, _Sample]:
    samples: dict[bytes, _Sample] = {}
    for member in found:
        key, extension = extensions(member.name)
        samples.setdefault(key, {})[extension] = member
    return samples


def _entries(path: Path, file: Any, samples: dict[bytes, _Sample], hints: Hints) -> Iterator[Entry]:
    for sample in samples.values():
        for image in _images(sample):
            yield Entry(*image[:3], _label(path, file, image, _label_of(sample), hints))


def _images(sample: _Sample) -> list[Member]:
    """Without masks and the like, `KEY.seg.png`, where the sample has a `KEY.jpg`."""
    images = {extension: one for extension, one in sample.items() if is_image(one.name)}
    return [one for extension, one in images.items() if b"." not in extension] or [*images.values()]


def _label_of(sample: _Sample) -> Member | None:
    return next((sample[one] for one in _LABELS if one in sample), None)


def _label(path: Path, file: Any, image: Member, label: Member | None, hints: Hints) -> str:
    if label is None:
        raise SourceError(
            f"{path}:{printable(image.name)}: no label beside it (KEY.cls or KEY.json), as other "
            "images in this tar have; add one or leave the image out"
        )
    file.seek(label.offset)
    data = file.read(min(label.size, _LARGEST_LABEL))
    try:
        text = data.decode().strip()
        return _of_json(json.loads(text), hints) if label.name.lower().endswith(b".json") else text
    except (ValueError, KeyError) as error:
        raise SourceError(f"{path}:{printable(label.name)}: no label in it: {error}") from error


def _of_json(values: Any, hints: Hints) -> str:
    if not isinstance(values, dict):
        raise ValueError("not an object")
    names = (hints.label,) if hints.label else _JSON_FIELDS
    found = next((name for name in names if name in values), None)
    if found is None:
        raise ValueError(f"none of the fields {', '.join(names)}; state one in source.toml")
    return str(values[found])
