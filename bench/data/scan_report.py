"""Summarizes a scan: a pure function of the audited manifest."""

from __future__ import annotations

from dataclasses import asdict
from itertools import product
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, model_validator

from feedbench.loaders import LOADERS, SPLITS, Manifest, bad_rows, by_reason
from feedbench.loaders.audit import verdicts
from feedbench.loaders.images import extensions

MIN_CLASS_IMAGES = 10  # classes with fewer training images are reported
_MORE_EXTENSIONS = {".jxl": "JXL", ".jfif": "JPEG"}  # that Pillow does not register


class _Duplicates(BaseModel):
    """Files with identical bytes."""

    pictures: int
    files: int
    across_splits: int
    across_classes: int


class _Calls(BaseModel):
    """What the library's call of a loader does to the files."""

    fails: int | None
    alters: int | None
    drops: int | None
    left_out: int | None


class ScanReport(BaseModel):
    """What `scan --json` saves; all numbers are counts of images but for `bytes`.

    Attributes:
        layout: of the source.
        counts: by split and class.
        formats: by name.
        problems: by what is wrong.
        unreadable: by reason.
        duplicates: of files with identical bytes.
        few_images: readable training images of each class that has few.
        loaders: by the library's call and what it does to them; None of feedbench's own loaders.
        unread: objects that could not be fetched, so that the next scan reads them again.
    """

    model_config = ConfigDict(extra="forbid")

    images: int
    classes: list[str]
    layout: str = ""
    counts: dict[str, dict[str, int]]
    bytes: int
    formats: dict[str, int]
    problems: dict[str, int]
    unreadable: dict[str, int]
    duplicates: _Duplicates
    few_images: dict[str, int]
    loaders: dict[str, _Calls]
    unread: int = 0

    @model_validator(mode="after")
    def _counts_each_class(self) -> Self:
        for split, name in product(SPLITS, self.classes):
            if name not in self.counts.get(split, {}):
                raise ValueError(f"counts.{split}.{name}: field required")
        return self


def report(manifest: Manifest) -> dict[str, Any]:
    """Return counts, problems, duplicates and each loader's verdict as plain values for JSON."""
    bad = bad_rows(manifest)
    return {
        "images": len(manifest),
        "classes": list(manifest.classes),
        "layout": manifest.layout,
        "counts": manifest.counts(),
        "bytes": pc.sum(manifest.table["bytes"]).as_py() or 0,
        "formats": _value_counts(manifest.table["format"]),
        "problems": {name: count for name, count in _problems(manifest).items() if count},
        "unreadable": by_reason(bad),
        "duplicates": _duplicates(manifest.table),
        "few_images": _small_classes(manifest, bad),
        "loaders": {
            name: asdict(verdict) for name, verdict in verdicts(manifest, LOADERS.values()).items()
        },
        "unread": _unread(manifest),
    }


def _unread(manifest: Manifest) -> int:
    """Return the number of objects that have the stamp of no file."""
    stamps = (manifest.table["bytes"], manifest.table["modified_ns"])
    return _count(pc.and_(*(pc.equal(stamp, 0) for stamp in stamps))) if manifest.is_remote else 0


def _value_counts(column: Any) -> dict[str, int]:
    """Return how often each value occurs, most frequent first."""
    counts = pc.value_counts(column).to_pylist()
    counts.sort(key=lambda entry: (-entry["counts"], entry["values"] or ""))
    return {entry["values"] or "unknown": entry["counts"] for entry in counts}


def _problems(manifest: Manifest) -> dict[str, int]:
    """Return the number of files with each problem; `scan_table` has the names that are printed."""
    table = manifest.table
    expected = _format_of_extension(manifest)
    known = pc.not_equal(table["format"], "")
    both_known = pc.and_(known, pc.is_valid(expected))
    # A decoder's column holds the reason why it failed, and null where it did not fail.
    pillow_fails, tensorflow_fails = pc.is_valid(table["pillow"]), pc.is_valid(table["tensorflow"])
    return {
        "no decoder reads it": _count(pc.and_(pillow_fails, tensorflow_fails)),
        "Pillow alone cannot read it": _count(pc.and_not(pillow_fails, tensorflow_fails)),
        "TensorFlow alone cannot read it": _count(pc.and_not(tensorflow_fails, pillow_fails)),
        "Pillow and TensorFlow differ": _count(pc.invert(table["same_pixels"])),
        "extension of another format": _count(
            pc.and_(both_known, pc.not_equal(expected, _mpo_as_jpeg(table["format"])))
        ),
        "extension of no format": _count(pc.and_(known, pc.is_null(expected))),
        "EXIF says it is turned": _count(pc.not_equal(table["orientation"], 1)),
        "transparent": _count(table["alpha"]),
        "more than 8 bits a channel": _count(pc.greater(table["bits"], 8)),
        "CMYK": _count(pc.equal(table["mode"], "CMYK")),
        "animated or of many pages": _count(pc.greater(table["frames"], 1)),
    }


def _count(flags: Any) -> int:
    return int(pc.sum(pc.fill_null(flags, False)).as_py() or 0)


def _mpo_as_jpeg(formats: Any) -> Any:
    """Count MPO (several JPEGs in one file, as phones write it) as JPEG."""
    return pc.if_else(pc.equal(formats, "MPO"), "JPEG", formats)


def _format_of_extension(manifest: Manifest) -> Any:
    """Return the format that each file's extension stands for; null for unknown extensions."""
    from PIL import Image

    known = {**Image.registered_extensions(), **_MORE_EXTENSIONS}
    names = extensions(manifest).combine_chunks().dictionary_encode()
    formats = [known.get(name) for name in names.dictionary.to_pylist()]
    return pa.chunked_array([pa.array(formats, pa.string()).take(names.indices)])


def _duplicates(table: pa.Table) -> dict[str, int]:
    """Count files with identical bytes, and images that occur in several splits or classes."""
    known = table.filter(pc.is_valid(table["digest"])).select(["digest", "split", "label"])
    groups = known.group_by("digest").aggregate(
        [("split", "count"), ("split", "count_distinct"), ("label", "count_distinct")]
    )
    repeated = groups.filter(pc.greater(groups["split_count"], 1))
    return {
        "pictures": len(repeated),
        "files": int(pc.sum(repeated["split_count"]).as_py() or 0),
        "across_splits": _count(pc.greater(repeated["split_count_distinct"], 1)),
        "across_classes": _count(pc.greater(repeated["label_count_distinct"], 1)),
    }


def _small_classes(manifest: Manifest, bad: pa.Table) -> dict[str, int]:
    """Return the number of readable training images of each class with few of them."""
    counted = pc.and_not(
        pc.equal(manifest.table["split"], 0), pc.is_in(manifest.table["path"], bad["path"])
    )
    labels = manifest.labels[counted.combine_chunks().to_numpy(zero_copy_only=False)]
    counts = np.bincount(labels, minlength=len(manifest.classes)).tolist()
    return {
        name: count
        for name, count in zip(manifest.classes, counts, strict=True)
        if count < MIN_CLASS_IMAGES
    }
