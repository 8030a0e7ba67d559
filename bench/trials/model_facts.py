"""What a user's own model is, asked of a process that builds it: their file runs nowhere else."""

from __future__ import annotations

from feedbench.bench.consumers.own_model import ModelFile, find_builder
from feedbench.bench.trials.child import Child
from feedbench.bench.trials.protocol import Message, Service
from feedbench.trainer import Recipe

_TIME_LIMIT_S = 600.0  # for a build that downloads weights


class ModelJob(Message):
    """Build a user's own model for images of this size and this number of classes.

    Attributes:
        own_batches: whether a loader of the user's own may give the batches: their labels need not
            be the classes of the data.
    """

    recipe: Recipe
    image_size: int
    classes: int
    own_batches: bool


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


MODEL_WORKER = Service("feedbench.bench.trials.model_worker", (ModelFacts,))


def model_facts(recipe: Recipe, image_size: int, classes: int, *, own_batches: bool) -> ModelFacts:
    """Build a user's own model in a process of its own, and return what it is.

    Raises:
        LoaderError: there is no such file or function.
        PlanError: the function needs arguments that it is not given.
        TrialError: the model cannot be built, or does not fit the classes.
    """
    find_builder(recipe.network)  # what is wrong with the file needs no process
    job = ModelJob(recipe=recipe, image_size=image_size, classes=classes, own_batches=own_batches)
    with Child(MODEL_WORKER, job) as child:
        return child.wait_for(ModelFacts, _TIME_LIMIT_S, f"building {recipe.network}")
