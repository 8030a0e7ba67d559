"""Profiles of accelerators: measured training rates with their conditions and sources."""

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
from feedbench.loaders import BatchSpec, alternatives
from feedbench.trainer import Recipe

BUILT_IN = Path(__file__).with_name("accelerators.toml")
USER_FILE = "accelerators.toml"
PREFIX = "emulated:"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")


class Accelerator(BaseModel):
    """Measured training rate of one accelerator, and the conditions of the measurement.

    Attributes:
        images_per_second: rate of one accelerator that never waits for data.
        batch_size: images per step in the measurement.
        image_size: image height and width in pixels in the measurement.
        precision: as stated by the source.
        source: who measured the rate, and how.
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
        """Return the step time per image, assumed proportional to the number of pixels."""
        return (image_size / self.image_size) ** 2 / self.images_per_second

    def network_text(self) -> str:
        """Return the network with its alpha, if it has one."""
        return _network_text(self.network, self.alpha)

    def assumptions(self, spec: BatchSpec, recipe: Recipe) -> list[str]:
        """Return what must be assumed to apply the rate to these batches and this network."""
        texts = []
        alpha = None if recipe.own_model else recipe.alpha
        network = _network_text(recipe.network, alpha)
        if network != self.network_text():
            texts.append(
                f"assumed: {network} is as fast as {self.network_text()}, of which the rate was "
                "measured; a real one may take far more or fewer images per second"
            )
        if spec.image_size != self.image_size:
            texts.append(
                f"assumed: step time is proportional to pixels, measured at {self.image_size} px "
                f"and applied to {spec.image_size} px"
            )
        if spec.batch_size != self.batch_size:
            texts.append(
                f"assumed: the rate at batch size {spec.batch_size} is that measured at "
                f"{self.batch_size}"
            )
        return texts


def _network_text(name: str, alpha: float | None) -> str:
    return f"{name}, alpha {alpha:g}" if alpha is not None else name


def accelerators() -> dict[str, Accelerator]:
    """Return the built-in profiles and the user's, which override those of the same name.

    Raises:
        PlanError: the user's file is not valid; the text names the field.
    """
    path = user_file()
    return built_in_accelerators() | (_read(path) if path.exists() else {})


def built_in_accelerators() -> dict[str, Accelerator]:
    """Return the profiles that come with Feedbench."""
    return _read(BUILT_IN)


def find_accelerator(name: str) -> Accelerator:
    """Return the profile of that name.

    Raises:
        PlanError: no profile has that name; the text lists those that exist.
    """
    known = accelerators()
    if name not in known:
        raise PlanError(
            f"no accelerator {name!r}; {alternatives(name, known)}; feedbench calibrate adds this "
            "machine's"
        )
    return known[name]


def accelerator_of(consumer: str) -> Accelerator | None:
    """Return the profile that a consumer emulates; None if it emulates nothing.

    Raises:
        PlanError: no profile has that name.
    """
    if not consumer.startswith(PREFIX):
        return None
    return find_accelerator(consumer.removeprefix(PREFIX))


def add_accelerator(name: str, accelerator: Accelerator) -> Path:
    """Save a profile in the user's file, replacing one of the same name, and return the file.

    Raises:
        PlanError: the name is not valid, or the user's file is not.
        RecordError: the file cannot be written.
    """
    check_name(name)
    path = user_file()
    profiles = _read(path) if path.exists() else {}
    profiles[name] = accelerator
    path.parent.mkdir(parents=True, exist_ok=True)
    tables = {key: value.model_dump(exclude_none=True) for key, value in profiles.items()}
    write_text(path, tomli_w.dumps(tables))
    return path


def check_name(name: str) -> None:
    """Check that a name can be used in `--consumer emulated:NAME`.

    Raises:
        PlanError: the name is not valid.
    """
    if not _NAME.fullmatch(name):
        raise PlanError(
            f"accelerator {name!r}: a name must start with a small letter or a digit and may hold "
            "small letters, digits, dots, hyphens and underscores"
        )


def user_file() -> Path:
    """Return the path of the user's profiles; FEEDBENCH_CONFIG overrides its folder."""
    if folder := os.environ.get("FEEDBENCH_CONFIG"):
        return Path(folder) / USER_FILE
    from platformdirs import user_config_path

    return user_config_path("feedbench") / USER_FILE


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
