"""Finds out why two loaders decode a file differently, by changing one step at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from feedbench.bench.pixels.compare import Images, difference
from feedbench.loaders import BatchSpec, openable, read_file
from feedbench.loaders.images import fitted, picture

UNKNOWN = "unknown"
_MAX_REMAINDER = 1 / 3  # fraction of a difference that its reason may leave unexplained
_ROUNDING = 0.5  # mean difference, in levels, of filters that round and filters that do not
Load = Callable[[], Any]  # returns a Pillow image


def find_reason(path: str, spec: BatchSpec, image: Images, reference: Images) -> str:
    """Return the one change of decoding or resizing that explains a difference, or "unknown".

    A change explains it if one loader's image is close to the standard decoding and the other's to
    the decoding with that change.

    Args:
        path: the address of the image.
        spec: what an image must be.
        image: a loader's image of the file, uint8 `[side, side, 3]`.
        reference: another loader's image.
    """
    standard = _loaded(lambda: _picture(path, spec), spec)
    if standard is None:
        return UNKNOWN
    levels = difference(image, reference)
    if levels.max() <= 1:
        return "rounding"
    mean = float(levels.mean())
    smallest, reason = max(mean * _MAX_REMAINDER, min(_ROUNDING, mean * 0.7)), UNKNOWN
    for name, changed in _changed_images(path, spec):
        remainder = min(
            _distance(image, changed) + _distance(reference, standard),
            _distance(reference, changed) + _distance(image, standard),
        )
        if remainder < smallest:
            smallest, reason = remainder, name
    return reason


def _distance(first: Images, second: Images) -> float:
    return float(difference(first, second).mean())


def _changed_images(path: str, spec: BatchSpec) -> Iterator[tuple[str, Images]]:
    """Yield the file with each change that is possible, and the name of the change."""
    changes: list[tuple[str, Load, BatchSpec]] = [
        *((name, lambda spec=other: _picture(path, spec), other) for name, other in _specs(spec)),
        *((name, lambda kwargs=kwargs: _jpeg(path, **kwargs), spec) for name, kwargs in _JPEG),
        ("depth", lambda: _truncated_depth(path), spec),
        ("alpha", lambda: _without_alpha(path), spec),
    ]
    for name, load, changed_spec in changes:
        image = _loaded(load, changed_spec)
        if image is not None:
            yield name, image


_JPEG: tuple[tuple[str, dict[str, Any]], ...] = (
    ("inverse DCT", {"dct_method": "INTEGER_FAST"}),
    ("chroma upsampling", {"fancy_upscaling": False}),
    *(("scaled decoding", {"ratio": ratio}) for ratio in (2, 4, 8)),
)


def _specs(spec: BatchSpec) -> Iterator[tuple[str, BatchSpec]]:
    """Yield the spec with each of its steps changed, and the name of the step."""

    def changed(**fields: Any) -> BatchSpec:
        return spec.model_copy(update=fields)

    yield "orientation", changed(orientation="ignore" if spec.orientation == "apply" else "apply")
    if spec.interpolation == "nearest":
        yield "resize filter", changed(interpolation="bilinear")
        yield "resize filter", changed(interpolation="bilinear", antialias=True)
    else:
        yield "resize filter", changed(interpolation="nearest", antialias=False)
        yield "antialiasing", changed(antialias=not spec.antialias)


def _picture(path: str, spec: BatchSpec) -> Any:
    return picture(openable(path), spec)


def _loaded(load: Load, spec: BatchSpec) -> Images | None:
    """Return the image in the spec's size; None if the change does not apply to the file."""
    try:
        image = fitted(load(), spec)
    except Exception:  # a file of another format, without alpha, of 8 bits …
        return None
    return np.asarray(image, np.uint8)


def _jpeg(path: str, **kwargs: Any) -> Any:
    """Decode a JPEG by TensorFlow, with other options than usual."""
    import tensorflow as tf
    from PIL import Image

    data = read_file(path)
    if not data.startswith(b"\xff\xd8"):  # decode_jpeg would decode other formats too
        raise ValueError("not a JPEG")
    options = {"dct_method": "INTEGER_ACCURATE", **kwargs}
    pixels = tf.io.decode_jpeg(data, channels=3, **options)
    return Image.fromarray(pixels.numpy())


def _without_alpha(path: str) -> Any:
    """Drop alpha, as Pillow's plain conversion does, instead of drawing over the background."""
    from PIL import Image

    with Image.open(openable(path)) as image:
        return image.convert("RGB")


def _truncated_depth(path: str) -> Any:
    """Clip 16 bits at 255 instead of scaling them."""
    from PIL import Image

    with Image.open(openable(path)) as image:
        if not image.mode.startswith("I;16"):
            raise ValueError("not 16 bits")
        return Image.fromarray(np.minimum(np.asarray(image), 255).astype(np.uint8)).convert("RGB")
