"""What all loaders share: batch spec, request, batch, settings, stream, and a loader's entry."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, model_validator

from feedbench.loaders.augment import UNCHANGED, Augment, Draws
from feedbench.loaders.errors import ImageError, LoaderError, SettingsError, SpecError
from feedbench.loaders.faults import Faults
from feedbench.loaders.value_range import Channels, ValueRange, scale_and_offset

if TYPE_CHECKING:
    from feedbench.loaders.manifest import Manifest
    from feedbench.loaders.order import Order

Dtype = Literal["uint8", "float32"]
Decoder = Literal["pillow", "tensorflow"]
Level = Annotated[int, Field(ge=0, le=255)]


class Frozen(BaseModel):
    """A validated, immutable record that refuses unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class BatchSpec(Frozen):
    """What every batch must be, equal for all loaders of one comparison."""

    batch_size: PositiveInt = Field(192, description="images in a batch")
    image_size: PositiveInt = Field(224, description="height and width of a batch's images, pixels")
    resize: Literal["stretch", "crop", "pad"] = Field(
        "stretch",
        description="stretch to the square, crop the centre to it, or pad with zeros to it",
    )
    interpolation: Literal["nearest", "bilinear"] = Field(
        "nearest",
        description="resize filter; nearest is load_img's own default, and the one in which "
        "Pillow, Keras and TensorFlow give the same pixels by their own calls",
    )
    antialias: bool = Field(
        False, description="widen the filter when shrinking (Pillow's resize always does)"
    )
    value_range: ValueRange = Field(
        (0.0, 1.0),
        description="what 0 and 255 become; or imagenet: its mean becomes 0, its deviation 1, in "
        "each channel",
    )
    augment: Augment = Field(
        UNCHANGED, description="changes drawn anew for each image and epoch; by default none"
    )
    balance: float = Field(
        0.0,
        ge=0,
        le=1,
        description="0: each image once an epoch; 1: images of rarer classes again, until all "
        "classes are as large as the largest; between: class frequency to the power of 1 - balance",
    )
    orientation: Literal["ignore", "apply"] = Field(
        "ignore",
        description="whether the EXIF orientation of a photograph turns it upright; ignore is "
        "what Keras and TensorFlow do by themselves, apply needs an audited manifest",
    )
    background: tuple[Level, Level, Level] = Field(
        (255, 255, 255), description="what lies behind transparent pixels, red, green, blue"
    )
    shuffle: bool = Field(True, description="a new full permutation of the rows each epoch")
    seed: int = Field(0, ge=0, lt=2**32, description="decides order and augmentation")

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        if self.antialias and self.interpolation == "nearest":
            raise ValueError("antialias needs interpolation bilinear, got nearest")
        if self.value_range != "imagenet" and self.value_range[0] >= self.value_range[1]:
            low, high = self.value_range
            raise ValueError(f"value_range: low must be below high, got {low:g}, {high:g}")
        return self

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


class _Batch(NamedTuple):
    images: Any
    labels: NDArray[np.int32]
    rows: NDArray[np.int64]


class Batch(_Batch):
    """One batch in host memory; unpacks into images, labels and rows.

    Attributes:
        images: `[batch, height, width, 3]`: uint8 pixels 0 to 255, whose range is applied on the
            device, or float32 in the spec's `value_range`. A NumPy array or a TensorFlow tensor;
            `numpy.asarray` views either without a copy.
        labels: int32 `[batch]`, indices into the manifest's classes.
        rows: int64 `[batch]`, each image's row in the manifest.
        device_draws: float32 `[batch, 10]`, parameters of the augmentation on the device, see
            `Augment.for_device`; None if there is none.
    """

    device_draws: Draws | None

    def __new__(
        cls,
        images: Any,
        labels: NDArray[np.int32],
        rows: NDArray[np.int64],
        device_draws: Draws | None = None,
    ) -> Self:
        """Create a batch."""
        batch = super().__new__(cls, images, labels, rows)
        batch.device_draws = device_draws
        return batch


class Settings(Frozen):
    """The settings of one loader, under the library's own names."""

    @property
    def image_dtype(self) -> Dtype:
        """The dtype of the batches' images."""
        return "float32"

    @property
    def fills_cache(self) -> bool:
        """Whether the first epoch is slower than later ones because it fills a cache."""
        return False


@dataclass(frozen=True)
class Request:
    """Which batches a loader is asked for.

    Attributes:
        manifest: the images.
        spec: what every batch must be.
        order: the rows of each batch, and the step to start at.
        faults: takes the images that fail; by default the first one ends the run.
    """

    manifest: Manifest
    spec: BatchSpec
    order: Order
    faults: Faults = field(default_factory=Faults)

    def batch(self, images: Any, rows: NDArray[np.int64], draws: Draws) -> Batch:
        """The batch of these rows, with their labels and the device's part of the draws."""
        device_draws = self.spec.augment.for_device(draws, self.spec.image_size)
        return Batch(images, self.manifest.labels[rows], rows, device_draws)


@dataclass
class Stream:
    """Batches in order; `close` ends the threads and processes behind them and frees their memory.

    Attributes:
        batches: the iterator that the consumer pulls from.
        release: frees what produces `batches`; called once.
        faults: the images that failed and were dropped so far.
    """

    batches: Iterator[Batch]
    release: Callable[[], None] = lambda: None
    faults: Faults | None = None
    _open: bool = field(default=True, repr=False)

    @property
    def dropped(self) -> tuple[ImageError, ...]:
        """The images dropped so far, in the order in which they failed."""
        return tuple(self.faults.dropped.values()) if self.faults else ()

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        if not self._open:
            raise LoaderError("this stream is closed; open the loader again")
        return next(self.batches)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free everything; further calls do nothing."""
        if self._open:
            self._open = False
            self.batches = iter(())
            self.release()


@dataclass(frozen=True)
class Loader:
    """One way to turn files into batches.

    Attributes:
        summary: one sentence for people who choose.
        settings: its knobs.
        open: starts the stream; may raise any `LoaderError`.
        space: values of its settings that are worth trying, what gains most first.
        decoder: what reads its files; None where none are read.
        follows_order: False where a library's own shuffle decides the sequence of an epoch.
        makes_batches: False where the images are made up, so that it is a ceiling, not a choice.
    """

    name: str
    summary: str
    settings: type[Settings]
    open: Callable[[Request, Any], Stream]
    space: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    decoder: Decoder | None = None
    follows_order: bool = True
    makes_batches: bool = True


Model = TypeVar("Model", bound=BaseModel)


def explain(error: ValidationError) -> str:
    """The first fault of a validation as one line: field, rule and value."""
    fault = error.errors()[0]
    where = ".".join(str(part) for part in fault["loc"])
    message = fault["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    if fault["type"] == "extra_forbidden":
        return f"there is no {where!r}"
    return f"{where}: {message}, got {fault['input']!r}" if where else message


def parse_spec(values: dict[str, Any]) -> BatchSpec:
    """Validate plain values as a batch spec.

    Raises:
        SpecError: a field is unknown or its value is not allowed.
    """
    try:
        return BatchSpec.model_validate(values)
    except ValidationError as error:
        raise SpecError(f"batch spec: {explain(error)}{_known(error, BatchSpec)}") from error


def parse_settings(loader: Loader, values: dict[str, Any]) -> Settings:
    """Validate plain values as settings of a loader.

    Raises:
        SettingsError: a setting is unknown or its value is not allowed.
    """
    try:
        return loader.settings.model_validate(values)
    except ValidationError as error:
        known = _known(error, loader.settings)
        raise SettingsError(f"settings of {loader.name}: {explain(error)}{known}") from error


def _known(error: ValidationError, model: type[BaseModel]) -> str:
    if error.errors()[0]["type"] != "extra_forbidden":
        return ""
    names = ", ".join(model.model_fields) or "none"
    return f"; there are {names}"
