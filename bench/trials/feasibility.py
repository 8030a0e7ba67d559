"""Whether a plan can run on these images and this machine: alone, and beside others."""

from __future__ import annotations

from collections.abc import Iterable

from feedbench.bench.errors import PlanError
from feedbench.bench.plan.plan import Plan
from feedbench.loaders import (
    BatchSpec,
    Manifest,
    available_memory,
    check_orientation,
    find_loader,
)
from feedbench.trainer import (
    ONE,
    DeviceAugment,
    Recipe,
    check_device_augment,
    check_devices,
    check_network,
    device_count,
)

_CHANNELS = 3
_BATCHES = 2  # at least: one is prepared while the other is consumed
# MobileNetV2 (alpha 1) trained on the CPU on batches of so many pixels takes 1.8 GB of memory.
_FEW_PIXELS = 64 * 96**2


def check_feasible(
    spec: BatchSpec,
    train_images: Manifest,
    loaders: Iterable[str],
    recipe: Recipe | None = None,
    devices: str = ONE,
) -> None:
    """Check that a batch is not larger than the data or the memory, and can be upright.

    Args:
        loaders: names of those that make the batches.
        recipe: of the trainer that takes the batches; None without one.
        devices: of the trainer: a number, or cpu:N.

    Raises:
        PlanError: it cannot run.
        SpecError: photos are to be turned upright, and were not scanned.
        TrainerError: the recipe does not fit the batch spec or the devices.
    """
    if len(train_images) < spec.batch_size:
        raise PlanError(
            f"batch_size {spec.batch_size:,} is more than the {len(train_images):,} training "
            f"images; use a smaller one, such as --batch-size {_fitting(len(train_images))}"
        )
    for name in loaders:
        check_orientation(find_loader(name), spec, train_images)
    check_memory(spec)
    if recipe is not None:
        if not recipe.own_model:
            check_network(recipe, spec.image_size, spec.scale, spec.offset)
        augment = spec.augment
        device = DeviceAugment(augment.geometric_on_device, augment.photometric_on_device)
        check_device_augment(recipe, device)
        check_devices(device_count(devices), spec.batch_size, recipe)


def _fitting(images: int) -> int:
    """Return a power of two of which an epoch has at least two batches."""
    return 1 << max(0, images.bit_length() - 2)


def check_memory(spec: BatchSpec) -> None:
    """Check that two batches fit into the available memory.

    Raises:
        PlanError: they do not.
    """
    # A byte per value is the least that any loader needs; networks need many times that.
    required = _BATCHES * spec.batch_size * spec.image_size**2 * _CHANNELS
    available = available_memory()
    if required > available:
        raise PlanError(
            f"batch_size {spec.batch_size:,} at image_size {spec.image_size:,}: two batches take "
            f"{required / 1e9:,.1f} GB, and {available / 1e9:,.1f} GB of memory are available; "
            "lower --batch-size or --image-size"
        )


def may_be_large(plan: Plan) -> bool:
    """Whether nothing is known of the memory of a trainer, and it may be a large part of all."""
    pixels = plan.spec.batch_size * plan.spec.image_size**2
    return plan.consumer == "train" and (plan.recipe.own_model or pixels > _FEW_PIXELS)


def may_fit_alone(error: str) -> bool:
    """Whether a trial failed for lack of memory, or since a GPU takes only one process at a time.

    CUDA spells the first CUDA_ERROR_OUT_OF_MEMORY as well.
    """
    text = error.lower().replace("_", " ")
    return "out of memory" in text or "device(s) is/are busy or unavailable" in text
