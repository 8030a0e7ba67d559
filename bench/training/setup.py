"""What is trained on what, validated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from feedbench.bench.analysis.best import Best
from feedbench.bench.consumers.own_batches import for_network
from feedbench.bench.consumers.own_model import ModelFile, find_builder
from feedbench.bench.errors import PlanError
from feedbench.bench.training.rate_check import timed_parts
from feedbench.bench.trials.feasibility import check_feasible
from feedbench.loaders import (
    DEFAULT_LOADER,
    Batch,
    BatchSpec,
    Manifest,
    OwnFunction,
    find_loader,
    images_per_epoch,
    parse_settings,
    parse_spec,
)
from feedbench.trainer import Length, Recipe

# Fields of a batch spec that describe batches and their order; the others describe one image.
_BATCH_FIELDS = {"batch_size", "augment", "balance", "shuffle", "seed"}


@dataclass(frozen=True)
class TrainingSetup:
    """A loader, a recipe and images, with everything that follows from them.

    Attributes:
        best: the loader with its settings, as given.
        manifest: the images of all splits.
        train_images: the images of the training split.
        spec: the batch spec of the training.
        image_dtype: dtype of the loader's images, "uint8" or "float32"; of an own loader only known
            from its first batch.
        rows: fingerprint of the training images before unreadable ones were left out; None if it is
            not known.
    """

    best: Best
    recipe: Recipe
    manifest: Manifest
    train_images: Manifest
    spec: BatchSpec
    image_dtype: str
    own_model: ModelFile | None = None
    rows: str | None = None

    @property
    def own(self) -> OwnFunction | None:
        """The user's function that is the loader, if it is one."""
        return find_loader(self.best.loader).own

    @property
    def why_not_once(self) -> str | None:
        """Why rows do not come once per epoch; None if they do."""
        loader = find_loader(self.best.loader)
        return loader.why_not_once(parse_settings(loader, self.best.settings))

    @property
    def converts(self) -> bool:
        """Whether a user's own batches must be converted for a built-in network."""
        return self.own is not None and not self.recipe.own_model

    def for_network(self, batch: Batch) -> Batch:
        """The batch of a user's own loader as a built-in network takes it.

        Raises:
            PlanError: its labels are no classes of the data.
        """
        assert self.own is not None
        return for_network(batch, len(self.manifest.classes), self.own)

    @property
    def images_per_epoch(self) -> dict[str, int]:
        """Number of images of each class in an epoch, with repetitions if it is balanced."""
        counts = images_per_epoch(self.train_images, self.spec)
        return dict(zip(self.manifest.classes, counts.tolist(), strict=True))

    @property
    def length(self) -> Length:
        """Epochs, and images per epoch; epochs are divided if there are few to be timed."""
        images = sum(self.images_per_epoch.values())
        parts = timed_parts(self.recipe, images // self.spec.batch_size)
        return Length(self.recipe.epochs, images, parts)

    @property
    def model_metadata(self) -> dict[str, Any]:
        """What inference needs besides the network: classes and the spec of an image."""
        spec = self.spec.model_dump(mode="json", exclude=_BATCH_FIELDS)
        return {"classes": list(self.manifest.classes), **spec}


def reads_held_out(best: Best) -> bool:
    """Whether a user's own loader reads the validation and test images itself."""
    own = find_loader(best.loader).own
    return own is not None and (own.takes("split") or own.takes("manifest"))


def _check_splits(best: Best, recipe: Recipe) -> None:
    """Check that a user's own loader can give validation images to their own model."""
    own = find_loader(best.loader).own
    if own is not None and recipe.own_model and not reads_held_out(best):
        raise PlanError(
            f"{own.place}: {own.function} must take split or manifest, so that {recipe.network} "
            "is validated on other images than it is trained on"
        )


def make_setup(best: Best, recipe: Recipe, manifest: Manifest) -> TrainingSetup:
    """Validate the loader's settings and the batch spec.

    Raises:
        LoaderError: a setting or the spec is not valid, or there are no training images.
        PlanError: a batch would hold more images than there are to train on.
    """
    spec = parse_spec(best.spec)
    train_images = manifest.only("train")
    readers = [best.loader, *([] if reads_held_out(best) else [DEFAULT_LOADER])]
    check_feasible(spec, train_images, readers, recipe, best.devices)
    _check_splits(best, recipe)
    image_dtype = parse_settings(find_loader(best.loader), best.settings).image_dtype
    own_model = find_builder(recipe.network).origin if recipe.own_model else None
    return TrainingSetup(best, recipe, manifest, train_images, spec, image_dtype, own_model)
