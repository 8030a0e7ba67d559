"""Settings that several loaders share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from feedbench.loaders.contract import Dtype, Settings
from feedbench.loaders.cores import thread_counts

Autotune = Literal["autotune"]  # tf.data chooses the number while it runs
# A loader declares these fields in their place among its own; the texts are here once.
Output = Annotated[
    Dtype,
    Field(
        description="uint8: the value range is applied on the device, a quarter of the bytes to "
        "copy; float32: it is applied on the host, as in the classic pipeline."
    ),
]
NumThreads = Annotated[
    PositiveInt | None,
    Field(description="Images read and decoded in parallel; default: one per core."),
]
Prefetch = Annotated[
    NonNegativeInt,
    Field(
        description="Batches prepared ahead, more if the threads would run out of images; each "
        "takes memory; 0 prepares none."
    ),
]
ReadDepth = Annotated[
    PositiveInt,
    Field(
        description="Objects that are read in parallel, ahead of decoding, if the images are in "
        "object storage; files on a disk are read when they are decoded."
    ),
]
READ_DEPTHS = (32, 8, 128)  # the default, and others that are worth trying


def or_autotune(value: int | Autotune) -> int:
    """Return a number as tf.data takes it."""
    import tensorflow as tf

    return int(tf.data.AUTOTUNE) if value == "autotune" else value


def num_threads(cores: int) -> tuple[int | None, ...]:
    """Return the numbers of threads to try; the default is already one per core."""
    return (None, *(count for count in thread_counts(cores) if count != cores))


class PixelOutput(Settings):
    """Settings with `output`: the batches hold uint8 pixels, or float32 in the value range."""

    if TYPE_CHECKING:
        output: Output

    @property
    def image_dtype(self) -> Dtype:
        """The dtype of the batches' images."""
        return self.output


class Threaded(PixelOutput):
    """Settings of the loaders that run on a pool of threads."""

    if TYPE_CHECKING:
        num_threads: NumThreads
        prefetch: Prefetch


class Cached(Settings):
    """Settings with `cache`: "none", or where images are kept from the first epoch on."""

    if TYPE_CHECKING:
        cache: str

    @property
    def fills_cache(self) -> bool:
        """Whether the first epoch is slower than later ones because it fills a cache."""
        return self.cache != "none"


def resized_in_cache(settings: Cached) -> str | None:
    """Why a cache allows no random-resized crop; None if it keeps no images, or encoded ones."""
    if settings.cache in ("none", "encoded"):
        return None
    return f"cache={settings.cache} keeps images that are resized already"


def filled_in_an_epoch(settings: Cached) -> str | None:
    """Why several workers cannot use a cache that the first epoch must fill; None without one."""
    if settings.cache in ("none", "encoded"):
        return None
    return (
        f"cache={settings.cache} must be full after the first epoch, of which each of several "
        "workers reads only a part; set cache to none, or use turbo"
    )
