"""The beginning of a MobileNet, for trainings whose network does not matter.

TensorFlow builds and traces it in a third of the time of the smallest of keras.applications.
"""

from pathlib import Path
from typing import Any

import keras
from keras import layers

NAME = "ShortMobileNet"
SHORT = {"network": NAME, "alpha": 0.25}  # of a recipe
# For the beginning of a program.
OFFER = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import short_network
short_network.offer()
"""
BLOCKS = 5


def short_mobile_net(
    input_shape: tuple[int, int, int], alpha: float, weights: None, classes: int
) -> keras.Model:
    """Take the arguments that `construct` gives to a network of keras.applications."""
    images = keras.Input(input_shape)
    x = _activated(layers.Conv2D(_width(32, alpha), 3, 2, "same", use_bias=False)(images))
    for block in range(1, BLOCKS + 1):
        strides = 1 + (block % 2 == 0)
        x = _activated(layers.DepthwiseConv2D(3, strides, "same", use_bias=False)(x))
        width = _width(64 << block // 2, alpha)
        x = _activated(layers.Conv2D(width, 1, padding="same", use_bias=False)(x))
    x = layers.Dropout(0.001)(layers.GlobalAveragePooling2D()(x))
    return keras.Model(images, layers.Dense(classes, activation="softmax", name="predictions")(x))


def _width(filters: int, alpha: float) -> int:
    return int(filters * alpha)


def _activated(x: Any) -> Any:
    return layers.ReLU(6.0)(layers.BatchNormalization()(x))


def offer() -> None:
    """Have keras.applications offer it in this process."""
    setattr(keras.applications, NAME, short_mobile_net)
