"""The listing of a shard, kept until the shard changes: a scan of 100 GB is not repeated."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from feedbench.loaders.address import Version
from feedbench.loaders.cache_folder import cache_folder
from feedbench.loaders.containers.entries import ENTRY, Hints, Listing
from feedbench.loaders.remote.path import RemotePath
from feedbench.replacing import replacing

_VERSION = 4  # to be raised when a shard is listed in another way
_ABOUT = b"feedbench"


def cached(path: Path, hints: Hints, list_shard: Callable[[Path, Hints], Listing]) -> Listing:
    """The listing of a shard, from the cache if the shard is as it was then."""
    name = hashlib.blake2b(os.fsencode(path), digest_size=16).hexdigest()
    file = cache_folder() / "listings" / f"{name}.parquet"
    status = path.stat()
    state = [_VERSION, status.st_size, status.st_mtime_ns, hints.image, hints.label]
    if isinstance(path, RemotePath):
        state.append(path.version and path.version.tag)
    listing = _read(file, state)
    if listing is None:
        with path.held() if isinstance(path, RemotePath) else nullcontext():
            listing = list_shard(path, hints)
        with suppress(OSError):  # it is only listed again
            _write(file, state, listing)
    if isinstance(path, RemotePath):
        return replace(listing, version=path.version)
    return replace(listing, version=Version(status.st_size, status.st_mtime_ns, ""))


def _read(file: Path, state: list[Any]) -> Listing | None:
    try:
        table = pq.read_table(io.BytesIO(file.read_bytes()))
        about = json.loads(table.schema.metadata[_ABOUT])
        if about["state"] != state:
            return None
        return Listing(table.cast(ENTRY), tuple(about["classes"]), about["replaced"])
    except (OSError, KeyError, TypeError, ValueError, pa.ArrowException):
        return None


def _write(file: Path, state: list[Any], listing: Listing) -> None:
    about = {"state": state, "classes": listing.classes, "replaced": listing.replaced}
    file.parent.mkdir(parents=True, exist_ok=True)
    table = listing.table.replace_schema_metadata({_ABOUT: json.dumps(about)})
    with replacing(file) as beside, beside.open("wb") as opened:
        pq.write_table(table, opened)
