"""What a user's own model is, asked of a process that builds it: their file runs nowhere else."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from feedbench.bench.consumers.own_model import ModelFile, find_builder
from feedbench.bench.errors import PlanError, TrialError
from feedbench.bench.plan.plan import Choice
from feedbench.bench.trials.child import Child
from feedbench.bench.trials.protocol import Message, Service
from feedbench.loaders import BASELINE, BatchSpec, Manifest, find_loader
from feedbench.trainer import Recipe

_TIME_LIMIT_S = 600.0  # for a build that downloads weights
_FIRST_BATCHES_S = 30.0  # a function that takes longer is first asked in its trial


class ModelJob(Message):
    """Build a user's own model for images of this size and this number of classes.

    Attributes:
        images: whether it gets images and the classes of the data; else only a loader of the
            user's own gives the batches, whatever is in them.
        made_up: whether these images only stand for batches, as those of `synthetic` do.
    """

    recipe: Recipe
    image_size: int
    classes: int
    images: bool
    made_up: bool


class ModelFacts(Message):
    """A user's own model.

    Attributes:
        origin: the file that builds or holds it.
        image_size: the only height and width that it takes, in pixels; None if it takes others.
        compiled: whether it brings its optimizer and loss along.
    """

    origin: ModelFile
    image_size: int | None
    compiled: bool


class FirstBatches(Message):
    """Take a batch of each of the user's own loaders, and compare it with what the model takes."""

    manifest: Path
    spec: BatchSpec
    choices: Sequence[Choice]


class Compared(Message):
    """What a loader gives that the model cannot take, as one line; empty if nothing."""

    fault: str


MODEL_WORKER = Service("feedbench.bench.trials.model_worker", (ModelFacts, Compared))


def model_facts(
    recipe: Recipe,
    spec: BatchSpec,
    classes: int,
    choices: Sequence[Choice] = (),
    manifest: Manifest | None = None,
) -> ModelFacts:
    """Build a user's own model in a process of its own, and return what it is.

    Args:
        choices: the loaders that give the batches; without any, they are made up.
        manifest: the training images; None compares no batches of the user's own loaders.

    Raises:
        LoaderError: there is no such file or function.
        PlanError: the function needs arguments that it is not given, or a loader of the user's own
            gives other batches than the model takes.
        TrialError: the model cannot be built, or does not fit the images or the classes.
    """
    find_builder(recipe.network)  # what is wrong with the file needs no process
    own = {one.loader: one for one in reversed(choices) if find_loader(one.loader).own}
    others = {choice.loader for choice in choices} - own.keys()
    job = ModelJob(
        recipe=recipe,
        image_size=spec.image_size,
        classes=classes,
        images=bool(others) or not own,
        made_up=others <= {BASELINE},
    )
    with Child(MODEL_WORKER, job) as child:
        facts = child.wait_for(ModelFacts, _TIME_LIMIT_S, f"building {recipe.network}")
        if own and manifest is not None:
            size = facts.image_size or spec.image_size
            sized = spec.model_copy(update={"image_size": size})
            _compare_batches(child, sized, list(own.values()), manifest)
    return facts


def _compare_batches(
    child: Child, spec: BatchSpec, choices: Sequence[Choice], manifest: Manifest
) -> None:
    """Take a first batch of each loader; errors and delays of its code are left to its trial.

    Raises:
        PlanError: it does not fit the model.
    """
    compared = Compared(fault="")
    with tempfile.TemporaryDirectory(prefix="feedbench-") as folder, suppress(TrialError):
        path = Path(folder) / "manifest.parquet"
        manifest.write(path)
        child.send(FirstBatches(manifest=path, spec=spec, choices=choices))
        compared = child.wait_for(Compared, _FIRST_BATCHES_S, "the first batches")
    if compared.fault:
        raise PlanError(compared.fault)
