"""What the training is, apart from its data: network, optimizer, schedule."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, PositiveInt


class Recipe(BaseModel):
    """A from-scratch training of MobileNetV2 by SGD."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    alpha: PositiveFloat = Field(1.0, description="width of MobileNetV2, a multiple of its paper's")
    epochs: PositiveInt = Field(40, description="how often each image is seen")
    base_learning_rate: PositiveFloat = Field(
        0.4, description="peak rate at a batch of 256; the rate scales linearly with the batch"
    )
    warm_up_epochs: NonNegativeFloat = Field(
        1.0, description="epochs in which the rate climbs from 0 to its peak"
    )
    momentum: float = Field(0.9, ge=0, lt=1, description="SGD's, with Nesterov's correction")
    label_smoothing: float = Field(0.1, ge=0, lt=1, description="share of the target spread evenly")
    batch_norm_momentum: float = Field(
        0.9,
        gt=0,
        lt=1,
        description="of the moving statistics; keras.applications fixes 0.999, which lags behind "
        "a run of few thousand steps and ruins its validation accuracy",
    )
    jit_compile: bool = Field(
        False, description="compile the step by XLA: slower on processors, each batch size anew"
    )
    seed: int = Field(0, ge=0, lt=2**32, description="of the initial weights")

    def learning_rate(self, batch_size: int) -> float:
        """Peak rate for a batch. Source: linear scaling rule of Goyal et al., 2017."""
        return self.base_learning_rate * batch_size / 256
