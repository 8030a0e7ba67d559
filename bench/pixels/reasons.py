"""Why two loaders show a file differently: by doing the one thing otherwise that may explain it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from feedbench.bench.pixels.compare import Pictures, difference
from feedbench.loaders import BatchSpec
from feedbench.loaders.images.pillow import fitted, picture

UNKNOWN = "unknown"
_EXPLAINED = 1 / 3  # of the difference, that may be left for a reason to be called the reason
_ROUNDING = 0.5  # levels that whole and real filters differ by, whatever else differs
Picture = Callable[[], Any]


def reason(path: str, spec: BatchSpec, own: Pictures, reference: Pictures) -> str:
    """The one alteration that turns the agreed picture into either of the two that differ.

    Args:
        own: a loader's picture of the file, uint8 `[side, side, 3]`.
        reference: another's.
    """
    agreed = _made(lambda: picture(path, spec), spec)
    if agreed is None:
        return UNKNOWN
    apart = difference(own, reference)
    if apart.max() <= 1:
        return "rounding"
    mean = float(apart.mean())
    best, name = max(mean * _EXPLAINED, min(_ROUNDING, mean * 0.7)), UNKNOWN
    for altered_name, altered in _alterations(path, spec):
        left = min(
            _apart(own, altered) + _apart(reference, agreed),
            _apart(reference, altered) + _apart(own, agreed),
        )
        if left < best:
            best, name = left, altered_name
    return name


def _apart(one: Pictures, other: Pictures) -> float:
    return float(difference(one, other).mean())


def _alterations(path: str, spec: BatchSpec) -> Iterator[tuple[str, Pictures]]:
    """Each thing that libraries do differently, done differently."""
    tried = [
        *((name, lambda other=other: picture(path, other), other) for name, other in _specs(spec)),
        *((name, lambda how=how: _jpeg(path, **how), spec) for name, how in _JPEG),
        ("depth", lambda: _cut(path), spec),
        ("alpha", lambda: _opened(path), spec),
    ]
    for name, make, other in tried:
        altered = _made(make, other)
        if altered is not None:
            yield name, altered


_JPEG: tuple[tuple[str, dict[str, Any]], ...] = (
    ("inverse DCT", {"dct_method": "INTEGER_FAST"}),
    ("chroma upsampling", {"fancy_upscaling": False}),
    *(("scaled decoding", {"ratio": ratio}) for ratio in (2, 4, 8)),
)


def _specs(spec: BatchSpec) -> Iterator[tuple[str, BatchSpec]]:
    def altered(**fields: Any) -> BatchSpec:
        return spec.model_copy(update=fields)

    yield "orientation", altered(orientation="ignore" if spec.orientation == "apply" else "apply")
    if spec.interpolation == "nearest":
        yield "resize filter", altered(interpolation="bilinear")
        yield "resize filter", altered(interpolation="bilinear", antialias=True)
    else:
        yield "resize filter", altered(interpolation="nearest", antialias=False)
        yield "antialiasing", altered(antialias=not spec.antialias)


def _made(make: Picture, spec: BatchSpec) -> Pictures | None:
    """In the spec's size; None where the file does not allow the alteration."""
    try:
        image = fitted(make(), spec)
    except Exception:  # a file of another format, without alpha, of 8 bits …
        return None
    return np.asarray(image, np.uint8)


def _jpeg(path: str, **how: Any) -> Any:
    import tensorflow as tf
    from PIL import Image

    data = Path(path).read_bytes()
    if not data.startswith(b"\xff\xd8"):  # decode_jpeg would decode other formats too
        raise ValueError("no JPEG")
    options = {"dct_method": "INTEGER_ACCURATE", **how}
    pixels = tf.io.decode_jpeg(data, channels=3, **options)
    return Image.fromarray(pixels.numpy())


def _opened(path: str) -> Any:
    """By Pillow's plain conversion, which forgets alpha."""
    from PIL import Image

    with Image.open(path) as image:
        return image.convert("RGB")


def _cut(path: str) -> Any:
    """16 bits cut at 255 instead of scaled."""
    from PIL import Image

    with Image.open(path) as image:
        if not image.mode.startswith("I;16"):
            raise ValueError("8 bits")
        return Image.fromarray(np.minimum(np.asarray(image), 255).astype(np.uint8)).convert("RGB")
