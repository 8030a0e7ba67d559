"""Decoding, resizing and augmenting single images."""

from feedbench.loaders.images.jpeg_region import REGION_LOADERS, decodes_regions
from feedbench.loaders.images.jxl import is_jxl
from feedbench.loaders.images.libjpeg_turbo import READABLE_BY, Decode, Scratch, decoded_jpeg
from feedbench.loaders.images.library_call import extensions
from feedbench.loaders.images.pillow import fitted, picture, reason
from feedbench.loaders.images.tensorflow import jxl_picture

__all__ = [
    "READABLE_BY",
    "REGION_LOADERS",
    "Decode",
    "Scratch",
    "decoded_jpeg",
    "decodes_regions",
    "extensions",
    "fitted",
    "is_jxl",
    "jxl_picture",
    "picture",
    "reason",
]
