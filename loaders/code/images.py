"""Code that decodes, resizes and finishes images inside a tf.data graph.

It does what `loaders.images.tensorflow` does; the tests compare the pixels of both.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from feedbench.loaders.code.text import indented, lines, number
from feedbench.loaders.value_range import DEVIATION, MEAN

if TYPE_CHECKING:
    from feedbench.loaders.augment.draws import Augment
    from feedbench.loaders.images.tensorflow import Decode
    from feedbench.loaders.spec import BatchSpec

_DECODE_IMAGE = "tf.io.decode_image(data, channels=3, expand_animations=False)"

_DECODE = f'''def decode(data):
    """Decode a file of any format that TensorFlow reads."""
    return tf.cond(
        tf.io.is_jpeg(data),
        lambda: decode_jpeg(data),
        lambda: {_DECODE_IMAGE},
    )'''

_ACCURATE = '''def decode_jpeg(data):
    """Decode a JPEG to the pixels of Pillow."""
    # The default of dct_method trades accuracy for speed.
    return tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE")'''

_SCALED = '''def decode_jpeg(data):
    """Decode a JPEG fast: shrunk by 1/2, 1/4 or 1/8 while enough pixels remain."""
    shape = tf.cast(tf.io.extract_jpeg_shape(data), tf.float32)
    limit = tf.{smaller}(shape[0], shape[1]) / IMAGE_SIZE
    index = tf.reduce_sum(tf.cast(limit >= [2.0, 4.0, 8.0], tf.int32))

    def shrunk(ratio):
        return tf.io.decode_jpeg(
            data,
            channels=3,
            ratio=ratio,
            fancy_upscaling=False,
            dct_method="INTEGER_FAST",
        )

    branches = [lambda ratio=ratio: shrunk(ratio) for ratio in (1, 2, 4, 8)]
    return tf.switch_case(index, branches)'''

_CROP = """    height, width = tf.shape(image)[0], tf.shape(image)[1]
    side = tf.minimum(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    image = image[top : top + side, left : left + side]"""

_PAD = """    # Not resize_with_pad, which fails on images so long that nothing would remain.
    shape = tf.cast(tf.shape(image), tf.float64)
    ratio = tf.maximum(shape[0], shape[1]) / IMAGE_SIZE
    size = tf.maximum(tf.cast(shape[:2] / ratio, tf.int32), 1)
    image = tf.image.resize(image, size, {how})
    top, left = (IMAGE_SIZE - size[0]) // 2, (IMAGE_SIZE - size[1]) // 2
    image = tf.image.pad_to_bounding_box(image, top, left, IMAGE_SIZE, IMAGE_SIZE)"""

_RESIZE = """    image = tf.image.resize(image, (IMAGE_SIZE, IMAGE_SIZE), {how})"""

_UPRIGHT = '''def orientation(path):
    """Return the EXIF orientation of a photo, 1 to 8; 1 is upright."""
    with Image.open(path) as image:
        stored = image.getexif().get(0x0112, 1)
    return stored if stored in range(1, 9) else 1


def upright(image, orientation):
    """Turn an image by its EXIF orientation, which TensorFlow ignores."""
    across = tf.transpose(image, (1, 0, 2))
    branches = [
        lambda: image,
        lambda: tf.reverse(image, [1]),
        lambda: tf.reverse(image, [0, 1]),
        lambda: tf.reverse(image, [0]),
        lambda: across,
        lambda: tf.reverse(across, [1]),
        lambda: tf.reverse(across, [0, 1]),
        lambda: tf.reverse(across, [0]),
    ]
    return tf.switch_case(orientation - 1, branches)'''


def image_functions(spec: BatchSpec, decode: Decode) -> list[str]:
    """`load(data)`, from the bytes of a file to an image that is not augmented."""
    size, turns = spec.image_size, spec.orientation == "apply"
    kind = "uint8" if spec.interpolation == "nearest" else "float32 from 0 to 255"
    load = lines(
        f"def load(data{', turn' if turns else ''}):",
        f'    """Decode and resize the bytes of a file: {kind}, [{size}, {size}, 3]."""',
        f"    image = {'decode(data)' if decode != 'image' else _DECODE_IMAGE}",
        turns and "    image = upright(image, turn)",
        spec.resize == "crop" and _CROP,
        (_PAD if spec.resize == "pad" else _RESIZE).format(how=_how(spec)),
        "    return tf.ensure_shape(image, (IMAGE_SIZE, IMAGE_SIZE, 3))",
    )
    smaller = "maximum" if spec.resize == "pad" else "minimum"
    jpeg = _SCALED.format(smaller=smaller) if decode == "scaled" else _ACCURATE
    return [load, *([_DECODE, jpeg] if decode != "image" else []), *([_UPRIGHT] if turns else [])]


def _how(spec: BatchSpec) -> str:
    return f'"{spec.interpolation}"' + (", antialias=True" if spec.antialias else "")


def in_range(spec: BatchSpec, name: str) -> str:
    """The expression that brings pixels of 0 to 255 into the value range, as float32."""
    pixels = f"tf.cast({name}, tf.float32)"
    if spec.value_range == "imagenet":
        return f"{pixels} * SCALE + OFFSET"
    low, high = spec.value_range
    scale = "" if high - low == 255 else f" * ({number(high - low)} / 255)"
    offset = "" if not low else f" {'-' if low < 0 else '+'} {number(abs(low))}"
    return f"{pixels}{scale}{offset}"


def range_constants(spec: BatchSpec) -> str:
    """The constants of `in_range`; empty if it needs none."""
    if spec.value_range != "imagenet":
        return ""
    scale = ", ".join(f"1 / 255 / {each}" for each in DEVIATION)
    offset = ", ".join(f"-{mean} / {each}" for mean, each in zip(MEAN, DEVIATION, strict=True))
    return lines(
        "# ImageNet's mean and standard deviation per channel, red first.",
        f"SCALE = [{scale}]",
        f"OFFSET = [{offset}]",
    )


def rescaling(spec: BatchSpec) -> str | None:
    """The layer of Keras that does what `in_range` does; None if there is nothing to do."""
    if spec.value_range == "imagenet":
        mean = ", ".join(number(round(255 * each, 3)) for each in MEAN)
        variance = ", ".join(number(round((255 * each) ** 2, 3)) for each in DEVIATION)
        return f"keras.layers.Normalization(\n    mean=[{mean}],\n    variance=[{variance}],\n)"
    low, high = spec.value_range
    if (low, high) == (0, 255):
        return None
    offset = f", offset={number(low)}" if low else ""
    return f"keras.layers.Rescaling({number(high - low)} / 255{offset})"


def dtype_notes(spec: BatchSpec, output: str) -> list[str]:
    """What the model has to do with images of this dtype, as a paragraph; nothing of float32."""
    layer = rescaling(spec)
    if output != "uint8" or layer is None:
        return []
    text = "\nImages are uint8, a quarter of the bytes of float32. The model begins with\n\n"
    return [text + indented(layer)]


_FLIP = '''def augment(images, seed):
    """Mirror each image of a batch with probability 0.5."""
    flips = tf.random.stateless_uniform([tf.shape(images)[0]], seed) < 0.5
    # tf.reverse is fast for three dimensions only, and tf.where slow where it has to
    # broadcast: this is five times as fast as tf.where(flips, mirrored, images).
    lines = tf.reshape(images, (-1, IMAGE_SIZE, 3))
    mirrored = tf.reshape(tf.reverse(lines, [1]), tf.shape(images))
    return tf.raw_ops.Select(condition=flips, x=mirrored, y=images)'''

_WARP = """    # The transform from each pixel to the one that it shows; mirrored beyond the edges.
    across, down = scale * tf.cos(angle), scale * tf.sin(angle)
    a, b, c, d = across * mirror, -down, down * mirror, across
    centre = (IMAGE_SIZE - 1) / 2
    x, y = centre - (a + b) * centre, centre - (c + d) * centre{shift}
    none = tf.zeros_like(a)
    images = tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.stack([a, b, x, c, d, y, none, none], axis=1),
        output_shape=[IMAGE_SIZE, IMAGE_SIZE],
        interpolation="BILINEAR",
        fill_mode="REFLECT",
        fill_value=0.0,
    )"""

_SHIFT = """
    room = (1 - crop) * IMAGE_SIZE / 2
    x, y = x + draw(4, -1, 1) * room, y + draw(5, -1, 1) * room"""

_COLOURS = """    mean = tf.reduce_mean(images, axis=(1, 2), keepdims=True)
    contrast, brightness = [
        tf.reshape(values, (-1, 1, 1, 1))
        for values in ({contrast}, {brightness})
    ]
    images = tf.clip_by_value((images - mean) * contrast + mean + brightness, 0, 255)"""

_JPEG = """    images = tf.cast(tf.round(images), tf.uint8)
    quality = tf.cast(tf.floor(draw(8, {low}, {above})), tf.int32)
    return tf.map_fn(
        lambda pair: tf.image.adjust_jpeg_quality(*pair),
        (images, quality),
        fn_output_signature=tf.TensorSpec((IMAGE_SIZE, IMAGE_SIZE, 3), tf.uint8),
    )"""


def augment_function(spec: BatchSpec) -> str | None:
    """`augment(images, seed)` for a batch of pixels of 0 to 255; None if there is none."""
    augment = resized_part(spec)
    if not augment:
        return None
    if augment.only_flips:
        return _FLIP
    quality = augment.jpeg_quality
    return lines(
        "def augment(images, seed):",
        '    """Augment a batch, each image by values of its own: uint8."""',
        "    images = tf.cast(images, tf.float32)",
        "",
        _DRAW,
        _warp_lines(spec),
        bool(augment.contrast or augment.brightness)
        and _COLOURS.format(
            contrast=_between(7, 1 - augment.contrast, 1 + augment.contrast),
            brightness=_between(6, -255 * augment.brightness, 255 * augment.brightness),
        ),
        "    return tf.cast(tf.round(images), tf.uint8)"
        if quality is None
        else _JPEG.format(low=quality[0], above=quality[1] + 1),
    )


_DRAW = """\n    def draw(number, low, high):
        count = [tf.shape(images)[0]]
        return tf.random.stateless_uniform(count, seed + [number, 0], low, high)\n"""


def _warp_lines(spec: BatchSpec) -> str | None:
    augment = spec.augment
    is_cropped, is_zoomed = augment.crop < 1, augment.zoom != (1, 1)
    if not (augment.horizontal_flip or augment.rotation or is_cropped or is_zoomed):
        return None
    radians = math.radians(augment.rotation)
    crop, zoom = "crop" if is_cropped else "1", " / zoom" if is_zoomed else ""
    flip = "tf.where(draw(0, 0, 1) < 0.5, -1.0, 1.0)" if augment.horizontal_flip else "1.0"
    return lines(
        f"    angle = {_between(1, -radians, radians)}",
        is_zoomed and f"    zoom = {_between(2, *augment.zoom)}",
        is_cropped and f"    crop = {_between(3, augment.crop, 1)}",
        f"    scale = {crop}{zoom}",
        f"    mirror = {flip}",
        _WARP.format(shift=_SHIFT if is_cropped else ""),
    )


def _between(column: int, low: float, high: float) -> str:
    """Values from `low` to `high`, one per image."""
    if low == high:
        return f"tf.fill([tf.shape(images)[0]], {float(low)!r})"
    return f"draw({column}, {number(round(low, 6))}, {number(round(high, 6))})"


def resized_part(spec: BatchSpec) -> Augment:
    """The augmentation of resized images; that of the device is done on the host too."""
    return spec.augment.model_copy(update={"on_device": ()}).on_host
