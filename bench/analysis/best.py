"""best.toml: the winner of a bench and everything a training needs to reproduce its rate."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import BaseModel, ConfigDict, ValidationInfo, field_serializer, field_validator

from feedbench.bench.analysis.estimate import Estimate
from feedbench.bench.consumers.own_model import model_digest
from feedbench.bench.environment import machine
from feedbench.bench.errors import PlanError
from feedbench.bench.files import write_text
from feedbench.bench.loader_facts import own_digest
from feedbench.bench.plan.plan import Choice, Plan
from feedbench.bench.plan.settings import as_toml, from_toml
from feedbench.bench.plan.toml import parse_model, read_toml
from feedbench.loaders import LOADERS, BatchSpec, find_loader, is_own
from feedbench.trainer import ONE, Recipe

BEST = "best.toml"


class Predicted(BaseModel):
    """The measured rate, which the training is expected to reach.

    Attributes:
        images_per_second: measured after the choice.
        wait_share: fraction of the timed seconds without a batch; None if it is not known.
    """

    model_config = ConfigDict(extra="forbid")

    images_per_second: Estimate
    wait_share: float | None = None


class Chosen(BaseModel):
    """A loader and its settings; in the file, None is a text where it is not the default."""

    model_config = ConfigDict(extra="forbid")

    loader: str
    settings: dict[str, Any] = {}

    @field_validator("settings")
    @classmethod
    def _from_toml(cls, settings: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        return from_toml(info.data.get("loader", ""), settings)

    @field_serializer("settings")
    def _to_toml(self, settings: dict[str, Any]) -> dict[str, Any]:
        return as_toml(self.loader, settings)


class RunnerUp(Chosen):
    """Another loader or setting that was compared with the winner.

    Attributes:
        ratio: its rate ÷ the winner's rate, over paired blocks.
        tie: whether it was not found to be slower.
    """

    ratio: Estimate
    tie: bool


class Best(Chosen):
    """Content of a best.toml: a loader, its settings, and how they were measured.

    Attributes:
        consumer: what took the batches.
        devices: that trained together: a number, or cpu:N.
        model: SHA-256 digest of the file of the user's own model; None without one.
        own: the same of the file of the user's own loader.
        rows: fingerprint of the training images of the source, unreadable ones and those that were
            not drawn included; None in files of earlier versions.
        predicted: the rate to expect; None if it was not measured after the choice.
        unpredicted: why a rate that was predicted does not apply; None if none was removed.
        machine: processor, cores and GPUs of the measurement.
        runners_up: the others, compared with this choice.
    """

    consumer: str = "train"
    devices: str = ONE
    spec: dict[str, Any] = {}
    recipe: dict[str, Any] = {}
    model: str | None = None
    own: str | None = None
    rows: str | None = None
    predicted: Predicted | None = None
    unpredicted: str | None = None
    machine: dict[str, Any] = {}
    runners_up: list[RunnerUp] = []

    def without_rate(self, why: str, **changes: Any) -> Best:
        """Return the choice with changes, for which the predicted rate was not measured.

        Args:
            why: it does not apply, in a few words.
        """
        lost = {} if self.predicted is None else {"predicted": None, "unpredicted": why}
        return self.model_copy(update={**changes, **lost})

    @property
    def why_unpredicted(self) -> str:
        """Why there is no predicted rate, in a few words."""
        if self.unpredicted is not None:
            return self.unpredicted
        if self.machine:
            return "its best.toml has none, since that run did not time its choice again"
        return "no best.toml was given with --loader"


def write_best(
    folder: Path,
    plan: Plan,
    choice: Choice,
    rate: Estimate | None,
    facts: dict[str, Any],
    runners_up: Sequence[RunnerUp] = (),
    wait_share: float | None = None,
) -> Path:
    """Write best.toml for a choice and return its path.

    Args:
        plan: the plan of the measurement.
        rate: the rate to expect, images per second; None if no blocks but those that chose the
            winner were timed.
        facts: the machine and the versions, from `environment`.
        wait_share: fraction of the timed seconds without a batch; None if it is not known.

    Raises:
        RecordError: the file cannot be written.
    """
    predicted = rate and Predicted(images_per_second=rate, wait_share=wait_share)
    best = Best(
        loader=choice.loader,
        consumer=plan.consumer,
        devices=plan.devices,
        settings=choice.settings,
        spec=plan.spec.model_dump(mode="json", exclude_none=True),
        recipe=plan.recipe.model_dump(mode="json"),
        model=model_digest(plan.recipe),
        own=own_digest(choice.loader),
        rows=plan.rows,
        predicted=predicted,
        machine=machine(facts),
        runners_up=list(runners_up),
    )
    write_text(folder / BEST, tomli_w.dumps(best.model_dump(mode="json", exclude_none=True)))
    return folder / BEST


def read_best(path: Path) -> Best:
    """Read a best.toml.

    Raises:
        PlanError: the file cannot be read, or a field is not valid.
    """
    best = parse_model(Best, read_toml(path), f"{path}: not a {BEST}")
    parse_model(Recipe, best.recipe, f"{path}: recipe")
    parse_model(BatchSpec, best.spec, f"{path}: spec")
    return best


def resolve_loader(text: str, spec: dict[str, Any] | None = None) -> Best:
    """Return the loader that `text` names: by its name, a best.toml, or a folder with one.

    Args:
        text: the value of an option such as --loader.
        spec: the batch spec to use if `text` is the name of a loader.

    Raises:
        LoaderError: no loader has that name, or the file of a user's function is not valid.
        PlanError: the file does not exist or is not a best.toml, or the folder has none.
        RecordError: the folder has none, and the record in it is not valid.
    """
    path = Path(text)
    if text in LOADERS:
        return Best(loader=text, spec=spec or {})
    if path.is_dir():
        if not (path / BEST).is_file():
            raise PlanError(f"{text}: no {BEST} in this folder; {_why_none(path)}")
        return read_best(path / BEST)
    is_file = path.suffix == ".toml" or path.exists() or len(path.parts) > 1
    if is_file and path.suffix != ".py" and not is_own(text):
        if not path.exists() and path.name == BEST and path.parent.is_dir():
            raise PlanError(f"{text}: no such file; {_why_none(path.parent)}")
        if not path.exists():
            raise PlanError(
                f"{text}: no such file or folder; give the folder of a bench or a tune, its "
                f"{BEST}, or the name of a loader"
            )
        return read_best(path)
    return Best(loader=find_loader(text).name, spec=spec or {})


def _why_none(folder: Path) -> str:
    """Return why a folder has no best.toml, or what writes one."""
    from feedbench.bench.analysis.no_best import why_no_best  # imports SciPy

    return why_no_best(folder)
