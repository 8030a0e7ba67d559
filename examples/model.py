"""A small convolutional network, on which two of the examples build."""

from keras import layers


def features(images):
    """Return the features `[batch, 64]` of images with pixels of 0 to 255."""
    features = layers.Rescaling(1 / 127.5, offset=-1)(images)
    for filters in (16, 32, 64):
        features = layers.Conv2D(filters, 3, strides=2, padding="same", activation="relu")(features)
    return layers.GlobalAveragePooling2D()(features)
