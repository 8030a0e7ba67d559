"""The settings of `tf_data`."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from feedbench.loaders.settings import (
    READ_DEPTHS,
    Autotune,
    Cached,
    Output,
    PixelOutput,
    ReadDepth,
)


class TfData(PixelOutput, Cached):
    """Settings of `tf_data`."""

    num_parallel_calls: PositiveInt | Autotune = Field(
        "autotune", description="Images decoded in parallel; 1 keeps one core busy."
    )
    prefetch: NonNegativeInt | Autotune = Field(
        "autotune",
        description="Batches prepared ahead; each takes memory; 0: none until the trainer waits.",
    )
    cache: Literal["none", "encoded", "decoded", "disk"] = Field(
        "none",
        description="What to keep from the first epoch on: encoded: file bytes in memory; decoded: "
        "uint8 images in memory; disk: uint8 images in a file.",
    )
    cache_dir: str | None = Field(
        None, description="Folder for the file of cache='disk'; default: the temporary folder."
    )
    deterministic: bool = Field(
        True,
        description="false: an image that is ready may overtake one that is not; the order within "
        "and between batches is then no longer the seeded one.",
    )
    private_threads: PositiveInt | None = Field(
        None, description="Threads of a private pool; default: those of TensorFlow, one per core."
    )
    decode: Literal["image", "jpeg", "scaled"] = Field(
        "image",
        description="image: decode_image; jpeg: decode_jpeg; scaled: decode_jpeg with its fastest "
        "transform and upsampling, shrinking by 1/2, 1/4 or 1/8 where enough pixels remain: "
        "faster, other pixels.",
    )
    output: Output = "uint8"
    read_depth: ReadDepth = READ_DEPTHS[0]

    @model_validator(mode="after")
    def _check_cache_dir(self) -> Self:
        if self.cache_dir is not None and self.cache != "disk":
            raise ValueError(f"cache_dir needs cache 'disk', got {self.cache!r}")
        return self

    @property
    def autotuned(self) -> bool:
        """Whether anything is left to AUTOTUNE."""
        return "autotune" in (self.num_parallel_calls, self.prefetch)
