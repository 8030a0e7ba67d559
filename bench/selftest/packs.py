"""The pack that a case of the self-test reads."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from feedbench.bench.selftest.case import Case
from feedbench.loaders import BatchSpec, Faults, Manifest
from feedbench.loaders.pack import Packing, fill, opened


def with_pack(case: Case, manifest: Manifest, spec: BatchSpec, folder: Path) -> Case:
    """Return the case with its pack, which is written, among its settings; if it reads none, as is.

    Args:
        manifest: the images.
        spec: of the batches.
        folder: for the pack, new.
    """
    if case.pack is None:
        return case
    packing = Packing(manifest, spec, case.pack)
    with opened(packing, folder) as writer:
        fill(packing, writer, Faults(), lambda _: None)
    return replace(case, settings={**case.settings, "pack": str(folder)})
