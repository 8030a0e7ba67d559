"""What a training is, apart from its data: network, optimizer, schedule, phases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

Optimizer = Literal["sgd", "adam", "rmsprop"]
Schedule = Literal["cosine", "steps", "exponential", "constant"]
FROM_SCRATCH = "none"
_RATES: dict[Optimizer, float] = {"sgd": 0.4, "adam": 0.001, "rmsprop": 0.001}
_FINE_TUNE_DIVISOR = 10  # of the rate from scratch, whose steps would undo the given weights
# Fields that apply to networks of keras.applications alone.
OF_APPLICATIONS = frozenset(
    {
        "alpha",
        "weights",
        "frozen_epochs",
        "fine_tune_layers",
        "fine_tune_learning_rate",
        "fine_tune_batch_norm",
        "batch_norm_momentum",
    }
)
_FORGOTTEN_AFTER = 10  # times 1 / (1 - momentum) steps: moving statistics forget their start


@dataclass(frozen=True)
class Phase:
    """Epochs with one optimizer, one schedule and one set of trainable layers.

    Attributes:
        before: epochs of earlier phases.
        base_learning_rate: peak learning rate at a batch size of 256.
        trainable: which layers: "all", "head", or "last" for the recipe's `fine_tune_layers`.
    """

    before: int
    epochs: int
    base_learning_rate: float
    warm_up_epochs: float
    trainable: Literal["all", "head", "last"]


def is_own_model(network: str) -> bool:
    """Whether a recipe's `network` names a user's own model: a function, or a file."""
    return ":" in network or network.endswith(".keras")


class Recipe(BaseModel):
    """A training of one network, from scratch or from given weights."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    network: str = Field(
        "MobileNetV2",
        description="Constructor in keras.applications; MobileNetV2 is small enough to train "
        "from scratch on one GPU. Or a model of your own: FILE.py:FUNCTION, which returns a Keras "
        "model, or a .keras file.",
    )
    alpha: PositiveFloat = Field(
        1.0,
        description="Width multiplier, for networks whose constructor has it.",
    )
    epochs: PositiveInt = Field(
        40, description="Passes over the training images, all phases together."
    )
    optimizer: Optimizer = Field(
        "sgd", description="sgd generalizes best on photos; adam and rmsprop need less tuning."
    )
    base_learning_rate: PositiveFloat = Field(
        _RATES["sgd"],
        description="Peak learning rate at a batch size of 256, or at any batch size without "
        "linear_scaling; 0.001 by default with adam and rmsprop.",
    )
    linear_scaling: bool = Field(
        True,
        description="Scale the learning rate with the batch size, so that an epoch moves the "
        "weights as far at any batch size.",
    )
    warm_up_epochs: NonNegativeFloat = Field(
        1.0,
        description="Epochs in which the learning rate rises to its peak: new weights do "
        "not tolerate the full rate of a large batch from the first step.",
    )
    schedule: Schedule = Field(
        "cosine",
        description="Learning rate after the warm-up: cosine decays to 0 and needs no tuning; "
        "steps; exponential; or constant.",
    )
    rate_steps: tuple[float, ...] = Field(
        (0.5, 0.75),
        description="With schedule steps: fractions of the training at which the learning rate "
        "drops.",
    )
    rate_step_factor: float = Field(
        0.1, gt=0, lt=1, description="With schedule steps: factor of each drop."
    )
    rate_decay: float = Field(
        0.98,
        gt=0,
        lt=1,
        description="With schedule exponential: factor per epoch; 0.98 is that of the "
        "MobileNetV2 paper.",
    )
    momentum: float = Field(
        0.9, ge=0, lt=1, description="Momentum of sgd and rmsprop; adam has its own."
    )
    nesterov: bool = Field(True, description="With sgd: use Nesterov momentum.")
    weight_decay: NonNegativeFloat = Field(
        0.0,
        description="Decoupled weight decay per step, multiplied by the learning rate; biases "
        "and batch normalization are exempt. The MobileNetV2 paper uses 0.00004; 0 "
        "costs nothing.",
    )
    label_smoothing: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="Fraction of the target spread evenly over all classes, against "
        "overconfidence.",
    )
    gradient_clip_norm: NonNegativeFloat = Field(
        0.0,
        description="Largest norm of the gradient over all weights; longer ones are scaled "
        "down. 0: no clipping.",
    )
    class_weights: Literal["none", "balanced"] = Field(
        "none",
        description="balanced: weight each image by how rare its class is, so that rare classes "
        "are recalled as well as frequent ones.",
    )
    batch_norm_momentum: float = Field(
        0.9,
        gt=0,
        lt=1,
        description="Momentum of the moving statistics of batch normalization. The 0.999 of "
        "keras.applications is too slow for runs of a few thousand steps and ruins "
        "validation accuracy.",
    )
    mixed_precision: Literal["none", "float16", "bfloat16"] = Field(
        "none",
        description="Compute in 16 bits with 32-bit weights: faster on GPUs with tensor cores, "
        "slower on CPUs.",
    )
    jit_compile: bool = Field(
        False,
        description="Compile the training step with XLA, once per batch size; slower on CPUs.",
    )
    seed: int = Field(0, ge=0, lt=2**32, description="Seed of the initial weights and of dropout.")
    weights: str = Field(
        FROM_SCRATCH,
        description="Initial weights: none (train from scratch), imagenet, or a .keras or "
        ".weights.h5 file of the same network; its classes may differ.",
    )
    frozen_epochs: NonNegativeInt = Field(
        0,
        description="With weights: epochs at the start in which only the new head is trained, "
        "so that its random gradients do not spoil the other layers.",
    )
    fine_tune_layers: NonNegativeInt = Field(
        0,
        description="With weights: how many of the last layers to train after frozen_epochs; 0: "
        "all.",
    )
    fine_tune_learning_rate: PositiveFloat = Field(
        _RATES["sgd"] / _FINE_TUNE_DIVISOR,
        description="With weights: base_learning_rate after frozen_epochs; by default a tenth "
        "of the optimizer's own, so that steps do not undo what was learned.",
    )
    fine_tune_batch_norm: bool = Field(
        False,
        description="With weights: also train batch normalization; its statistics from many "
        "images are usually better than those from few.",
    )

    @model_validator(mode="before")
    @classmethod
    def _with_rates(cls, values: Any) -> Any:
        optimizer = values.get("optimizer") if isinstance(values, dict) else None
        if not isinstance(optimizer, str) or optimizer not in _RATES:
            return values
        rate = _RATES[optimizer]
        given = {"base_learning_rate": rate, "fine_tune_learning_rate": rate / _FINE_TUNE_DIVISOR}
        return given | values

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if any(not 0 < share < 1 for share in self.rate_steps):
            raise ValueError(f"rate_steps must be between 0 and 1, got {list(self.rate_steps)}")
        if self.frozen_epochs > self.epochs:
            raise ValueError(
                f"frozen_epochs must be at most the {self.epochs} epochs, got {self.frozen_epochs}"
            )
        if self.from_scratch and (self.frozen_epochs or self.fine_tune_layers):
            raise ValueError("frozen_epochs and fine_tune_layers need weights, got none")
        if self.network.endswith((".py", ".h5")):
            example = "model.keras" if self.network.endswith(".h5") else f"{self.network}:build"
            raise ValueError(
                f"network {self.network}: a model of your own is a function in a file, or a "
                f".keras file, such as {example}"
            )
        if self.own_model and not (self.from_scratch and self.alpha == 1):
            name = "alpha" if self.from_scratch else "weights"
            raise ValueError(
                f"{name} applies to networks of keras.applications; {self.network} sets its own, "
                f"so leave {name} out"
            )
        return self

    @property
    def own_model(self) -> bool:
        """Whether the network is a model of the user's own, not one of keras.applications."""
        return is_own_model(self.network)

    @property
    def from_scratch(self) -> bool:
        """Whether training starts with random weights."""
        return self.weights == FROM_SCRATCH

    def learning_rate(self, batch_size: int) -> float:
        """Peak learning rate of the first phase. Source: linear scaling, Goyal et al., 2017."""
        return self.scaled(self.phases[0].base_learning_rate, batch_size)

    def scaled(self, base: float, batch_size: int) -> float:
        """A base learning rate for a batch size."""
        return base * batch_size / 256 if self.linear_scaling else base

    @property
    def phases(self) -> tuple[Phase, ...]:
        """One phase from scratch; with weights, `frozen_epochs` of the head and then the rest."""
        if self.from_scratch:
            return (Phase(0, self.epochs, self.base_learning_rate, self.warm_up_epochs, "all"),)
        head = Phase(0, self.frozen_epochs, self.base_learning_rate, 0.0, "head")
        rest = Phase(
            self.frozen_epochs,
            self.epochs - self.frozen_epochs,
            self.fine_tune_learning_rate,
            min(self.warm_up_epochs, (self.epochs - self.frozen_epochs) / 2),
            "last" if self.fine_tune_layers else "all",
        )
        return tuple(phase for phase in (head, rest) if phase.epochs)

    def warnings(self, batch_size: int, images: int) -> list[str]:
        """One line per problem with values that are allowed but rarely intended."""
        if self.own_model or not (self.from_scratch or self.fine_tune_batch_norm):
            return []  # a momentum of its own, or frozen statistics, which do not move
        if images < batch_size:
            return []  # refused
        steps = round(self.epochs * images / batch_size)
        needed = round(_FORGOTTEN_AFTER / (1 - self.batch_norm_momentum))
        if steps >= needed:
            return []
        return [
            f"batch_norm_momentum {self.batch_norm_momentum} needs about {needed:,} steps to "
            f"follow the data, and this run has {steps:,}: validation will look worse than it is; "
            "raise --epochs, lower --batch-size, or set a smaller one in the file of --recipe "
            "(docs/training.md, Batch normalization)"
        ]
