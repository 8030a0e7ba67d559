"""What a loader cannot do with a source, a spec or a division, refused before it starts."""

from __future__ import annotations

from feedbench.loaders.contract import BatchSpec, Loader, Settings
from feedbench.loaders.errors import SourceError, SpecError
from feedbench.loaders.images.decode_path import NOT_SCANNED
from feedbench.loaders.manifest import Manifest
from feedbench.loaders.table import DEFAULT_LOADER


def check_regions(loader: Loader, spec: BatchSpec, settings: Settings) -> None:
    """Refuse random-resized crops for a loader that cannot cut them.

    Raises:
        SpecError: the loader cannot cut them with these settings.
    """
    reads_images = loader.is_choice and loader.own is None
    if spec.augment.random_resized_crop is None or not reads_images:
        return
    if why := loader.cuts_no_regions(settings):
        raise SpecError(
            f"{loader.name} cannot cut random-resized crops: {why}; use another loader, or leave "
            "out random_resized_crop"
        )


def check_objects(loader: Loader, manifest: Manifest) -> None:
    """Refuse a source in object storage for a loader that opens files itself.

    Raises:
        SourceError: the loader cannot read the images.
    """
    if manifest.is_remote and not loader.reads_objects:
        raise SourceError(
            f"{loader.name} reads files on a disk, not {manifest.root}; use another loader, or "
            "copy the images"
        )


def check_orientation(loader: Loader, spec: BatchSpec, manifest: Manifest) -> None:
    """Refuse to turn photos upright with a loader that needs a scan for it, without one.

    Raises:
        SpecError: the source was not scanned.
    """
    if spec.orientation == "apply" and loader.turns_by_scan and not manifest.audited:
        raise SpecError(NOT_SCANNED)


def check_share(loader: Loader, settings: Settings, share: tuple[int, int]) -> None:
    """Refuse to divide the batches of a loader that needs all their rows, or chooses them itself.

    Args:
        share: this worker, from 0, and the number of workers.

    Raises:
        SpecError: several workers cannot divide its batches with these settings.
    """
    if share[1] == 1:
        return
    if not loader.follows_order:
        raise SpecError(
            f"{loader.name} decides itself which images a batch holds, so that several workers "
            f"cannot divide it; use a loader that follows the order, such as {DEFAULT_LOADER}"
        )
    if reason := loader.cannot_share(settings):
        raise SpecError(f"{loader.name}: {reason}")
