"""The plan of a measurement: trials, batch spec, recipe, consumer and timing, all validated."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
)

from feedbench.bench.accelerator import Accelerator
from feedbench.bench.errors import PlanError
from feedbench.bench.plan.accelerators import accelerator_of
from feedbench.bench.plan.toml import parse_model, read_toml
from feedbench.bench.record import CacheState, ConsumerName
from feedbench.loaders import (
    BASELINE,
    BUDGET,
    Augment,
    BatchSpec,
    LoaderError,
    check_package,
    check_regions,
    find_loader,
    parse_settings,
    parse_spec,
)
from feedbench.trainer import ALL, ONE, Recipe, device_count, is_of_cpu

# In levels of 0 to 255. Measured on 200 photos of clothing at 224 and 96 px, worst image: the fast
# inverse DCT of TensorFlow's decode_image differs by 1.35, another resize filter or antialiasing
# by 7.9 to 21.7, scaled decoding by 25.
TOLERANCE = 3.0


def _devices(value: str) -> str:
    if value != ALL:
        device_count(value)
    return value


class _Model(BaseModel):
    """Base class: immutable, unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Choice(_Model):
    """One loader with its settings."""

    loader: str
    settings: dict[str, Any] = {}
    augment: dict[str, Any] | None = Field(
        None, description="overrides that of the batch spec, to measure the cost of augmentation"
    )
    alone: bool = Field(
        False,
        description="train on one device, with its part of a batch, to measure what several gain",
    )

    def __str__(self) -> str:
        words = [
            self.loader,
            *(f"{name}={_as_text(value)}" for name, value in self.settings.items()),
        ]
        if self.augment is not None:
            words.append(f"augment={json.dumps(self.augment) if self.augment else 'none'}")
        if self.alone:
            words.append("on one device")
        return " ".join(words)


class Timing(_Model):
    """Number and duration of blocks, and the order and cache state in which they run."""

    blocks: PositiveInt = Field(
        15,
        description="Timed blocks per loader and setting, at most. Fewer than 3 give no intervals "
        "and no comparison.",
    )
    early_stopping: bool = Field(
        True,
        description="End when each loader is certainly slower than the fastest or certainly good "
        "enough to be chosen, and drop those that cannot win. Otherwise all blocks are timed.",
    )
    fresh_processes: bool | None = Field(
        None,
        description="Start a new process for each block, so that the intervals include differences "
        "between processes that do the same, such as memory layout. Each block then costs a start "
        "and a warm-up. By default only with --against.",
    )
    block_seconds: PositiveFloat = Field(1.0, description="Minimum block duration in seconds.")
    block_steps: PositiveInt = Field(
        10, description="Minimum number of steps per block, unless they take longer than 8 s."
    )
    warm_up_seconds: NonNegativeFloat = Field(
        2.0, description="Minimum warm-up in seconds; filling a cache may take longer."
    )
    time_limit: PositiveFloat = Field(
        900.0, description="Time limit of a warm-up and of each block in seconds."
    )
    seed: int = Field(0, ge=0, description="Seed of the order in which blocks are interleaved.")
    cache_state: CacheState | None = Field(
        None,
        description="State of the page cache, or of the local cache of objects; proven in each "
        "block by the bytes that were read from the disk, or fetched. warm: all files are read "
        "beforehand; cold: files are evicted before they are read. "
        "By default the cache is left as it is.",
    )


class Failures(_Model):
    """What to do with files that fail during a run."""

    on_error: Literal["raise", "skip"] = Field(
        "raise",
        description="What to do with a file that fails during the run. raise: end the run; skip: "
        "use the next readable image in its place.",
    )
    error_budget: float = Field(
        BUDGET,
        ge=0,
        le=1,
        description="Fraction of the images that skip may drop before the run ends.",
    )


class PixelCheck(_Model):
    """How the pixels of the loaders are compared before they are timed."""

    images: NonNegativeInt = Field(64, description="Images to compare; 0 turns the check off.")
    tolerance: NonNegativeFloat = Field(
        TOLERANCE,
        description="Largest mean pixel difference allowed per image, in levels of 0 to 255.",
    )
    allow_different: bool = Field(
        False, description="Also rank loaders beyond the tolerance, marked as different."
    )


class Suite(_Model):
    """Content of a suite file; each list among the settings of a trial expands into a grid."""

    consumer: ConsumerName = Field(
        "train",
        description="What takes the batches. train: the real trainer; emulated:NAME: an "
        "accelerator's published or calibrated training rate, such as emulated:a100; drain: "
        "nothing, to measure the loader alone.",
    )
    devices: Annotated[str, AfterValidator(_devices)] = Field(
        ONE,
        description="How many GPUs train together (with consumer train). all: all that are here; "
        "cpu:N: N logical devices of the CPU, which share its cores, to try it without GPUs. Each "
        "takes an equal part of a batch, so the loss curve and the learning rate stay those of one "
        "device.",
    )
    timing: Timing = Timing()
    failures: Failures = Failures()
    pixels: PixelCheck = PixelCheck()
    spec: dict[str, Any] = {}
    recipe: dict[str, Any] = {}
    trial: list[Choice] = Field(min_length=1)


@dataclass(frozen=True)
class Plan:
    """A validated measurement: what `run` measures.

    Attributes:
        rows: fingerprint of the training images of the source, before any are left out; None if
            that is not known.
    """

    choices: tuple[Choice, ...]
    spec: BatchSpec
    recipe: Recipe
    consumer: ConsumerName
    timing: Timing
    failures: Failures
    pixels: PixelCheck
    accelerator: Accelerator | None = None
    devices: str = ONE
    rows: str | None = None

    def spec_of(self, choice: Choice) -> BatchSpec:
        """Return the batch spec of a choice, which may have an augmentation of its own."""
        values: dict[str, Any] = {}
        if choice.augment is not None:
            values["augment"] = Augment.model_validate(choice.augment)
        if choice.alone:
            values["batch_size"] = self.spec.batch_size // device_count(self.devices)
        return self.spec.model_copy(update=values)

    def devices_of(self, choice: Choice) -> str:
        """Return the devices that a choice is trained on."""
        if not choice.alone:
            return self.devices
        return "cpu:1" if is_of_cpu(self.devices) else ONE

    def cache_state_of(self, choice: Choice) -> CacheState | None:
        """Return the cache state to prove; None for loaders that read no files."""
        return self.timing.cache_state if find_loader(choice.loader).is_choice else None


def read_suite(path: Path) -> Suite:
    """Read a suite from a TOML file.

    Raises:
        PlanError: the file does not exist, is not TOML, or a field is not valid; the text names it.
    """
    suite = parse_model(Suite, read_toml(path), str(path))
    parse_model(Recipe, suite.recipe, f"{path}: recipe")
    parse_model(BatchSpec, suite.spec, f"{path}: spec")
    try:
        expand(suite.trial)
    except LoaderError as error:
        raise PlanError(f"{path}: {error}") from error
    return suite


def expand(choices: Iterable[Choice]) -> tuple[Choice, ...]:
    """Expand settings that are lists into every combination; duplicates are removed.

    Raises:
        LoaderError: a loader does not exist, or a setting is not valid.
    """
    expanded: dict[str, Choice] = {}
    for choice in choices:
        values = [
            value if isinstance(value, list) else [value] for value in choice.settings.values()
        ]
        for combination in itertools.product(*values):
            settings = dict(zip(choice.settings, combination, strict=True))
            single = choice.model_copy(update={"settings": settings})
            parse_settings(find_loader(single.loader), single.settings)
            expanded.setdefault(str(single), single)
    return tuple(expanded.values())


def with_baseline(
    choices: tuple[Choice, ...],
    consumer: ConsumerName,
    recipe: Recipe | None = None,
) -> tuple[Choice, ...]:
    """Add the loader `synthetic`, whose rate accelerator utilization is relative to.

    Nothing is added for `drain`, or if it is among the choices already.

    Args:
        recipe: of the training; None if nothing is trained.
    """
    if consumer == "drain" or any(choice.loader == BASELINE for choice in choices):
        return choices
    return (*choices, Choice(loader=BASELINE, settings=like_own(choices, recipe)))


def with_devices(plan: Plan, devices: str) -> Plan:
    """Return the plan for these devices; of several, it also measures one alone.

    Args:
        devices: a number, or cpu:N.

    Raises:
        PlanError: nothing is trained.
    """
    choices = plan.choices
    if devices != ONE and plan.consumer != "train":
        raise PlanError(f"--devices {devices}: needs --consumer train, got {plan.consumer}")
    if device_count(devices) > 1:
        choices = (*choices, Choice(loader=BASELINE, alone=True))
    return replace(plan, devices=devices, choices=choices)


def like_own(choices: Iterable[Choice], recipe: Recipe | None) -> dict[str, Any]:
    """Return settings of the loader `synthetic`, with which it gives what these loaders give.

    Only a user's own model takes more than images and classes, and only from their own loaders.
    """
    first, *others = choices
    if recipe is None or not recipe.own_model:
        return {}
    if any(find_loader(choice.loader).own is None for choice in (first, *others)):
        return {}
    return {"like": first.loader} | ({"like_settings": first.settings} if first.settings else {})


def merged_spec(*layers: dict[str, Any]) -> dict[str, Any]:
    """Merge fields of batch specs: later layers override earlier ones, each augmentation alone."""
    merged: dict[str, Any] = {}
    for layer in layers:
        augment = _by_name(merged.get("augment", {})) | _by_name(layer.get("augment", {}))
        merged = {**merged, **layer, **({"augment": augment} if augment else {})}
    return merged


def _by_name(augment: Any) -> Any:
    return dict.fromkeys(augment, True) if isinstance(augment, list | tuple) else augment


def _as_text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, bool) else str(value)


def make_plan(suite: Suite) -> Plan:
    """Validate a suite, expand its grids and add the loader `synthetic`.

    Raises:
        PlanError: the recipe is not valid, or the accelerator does not exist.
        LoaderError: a loader, a setting or the batch spec is not valid, or what a loader
            needs is not installed.
    """
    recipe = parse_model(Recipe, suite.recipe, "recipe")
    for choice in suite.trial:
        check_package(choice.loader)
    plan = Plan(
        choices=with_baseline(expand(suite.trial), suite.consumer, recipe),
        spec=parse_spec(suite.spec),
        recipe=recipe,
        consumer=suite.consumer,
        timing=suite.timing,
        failures=suite.failures,
        pixels=suite.pixels,
        accelerator=accelerator_of(suite.consumer),
        devices=suite.devices,
    )
    for choice in plan.choices:
        check_choice(choice, plan.spec_of(choice))
    return plan


def check_choice(choice: Choice, spec: BatchSpec) -> None:
    """Refuse a loader whose settings leave out a part of the spec.

    Raises:
        SpecError: they do.
    """
    loader = find_loader(choice.loader)
    check_regions(loader, spec, parse_settings(loader, choice.settings))
