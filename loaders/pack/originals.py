"""The original files of a pack: recorded when they are packed, compared when it is used.

A pack is used without its originals, but never for other files of the same names.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from feedbench.loaders.errors import SettingsError, printable
from feedbench.loaders.file_stamps import (
    NO_FILE,
    STAMP,
    Stamps,
    audited_stamps,
    file_stamps,
    rows_to_check,
)
from feedbench.loaders.files import replacing
from feedbench.loaders.manifest import Manifest
from feedbench.loaders.order import Rows
from feedbench.loaders.pack.about import AGAIN, FILES, MANIFEST, manifest_of
from feedbench.loaders.pack.npy import open_npy

Mask = NDArray[np.bool_]


class Originals:
    """What a pack knows of its original files.

    Attributes:
        manifest: the rows of the pack, with what a scan knew of them.
        stamps: size and time of each file, taken before it was read.
    """

    def __init__(self, folder: Path, manifest: Manifest, stamps: Stamps) -> None:
        self._folder = folder
        self.manifest = manifest
        self.stamps = stamps

    @classmethod
    def of(cls, folder: Path, manifest: Manifest) -> Originals:
        """What is known of the files now."""
        return cls(folder, manifest, file_stamps(manifest, np.arange(len(manifest))))

    @classmethod
    def read(cls, folder: Path) -> Originals:
        """What was recorded when the pack was written.

        Raises:
            SettingsError: it cannot be read.
        """
        manifest = manifest_of(folder)
        try:
            stamps = open_npy(folder / FILES, STAMP, len(manifest))
        except (OSError, ValueError) as error:
            raise SettingsError(f"pack {folder}: {FILES} is damaged; {AGAIN}") from error
        return cls(folder, manifest, np.array(stamps))

    def write(self) -> None:
        """Record it in the folder of the pack.

        Raises:
            OSError: the disk is full, or another error of the system.
            SourceError: the same.
        """
        with replacing(self._folder / FILES) as beside, beside.open("wb") as file:
            np.save(file, self.stamps)
        self.manifest.write(self._folder / MANIFEST)

    def refuse_changed(self, manifest: Manifest, positions: Rows) -> None:
        """Refuse rows whose files are not the ones that were packed.

        Args:
            positions: of the rows of the manifest in the pack.

        Raises:
            SettingsError: they are not; the message names the first one and what differs.
        """
        rows = rows_to_check(manifest)
        now = _present_stamps(manifest, rows)
        changed = self._differ(manifest, rows, positions[rows], now)
        if changed.any():
            first = int(np.argmax(changed))
            name = printable(manifest.name(int(rows[first])))
            others = f", as have {changed.sum() - 1:,} others" if changed.sum() > 1 else ""
            how = _difference(self.stamps[positions[rows[first]]], now[first])
            raise SettingsError(
                f"pack {self._folder} of {self.manifest.root}: {manifest.root / name} has changed "
                f"since it was packed{others}: {how}; {AGAIN}"
            )

    def refresh(self, manifest: Manifest) -> Rows:
        """The rows of the pack whose files have changed; their stamps are brought up to date."""
        rows = np.arange(len(manifest))
        now = _present_stamps(manifest, rows)
        changed = rows[self._differ(manifest, rows, rows, now)]
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
