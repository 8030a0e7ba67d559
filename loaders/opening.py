"""Starting a loader by its name."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

from feedbench.loaders.balance import sampling_of
from feedbench.loaders.checks import check_objects, check_regions, check_share
from feedbench.loaders.contract import (
    BatchSpec,
    Loader,
    Opening,
    Request,
    Settings,
    Stream,
    parse_settings,
)
from feedbench.loaders.errors import ImageError
from feedbench.loaders.faults import BUDGET, Faults, tolerance
from feedbench.loaders.guests.package import check_installed
from feedbench.loaders.manifest import Manifest
from feedbench.loaders.order import Order
from feedbench.loaders.table import find_loader


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
    """Start a loader; use it in a `with` statement, which frees threads, processes and memory.

    Args:
        name: a key of `LOADERS`, or your own function, such as `pipeline.py:make_dataset`.
        settings: the loader's settings, validated or as plain values; its defaults if None.
        epochs: number of epochs; None for no end.
        start_step: the first batch, counted from the start of epoch 0.
        on_error: "raise" ends the run at the first image that fails; "skip" drops it: the next
            readable image of the order takes its place, so that every batch stays full and all
            other batches stay the same, and the stream's `dropped` names it.
        error_budget: fraction of the images that may be dropped; beyond it the run ends.
        dropped: images dropped by an earlier part of the same run; they are not tried again,
            except by your own function, which is not told.
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
        sampling=sampling_of(manifest, spec),
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
