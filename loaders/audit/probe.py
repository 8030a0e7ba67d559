"""The facts of one file: it is read once, its header parsed, then decoded by each decoder."""

from __future__ import annotations

import hashlib
import io
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from feedbench.loaders.address import size_in, status_of
from feedbench.loaders.audit.agreement import BACKGROUND, Sample, agree, sample
from feedbench.loaders.audit.messages import Facts
from feedbench.loaders.audit.outage import ERRNO
from feedbench.loaders.containers.checksum import mismatch
from feedbench.loaders.errors import printable
from feedbench.loaders.files import read_file
from feedbench.loaders.images import jxl
from feedbench.loaders.images.decode_path import ALPHA_FORMATS
from feedbench.loaders.images.pillow import (
    PILLOW_PIXELS,
    UPRIGHT,
    flattened,
    loaded,
    reason,
    tensorflow_message,
)
from feedbench.loaders.images.progressive import lacks_scans
from feedbench.loaders.manifest import AUDIT
from feedbench.loaders.signature import format_of

if TYPE_CHECKING:
    from PIL.Image import Image

PROBE_VERSION = "4"  # to be raised when other facts are found in the same file
REFUSED = "refused: "  # begins the reason of files that were not decoded because of a limit
_MAX_REASON = 300  # characters
_LARGEST = {
    field.name: 2 ** (field.type.bit_width - 1) - 1
    for field in AUDIT
    if pa.types.is_integer(field.type)
}
_MAX_BYTES_PER_PIXEL = 8  # 16 bits of four channels, uncompressed


@dataclass(frozen=True)
class ProbeLimits:
    """Limits for one file.

    Attributes:
        pixels: width times height according to its header.
        seconds: to read it and decode it with all decoders together; objects are fetched before.
    """

    pixels: int = PILLOW_PIXELS
    seconds: float = 20.0


def probe(path: bytes, limits: ProbeLimits) -> Facts:
    """All columns of `AUDIT` for one file, with the reason if it cannot be decoded."""
    facts = _probed(path, limits)
    for name, largest in _LARGEST.items():  # a damaged header may say any number
        if facts[name] is not None:
            facts[name] = min(int(facts[name]), largest)
    return facts


def _probed(path: bytes, limits: ProbeLimits) -> Facts:
    facts: Facts = dict.fromkeys(AUDIT.names)
    try:
        status = status_of(path)
        size = size_in(path, status)
        facts.update(bytes=size, modified_ns=status.st_mtime_ns, format="")
        fault = _refusal(status, size, limits)
        data = b"" if fault else read_file(path)
    except OSError as error:
        # The stamp of no file: what could not be read may be read next time, although unchanged.
        facts.update({"bytes": 0, "modified_ns": 0, "format": "", ERRNO: error.errno})
        return _failed(facts, error.strerror or str(error))
    if not fault:
        fault = mismatch(path, data) if data else "the file is empty"
    if fault:
        return _failed(facts, fault)
    facts["digest"] = hashlib.blake2b(data, digest_size=16).digest()
    of_pillow = _decode_by_pillow(data, facts, limits)
    if jxl.is_jxl(data):
        _parse_jxl(data, facts, limits)
    if (facts["pillow"] or "").startswith(REFUSED):
        return facts
    of_tensorflow = _decode_by_tensorflow(data, facts)
    if of_pillow is not None and of_tensorflow is not None:
        facts["same_pixels"] = agree(of_pillow, of_tensorflow) and not _guesses(data, facts)
    return facts


def _guesses(data: bytes, facts: Facts) -> bool:
    """Whether decoders guess parts of the image; the points compared may still agree."""
    return facts["format"] in ("JPEG", "MPO") and lacks_scans(data)


def _failed(facts: Facts, message: str) -> Facts:
    facts["pillow"] = facts["tensorflow"] = message
    return facts


def _refusal(status: os.stat_result, size: int, limits: ProbeLimits) -> str | None:
    if stat.S_ISDIR(status.st_mode):
        return "it is a folder"
    if not stat.S_ISREG(status.st_mode):
        return "it is not a regular file"
    if size > limits.pixels * _MAX_BYTES_PER_PIXEL:
        return f"{REFUSED}{size:,} bytes, too many for an image within the pixel limit"
    return None


def _too_large(width: int, height: int, limits: ProbeLimits) -> str | None:
    if width * height <= limits.pixels:
        return None
    return f"{REFUSED}{width:,} × {height:,} pixels, more than the limit of {limits.pixels:,}"


def _decode_by_pillow(data: bytes, facts: Facts, limits: ProbeLimits) -> Sample | None:
    """A sample of the pixels, if Pillow can decode them."""
    from PIL import Image as Pillow

    try:
        with Pillow.open(io.BytesIO(data)) as image:
            facts.update(_header(image, data))
            refused = _too_large(*image.size, limits)
            if refused:
                _failed(facts, refused)
                return None
            _refuse_bomb(image)
            # In the loaders' order: asking for anything else first may load the pixels, and hide
            # the error if that fails.
            facts["orientation"] = loaded(image)
            facts["alpha"] = bool(image.has_transparency_data)
            pixels = flattened(image, BACKGROUND)
            facts["frames"] = _value_or(1, lambda: getattr(image, "n_frames", 1))
            turned_by_pillow = image.format == "TIFF"
        return None if turned_by_pillow else sample(np.asarray(pixels))
    except Exception as error:  # each of Pillow's formats fails in its own ways
        facts["format"] = facts["format"] or format_of(data)
        facts["pillow"] = _line(reason(error))
        return None


def _refuse_bomb(image: Image) -> None:
    """Pillow itself refuses such an image wherever its limit is not lifted, as here."""
    if image.width * image.height > PILLOW_PIXELS:
        raise ValueError(
            f"{image.width:,} × {image.height:,} pixels, more than Pillow's limit of "
            f"{PILLOW_PIXELS:,}"
        )


def _line(message: str) -> str:
    return printable(message)[:_MAX_REASON]


def _header(image: Image, data: bytes) -> Facts:
    return {
        "format": image.format or "",
        "width": image.width,
        "height": image.height,
        "mode": image.mode,
        "bits": _value_or(8, lambda: _bits(image, data)),
        "alpha": False,
        "orientation": UPRIGHT,
        "frames": 1,
    }


def _value_or(default: Any, read: Callable[[], Any]) -> Any:
    """A value of a header; damaged ones fail in many ways, and decoding finds out."""
    try:
        return read()
    except Exception:
        return default


def _bits(image: Any, data: bytes) -> int:
    """Bits per channel as stored; 8 if the format has no others or does not say."""
    if image.format == "PNG":
        return data[24]
    if image.format == "TIFF":
        return int(image.tag_v2.get(258, (1,))[0])
    if image.format == "AVIF":
        box = data.find(b"pixi", 0, 4096)
        return data[box + 9] if box >= 0 else 8
    of_mode = {"1": 1, "I": 16 if image.format == "PPM" else 32, "F": 32}
    return of_mode.get(image.mode, 16 if image.mode.startswith("I;16") else 8)


def _parse_jxl(data: bytes, facts: Facts, limits: ProbeLimits) -> None:
    facts.update(format="JXL", bits=8, alpha=False, orientation=UPRIGHT, frames=1)
    size = jxl.size(data)
    if size is not None:
        facts["width"], facts["height"] = size
        refused = _too_large(*size, limits)
        if refused:
            _failed(facts, refused)


def _decode_by_tensorflow(data: bytes, facts: Facts) -> Sample | None:
    """Decode as the loaders do: with 3 channels, or with 4 if there is alpha; sample the pixels."""
    import tensorflow as tf

    kind = facts["format"]
    channels = 0 if kind == "JXL" else 4 if facts["alpha"] and kind in ALPHA_FORMATS else 3
    try:
        image = tf.io.decode_image(data, channels=channels, expand_animations=False)
    except Exception as error:  # a TensorFlow error, or a Python error for invalid arguments
        facts["tensorflow"] = _line(tensorflow_message(error))
        return None
    if kind == "JXL":
        mode = {1: "L", 3: "RGB", 4: "RGBA"}.get(image.shape[2])
        if mode is None:
            facts["tensorflow"] = f"{image.shape[2]} channels"
        facts.update(mode=mode, alpha=mode == "RGBA", height=image.shape[0], width=image.shape[1])
    return sample(image.numpy())
