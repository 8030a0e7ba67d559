"""The batch spec: size, pixels and order of every batch."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, model_validator

from feedbench.loaders.augment.draws import UNCHANGED, Augment
from feedbench.loaders.errors import SpecError
from feedbench.loaders.validation import explain
from feedbench.loaders.value_range import Channels, ValueRange, scale_and_offset

Level = Annotated[int, Field(ge=0, le=255)]


class Frozen(BaseModel):
    """A validated, immutable record that refuses unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class BatchSpec(Frozen):
    """Size, pixels and order of every batch; equal for all loaders of one comparison."""

    batch_size: PositiveInt = Field(192, description="Images per batch.")
    image_size: PositiveInt = Field(224, description="Image height and width in pixels.")
    resize: Literal["stretch", "crop", "pad"] = Field(
        "stretch",
        description="How an image becomes square: stretch it, crop its centre, or pad it with "
        "zeros.",
    )
    interpolation: Literal["nearest", "bilinear"] = Field(
        "nearest",
        description="Resize filter. nearest is the default of Keras' load_img and the only one "
        "for which Pillow, Keras and TensorFlow give the same pixels, except in single rows and "
        "columns at some sizes.",
    )
    antialias: bool = Field(
        False,
        description="Widen the bilinear filter when shrinking, as Pillow's resize always does.",
    )
    value_range: ValueRange = Field(
        (0.0, 1.0),
        description="What pixel values 0 and 255 become: two numbers, such as -1,1; or "
        "imagenet, which subtracts its mean and divides by its standard deviation "
        "per channel.",
    )
    augment: Augment = Field(
        UNCHANGED, description="Random augmentations, redrawn for each image and epoch."
    )
    balance: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Oversample rare classes. 0: each image once per epoch; 1: until all "
        "classes are as frequent as the largest; in between: class frequency to the "
        "power of 1 - balance.",
    )
    orientation: Literal["ignore", "apply"] = Field(
        "ignore",
        description="Whether to turn photos upright by their EXIF orientation. Keras and "
        "TensorFlow ignore it; apply needs a scan first.",
    )
    background: tuple[Level, Level, Level] = Field(
        (255, 255, 255), description="Colour behind transparent pixels: red, green, blue."
    )
    shuffle: bool = Field(True, description="Draw a new permutation of all images every epoch.")
    seed: int = Field(0, ge=0, lt=2**32, description="Seed of order and augmentation.")

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        if self.antialias and self.interpolation == "nearest":
            raise ValueError("antialias needs interpolation bilinear, got nearest")
        if self.value_range != "imagenet" and self.value_range[0] >= self.value_range[1]:
            low, high = self.value_range
            raise ValueError(f"value_range: low must be below high, got {low:g}, {high:g}")
        return self

    def as_resized(self) -> BatchSpec:
        """The spec for resizing: a random-resized crop is always stretched."""
        if self.augment.random_resized_crop is None:
            return self
        return self.model_copy(update={"resize": "stretch"})

    def for_evaluation(self) -> BatchSpec:
        """The spec of an evaluation: each image once, in the manifest's order, not augmented."""
        return self.model_copy(update={"shuffle": False, "augment": UNCHANGED, "balance": 0.0})

    @property
    def scale(self) -> Channels:
        """Factors that bring pixels of 0 to 255 into `value_range`; red, green, blue."""
        return scale_and_offset(self.value_range)[0]

    @property
    def offset(self) -> Channels:
        """Offsets to add after multiplying by `scale`; red, green, blue."""
        return scale_and_offset(self.value_range)[1]


def parse_spec(values: dict[str, Any]) -> BatchSpec:
    """Validate plain values as a batch spec.

    Raises:
        SpecError: a field is unknown or its value is not allowed.
    """
    try:
        return BatchSpec.model_validate(values)
    except ValidationError as error:
        raise SpecError(f"batch spec: {explain(error, BatchSpec)}") from error
