"""The trainer: keras.applications networks, from scratch or fine-tuned, one step at a time."""

from feedbench.trainer.augment import DeviceAugment, check_device_augment
from feedbench.trainer.backend import leave_gpu_to_backend
from feedbench.trainer.base import BatchLike, NonFiniteLoss, TrainerBase
from feedbench.trainer.checkpoint import (
    CHECKPOINT,
    Position,
    checkpoint_bytes,
    from_bytes,
    read_checkpoint,
)
from feedbench.trainer.errors import (
    CheckpointError,
    DevicesError,
    DivergedError,
    RecipeError,
    TrainerError,
    UnknownClassError,
    WeightsError,
)
from feedbench.trainer.history import HISTORY, Epoch, accuracy_of
from feedbench.trainer.launcher import RUN_AHEAD
from feedbench.trainer.loop import CheckpointPolicy, Length, Step, TrainingStopped, fit
from feedbench.trainer.model import building
from feedbench.trainer.model_fault import batch_fault, declares_batches, makes_own_steps
from feedbench.trainer.model_inputs import input_facts
from feedbench.trainer.model_labels import labels_fault
from feedbench.trainer.model_setup import (
    Images,
    OwnModel,
    Schedule,
    check_inputs,
    check_outputs,
    check_trainable,
)
from feedbench.trainer.model_state import model_variables
from feedbench.trainer.model_targets import as_probabilities, gives_logits
from feedbench.trainer.model_trainer import ModelTrainer
from feedbench.trainer.networks import check_network
from feedbench.trainer.recipe import OF_APPLICATIONS, Recipe, is_own_model
from feedbench.trainer.replicas import (
    ALL,
    ONE,
    Replicas,
    check_count,
    check_devices,
    check_divisible,
    device_count,
    divide_cpu,
    find_replicas,
    is_of_cpu,
)
from feedbench.trainer.saved_model import load_model, read_facts
from feedbench.trainer.step import Trainer
from feedbench.trainer.tensors import as_tensor
from feedbench.trainer.weights import warnings as weights_warnings

__all__ = [
    "ALL",
    "CHECKPOINT",
    "HISTORY",
    "OF_APPLICATIONS",
    "ONE",
    "RUN_AHEAD",
    "BatchLike",
    "CheckpointError",
    "CheckpointPolicy",
    "DeviceAugment",
    "DevicesError",
    "DivergedError",
    "Epoch",
    "Images",
    "Length",
    "ModelTrainer",
    "NonFiniteLoss",
    "OwnModel",
    "Position",
    "Recipe",
    "RecipeError",
    "Replicas",
    "Schedule",
    "Step",
    "Trainer",
    "TrainerBase",
    "TrainerError",
    "TrainingStopped",
    "UnknownClassError",
    "WeightsError",
    "accuracy_of",
    "as_probabilities",
    "as_tensor",
    "batch_fault",
    "building",
    "check_count",
    "check_device_augment",
    "check_devices",
    "check_divisible",
    "check_inputs",
    "check_network",
    "check_outputs",
    "check_trainable",
    "checkpoint_bytes",
    "declares_batches",
    "device_count",
    "divide_cpu",
    "find_replicas",
    "fit",
    "from_bytes",
    "gives_logits",
    "input_facts",
    "is_of_cpu",
    "is_own_model",
    "labels_fault",
    "leave_gpu_to_backend",
    "load_model",
    "makes_own_steps",
    "model_variables",
    "read_checkpoint",
    "read_facts",
    "weights_warnings",
]
