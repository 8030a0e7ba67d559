"""The trainer: keras.applications networks, from scratch or fine-tuned, one step at a time."""

from feedbench.trainer.augment import DeviceAugment, check_device_augment
from feedbench.trainer.backend import leave_gpu_to_backend
from feedbench.trainer.checkpoint import CHECKPOINT, Position, read_checkpoint
from feedbench.trainer.errors import (
    CheckpointError,
    DivergedError,
    RecipeError,
    TrainerError,
    WeightsError,
)
from feedbench.trainer.history import Epoch
from feedbench.trainer.loop import CheckpointPolicy, Step, TrainingStopped, fit
from feedbench.trainer.recipe import Recipe
from feedbench.trainer.saved_model import load_model, read_facts
from feedbench.trainer.step import RUN_AHEAD, NonFiniteLoss, Trainer
from feedbench.trainer.tensors import as_tensor
from feedbench.trainer.weights import warnings as weights_warnings

__all__ = [
    "CHECKPOINT",
    "RUN_AHEAD",
    "CheckpointError",
    "CheckpointPolicy",
    "DeviceAugment",
    "DivergedError",
    "Epoch",
    "NonFiniteLoss",
    "Position",
    "Recipe",
    "RecipeError",
    "Step",
    "Trainer",
    "TrainerError",
    "TrainingStopped",
    "WeightsError",
    "as_tensor",
    "check_device_augment",
    "fit",
    "leave_gpu_to_backend",
    "load_model",
    "read_checkpoint",
    "read_facts",
    "weights_warnings",
]
