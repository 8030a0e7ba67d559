"""Random augmentations and their seeded parameters, the draws.

A draw is fixed by seed, epoch and row, so that a run can be repeated, and all loaders and the
device draw the same.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from feedbench.loaders.augment.regions import Crops, draw_crops

Draws = NDArray[np.float32]
OnDevice = Literal["horizontal_flip", "rotation", "zoom", "crop", "brightness", "contrast"]
Quality = Annotated[int, Field(ge=1, le=100)]
Fraction = Annotated[float, Field(gt=0, le=1)]
_OF_REGIONS = ("random_resized_crop", "aspect_ratio")  # fields of what happens before resizing
_FIRST_OF_REGIONS = 16  # number of their random values; smaller ones are columns of a draw

# Columns of a draw, and their values that change nothing.
FLIP, ANGLE, ZOOM, CROP, LEFT, TOP, BRIGHTNESS, CONTRAST, QUALITY = range(9)
NEUTRAL: Draws = np.array([0, 0, 1, 1, 0, 0, 0, 1, 0], np.float32)
GEOMETRY = slice(ANGLE, BRIGHTNESS)
_COLUMNS: dict[str, tuple[int, ...]] = {
    "horizontal_flip": (FLIP,),
    "rotation": (ANGLE,),
    "zoom": (ZOOM,),
    "crop": (CROP, LEFT, TOP),
    "brightness": (BRIGHTNESS,),
    "contrast": (CONTRAST,),
}


class Augment(BaseModel):
    """Random augmentations, drawn for each image in each epoch; none by default."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    random_resized_crop: tuple[Fraction, Fraction] | None = Field(
        None,
        description="Stretch a random region to the size of the batch, whatever resize says: one "
        "with a fraction of the area between these two. 0.08,1 is usual for ImageNet.",
    )
    aspect_ratio: tuple[float, float] = Field(
        (3 / 4, 4 / 3),
        description="Width ÷ height of such a region: between these two, log-uniform.",
    )
    horizontal_flip: bool = Field(
        False, description="Flip each image horizontally with probability 0.5, redrawn every epoch."
    )
    rotation: float = Field(
        0.0, ge=0, le=180, description="Rotate by up to this many degrees in either direction."
    )
    zoom: tuple[float, float] = Field(
        (1.0, 1.0),
        description="Enlarge by a factor between these two; below 1 shrinks the image within "
        "its frame.",
    )
    crop: float = Field(
        1.0, gt=0, le=1, description="Smallest fraction of the side that a random crop keeps."
    )
    brightness: float = Field(
        0.0, ge=0, le=1, description="Add or subtract up to this fraction of the full range."
    )
    contrast: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Scale by a factor within 1 plus or minus this, about each channel's mean.",
    )
    jpeg_quality: tuple[Quality, Quality] | None = Field(
        None, description="Encode and decode as JPEG with a quality between these two."
    )
    on_device: tuple[OnDevice, ...] = Field(
        (),
        description="Names of augmentations that the device applies, after those of the host "
        "and with the same draws; JPEG has no device operation.",
    )

    @model_validator(mode="before")
    @classmethod
    def _named(cls, values: Any) -> Any:
        """Accept a list of names, as in records from before there were strengths."""
        if isinstance(values, list | tuple):
            return dict.fromkeys(values, True)
        return values

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        if not 0 < self.zoom[0] <= self.zoom[1]:
            raise ValueError(
                f"zoom must be two factors above 0, the smaller first, got {list(self.zoom)}"
            )
        if self.jpeg_quality is not None and self.jpeg_quality[0] > self.jpeg_quality[1]:
            raise ValueError(
                f"jpeg_quality must be the lower and the upper bound, got {list(self.jpeg_quality)}"
            )
        self._check_regions()
        for name in self.on_device:
            if getattr(self, name) == type(self).model_fields[name].default:
                raise ValueError(f"on_device names {name}, which is off; set its strength too")
        return self

    def _check_regions(self) -> None:
        if self.random_resized_crop is None:
            if self.aspect_ratio != type(self).model_fields["aspect_ratio"].default:
                raise ValueError("aspect_ratio needs random_resized_crop, which is off; set it too")
        elif self.random_resized_crop[0] > self.random_resized_crop[1]:
            raise ValueError(
                "random_resized_crop must be the lower and the upper bound, "
                f"got {list(self.random_resized_crop)}"
            )
        if not 0 < self.aspect_ratio[0] <= self.aspect_ratio[1]:
            raise ValueError(
                "aspect_ratio must be two ratios above 0, the smaller first, "
                f"got {list(self.aspect_ratio)}"
            )

    def __bool__(self) -> bool:
        """Whether there is any augmentation."""
        return self != UNCHANGED

    @property
    def on_host(self) -> Augment:
        """The augmentation of resized images, without the device's part."""
        fields = type(self).model_fields
        names = (*self.on_device, "on_device", *_OF_REGIONS)
        neutral = {name: fields[name].default for name in names}
        return self.model_copy(update=neutral)

    @property
    def only_regions(self) -> Augment:
        """The random-resized crops alone, which come before resizing."""
        return Augment(**{name: getattr(self, name) for name in _OF_REGIONS})

    @property
    def only_flips(self) -> bool:
        """Whether there are no augmentations other than flips, so that pixels keep their values."""
        return self == Augment(horizontal_flip=self.horizontal_flip, on_device=self.on_device)

    @property
    def geometric_on_device(self) -> bool:
        """Whether the device moves pixels."""
        return bool({"horizontal_flip", "rotation", "zoom", "crop"} & set(self.on_device))

    @property
    def photometric_on_device(self) -> bool:
        """Whether the device changes contrast or brightness."""
        return bool({"brightness", "contrast"} & set(self.on_device))

    def draw(self, seed: int, epochs: Any, rows: Any, copies: Any = 0) -> Draws:
        """The parameters for some rows in their epochs, float32 `[rows, 9]`.

        Args:
            copies: how many times each row has been in the same epoch before.
        """
        draws = unchanged(len(rows))
        if not self:
            return draws
        key = _keys(seed, epochs, rows, copies)
        if self.horizontal_flip:
            draws[:, FLIP] = key & np.uint64(1)

        between = partial(_draw_between, draws, key)
        between(ANGLE, -self.rotation, self.rotation)
        between(ZOOM, *self.zoom)
        if self.crop < 1:
            between(CROP, self.crop, 1.0)
            between(LEFT, -1.0, 1.0)
            between(TOP, -1.0, 1.0)
        between(BRIGHTNESS, -self.brightness, self.brightness)
        between(CONTRAST, 1 - self.contrast, 1 + self.contrast)
        if self.jpeg_quality is not None:
            low, high = self.jpeg_quality
            between(QUALITY, low, high + 1)
            draws[:, QUALITY] = np.minimum(np.floor(draws[:, QUALITY]), high)
        return draws

    def draw_crops(self, seed: int, epochs: Any, rows: Any, copies: Any = 0) -> Crops:
        """The regions of some rows in their epochs, float32 `[rows, COLUMNS]`.

        To be asked for only with `random_resized_crop`; arguments as of `draw`.
        """
        keys = _keys(seed, epochs, rows, copies)
        scale = self.random_resized_crop or (1.0, 1.0)

        def uniform(number: int, low: float, high: float) -> NDArray[np.float64]:
            return low + (high - low) * _fractions(keys, _FIRST_OF_REGIONS + number)

        return draw_crops(len(rows), scale, self.aspect_ratio, uniform)

    def for_host(self, draws: Draws) -> Draws:
        """The draws without the device's part."""
        return _without(draws, self.on_device)

    def for_device(self, draws: Draws, side: int) -> Draws | None:
        """Parameters of the device's part, float32 `[images, 10]`; None if it has none.

        The first 8 columns are the projective transform from an output pixel to the input pixel
        that it shows, the next is the contrast, the last the brightness.
        """
        if not self.on_device:
            return None
        host = [name for name in _COLUMNS if name not in self.on_device]
        device = _without(draws, host)
        affine, projective = transforms(device, side), np.zeros((len(device), 2), np.float32)
        return np.hstack([affine, projective, device[:, [CONTRAST, BRIGHTNESS]]])


UNCHANGED = Augment()


def unchanged(images: int) -> Draws:
    """The parameters of images that are not augmented, float32 `[images, 9]`."""
    return NEUTRAL[None].repeat(images, axis=0)


def _keys(seed: int, epochs: Any, rows: Any, copies: Any) -> NDArray[np.uint64]:
    """64 random bits for each row of an epoch, from which its parameters are derived."""
    key = splitmix64(splitmix64(splitmix64(np.uint64(seed)) ^ _bits(epochs)) ^ _bits(rows))
    key_of_copy = splitmix64(key ^ _bits(copies) << np.uint64(32))
    return np.where(np.asarray(copies) > 0, key_of_copy, key)


def _draw_between(
    draws: Draws, keys: NDArray[np.uint64], column: int, low: float, high: float
) -> None:
    """Fill a column with values from `low` up to `high`."""
    if low < high:
        draws[:, column] = low + (high - low) * _fractions(keys, column)
    else:
        draws[:, column] = low


def _fractions(keys: NDArray[np.uint64], number: int) -> NDArray[np.float64]:
    """A random value from 0 up to 1 for each key; each number gives others."""
    bits = splitmix64(keys ^ np.uint64(number)) >> np.uint64(11)
    return np.asarray(bits * 2.0**-53, np.float64)


def _without(draws: Draws, names: Any) -> Draws:
    columns = [column for name in names for column in _COLUMNS[name]]
    rest = draws.copy()
    rest[:, columns] = NEUTRAL[columns]
    return rest


def transforms(draws: Draws, side: int) -> Draws:
    """Affine transforms from output pixels to the input pixels they show, float32 `[images, 6]`.

    `x' = t0 x + t1 y + t2`, `y' = t3 x + t4 y + t5`; rotated about the centre of the crop.
    """
    angle = np.deg2rad(draws[:, ANGLE].astype(np.float64))
    scale = draws[:, CROP].astype(np.float64) / draws[:, ZOOM]
    mirror = 1 - 2 * draws[:, FLIP]
    centre = (side - 1) / 2
    room = (1 - draws[:, CROP].astype(np.float64)) * side / 2
    across, down = scale * np.cos(angle), scale * np.sin(angle)
    first, second = across * mirror, -down
    third, fourth = down * mirror, across
    left = centre + draws[:, LEFT] * room - (first + second) * centre
    top = centre + draws[:, TOP] * room - (third + fourth) * centre
    return np.stack([first, second, left, third, fourth, top], axis=1).astype(np.float32)


def _bits(values: Any) -> NDArray[np.uint64]:
    return np.asarray(values).astype(np.uint64)


def splitmix64(value: NDArray[np.uint64] | np.uint64) -> NDArray[np.uint64]:
    """Hash 64-bit integers. Source: the finalizer of SplitMix64 (Steele, Lea, Flood, 2014)."""
    with np.errstate(over="ignore"):
        out = np.asarray(value) + np.uint64(0x9E3779B97F4A7C15)
        out = (out ^ (out >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        out = (out ^ (out >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return np.asarray(out ^ (out >> np.uint64(31)))
