"""What each loader, and the library's own call behind it, would do with audited files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from feedbench.loaders.contract import Loader
from feedbench.loaders.images.decode_path import readable
from feedbench.loaders.images.library_call import flags
from feedbench.loaders.manifest import Manifest


@dataclass(frozen=True)
class Verdict:
    """Numbers of files; None if a loader corresponds to no library's own call.

    Attributes:
        fails: the library's own call ends with an error.
        alters: it gives another picture than the file shows: alpha dropped, 16 bits cut, a
            photograph not turned upright, palettes mistaken.
        drops: it skips them silently.
        left_out: even the loader here cannot give them.
    """

    fails: int | None
    alters: int | None
    drops: int | None
    left_out: int


def verdicts(manifest: Manifest, loaders: Iterable[Loader]) -> dict[str, Verdict]:
    """The verdict on each loader that can open the source, by its name; on no other library."""
    return {
        loader.name: _verdict(manifest, loader)
        for loader in loaders
        if loader.is_choice
        and not loader.is_guest
        and loader.readable_by
        and loader.can_read(manifest)
    }


def _verdict(manifest: Manifest, loader: Loader) -> Verdict:
    left_out = int((~flags(readable(manifest, loader.readable_by))).sum())
    if loader.library_call is None:
        return Verdict(None, None, None, left_out)
    call = loader.library_call(manifest)
    return Verdict(int(call.fails.sum()), int(call.alters.sum()), int(call.drops.sum()), left_out)
