"""Decoding and resizing one image with each library."""

import io
from pathlib import Path

import pytest
import tensorflow as tf
from PIL import Image

from feedbench.loaders import BatchSpec
from feedbench.loaders.images.tensorflow import decoder
from feedbench.loaders.images.tensorflow_resize import resizer
from feedbench.loaders.keras_pil import load


@pytest.fixture(scope="module")
def path(manifest) -> str:
    return manifest.path(0)


@pytest.fixture(scope="module")
def data(path) -> bytes:
    return Path(path).read_bytes()


def test_decode_pillow(benchmark, data):
    image = benchmark(lambda: Image.open(io.BytesIO(data)).convert("RGB"))
    assert image.mode == "RGB"


@pytest.mark.parametrize("decode", ["image", "jpeg", "scaled"])
def test_decode_tensorflow(benchmark, data, decode):
    graph = tf.function(
        decoder(decode, BatchSpec()), input_signature=[tf.TensorSpec([], tf.string)]
    )
    tensor = tf.constant(data)
    assert benchmark(lambda: graph(tensor)).shape[-1] == 3


PICTURES = [("nearest", False), ("bilinear", False), ("bilinear", True)]


@pytest.mark.parametrize(("interpolation", "antialias"), PICTURES)
def test_resize_tensorflow(benchmark, data, interpolation, antialias):
    spec = BatchSpec(interpolation=interpolation, antialias=antialias)
    graph = tf.function(resizer(spec))
    image = decoder("image", spec)(tf.constant(data))
    assert benchmark(lambda: graph(image)).shape == (224, 224, 3)


@pytest.mark.parametrize(("interpolation", "antialias"), PICTURES)
def test_read_decode_and_resize_keras_pil(benchmark, path, interpolation, antialias):
    spec = BatchSpec(interpolation=interpolation, antialias=antialias)
    assert benchmark(lambda: load(path, spec)).shape == (224, 224, 3)
