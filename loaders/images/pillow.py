"""Pillow's image of any kind of file, and its size: what all loaders agree on."""

from __future__ import annotations

import re
from typing import IO, TYPE_CHECKING

import numpy as np

from feedbench.loaders.augment.regions import Crops, region_in
from feedbench.loaders.images.geometry import centre_square, centred, padded_size
from feedbench.loaders.spec import BatchSpec

if TYPE_CHECKING:
    from PIL.Image import Image

ORIENTATION = 0x0112  # EXIF
UPRIGHT = 1
PILLOW_PIXELS = 178_956_970  # width times height from which Pillow raises a bomb error


def picture(file: str | IO[bytes], spec: BatchSpec) -> Image:
    """The first frame as 8-bit RGB over the spec's background, upright if the spec asks for it.

    Raises:
        Exception: whatever Pillow raises for a file that it cannot read.
    """
    from PIL import Image as Pillow

    with Pillow.open(file) as image:
        stored = loaded(image)
        is_turned = image.format == "TIFF"  # Pillow turns these when it loads them
        rgb = flattened(image, spec.background)
    if (spec.orientation == "apply") == is_turned:
        return rgb
    return turned(rgb, stored, back=is_turned)


def loaded(image: Image) -> int:
    """Load the pixels of an image just opened; its EXIF orientation.

    Pillow turns a TIFF when it loads it and drops the entry. All others are loaded first: asking a
    PNG for its EXIF loads it too, and a second attempt to load a damaged one raises no error.

    Raises:
        Exception: whatever Pillow raises for a file that it cannot read.
    """
    if image.format == "TIFF":
        stored = orientation(image)
        image.load()
        return stored
    image.load()
    return orientation(image)


def orientation(image: Image) -> int:
    """EXIF orientation, 1 to 8; 1 if there is none or it is invalid."""
    try:
        stored = image.getexif().get(ORIENTATION, UPRIGHT)
    except Exception:  # damaged EXIF fails in many ways, and the pixels may still be fine
        return UPRIGHT
    return int(stored) if stored in range(1, 9) else UPRIGHT


def turned(image: Image, stored: int, *, back: bool = False) -> Image:
    """The image upright, from pixels stored in an EXIF orientation; `back` reverses that."""
    from PIL.Image import Transpose

    if stored == UPRIGHT:
        return image
    method = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_90 if back else Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_270 if back else Transpose.ROTATE_90,
    }[stored]
    return image.transpose(method)


def flattened(image: Image, background: tuple[int, int, int]) -> Image:
    """The image as 8-bit RGB: 16 bits scaled down, transparent pixels over the background.

    Raises:
        ValueError: 32-bit pixels, whose range is stated by no file.
    """
    from PIL import Image as Pillow

    if _has_16_bits(image):
        image = Pillow.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    known_range(image)
    if not image.has_transparency_data:
        return image if image.mode == "RGB" else image.convert("RGB")  # which copies all pixels
    rgba = image.convert("RGBA")
    canvas = Pillow.new("RGB", image.size, background)
    canvas.paste(rgba, mask=rgba.getchannel("A"))
    return canvas


def fitted(image: Image, spec: BatchSpec) -> Image:
    """The image at the spec's size, resized by the spec's method and filter."""
    if spec.resize == "pad":
        return _padded(image, spec)
    # With a crop, load_img's filter would reach for pixels beyond it; TensorFlow's cannot.
    square = _centre_square(image) if spec.resize == "crop" else image
    return _scaled(square, (spec.image_size, spec.image_size), spec)


def cut(image: Image, crop: Crops, spec: BatchSpec) -> Image:
    """A random-resized crop of an image, stretched to the spec's size."""
    top, left, height, width = region_in(image.height, image.width, crop)
    return fitted(image.crop((left, top, left + width, top + height)), spec.as_resized())


def _scaled(image: Image, size: tuple[int, int], spec: BatchSpec) -> Image:
    from PIL.Image import Resampling, Transform

    if spec.interpolation == "nearest":
        return image.resize(size, Resampling.NEAREST)
    if spec.antialias:
        return image.resize(size, Resampling.BILINEAR)
    # Pillow's resize always widens its filter when it shrinks; this takes the four pixels around
    # each new pixel's centre, as TensorFlow does.
    return image.transform(size, Transform.EXTENT, (0, 0, *image.size), Resampling.BILINEAR)


def _centre_square(image: Image) -> Image:
    top, left, side = centre_square(image.height, image.width)
    return image.crop((left, top, left + side, top + side))


def _padded(image: Image, spec: BatchSpec) -> Image:
    """Fitted into the square and centred on black."""
    from PIL import Image as Pillow

    side = spec.image_size
    height, width = padded_size(image.height, image.width, side)
    canvas = Pillow.new("RGB", (side, side))
    scaled = _scaled(image, (width, height), spec)
    canvas.paste(scaled, (centred(width, side), centred(height, side)))
    return canvas


def known_range(image: Image) -> None:
    """Refuse pixels that cannot be scaled to 8 bits.

    Raises:
        ValueError: 32-bit pixels, whose range is stated by no file.
    """
    if image.mode in ("I", "F") and not _has_16_bits(image):
        raise ValueError(f"32-bit pixels (mode {image.mode}) have no stated range")


def _has_16_bits(image: Image) -> bool:
    return image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM")


def reason(error: Exception) -> str:
    """Pillow's error on one line."""
    if type(error).__name__ == "UnidentifiedImageError":  # its own text is an address in memory
        return "unknown image format"
    text = getattr(error, "strerror", None) or str(error).partition("\n")[0]
    return text or type(error).__name__


def tensorflow_message(error: Exception) -> str:
    """TensorFlow's error on one line, without the operation that it names before and after."""
    text = (getattr(error, "message", None) or str(error) or type(error).__name__).splitlines()[0]
    return re.sub(r"^(\{\{.*?\}\} )+|( \[Op:.*)$", "", text).strip()
