"""The types in which a loader declares what it can do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Role = Literal["loader", "baseline", "upper bound", "self-test"]
AuditColumn = Literal["pillow", "tensorflow"]
SuiteName = Literal["quick", "standard", "limits", "peers"]
Suites = Mapping[SuiteName, tuple[Mapping[str, Any], ...]]

WITH_DEFAULTS: Suites = {"quick": ({},), "standard": ({},), "limits": ({},)}


@dataclass(frozen=True)
class UpperBound:
    """The work that a loader cannot avoid, which therefore limits its rate.

    Attributes:
        work: "decode" every JPEG, or "copy" finished pixels into a batch.
        scaled: whether the JPEGs may be shrunk while they are decoded.
        pack: folder of the pack whose JPEGs are decoded; None for the files of the manifest.
    """

    work: Literal["decode", "copy"]
    scaled: bool = False
    pack: str | None = None


class LibraryCall(NamedTuple):
    """What a library's own call does with each file of a manifest, boolean `[rows]`.

    Attributes:
        fails: it raises an error.
        alters: it gives a different image than the file.
        drops: it skips the file silently.
    """

    fails: NDArray[np.bool_]
    alters: NDArray[np.bool_]
    drops: NDArray[np.bool_]
