"""Errors that a user of the trainer can fix; every message is one line.

TrainerError
├── RecipeError       a network, or a combination of fields, that cannot be built
├── WeightsError      initial weights that cannot be loaded or do not match the network
│   └── UnknownClassError   a saved model with a class of the user's own
├── CheckpointError   a checkpoint that cannot be written, read or resumed
├── DevicesError      devices that are not there, or a batch that cannot be divided over them
├── LargeBatchError   a batch with more images than an epoch
└── DivergedError     a loss that is NaN or infinite
"""

from pathlib import Path


class TrainerError(Exception):
    """An error that the user of the trainer can fix; its message is one line."""


class RecipeError(TrainerError, ValueError):
    """The recipe asks for a network that cannot be built."""


class WeightsError(TrainerError):
    """The initial weights cannot be loaded, or belong to another network."""


class UnknownClassError(WeightsError):
    """A saved model has a class or a function of the user's own, which is not known."""

    def __init__(self, path: Path, name: str) -> None:
        super().__init__(f"{path}: Keras cannot load it: it needs your own {name}")


class CheckpointError(TrainerError):
    """A checkpoint cannot be written or read, or belongs to another run."""


class DevicesError(TrainerError, ValueError):
    """There are too few devices, or a batch cannot be divided equally over them."""


class LargeBatchError(TrainerError):
    """A batch has more images than an epoch, so that a later epoch would have no step."""

    def __init__(self, batch: int, epoch: int) -> None:
        super().__init__(
            f"the loader gave a batch of {batch:,} images, more than the {epoch:,} of an epoch, so "
            "that a later epoch would have no step; give smaller batches, or use more images"
        )


class DivergedError(TrainerError):
    """The loss is NaN or infinite; training cannot continue."""
