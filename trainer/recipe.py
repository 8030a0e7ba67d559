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


class Recipe(BaseModel):
    """A training of one keras.applications network, from scratch or from given weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    network: str = Field(
        "MobileNetV2",
        description="a constructor of keras.applications; the default is small enough to train "
        "from scratch on one GPU",
    )
    alpha: PositiveFloat = Field(
        1.0,
        description="width, a multiple of the paper's; only for networks whose constructor has it",
    )
    epochs: PositiveInt = Field(
        40, description="how often the training images are gone through, all phases together"
    )
    optimizer: Optimizer = Field(
        "sgd", description="sgd generalizes best on photographs; adam and rmsprop need less tuning"
    )
    base_learning_rate: PositiveFloat = Field(
        _RATES["sgd"],
        description="peak rate at a batch of 256, or at any batch without linear_scaling; "
        "0.001 by default with adam and rmsprop",
    )
    linear_scaling: bool = Field(
        True, description="the rate scales with the batch, so that an epoch moves as far with any"
    )
    warm_up_epochs: NonNegativeFloat = Field(
        1.0,
        description="epochs in which the rate climbs from 0 to its peak: fresh weights cannot "
        "take a large batch's full rate at once",
    )
    schedule: Schedule = Field(
        "cosine",
        description="after the warm-up: cosine to 0, which needs no tuning; steps; exponential; "
        "or constant",
    )
    rate_steps: tuple[float, ...] = Field(
        (0.5, 0.75),
        description="with schedule steps: shares of the run at which the rate drops",
    )
    rate_step_factor: float = Field(
        0.1, gt=0, lt=1, description="with schedule steps: what the rate is multiplied by"
    )
    rate_decay: float = Field(
        0.98,
        gt=0,
        lt=1,
        description="with schedule exponential: what an epoch multiplies the rate by; the paper's",
    )
    momentum: float = Field(0.9, ge=0, lt=1, description="of sgd and rmsprop; adam has its own")
    nesterov: bool = Field(True, description="with sgd: look ahead along the momentum")
    weight_decay: NonNegativeFloat = Field(
        0.0,
        description="share of each weight taken away a step, times the rate; never of biases and "
        "batch normalization, whose size is no complexity; the paper's is 0.00004; 0 adds nothing "
        "to a step",
    )
    label_smoothing: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="share of the target spread evenly: keeps a network from being too sure",
    )
    gradient_clip_norm: NonNegativeFloat = Field(
        0.0, description="longest gradient over all weights; longer ones are shortened; 0: none"
    )
    class_weights: Literal["none", "balanced"] = Field(
        "none",
        description="balanced: an image counts by how rare its class is, so that rare classes are "
        "recalled as well as frequent ones",
    )
    batch_norm_momentum: float = Field(
        0.9,
        gt=0,
        lt=1,
        description="of the moving statistics; keras.applications fixes 0.999, which lags behind "
        "a run of few thousand steps and ruins its validation accuracy",
    )
    mixed_precision: Literal["none", "float16", "bfloat16"] = Field(
        "none",
        description="compute in 16 bits and keep weights in 32: faster on GPUs with tensor cores, "
        "slower on processors",
    )
    jit_compile: bool = Field(
        False, description="compile the step by XLA: slower on processors, each batch size anew"
    )
    seed: int = Field(0, ge=0, lt=2**32, description="of the initial weights and of dropout")
    weights: str = Field(
        FROM_SCRATCH,
        description="what to begin with: none, imagenet, or a .keras or .weights.h5 file of the "
        "same network, whatever its classes",
    )
    frozen_epochs: NonNegativeInt = Field(
        0,
        description="with weights: epochs at first in which only the new head learns, so that its "
        "random gradients do not spoil what is there",
    )
    fine_tune_layers: NonNegativeInt = Field(
        0,
        description="with weights: how many of the last layers learn after frozen_epochs; 0: all",
    )
    fine_tune_learning_rate: PositiveFloat = Field(
        _RATES["sgd"] / _FINE_TUNE_DIVISOR,
        description="with weights: base_learning_rate after frozen_epochs; a tenth of the "
        "optimizer's own by default, so that steps do not undo what was learnt",
    )
    fine_tune_batch_norm: bool = Field(
        False,
        description="with weights: whether batch normalization learns too; its statistics of many "
        "images are mostly better than those of few",
    )

    @model_validator(mode="before")
    @classmethod
    def _with_rates(cls, values: Any) -> Any:
        if not isinstance(values, dict) or values.get("optimizer") not in _RATES:
            return values
        rate = _RATES[values["optimizer"]]
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
        return self

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
        if not (self.from_scratch or self.fine_tune_batch_norm):
            return []  # frozen statistics do not move
        steps = max(1, round(self.epochs * images / batch_size))
        needed = round(_FORGOTTEN_AFTER / (1 - self.batch_norm_momentum))
        if steps >= needed:
            return []
        return [
            f"batch_norm_momentum {self.batch_norm_momentum} needs about {needed:,} steps to "
            f"follow the data, and this run has {steps:,}: validation will look worse than it is; "
            "lower it, train longer, or use a smaller batch"
        ]
