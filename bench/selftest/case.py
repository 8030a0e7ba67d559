"""A bottleneck to inject, the cause that must be named, and how it is undone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Literal

from feedbench.bench.diagnose.model import Cause
from feedbench.bench.diagnose.prediction import Change
from feedbench.bench.record import CacheState

PhotoKind = Literal["photos", "large photos", "tiny photos"]
WITHOUT: Final = "without the cause"  # as the diagnosis says of the main cause


@dataclass(frozen=True)
class Injection:
    """What is done to a process and its children.

    Attributes:
        cores: they run on this many cores; None for all.
        reads: the storage delivers this many times the images that the loader takes from memory;
            None for storage as it is.
        operations: whether the number of reads is limited, instead of their bytes.
    """

    cores: int | None = None
    reads: float | None = None
    operations: bool = False


@dataclass(frozen=True)
class WhatIf:
    """A change that was predicted, and how to make it.

    Attributes:
        change: of the prediction, or `WITHOUT`.
        injection: instead of that of the case; None for the same.
        loader: instead of that of the case, with `settings` only.
        settings: changed settings of the loader.
        spec: changed fields of the batch spec.
        state: cache state of the files, instead of that of the case.
        accelerators: number of accelerators that the loader feeds.
    """

    change: Change | Literal["without the cause"]
    injection: Injection | None = None
    loader: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    spec: dict[str, Any] = field(default_factory=dict)
    state: CacheState | None = None
    accelerators: int = 1


@dataclass(frozen=True)
class Case:
    """One injected bottleneck.

    Attributes:
        cause: what the diagnosis must name.
        pack: what the loader reads instead of the photos; None for the photos themselves.
        consumer: rate of the emulated accelerator, relative to that of the loader from memory; None
            for the real trainer.
        what_ifs: changes that are predicted, made, and measured.
    """

    name: str
    loader: str
    cause: Cause
    settings: dict[str, Any] = field(default_factory=dict)
    spec: dict[str, Any] = field(default_factory=dict)
    photos: PhotoKind = "photos"
    pack: Literal["arrays", "jpeg"] | None = None
    state: CacheState = "warm"
    injection: Injection = Injection()
    consumer: float | None = 4.0
    what_ifs: tuple[WhatIf, ...] = ()
