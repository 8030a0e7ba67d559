"""A training script as in Keras' examples; `FitMonitor` is the only line about Feedbench.

python fit_script.py DATA
"""

import sys
from pathlib import Path

import keras

from feedbench import FitMonitor

data, side = Path(sys.argv[1]), 96

train = keras.utils.image_dataset_from_directory(data / "train", image_size=(side, side))
validation = keras.utils.image_dataset_from_directory(data / "validation", image_size=(side, side))
classes = len(train.class_names)

model = keras.Sequential(
    [
        keras.Input((side, side, 3)),
        keras.layers.RandomFlip("horizontal"),
        keras.layers.Rescaling(1 / 255),
        keras.layers.Conv2D(16, 3, strides=2, activation="relu"),
        keras.layers.SeparableConv2D(32, 3, strides=2, activation="relu"),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(classes, activation="softmax"),
    ]
)
model.compile("adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(train, validation_data=validation, epochs=10, callbacks=[FitMonitor()])
