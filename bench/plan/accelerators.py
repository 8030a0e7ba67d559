"""What is known of accelerators: measured rates with their conditions, and where they come from."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import BaseModel, ConfigDict, PositiveFloat, PositiveInt

from feedbench.bench.errors import PlanError
from feedbench.bench.files import write_text
from feedbench.bench.plan.toml import parse_model, read_toml
from feedbench.loaders import BatchSpec
from feedbench.loaders.explain import alternatives
from feedbench.trainer import Recipe

BUILT_IN = Path(__file__).with_name("accelerators.toml")
OWN = "accelerators.toml"
PREFIX = "emulated:"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")


class Accelerator(BaseModel):
    """One accelerator's measured training rate, and the conditions under which it holds.

    Attributes:
        images_per_second: of one accelerator that never waits.
        batch_size: images a step, as measured.
        image_size: pixels of a side, as measured.
        precision: in the words of the source.
        source: who measured it, and how.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    device: str
    images_per_second: PositiveFloat
    batch_size: PositiveInt
    image_size: PositiveInt
    network: str
    alpha: PositiveFloat | None = None
    precision: str
    source: str

    def seconds_per_image(self, image_size: int) -> float:
        """Of a step, for each of its images; it is assumed to grow with the pixels."""
        return (image_size / self.image_size) ** 2 / self.images_per_second

    def assumptions(self, spec: BatchSpec, recipe: Recipe) -> list[str]:
        """What must be assumed for the rate to hold for these batches and this network."""
        assumed = []
        if spec.batch_size != self.batch_size:
            assumed.append(
                f"assumed: the rate at batch {spec.batch_size} is that measured at batch "
                f"{self.batch_size}"
            )
        if spec.image_size != self.image_size:
            assumed.append(
                f"assumed: a step at {spec.image_size} px takes the time measured at "
                f"{self.image_size} px times the ratio of their pixels"
            )
        here = _network(recipe.network, recipe.alpha)
        there = _network(self.network, self.alpha)
        if here != there:
            assumed.append(f"assumed: {here} takes the time measured with {there}")
        return assumed


def _network(name: str, alpha: float | None) -> str:
    return f"{name}, alpha {alpha:g}" if alpha is not None else name


def accelerators() -> dict[str, Accelerator]:
    """Those of the package, and the user's own, which win where names are equal.

    Raises:
        PlanError: the user's file is not valid; the text names the field.
    """
    own = own_file()
    return _read(BUILT_IN) | (_read(own) if own.exists() else {})


def find_accelerator(name: str) -> Accelerator:
    """The accelerator of that name.

    Raises:
        PlanError: there is none; the text lists those there are.
    """
    known = accelerators()
    if name not in known:
        raise PlanError(
            f"no accelerator {name!r}; feedbench calibrate adds this machine's; "
            f"{alternatives(name, known)}"
        )
    return known[name]


def accelerator_of(consumer: str) -> Accelerator | None:
    """The accelerator that a consumer emulates; None for one that emulates none.

    Raises:
        PlanError: it is not known.
    """
    if not consumer.startswith(PREFIX):
        return None
    return find_accelerator(consumer.removeprefix(PREFIX))


def add_accelerator(name: str, accelerator: Accelerator) -> Path:
    """Keep a profile among the user's own, in the place of one of that name; its file.

    Raises:
        PlanError: the name cannot be one, or the user's file is not valid.
        RecordError: the file cannot be written.
    """
    check_name(name)
    path = own_file()
    own = _read(path) if path.exists() else {}
    own[name] = accelerator
    path.parent.mkdir(parents=True, exist_ok=True)
    tables = {key: value.model_dump(exclude_none=True) for key, value in own.items()}
    write_text(path, tomli_w.dumps(tables))
    return path


def check_name(name: str) -> None:
    """Refuse what could not be written after `emulated:`.

    Raises:
        PlanError: it holds other than small letters, digits, dots and hyphens.
    """
    if not _NAME.fullmatch(name):
        raise PlanError(
            f"accelerator {name!r}: a name holds small letters, digits, dots and hyphens"
        )


def own_file() -> Path:
    """Where the user's own profiles are; FEEDBENCH_CONFIG names another folder."""
    if folder := os.environ.get("FEEDBENCH_CONFIG"):
        return Path(folder) / OWN
    from platformdirs import user_config_path

    return user_config_path("feedbench") / OWN


def _read(path: Path) -> dict[str, Accelerator]:
    return {
        name: parse_model(Accelerator, values, f"{path}: {name}")
        for name, values in _tables(path).items()
    }


def _tables(path: Path) -> dict[str, dict[str, Any]]:
    tables = read_toml(path)
    for name, values in tables.items():
        if not isinstance(values, dict):
            raise PlanError(f"{path}: {name}: must be a table, [{name}], got {values!r}")
    return tables
