"""Augmentation on the device matches augmentation on the host."""

import numpy as np
import pytest
from short_network import SHORT

from feedbench.loaders import Augment, Batch, BatchSpec
from feedbench.loaders.augment.host import augmented, to_range
from feedbench.trainer import Recipe
from feedbench.trainer.augment import DeviceAugment
from feedbench.trainer.step import Trainer

SIDE = 64
ALL = ("horizontal_flip", "rotation", "zoom", "crop", "brightness", "contrast")
HOST = Augment(
    horizontal_flip=True, rotation=20, zoom=(0.9, 1.2), crop=0.7, brightness=0.1, contrast=0.2
)


@pytest.fixture(scope="module")
def smooth() -> np.ndarray:
    y, x = np.mgrid[:SIDE, :SIDE] / (SIDE - 1)
    image = np.stack([255 * x, 255 * y, 127 + 100 * np.sin(3 * x * y)], -1).astype(np.uint8)
    return np.stack([image] * 16)


@pytest.mark.parametrize("value_range", [(0, 255), "imagenet"])
def test_device_and_host_augment_alike(smooth, value_range):
    spec = BatchSpec(value_range=value_range)
    device = HOST.model_copy(update={"on_device": ALL})
    draws = device.draw(0, np.zeros(16, int), np.arange(16))
    assert np.array_equal(device.for_host(draws)[:, :8], np.tile([0, 0, 1, 1, 0, 0, 0, 1], (16, 1)))
    expected = to_range(augmented(smooth, draws).astype(np.float32), spec)
    plain = to_range(smooth.astype(np.float32), spec)
    low = np.array(spec.offset)
    high = low + 255 * np.array(spec.scale)
    device_augment = DeviceAugment(geometric=True, photometric=True)
    device_draws = device.for_device(draws, SIDE)
    images = device_augment.apply(plain, device_draws, low.tolist(), high.tolist())
    levels = np.abs(np.asarray(images) - expected) / np.array(spec.scale)
    assert levels.mean() < 0.5
    assert np.percentile(levels, 99.5) < 3


@pytest.mark.usefixtures("short_network")
@pytest.mark.parametrize("image_dtype", ["uint8", "float32"])
def test_training_augments_and_evaluation_does_not(smooth, image_dtype):
    spec = BatchSpec(image_size=SIDE)
    trainers = [
        Trainer(
            Recipe(**SHORT, epochs=1, warm_up_epochs=0, schedule="constant"),
            image_size=SIDE,
            batch_size=16,
            classes=2,
            images=16,
            scale=spec.scale,
            offset=spec.offset,
            image_dtype=image_dtype,
            device_augment=device_augment,
        )
        for device_augment in (DeviceAugment(), DeviceAugment(geometric=True, photometric=True))
    ]
    device = HOST.model_copy(update={"on_device": ALL})
    draws = device.draw(0, np.zeros(16, int), np.arange(16))

    def batch(images, device_draws=None):
        images = images if image_dtype == "uint8" else to_range(images.astype(np.float32), spec)
        rows = np.arange(16)
        return Batch(images, (rows % 2).astype(np.int32), rows, device_draws)

    plain, augmenting = trainers
    assert plain.evaluate([batch(smooth)]) == pytest.approx(augmenting.evaluate([batch(smooth)]))
    plain.step(batch(augmented(smooth, draws)))
    augmenting.step(batch(smooth, device.for_device(draws, SIDE)))
    assert plain.progress()["loss"] == pytest.approx(augmenting.progress()["loss"], abs=0.02)
