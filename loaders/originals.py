"""The files that something was made of: recorded before they are read, compared when it is used."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from feedbench.loaders.errors import SourceError, printable
from feedbench.loaders.file_stamps import (
    NO_FILE,
    STAMP,
    Stamps,
    audited_stamps,
    file_stamps,
    rows_to_check,
)
from feedbench.loaders.manifest import Manifest
from feedbench.loaders.npy import open_npy, write_npy
from feedbench.loaders.order import Rows

MANIFEST, FILES = "manifest.parquet", "files.npy"
Mask = NDArray[np.bool_]


class Originals:
    """The files of a manifest as they were at some time.

    Attributes:
        manifest: the rows, with what a scan knew of them.
        stamps: size and time of each row's file.
    """

    NAMES = (MANIFEST, FILES)  # of the files that `write` writes

    def __init__(self, manifest: Manifest, stamps: Stamps) -> None:
        self.manifest = manifest
        self.stamps = stamps

    @classmethod
    def of(cls, manifest: Manifest) -> Originals:
        """The files as they are now."""
        return cls(manifest, file_stamps(manifest, np.arange(len(manifest))))

    @classmethod
    def read(cls, folder: Path) -> Originals:
        """What `write` wrote into a folder.

        Raises:
            SourceError: it cannot be read.
        """
        manifest = Manifest.read(folder / MANIFEST)
        try:
            stamps = open_npy(folder / FILES, STAMP, len(manifest))
        except (OSError, ValueError) as error:
            raise SourceError(f"{folder / FILES}: missing or damaged") from error
        return cls(manifest, np.array(stamps))

    def write(self, folder: Path) -> None:
        """Write two files into a folder.

        Raises:
            OSError: the disk is full, or another error of the system.
            SourceError: the same.
        """
        write_npy(folder / FILES, self.stamps)
        self.manifest.write(folder / MANIFEST)

    def change(
        self, manifest: Manifest, positions: Rows, *, except_rows: Rows | None = None
    ) -> str | None:
        """What has changed, with the name of the first file; None if all are the same.

        A file that no longer exists has not changed. Of very many files a random sample is
        compared.

        Args:
            positions: where the rows of the manifest are among the originals.
            except_rows: rows of the manifest that may have changed.
        """
        rows = np.setdiff1d(rows_to_check(manifest), [] if except_rows is None else except_rows)
        now = _present_stamps(manifest, rows)
        changed = self._differ(manifest, rows, positions[rows], now)
        if not changed.any():
            return None
        first = int(np.argmax(changed))
        name = printable(manifest.path(int(rows[first])))
        others = f", as have {changed.sum() - 1:,} others" if changed.sum() > 1 else ""
        how = _difference(self.stamps[positions[rows[first]]], now[first])
        return f"{name} has changed{others}: {how}"

    def read_otherwise(self, manifest: Manifest, positions: Rows) -> Rows:
        """The rows that a scan has left to Pillow since, because decoders guess parts of them.

        A scan by an earlier version did not see that a progressive JPEG lacks scans.

        Args:
            positions: as for `change`.
        """
        now, then = _is_guessed(manifest), _is_guessed(self.manifest)[positions]
        return np.flatnonzero(now & ~then)

    def refresh(self, manifest: Manifest) -> Rows:
        """The rows that are to be read again: whose files have changed, or are decoded otherwise.

        Afterwards the files are as they are now.

        Args:
            manifest: the same rows.
        """
        rows = np.arange(len(manifest))
        now = _present_stamps(manifest, rows)
        differ = self._differ(manifest, rows, rows, now)
        differ[self.read_otherwise(manifest, rows)] = True
        changed = rows[differ]
        self.stamps[changed] = now[changed]
        self.manifest = manifest
        return changed

    def _differ(self, manifest: Manifest, rows: Rows, positions: Rows, now: Stamps) -> Mask:
        then = self.stamps[positions]
        differ: Mask = (now["bytes"] != NO_FILE) & (now != then)
        if not (manifest.audited and self.manifest.audited):
            return differ
        # Digests say more than stamps, where they are of these very files.
        known = (audited_stamps(manifest, rows) == now) & (
            audited_stamps(self.manifest, positions) == then
        )
        same = pc.equal(_digests(manifest, rows), _digests(self.manifest, positions))
        known &= np.asarray(pc.is_valid(same).to_numpy(zero_copy_only=False))
        content: Mask = ~np.asarray(pc.fill_null(same, True).to_numpy(zero_copy_only=False))
        return np.where(known, content, differ)


def _is_guessed(manifest: Manifest) -> Mask:
    """Where a scan saw that decoders show different images of a file."""
    if not manifest.audited:
        return np.zeros(len(manifest), np.bool_)
    same = pc.fill_null(manifest.table["same_pixels"], True).combine_chunks()
    guessed: Mask = ~np.asarray(same.to_numpy(zero_copy_only=False), np.bool_)
    return guessed


def _digests(manifest: Manifest, rows: Rows) -> Any:
    return manifest.table["digest"].combine_chunks().take(pa.array(rows))


def _present_stamps(manifest: Manifest, rows: Rows) -> Stamps:
    """The stamps of files as they are now, or as scanned where they no longer exist."""
    stamps = file_stamps(manifest, rows)
    gone = stamps["bytes"] == NO_FILE
    stamps[gone] = audited_stamps(manifest, rows[gone])
    return stamps


def _difference(then: Any, now: Any) -> str:
    if then["bytes"] == NO_FILE:
        return "it could not be found then"
    if then["bytes"] != now["bytes"]:
        return f"{then['bytes']:,} bytes then, {now['bytes']:,} now"
    if then["modified_ns"] != now["modified_ns"]:
        return f"modified {_time(then)} then, {_time(now)} now"
    return "its content differs according to the scans"


def _time(stamp: Any) -> str:
    moment = datetime.fromtimestamp(int(stamp["modified_ns"]) / 1e9, UTC)
    return moment.isoformat(" ", "milliseconds").removesuffix("+00:00")
