"""What the listing of one shard returns: a row per image."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from feedbench.loaders.address import Extent, Version
from feedbench.loaders.errors import SourceError, printable
from feedbench.loaders.manifest import PATH

# `name` is what the shard calls the image, empty if nothing; `member` is never empty.
ENTRY = pa.schema(
    [("member", PATH), ("name", PATH), ("label", pa.string()), ("extent", PATH)],
)

# Usual names of features and columns of images, the commonest first.
IMAGE_NAMES = (
    "image/encoded",
    "image",
    "image_raw",
    "jpeg",
    "jpg",
    "png",
    "img",
    "encoded",
    "image_bytes",
    "picture",
    "photo",
)


class Entry(NamedTuple):
    """An image in a shard.

    Attributes:
        member: its name in the shard; empty if it has none.
        offset: of its bytes.
        length: of its bytes.
        label: name or number of its class, as the shard states it; None if the folder in its
            name is its class.
        codec: see `Extent`, as are the following.
    """

    member: bytes
    offset: int
    length: int
    label: str | None = None
    codec: str = ""
    unpacked: int = 0
    begin: int = 0
    end: int = 0
    check: str = ""

    @property
    def extent(self) -> bytes:
        """The encoded extent."""
        place = (self.offset, self.length, self.codec, self.unpacked, self.begin, self.end)
        return Extent(len(self.member) + 1, *place, self.check).encoded()


@dataclass(frozen=True)
class Hints:
    """What a source says of its shards, beside them.

    Attributes:
        image: feature or column of the image; None to find it.
        label: feature or column of its class; None to find it.
        classes: names of the classes, by number; empty if it does not say.
    """

    image: str | None = None
    label: str | None = None
    classes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Listing:
    """The images of one shard.

    Attributes:
        table: columns of `ENTRY`.
        classes: names of the classes, by number, as the shard states them; empty if it does not.
        replaced: number of files that a later one of the same name takes the place of.
        version: of the shard that was listed; None if it is unknown.
    """

    table: pa.Table
    classes: tuple[str, ...] = ()
    replaced: int = 0
    version: Version | None = None


def files_listing(entries: Iterable[Entry]) -> Listing:
    """The listing of an archive of files; of one name the last counts, as when it is unpacked."""
    entries = list(entries)
    last = {entry.member: entry for entry in entries}
    return replace(listing(last.values()), replaced=len(entries) - len(last))


def listing(entries: Iterable[Entry], classes: tuple[str, ...] = ()) -> Listing:
    """The listing of these images; without a name, or with that of another, by their number."""
    names: set[bytes] = set()
    rows: list[tuple[bytes, bytes, str | None, bytes]] = []
    for number, entry in enumerate(entries):
        name = entry.member
        member = (b"%b#%d" % (name, number) if name in names else name) if name else b"%d" % number
        names.add(name)
        rows.append((member, name, entry.label, entry._replace(member=member).extent))
    columns = list(zip(*rows, strict=True)) or [()] * len(ENTRY)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, ENTRY, strict=True)]
    return Listing(pa.Table.from_arrays(arrays, schema=ENTRY), classes)


def damaged(shard: Path, member: bytes | str, why: str) -> SourceError:
    """The error for a shard that cannot be listed beyond a member."""
    return SourceError(
        f"{printable(str(shard))}:{printable(member)}: {why}; copy the shard again or remove it"
    )
