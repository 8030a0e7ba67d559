"""What one file is: read once, its header looked at, then each decoder in full."""

from __future__ import annotations

import hashlib
import io
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from feedbench.loaders.errors import printable
from feedbench.loaders.images import jxl
from feedbench.loaders.images.decode_path import ALPHA_FORMATS
from feedbench.loaders.images.pillow import (
    UPRIGHT,
    known_range,
    orientation,
    reason,
    tensorflow_message,
)
from feedbench.loaders.manifest import AUDIT

if TYPE_CHECKING:
    from PIL.Image import Image

Facts = dict[str, Any]
REFUSED = "refused: "  # begins the words on files that a limit kept from being decoded
_LONGEST = 300  # signs of what a decoder says
_MOST_BYTES_A_PIXEL = 8  # 16 bits of four channels, stored as they are
_MAGIC = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"II*\x00": "TIFF",
    b"MM\x00*": "TIFF",
}


@dataclass(frozen=True)
class Limits:
    """What one file may cost.

    Attributes:
        pixels: width times height as its header says. Source of the default: the size at which
            Pillow itself speaks of a decompression bomb.
        seconds: for reading and for decoding with all decoders together.
    """

    pixels: int = 178_956_970
    seconds: float = 20.0


def probe(path: bytes, limits: Limits) -> Facts:
    """All columns of `AUDIT` for one file; whatever is wrong with it is in them."""
    facts: Facts = dict.fromkeys(AUDIT.names)
    try:
        about = os.stat(path)
        facts.update(bytes=about.st_size, modified_ns=about.st_mtime_ns, format="")
        fault = _refused(about, limits)
        data = b"" if fault else Path(os.fsdecode(path)).read_bytes()
    except OSError as error:
        facts.update(bytes=facts["bytes"] or 0, modified_ns=facts["modified_ns"] or 0, format="")
        return _failed(facts, error.strerror or str(error))
    if not fault and not data:
        fault = "the file is empty"
    if fault:
        return _failed(facts, fault)
    facts["digest"] = hashlib.blake2b(data, digest_size=16).digest()
    _decode_by_pillow(data, facts, limits)
    if jxl.is_jxl(data):
        _look_at_jxl(data, facts, limits)
    if not (facts["pillow"] or "").startswith(REFUSED):
        facts["tensorflow"] = _decode_by_tensorflow(data, facts)
    return facts


def _failed(facts: Facts, words: str) -> Facts:
    facts["pillow"] = facts["tensorflow"] = words
    return facts


def _refused(about: os.stat_result, limits: Limits) -> str | None:
    if stat.S_ISDIR(about.st_mode):
        return "it is a folder"
    if not stat.S_ISREG(about.st_mode):
        return "it is no regular file"
    if about.st_size > limits.pixels * _MOST_BYTES_A_PIXEL:
        return f"{REFUSED}{about.st_size:,} bytes, more than an image within the pixel limit has"
    return None


def _too_large(width: int, height: int, limits: Limits) -> str | None:
    if width * height <= limits.pixels:
        return None
    return f"{REFUSED}{width:,} × {height:,} pixels, more than the limit of {limits.pixels:,}"


def _decode_by_pillow(data: bytes, facts: Facts, limits: Limits) -> None:
    from PIL import Image as Pillow

    try:
        with Pillow.open(io.BytesIO(data)) as image:
            facts.update(_header(image, data))
            refused = _too_large(*image.size, limits)
            if refused:
                _failed(facts, refused)
                return
            image.load()
            known_range(image)
    except Exception as error:  # each of Pillow's formats fails in ways of its own
        facts["format"] = facts["format"] or _magic(data)
        facts["pillow"] = _line(reason(error))


def _line(words: str) -> str:
    return printable(words)[:_LONGEST]


def _header(image: Image, data: bytes) -> Facts:
    return {
        "format": image.format or "",
        "width": image.width,
        "height": image.height,
        "mode": image.mode,
        "bits": _told(lambda: _bits(image, data), 8),
        "alpha": bool(_told(lambda: image.has_transparency_data, False)),
        "orientation": orientation(image),
        "frames": _told(lambda: getattr(image, "n_frames", 1), 1),
    }


def _told(ask: Callable[[], Any], otherwise: Any) -> Any:
    """What a header says; damaged ones fail in many ways, and decoding will tell."""
    try:
        return ask()
    except Exception:
        return otherwise


def _bits(image: Any, data: bytes) -> int:
    """Bits of a channel as stored; 8 where the format has no others or does not say."""
    if image.format == "PNG":
        return data[24]
    if image.format == "TIFF":
        return int(image.tag_v2.get(258, (1,))[0])
    if image.format == "AVIF":
        found = data.find(b"pixi", 0, 4096)
        return data[found + 9] if found >= 0 else 8
    deep = {"1": 1, "I": 16 if image.format == "PPM" else 32, "F": 32}
    return deep.get(image.mode, 16 if image.mode.startswith("I;16") else 8)


def _magic(data: bytes) -> str:
    """The format that a file's first bytes promise."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[4:12] in (b"ftypavif", b"ftypavis"):
        return "AVIF"
    return next((name for magic, name in _MAGIC.items() if data.startswith(magic)), "")


def _look_at_jxl(data: bytes, facts: Facts, limits: Limits) -> None:
    facts.update(format="JXL", bits=8, alpha=False, orientation=UPRIGHT, frames=1)
    size = jxl.size(data)
    if size is not None:
        facts["width"], facts["height"] = size
        refused = _too_large(*size, limits)
        if refused:
            _failed(facts, refused)


def _decode_by_tensorflow(data: bytes, facts: Facts) -> str | None:
    """Decode as the loaders do: 3 channels, 4 where there is alpha to lay over a background."""
    import tensorflow as tf

    kind = facts["format"]
    channels = 0 if kind == "JXL" else 4 if facts["alpha"] and kind in ALPHA_FORMATS else 3
    try:
        image = tf.io.decode_image(data, channels=channels, expand_animations=False)
    except Exception as error:  # a TensorFlow error, or Python's for what it cannot even take
        return _line(tensorflow_message(error))
    if kind == "JXL":
        mode = {1: "L", 3: "RGB", 4: "RGBA"}.get(image.shape[2])
        if mode is None:
            return f"{image.shape[2]} channels"
        facts.update(mode=mode, alpha=mode == "RGBA", height=image.shape[0], width=image.shape[1])
    return None
