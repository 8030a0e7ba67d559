"""What is changed anew in each image and epoch: which changes there are, and how they are drawn.

A change is fixed by seed, epoch and row, so that a run can be repeated and every loader, and the
device too, draws the same.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

Draws = NDArray[np.float32]
OnDevice = Literal["horizontal_flip", "rotation", "zoom", "crop", "brightness", "contrast"]
Quality = Annotated[int, Field(ge=1, le=100)]

# Columns of a draw, and what they hold where nothing is changed.
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
    """Changes drawn anew for each image and epoch; by default none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

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
        """A list of names, as records hold it that are older than the strengths."""
        if isinstance(values, list | tuple):
            return dict.fromkeys(values, True)
        return values

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        if not 0 < self.zoom[0] <= self.zoom[1]:
            raise ValueError(f"zoom must be two factors above 0 that rise, got {list(self.zoom)}")
        if self.jpeg_quality is not None and self.jpeg_quality[0] > self.jpeg_quality[1]:
            raise ValueError(f"jpeg_quality must rise, got {list(self.jpeg_quality)}")
        for name in self.on_device:
            if getattr(self, name) == type(self).model_fields[name].default:
                raise ValueError(f"on_device names {name}, which is not drawn; give its strength")
        return self

    def __bool__(self) -> bool:
        """Whether anything is changed."""
        return self != UNCHANGED

    @property
    def on_host(self) -> Augment:
        """What the host has to do."""
        fields = type(self).model_fields
        neutral = {name: fields[name].default for name in (*self.on_device, "on_device")}
        return self.model_copy(update=neutral)

    @property
    def only_flips(self) -> bool:
        """Whether pixels stay what they are, mirrored or not."""
        return self == Augment(horizontal_flip=self.horizontal_flip, on_device=self.on_device)

    @property
    def moves_on_device(self) -> bool:
        """Whether the device samples images anew."""
        return bool({"horizontal_flip", "rotation", "zoom", "crop"} & set(self.on_device))

    @property
    def recolours_on_device(self) -> bool:
        """Whether the device changes contrast or brightness."""
        return bool({"brightness", "contrast"} & set(self.on_device))

    def drawn(self, seed: int, epochs: Any, rows: Any, copies: Any = 0) -> Draws:
        """What happens to some rows in their epochs, float32 `[rows, 9]`.

        Args:
            copies: which of several times in the same epoch that a row is given.
        """
        draws = np.tile(NEUTRAL, (len(rows), 1))
        if not self:
            return draws
        key = mixed(mixed(mixed(np.uint64(seed)) ^ _bits(epochs)) ^ _bits(rows))
        key = np.where(np.asarray(copies) > 0, mixed(key ^ _bits(copies) << np.uint64(32)), key)
        if self.horizontal_flip:
            draws[:, FLIP] = key & np.uint64(1)

        def between(column: int, low: float, high: float) -> None:
            if low < high:
                share = (mixed(key ^ np.uint64(column)) >> np.uint64(11)) * 2.0**-53
                draws[:, column] = low + (high - low) * share
            else:
                draws[:, column] = low

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

    def for_host(self, draws: Draws) -> Draws:
        """The draws without what the device does."""
        return _without(draws, self.on_device)

    def for_device(self, draws: Draws, side: int) -> Draws | None:
        """What the device does: float32 `[images, 10]`, None where it does nothing.

        The first 8 columns are the projective transform of an output pixel to the input pixel that
        it shows, the next is the contrast, the last the brightness.
        """
        if not self.on_device:
            return None
        host = [name for name in _COLUMNS if name not in self.on_device]
        mine = _without(draws, host)
        colour = mine[:, [CONTRAST, BRIGHTNESS]]
        return np.hstack([transforms(mine, side), np.zeros((len(mine), 2), np.float32), colour])


UNCHANGED = Augment()


def _without(draws: Draws, names: Any) -> Draws:
    columns = [column for name in names for column in _COLUMNS[name]]
    kept = draws.copy()
    kept[:, columns] = NEUTRAL[columns]
    return kept


def transforms(draws: Draws, side: int) -> Draws:
    """The input pixel that each output pixel shows, float32 `[images, 6]`.

    `x' = t0 x + t1 y + t2`, `y' = t3 x + t4 y + t5`; turned about the centre of the kept part.
    """
    angle = np.deg2rad(draws[:, ANGLE].astype(np.float64))
    kept = draws[:, CROP].astype(np.float64) / draws[:, ZOOM]
    mirror = 1 - 2 * draws[:, FLIP]
    centre = (side - 1) / 2
    room = (1 - draws[:, CROP].astype(np.float64)) * side / 2
    across, down = kept * np.cos(angle), kept * np.sin(angle)
    first, second = across * mirror, -down
    third, fourth = down * mirror, across
    left = centre + draws[:, LEFT] * room - (first + second) * centre
    top = centre + draws[:, TOP] * room - (third + fourth) * centre
    return np.stack([first, second, left, third, fourth, top], axis=1).astype(np.float32)


def _bits(values: Any) -> NDArray[np.uint64]:
    return np.asarray(values).astype(np.uint64)


def mixed(value: NDArray[np.uint64] | np.uint64) -> NDArray[np.uint64]:
    """Scatter 64-bit integers. Source: the finalizer of SplitMix64 (Steele, Lea, Flood, 2014)."""
    with np.errstate(over="ignore"):
        out = np.asarray(value) + np.uint64(0x9E3779B97F4A7C15)
        out = (out ^ (out >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        out = (out ^ (out >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return np.asarray(out ^ (out >> np.uint64(31)))
