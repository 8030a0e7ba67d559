"""What is to be measured: trials, consumer, blocks; from a suite or from options."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
)

from feedbench.bench.plan.accelerators import Accelerator, accelerator_of
from feedbench.bench.plan.toml import parse_model, read_toml
from feedbench.bench.record import CacheState, ConsumerName
from feedbench.loaders import BASELINE, BUDGET, BatchSpec, find_loader, parse_settings, parse_spec
from feedbench.trainer import Recipe

# Levels. On 200 photographs of clothing (224 and 96 pixels) the fast inverse DCT of TensorFlow's
# decode_image reached 1.35 in the worst image; another resize filter, or antialiasing, 7.9 to 21.7,
# scaled decoding 25.
TOLERANCE = 3.0


class _Given(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Choice(_Given):
    """One loader with one setting of its knobs."""

    loader: str
    settings: dict[str, Any] = {}
    augment: dict[str, Any] | None = Field(
        None, description="instead of the batch spec's, to see what augmenting costs"
    )

    def __str__(self) -> str:
        knobs = " ".join(f"{name}={_plain(value)}" for name, value in self.settings.items())
        if self.augment is not None:
            knobs += f" augment={json.dumps(self.augment) if self.augment else 'none'}"
        return f"{self.loader} {knobs.strip()}".strip()


class Timing(_Given):
    """How each trial is measured."""

    blocks: PositiveInt = Field(5, description="Timed blocks per trial.")
    block_seconds: PositiveFloat = Field(4.0, description="Minimum block duration in seconds.")
    warm_up_seconds: PositiveFloat = Field(
        5.0, description="Minimum warm-up in seconds; filling a cache may take longer."
    )
    time_limit: PositiveFloat = Field(900.0, description="Time limit per trial in seconds.")
    seed: int = Field(0, ge=0, description="Seed of the order in which blocks are interleaved.")
    cache_state: CacheState | None = Field(
        None,
        description="State of the page cache, verified in each block by the bytes read from the "
        "disk. warm: all files are read beforehand; cold: files are evicted before they are read. "
        "By default the cache is left as it is.",
    )


class Failures(_Given):
    """What becomes of files that fail while they are fed."""

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


class PixelCheck(_Given):
    """How loaders' pixels are compared before they are timed."""

    images: NonNegativeInt = Field(64, description="Images to compare; 0 turns the check off.")
    tolerance: NonNegativeFloat = Field(
        TOLERANCE,
        description="Largest mean pixel difference allowed per image, in levels of 0 to 255.",
    )
    allow_different: bool = Field(
        False, description="Also rank loaders beyond the tolerance, marked as different."
    )


class Suite(_Given):
    """A suite file: each list among a trial's settings expands into a grid."""

    consumer: ConsumerName = Field(
        "train",
        description="What takes the batches. train: the real trainer; emulated:NAME: an "
        "accelerator's measured step time, such as emulated:a100; drain: nothing, to measure the "
        "loader alone.",
    )
    timing: Timing = Timing()
    failures: Failures = Failures()
    pixels: PixelCheck = PixelCheck()
    spec: dict[str, Any] = {}
    recipe: dict[str, Any] = {}
    trial: list[Choice] = Field(min_length=1)


@dataclass(frozen=True)
class Plan:
    """Everything that a run needs to know, validated."""

    choices: tuple[Choice, ...]
    spec: BatchSpec
    recipe: Recipe
    consumer: ConsumerName
    timing: Timing
    failures: Failures
    pixels: PixelCheck
    accelerator: Accelerator | None = None


def read_suite(path: Path) -> Suite:
    """A suite from a TOML file.

    Raises:
        PlanError: no such file, not TOML, or a field that is not valid; the text names it.
    """
    return parse_model(Suite, read_toml(path), str(path))


def expand(choices: Iterable[Choice]) -> tuple[Choice, ...]:
    """Every combination of the settings that are lists, each once.

    Raises:
        LoaderError: a loader or a setting that does not exist.
    """
    expanded: dict[str, Choice] = {}
    for choice in choices:
        values = [
            value if isinstance(value, list) else [value] for value in choice.settings.values()
        ]
        for combination in itertools.product(*values):
            settings = dict(zip(choice.settings, combination, strict=True))
            one = choice.model_copy(update={"settings": settings})
            parse_settings(find_loader(one.loader), one.settings)
            expanded.setdefault(str(one), one)
    return tuple(expanded.values())


def with_baseline(choices: tuple[Choice, ...], consumer: ConsumerName) -> tuple[Choice, ...]:
    """A trainer's ceiling is always measured: without it no utilization can be told."""
    if consumer == "drain" or any(choice.loader == BASELINE for choice in choices):
        return choices
    return (*choices, Choice(loader=BASELINE))


def merged_spec(*layers: dict[str, Any]) -> dict[str, Any]:
    """Later fields of a batch spec over earlier ones; augmentations one by one."""
    merged: dict[str, Any] = {}
    for layer in layers:
        augment = _by_name(merged.get("augment", {})) | _by_name(layer.get("augment", {}))
        merged = {**merged, **layer, **({"augment": augment} if augment else {})}
    return merged


def _by_name(augment: Any) -> Any:
    return dict.fromkeys(augment, True) if isinstance(augment, list | tuple) else augment


def _plain(value: Any) -> str:
    return json.dumps(value) if isinstance(value, bool) else str(value)


def make_plan(suite: Suite) -> Plan:
    """The suite validated, its grids expanded, its ceiling added.

    Raises:
        PlanError: the recipe is not valid, or the accelerator not known.
        LoaderError: a loader, a setting or the spec is not.
    """
    return Plan(
        choices=with_baseline(expand(suite.trial), suite.consumer),
        spec=parse_spec(suite.spec),
        recipe=parse_model(Recipe, suite.recipe, "recipe"),
        consumer=suite.consumer,
        timing=suite.timing,
        failures=suite.failures,
        pixels=suite.pixels,
        accelerator=accelerator_of(suite.consumer),
    )
