"""Code that cuts random-resized crops inside a tf.data graph, as `tf_data` does."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from feedbench.loaders.code.text import lines, number

if TYPE_CHECKING:
    from feedbench.loaders.images.tensorflow import Decode
    from feedbench.loaders.spec import BatchSpec

_LOAD = '''def load_region(data, seed):
    """Decode a random region of a file and stretch it to the size of the batch."""

    def of_jpeg():
        region = random_region(tf.io.extract_jpeg_shape(data), seed)
{options}

    def of_others():
        image = tf.io.decode_image(data, channels=3, expand_animations=False)
        top, left, height, width = tf.unstack(random_region(tf.shape(image), seed))
        return image[top : top + height, left : left + width]

    image = tf.cond(tf.io.is_jpeg(data), of_jpeg, of_others)
    image = tf.image.resize(image, (IMAGE_SIZE, IMAGE_SIZE), {how})
    return tf.ensure_shape(image, (IMAGE_SIZE, IMAGE_SIZE, 3))'''

_PLAIN = "        return tf.image.decode_and_crop_jpeg(data, region, channels=3)"
_ACCURATE = """        return tf.image.decode_and_crop_jpeg(
            data, region, channels=3, dct_method="INTEGER_ACCURATE"
        )"""

# Its seeds are not those of flips and other augmentations, whose values would be the same ones.
_REGION = '''def random_region(shape, seed):
    """Draw the top, left, height and width of a region.

    Of ten it is the first that fits into the image, else the largest in its centre.
    """
    size = tf.cast(shape[:2], tf.float32)
    area = tf.random.stateless_uniform([10], seed + [16, 0], {area})
    logarithm = tf.random.stateless_uniform([10], seed + [17, 0], {ratio})
    ratio = tf.exp(logarithm)
    drawn = tf.sqrt(tf.stack([area / ratio, area * ratio], axis=1))
    drawn = tf.round(drawn * tf.sqrt(size[0] * size[1]))
    fits = tf.reduce_all((drawn > 0) & (drawn <= size), axis=1)
    first = drawn[tf.argmax(tf.cast(fits, tf.int32))]
    centre = tf.round(tf.stack([size[1] / {low}, size[0] * {high}]))
    centre = tf.clip_by_value(centre, 1.0, size)
    sides = tf.where(tf.reduce_any(fits), first, centre)
    place = tf.random.stateless_uniform([2], seed + [18, 0])
    place = tf.where(tf.reduce_any(fits), place, 0.5)
    begin = tf.minimum(tf.floor(place * (size - sides + 1)), size - sides)
    return tf.cast(tf.concat([begin, sides], 0), tf.int32)'''


def can_cut(spec: BatchSpec, decode: Decode) -> bool:
    """Whether the functions below do what the loader does."""
    return spec.orientation == "ignore" and decode != "scaled"


def region_functions(spec: BatchSpec, decode: Decode) -> list[str]:
    """`load_region(data, seed)` and what it calls; nothing if images are used whole."""
    scale, (low, high) = spec.augment.random_resized_crop, spec.augment.aspect_ratio
    if scale is None:
        return []
    how = f'"{spec.interpolation}"' + (", antialias=True" if spec.antialias else "")
    return [
        _LOAD.format(how=how, options=_PLAIN if decode == "image" else _ACCURATE),
        _REGION.format(
            area=", ".join(map(number, scale)),
            ratio=", ".join(number(round(math.log(each), 6)) for each in (low, high)),
            low=number(round(low, 6)),
            high=number(round(high, 6)),
        ),
    ]


def load_line(spec: BatchSpec, load: str) -> str:
    """The line that loads an image, given the call that loads a whole one."""
    if spec.augment.random_resized_crop is None:
        return f"        image = {load}"
    return lines(
        "        if training:",
        "            image = load_region(data, tf.stack([seed, position]))",
        "        else:",
        f"            image = {load}",
    )
