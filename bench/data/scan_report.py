"""What a scan found, in figures: a pure function of the audited manifest."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from feedbench.loaders import LOADERS, Manifest
from feedbench.loaders.audit.verdicts import verdicts
from feedbench.loaders.images.library_call import extensions
from feedbench.loaders.manifest import SPLITS
from feedbench.loaders.selection import bad_rows, by_reason

FEW = 10  # training images of a class below which it is named
_MORE_EXTENSIONS = {".jxl": "JXL", ".jfif": "JPEG"}


def report(manifest: Manifest) -> dict[str, Any]:
    """Counts by class, format and problem, duplicates, and each loader's verdict; plain values."""
    bad = bad_rows(manifest)
    return {
        "images": len(manifest),
        "classes": list(manifest.classes),
        "layout": manifest.layout,
        "counts": manifest.counts(),
        "bytes": pc.sum(manifest.table["bytes"]).as_py() or 0,
        "formats": _counted(manifest.table["format"]),
        "problems": {name: count for name, count in _problems(manifest).items() if count},
        "unreadable": by_reason(bad),
        "duplicates": _duplicates(manifest.table),
        "few_images": _few(manifest, bad),
        "loaders": {
            name: asdict(verdict) for name, verdict in verdicts(manifest, LOADERS.values()).items()
        },
    }


def _counted(column: Any) -> dict[str, int]:
    """How often each value occurs, most often first."""
    counts = pc.value_counts(column).to_pylist()
    counts.sort(key=lambda entry: (-entry["counts"], entry["values"] or ""))
    return {entry["values"] or "unknown": entry["counts"] for entry in counts}


def _problems(manifest: Manifest) -> dict[str, int]:
    table = manifest.table
    promised = _promised(manifest)
    known = pc.not_equal(table["format"], "")
    said = pc.and_(known, pc.is_valid(promised))
    return {
        "no decoder reads it": _count(
            pc.and_(pc.is_valid(table["pillow"]), pc.is_valid(table["tensorflow"]))
        ),
        "Pillow alone cannot read it": _count(
            pc.and_(pc.is_valid(table["pillow"]), pc.is_null(table["tensorflow"]))
        ),
        "TensorFlow alone cannot read it": _count(
            pc.and_(pc.is_null(table["pillow"]), pc.is_valid(table["tensorflow"]))
        ),
        "extension of another format": _count(
            pc.and_(said, pc.not_equal(promised, _family(table["format"])))
        ),
        "extension of no format": _count(pc.and_(known, pc.is_null(promised))),
        "EXIF says it is turned": _count(pc.not_equal(table["orientation"], 1)),
        "transparent": _count(table["alpha"]),
        "more than 8 bits a channel": _count(pc.greater(table["bits"], 8)),
        "CMYK": _count(pc.equal(table["mode"], "CMYK")),
        "animated or of many pages": _count(pc.greater(table["frames"], 1)),
    }


def _count(flags: Any) -> int:
    return int(pc.sum(pc.fill_null(flags, False)).as_py() or 0)


def _family(formats: Any) -> Any:
    """A phone's many JPEGs in one file are called as one is."""
    return pc.if_else(pc.equal(formats, "MPO"), "JPEG", formats)


def _promised(manifest: Manifest) -> Any:
    """The format that each file's extension stands for; null where it stands for none."""
    from PIL import Image

    known = {**Image.registered_extensions(), **_MORE_EXTENSIONS}
    names = extensions(manifest).combine_chunks().dictionary_encode()
    formats = [known.get(name) for name in names.dictionary.to_pylist()]
    return pa.chunked_array([pa.array(formats, pa.string()).take(names.indices)])


def _duplicates(table: pa.Table) -> dict[str, int]:
    """Files whose bytes another has too, and pictures in more than one split or class."""
    known = table.filter(pc.is_valid(table["digest"])).select(["digest", "split", "label"])
    groups = known.group_by("digest").aggregate(
        [("split", "count"), ("split", "count_distinct"), ("label", "count_distinct")]
    )
    many = groups.filter(pc.greater(groups["split_count"], 1))
    return {
        "pictures": len(many),
        "files": int(pc.sum(many["split_count"]).as_py() or 0),
        "across_splits": _count(pc.greater(many["split_count_distinct"], 1)),
        "across_classes": _count(pc.greater(many["label_count_distinct"], 1)),
    }


def _few(manifest: Manifest, bad: pa.Table) -> dict[str, int]:
    """Classes with few readable images to train on."""
    readable = manifest.where(pc.invert(pc.is_in(manifest.table["path"], bad["path"])))
    counts = readable.counts()[SPLITS[0]]
    return {name: count for name, count in counts.items() if count < FEW}
