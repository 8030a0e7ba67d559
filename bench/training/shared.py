"""What several workers cannot train together, refused before they wait for each other."""

from __future__ import annotations

from feedbench.bench.cluster.hosts import Cluster
from feedbench.bench.cluster.tf_config import TF_CONFIG
from feedbench.bench.errors import PlanError
from feedbench.bench.training.setup import TrainingSetup
from feedbench.loaders import check_share, find_loader, parse_settings
from feedbench.trainer import check_divisible


def check_shared(cluster: Cluster, setup: TrainingSetup, *, is_resumed: bool = False) -> None:
    """Check that each worker can take an equal part of every batch.

    Args:
        is_resumed: whether the training resumes, which cannot change the batch.

    Raises:
        PlanError: the model, its compilation or Keras' backend is for one machine.
        LoaderError: several workers cannot divide the batches of the loader.
        DevicesError: a batch cannot be divided equally.
    """
    recipe = setup.recipe
    alone = f"unset {TF_CONFIG}" if cluster.origin == TF_CONFIG else "leave out --cluster"
    if recipe.own_model:
        raise PlanError(
            f"{recipe.network}: a model of your own trains on one machine; {alone}, or train a "
            "network of keras.applications"
        )
    if recipe.jit_compile:
        raise PlanError(
            f"jit_compile: XLA compiles the step of one machine alone; set it to false, or {alone}"
        )
    loader = find_loader(setup.best.loader)
    check_share(loader, parse_settings(loader, setup.best.settings), cluster.share)
    check_divisible(setup.spec.batch_size, cluster.workers, "workers", is_resumed=is_resumed)
    _check_backend(alone)


def _check_backend(alone: str) -> None:
    import keras

    if (backend := keras.backend.backend()) != "tensorflow":
        raise PlanError(
            f"several machines need Keras' TensorFlow backend, and KERAS_BACKEND is {backend}; "
            f"{alone}"
        )
