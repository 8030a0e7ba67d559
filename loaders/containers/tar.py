"""Tar shards: as WebDataset writes them, or of class folders."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from feedbench.loaders.containers.entries import Entry, Hints, Listing, files_listing, listing
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
        samples = _samples(path, found)
        if not samples:
            return files_listing(Entry(*member[:3]) for member in found)
        return listing(_entries(path, file, samples, hints))


def _samples(path: Path, found: list[Member]) -> list[_Sample]:
    """What WebDataset groups; a key that comes again in a tar begins another sample.

    Parts of a key that are far apart, all images before all labels, are one sample.
    """
    runs_of: dict[bytes, list[_Sample]] = {}
    for key, run in _runs(found):
        runs_of.setdefault(key, []).append(run)
    if not any(_is_labelled(runs) for runs in runs_of.values()):
        return []
    groups = ([_joined(path, runs)] if _are_parts(runs) else runs for runs in runs_of.values())
    return [sample for group in groups for sample in group]


def _runs(found: list[Member]) -> Iterator[tuple[bytes, _Sample]]:
    """Members that follow each other with one key, none of an extension twice."""
    last, run = None, _Sample()
    for member in found:
        key, extension = extensions(member.name)
        if key != last or extension in run:
            last, run = key, _Sample()
            yield key, run
        run[extension] = member


def _is_labelled(runs: list[_Sample]) -> bool:
    return any(map(_images, runs)) and any(map(_label_of, runs))


def _are_parts(runs: list[_Sample]) -> bool:
    return len(runs) > 1 and not all(_images(run) and _label_of(run) for run in runs)


def _joined(path: Path, runs: list[_Sample]) -> _Sample:
    sample: _Sample = {}
    for run in runs:
        for extension, member in run.items():
            if extension in sample:
                raise SourceError(
                    f"{path}:{printable(member.name)}: this name comes twice, apart from the "
                    "others of its key, so that its label is not clear; write each image beside "
                    "its label"
                )
            sample[extension] = member
    return sample


def _entries(path: Path, file: Any, samples: list[_Sample], hints: Hints) -> Iterator[Entry]:
    for sample in samples:
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
    is_json = label.name.lower().endswith(b".json")
    try:
        text = data.decode().strip()
        return _class(_of_json(json.loads(text), hints) if is_json else text)
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{path}:{printable(label.name)}: no label in it: {error}") from error


def _of_json(values: Any, hints: Hints) -> Any:
    if not isinstance(values, dict):
        raise ValueError("not an object")
    names = (hints.label,) if hints.label else _JSON_FIELDS
    found = next((name for name in names if name in values), None)
    if found is None:
        raise ValueError(f"none of the fields {', '.join(names)}; state one in source.toml")
    return values[found]


def _class(value: Any) -> str:
    if not isinstance(value, str | int) or value == "":
        raise ValueError(f"a class is one text or integer, got {printable(repr(value))}")
    text = str(value)
    text.encode()  # JSON can hold texts that no file can
    return text
