"""The trainer: MobileNetV2 from scratch, one step at a time, the same in bench and training."""

from feedbench.trainer.checkpoint import CHECKPOINT, Position, read_checkpoint
from feedbench.trainer.device_augment import Changes
from feedbench.trainer.errors import (
    CheckpointError,
    DivergedError,
    RecipeError,
    TrainerError,
    WeightsError,
)
from feedbench.trainer.fit import Keeping, Step, Stopped, fit
from feedbench.trainer.history import Epoch
from feedbench.trainer.recipe import Recipe
from feedbench.trainer.saved_model import load_model, read_facts
from feedbench.trainer.step import RUN_AHEAD, Diverged, Trainer
from feedbench.trainer.weights import warnings as weights_warnings

__all__ = [
    "CHECKPOINT",
    "RUN_AHEAD",
    "Changes",
    "CheckpointError",
    "Diverged",
    "DivergedError",
    "Epoch",
    "Keeping",
    "Position",
    "Recipe",
    "RecipeError",
    "Step",
    "Stopped",
    "Trainer",
    "TrainerError",
    "WeightsError",
    "fit",
    "load_model",
    "read_checkpoint",
    "read_facts",
    "weights_warnings",
]
