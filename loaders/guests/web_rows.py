"""Which row of a manifest a sample of WebDataset is: by its shard and the name of its image."""

from __future__ import annotations

import os
from collections import defaultdict
from typing import Any, NamedTuple

import numpy as np

from feedbench.loaders.address import extent_of, name_of, shard_of
from feedbench.loaders.manifest import Manifest


class Found(NamedTuple):
    """An image that a sample holds.

    Attributes:
        path: what people read of its address.
        data: the bytes of its file.
    """

    row: int
    path: bytes
    data: bytes


class SampleRows:
    """The rows of a manifest by shard and name."""

    def __init__(self, manifest: Manifest) -> None:
        self._rows: dict[str, dict[str, int]] = defaultdict(dict)
        for row, address in enumerate(manifest.paths(np.arange(len(manifest)))):
            extent = extent_of(address)
            if extent is None:
                continue
            shard = os.fsdecode(shard_of(address, extent))
            member = os.fsdecode(name_of(address))[len(shard) + 1 :]
            self._rows[shard].setdefault(_as_grouped(member), row)

    @property
    def shards(self) -> list[str]:
        """The shards that hold any of the rows, sorted."""
        return sorted(self._rows)

    def found(self, sample: dict[str, Any]) -> Found | None:
        """The image of a sample that is a row of the manifest; None if there is none."""
        shard, key = sample["__url__"], sample["__key__"]
        rows = self._rows[shard]
        for extension, data in sample.items():
            row = rows.get(f"{key}.{extension}")
            if row is not None:
                return Found(row, os.fsencode(f"{shard}:{key}.{extension}"), data)
        return None


def _as_grouped(member: str) -> str:
    """A member's name as WebDataset splits it: what follows the first dot is in lower case."""
    folder, slash, file = member.rpartition("/")
    stem, dot, extension = file.partition(".")
    return f"{folder}{slash}{stem}{dot}{extension.lower()}"
