"""Loaders: interchangeable ways to turn image files into batches.

>>> from feedbench.loaders import BatchSpec, open_loader, scan
>>> manifest = scan("photos/")
>>> with open_loader("tf_data", manifest, BatchSpec(), {"prefetch": 4}, epochs=1) as batches:
...     for images, labels, rows in batches: ...
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feedbench.loaders import (
    keras_directory,
    keras_pil,
    packed,
    synthetic,
    tf_data,
    tf_data_service,
    turbo,
)
from feedbench.loaders.address import extent_of, file_of, is_remote, stamp_of
from feedbench.loaders.amounts import amount
from feedbench.loaders.augment.draws import UNCHANGED, Augment
from feedbench.loaders.cache_folder import cache_folder
from feedbench.loaders.capabilities import AuditColumn, LibraryCall, SuiteName, UpperBound
from feedbench.loaders.code import CODE_LAYOUTS, Code, CodeRequest, stream_code
from feedbench.loaders.contract import (
    Autotuning,
    Batch,
    BatchSpec,
    Dtype,
    Loader,
    Opening,
    Request,
    Settings,
    Stream,
    arrays_in,
    images_in,
    parse_settings,
    parse_spec,
    size_of_images,
)
from feedbench.loaders.cores import usable_cores
from feedbench.loaders.errors import (
    BudgetError,
    ImageError,
    LoaderError,
    SettingsError,
    SourceError,
    SourceWarning,
    SpecError,
    UnknownLoader,
    WorkerError,
    printable,
)
from feedbench.loaders.faults import BUDGET, Faults, tolerance
from feedbench.loaders.file_stamps import file_sizes, unscanned_rows, without_stale_facts
from feedbench.loaders.files import openable, read_file
from feedbench.loaders.guests import dali, ffcv, grain, hf_datasets, spdl, torch, webdataset
from feedbench.loaders.guests.package import check_installed, install_command
from feedbench.loaders.manifest import LAYOUTS, SCHEMA, SPLITS, Layout, Manifest, Split
from feedbench.loaders.memory import available_memory
from feedbench.loaders.order import Order, Rows
from feedbench.loaders.originals import Originals
from feedbench.loaders.own.call import forget, own_calls_within
from feedbench.loaders.own.errors import OwnError
from feedbench.loaders.own.find import installed, is_own, short_name
from feedbench.loaders.own.function import OwnFunction
from feedbench.loaders.own.resolve import own_loader
from feedbench.loaders.remote.cache import object_cache_bytes
from feedbench.loaders.remote.fetched import fetched_bytes
from feedbench.loaders.remote.path import source_path
from feedbench.loaders.remote.read import always_fetch, drop_cached, read_into_cache
from feedbench.loaders.sampling import Sampling
from feedbench.loaders.selection import bad_rows, blacklist_of, by_reason, usable, with_blacklist
from feedbench.loaders.source import scan
from feedbench.loaders.validation import allowed, alternatives, bounds, explain

LOADERS: dict[str, Loader] = {
    "keras_pil": keras_pil.LOADER,
    "keras_directory": keras_directory.LOADER,
    "tf_data": tf_data.LOADER,
    "tf_data_service": tf_data_service.LOADER,
    "turbo": turbo.LOADER,
    "packed": packed.LOADER,
    "synthetic": synthetic.LOADER,
    "torch": torch.LOADER,
    "webdataset": webdataset.LOADER,
    "hf_datasets": hf_datasets.LOADER,
    "dali": dali.LOADER,
    "grain": grain.LOADER,
    "spdl": spdl.LOADER,
    "ffcv": ffcv.LOADER,
}

BASELINE = next(name for name, one in LOADERS.items() if one.role == "baseline")
DEFAULT_LOADER = next(name for name, one in LOADERS.items() if one.is_default)


def find_loader(name: str) -> Loader:
    """The loader of this name: a key of `LOADERS`, a user's function, or an installed one.

    Raises:
        UnknownLoader: there is none; the message lists the names that exist.
        LoaderError: the file of the function is not valid.
    """
    if name in LOADERS:
        return LOADERS[name]
    if is_own(name):
        return own_loader(name)
    if where := installed().get(name):
        return own_loader(name, where)
    if name.endswith(".py"):
        raise UnknownLoader(f"{name}: name one of its functions too, such as {name}:make_dataset")
    there = alternatives(name, [*LOADERS, *installed()])
    raise UnknownLoader(
        f"no loader {name!r}; {there}; a function of yours is named FILE.py:FUNCTION"
    )


def check_package(name: str) -> None:
    """Check that what a loader needs is installed, before anything starts.

    Raises:
        LoaderError: it is not, or there is no such loader.
    """
    check_installed(name, find_loader(name).package)


def check_regions(loader: Loader, spec: BatchSpec, settings: Settings) -> None:
    """Refuse random-resized crops where a loader would leave them out.

    Raises:
        SpecError: it cannot cut them with these settings.
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
    """Refuse a source in object storage where a loader opens files by itself.

    Raises:
        SourceError: it cannot read the images.
    """
    if manifest.is_remote and not loader.reads_objects:
        raise SourceError(
            f"{loader.name} reads files on a disk, not {manifest.root}; use another loader, or "
            "copy the images"
        )


def check_share(loader: Loader, settings: Settings, share: tuple[int, int]) -> None:
    """Refuse to divide the batches of a loader that needs all their rows, or decides on them.

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


def images_per_epoch(manifest: Manifest, spec: BatchSpec) -> NDArray[np.int64]:
    """Images of each class per epoch, int64 `[classes]`; with `balance`, repeated ones count."""
    classes = len(manifest.classes)
    sampling = Sampling.of(manifest.labels, classes, spec.balance)
    if sampling is not None:
        return sampling.images
    return np.bincount(manifest.labels, minlength=classes)


def open_loader(  # noqa: PLR0913  all but the first three have defaults
    name: str,
    manifest: Manifest,
    spec: BatchSpec,
    settings: Settings | dict[str, Any] | None = None,
    *,
    epochs: int | None = None,
    start_step: int = 0,
    on_error: str = "raise",
    error_budget: float = BUDGET,
    dropped: Iterable[ImageError] = (),
    share: tuple[int, int] = (0, 1),
) -> Stream:
    """Start a loader; use it in a `with`, so that its threads, processes and memory are freed.

    Args:
        name: a key of `LOADERS`, or of a function of yours, such as `pipeline.py:make_dataset`.
        settings: the loader's settings, validated or as plain values; its defaults if None.
        epochs: number of epochs; None for no end.
        start_step: the first batch, counted from the start of epoch 0.
        on_error: "raise" ends the run at the first image that fails; "skip" drops it: the next
            readable image of the order takes its place, so that every batch stays full and all
            other batches stay the same, and the stream's `dropped` names it.
        error_budget: fraction of the images that may be dropped before the run ends after all.
        dropped: images that an earlier part of the same run dropped; they are not tried again,
            except by a function of yours, which is not told.
        share: this worker, from 0, and the number of workers that divide each batch among them.

    Raises:
        LoaderError: the name, the settings or their combination is invalid, or what the loader
            needs is not installed.
    """
    loader = find_loader(name)
    check_installed(name, loader.package)
    known = {error.row: error for error in dropped}
    faults = Faults(tolerance(on_error, error_budget, len(manifest)), known)
    if not isinstance(settings, Settings):
        settings = parse_settings(loader, settings or {})
    check_regions(loader, spec, settings)
    check_objects(loader, manifest)
    check_share(loader, settings, share)
    order = Order(
        len(manifest),
        spec.batch_size,
        spec.shuffle,
        spec.seed,
        spec.augment,
        epochs,
        start_step,
        unreadable=frozenset(known),
        sampling=Sampling.of(manifest.labels, len(manifest.classes), spec.balance),
    ).share(*share)
    own_spec = spec.model_copy(update={"batch_size": order.batch_size})
    request = Request(manifest, own_spec, order, faults)
    stream = loader.open(request, settings)
    if loader.own is None:  # a user's own code does not say how many batches it gives
        stream.opening = _opening(loader, request, settings)
    return stream


def _opening(loader: Loader, request: Request, settings: Settings) -> Opening:
    order = request.order
    steps, per_epoch = order.steps, order.steps_per_epoch
    if not loader.follows_order and order.epochs is not None:  # each epoch ends with its own batch
        steps = order.epochs * per_epoch - order.start_step
    is_random = order.shuffle or bool(order.augment)
    return Opening(partial(loader.open, request, settings), steps, per_epoch, is_random)


__all__ = [
    "BASELINE",
    "BUDGET",
    "CODE_LAYOUTS",
    "DEFAULT_LOADER",
    "LAYOUTS",
    "LOADERS",
    "SCHEMA",
    "SPLITS",
    "UNCHANGED",
    "AuditColumn",
    "Augment",
    "Autotuning",
    "Batch",
    "BatchSpec",
    "BudgetError",
    "Code",
    "CodeRequest",
    "Dtype",
    "Faults",
    "ImageError",
    "Layout",
    "LibraryCall",
    "Loader",
    "LoaderError",
    "Manifest",
    "Order",
    "Originals",
    "OwnError",
    "OwnFunction",
    "Request",
    "Rows",
    "Sampling",
    "Settings",
    "SettingsError",
    "SourceError",
    "SourceWarning",
    "SpecError",
    "Split",
    "Stream",
    "SuiteName",
    "UnknownLoader",
    "UpperBound",
    "WorkerError",
    "allowed",
    "alternatives",
    "always_fetch",
    "amount",
    "arrays_in",
    "available_memory",
    "bad_rows",
    "blacklist_of",
    "bounds",
    "by_reason",
    "cache_folder",
    "check_objects",
    "check_package",
    "check_regions",
    "check_share",
    "drop_cached",
    "explain",
    "extent_of",
    "fetched_bytes",
    "file_of",
    "file_sizes",
    "find_loader",
    "forget",
    "images_in",
    "images_per_epoch",
    "install_command",
    "installed",
    "is_own",
    "is_remote",
    "object_cache_bytes",
    "open_loader",
    "openable",
    "own_calls_within",
    "parse_settings",
    "parse_spec",
    "printable",
    "read_file",
    "read_into_cache",
    "scan",
    "short_name",
    "size_of_images",
    "source_path",
    "stamp_of",
    "stream_code",
    "tolerance",
    "unscanned_rows",
    "usable",
    "usable_cores",
    "with_blacklist",
    "without_stale_facts",
]
