"""The description of a pack, `pack.json`: its original images, and how they were packed."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import pyarrow.compute as pc
from pydantic import Field, NonNegativeInt, PositiveInt, ValidationError, model_validator

from feedbench.loaders.contract import BatchSpec, Frozen
from feedbench.loaders.errors import SettingsError, SourceError, SpecError, printable
from feedbench.loaders.manifest import Manifest
from feedbench.loaders.originals import MANIFEST
from feedbench.loaders.validation import explain

ABOUT, INDEX = "pack.json", "index.npy"
SCHEMA_NUMBER = 2
AGAIN = "remove the folder and pack the data again, or name another folder"
Kind = Literal["arrays", "jpeg"]
# What an image depends on before it is augmented and brought into range.
FIELDS: dict[Kind, tuple[str, ...]] = {
    "arrays": ("image_size", "resize", "interpolation", "antialias", "orientation", "background"),
    "jpeg": ("orientation", "background"),
}
_Shard = Annotated[str, Field(pattern=r"^images-[0-9]{5,}\.(npy|tfrecord)$")]
_PIECE = 2**20  # bytes that are read at a time


class About(Frozen):
    """The description of a pack.

    Attributes:
        kind: arrays of resized pixels, or JPEGs.
        fields: the batch spec's fields that the images depend on.
        decode: how the original files were decoded, full or scaled.
        side: largest side of a JPEG in pixels.
        quality: of the JPEGs, libjpeg's 1 to 100.
        root: the folder that the images were packed from.
        rows: a hash of the manifest's rows.
        images: number of rows in the manifest.
        shards: names of the files with the images, in order.
        checksums: the CRC-32 of every other file of the pack.
    """

    schema_number: int = SCHEMA_NUMBER
    kind: Kind
    fields: dict[str, Any]
    decode: Literal["full", "scaled"] = "full"
    side: PositiveInt | None = None
    quality: PositiveInt | None = None
    root: str
    rows: str
    images: NonNegativeInt
    shards: tuple[_Shard, ...] = ()
    checksums: dict[str, int] = Field(default={})

    @model_validator(mode="after")
    def _has_all_fields(self) -> Self:
        if set(self.fields) != set(FIELDS[self.kind]):
            raise ValueError(f"fields must be {', '.join(FIELDS[self.kind])}")
        return self


def fields_of(spec: BatchSpec, kind: Kind) -> dict[str, Any]:
    """The fields of a spec that the images of a pack depend on, as plain values."""
    values = spec.model_dump(mode="json")
    return {name: values[name] for name in FIELDS[kind]}


def arrays_of(
    manifest: Manifest, spec: BatchSpec, decode: Literal["full", "scaled"] = "full"
) -> About:
    """The description of a pack with the pixels of these rows."""
    return About(
        kind="arrays",
        fields=fields_of(spec, "arrays"),
        decode=decode,
        root=str(manifest.root),
        rows=manifest.fingerprint(),
        images=len(manifest),
    )


def is_whole(folder: Path) -> bool:
    """Whether a folder holds a complete pack."""
    return (folder / ABOUT).exists()


def pack_folder(parent: Path, about: About) -> Path:
    """The folder of one pack among others, named after everything that its images depend on."""
    return parent / hashlib.sha256(text_of(about).encode()).hexdigest()[:16]


def text_of(about: About) -> str:
    """The description as JSON; names that are not UTF-8 are escaped."""
    return json.dumps(about.model_dump(), indent=1)


def read_about(folder: Path) -> About:
    """The description of a complete pack.

    Raises:
        SettingsError: there is none in the folder, it is damaged, or of another version.
    """
    try:
        return parse_about((folder / ABOUT).read_bytes(), folder)
    except FileNotFoundError:
        raise SettingsError(
            f"pack {folder}: not a complete pack, it has no {ABOUT}; create or resume it with "
            "feedbench pack"
        ) from None
    except OSError as error:
        raise SettingsError(f"pack {folder}: {ABOUT}: {error.strerror}; {AGAIN}") from error


def parse_about(data: bytes, folder: Path) -> About:
    """A description from its JSON.

    Raises:
        SettingsError: it is damaged or of another version.
    """
    try:
        values = json.loads(data)
        _check_version(int(values["schema_number"]), folder)
        return About.model_validate(values)
    except ValidationError as error:
        raise SettingsError(f"pack {folder}: {ABOUT}: {explain(error)}; {AGAIN}") from error
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise SettingsError(f"pack {folder}: {ABOUT} is damaged; {AGAIN}") from error


def _check_version(schema_number: int, folder: Path) -> None:
    if schema_number > SCHEMA_NUMBER:
        raise SettingsError(
            f"pack {folder}: written by a newer Feedbench; upgrade this one, or {AGAIN}"
        )
    if schema_number < SCHEMA_NUMBER:
        raise SettingsError(
            f"pack {folder}: written by an earlier Feedbench, which did not record what the "
            f"original files were; {AGAIN}"
        )


def check_about(folder: Path, existing: About, wanted: About) -> None:
    """Refuse a pack, complete or not, whose images were made differently than needed.

    Raises:
        SettingsError: they were; the message names the first difference.
    """
    for name in ("kind", "decode", "side", "quality"):
        _refuse_other(folder, name, getattr(existing, name), getattr(wanted, name))
    for name, value in existing.fields.items():
        _refuse_other(folder, name, value, wanted.fields[name])


def _refuse_other(folder: Path, name: str, packed: Any, wanted: Any) -> None:
    if packed != wanted:
        raise SettingsError(
            f"pack {folder}: holds images with {name} {packed!r}, not {wanted!r}; {AGAIN}"
        )


def check_rows(folder: Path, existing: About, wanted: About, manifest: Manifest) -> None:
    """Refuse a pack, complete or not, with different rows.

    Raises:
        SettingsError: they are others; the message names the first difference.
    """
    if existing.rows != wanted.rows:
        with source_errors(folder):
            difference = _row_difference(Manifest.read(folder / MANIFEST), manifest)
        raise SettingsError(f"pack {folder}: {difference}; {AGAIN}")


def _row_difference(packed: Manifest, given: Manifest) -> str:
    for one, other, text in (
        (given, packed, "does not contain {}"),
        (packed, given, "contains {}, which is not among the images given"),
    ):
        absent = pc.is_null(pc.index_in(one.table["path"], other.table["path"]))
        if (first := int(pc.index(absent, True).as_py())) >= 0:
            return text.format(printable(one.name(first)))
    return "holds the same images in other classes or in another order"


def check_spec(folder: Path, about: About, spec: BatchSpec) -> None:
    """Refuse a spec for which a pack holds other images.

    Raises:
        SpecError: a field differs from that of the pack; the message names it.
    """
    for name, value in fields_of(spec, about.kind).items():
        packed = about.fields[name]
        if value != packed:
            raise SpecError(
                f"pack {folder}: packed with {name} {packed!r}, the batch spec has {value!r}; "
                f"set {name} to {packed!r} or pack again"
            )


@contextmanager
def source_errors(folder: Path) -> Iterator[None]:
    """Raise an error in the list of a pack's images as a SettingsError that names the pack."""
    try:
        yield
    except SourceError as error:
        raise SettingsError(f"pack {folder}: {error}; {AGAIN}") from error


def file_crc32(path: Path) -> int:
    """The CRC-32 of a file's bytes."""
    crc = 0
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            crc = zlib.crc32(piece, crc)
    return crc
