"""A built-in network takes a user's batches if they have its form; else one line says so."""

import numpy as np
import pytest

from feedbench.bench.consumers.own_batches import check_for_network, for_network, range_note
from feedbench.bench.errors import PlanError
from feedbench.loaders import Augment, Batch, BatchSpec, find_loader

SPEC = BatchSpec(batch_size=2, image_size=8)
IMAGES = np.zeros((2, 8, 8, 3), np.uint8)
LABELS = np.array([0, 2])


@pytest.fixture
def own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pipeline.py").write_text("\ndef make(): ...")
    return find_loader("pipeline.py:make").own


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("labels", [LABELS, LABELS.astype("u1"), np.eye(3)[LABELS]])
def test_pixels_and_numbers_with_indices_or_one_hot_labels_fit(own, dtype, labels):
    batch = Batch(IMAGES.astype(dtype), labels, None)
    assert check_for_network(batch, SPEC, 3, own) == dtype
    taken = for_network(batch, 3, own)
    assert (taken.labels.dtype, taken.labels.tolist()) == (np.int32, [0, 2])
    assert np.shares_memory(taken.images, batch.images)
    assert (taken.images.flags.writeable, batch.images.flags.writeable) == (False, True)


@pytest.mark.parametrize(
    ("images", "labels", "said"),
    [
        (IMAGES[:, :7], LABELS, "images that are uint8 [2, 7, 8, 3]; the network expects uint8 or"),
        (IMAGES.astype("f8"), LABELS, "images that are float64 [2, 8, 8, 3]; the network expects"),
        ({"image": IMAGES}, LABELS, "images that are a dict; the network expects uint8 or float32"),
        (IMAGES, LABELS[:, None], "labels that are int64 [2, 1]; the network expects indices"),
        (IMAGES, LABELS + 1, "labels that are class 3; the network expects indices [batch] of the"),
        (IMAGES, LABELS.astype("f4"), "labels that are float32 [2]; the network expects indices"),
        (IMAGES, np.full((2, 3), 1 / 3), "labels that are mixed, not one-hot; the network expects"),
        (IMAGES, {"a": LABELS}, "labels that are a dict; the network expects indices [batch]"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_one_line(own, images, labels, said):
    with pytest.raises(PlanError) as caught:
        check_for_network(Batch(images, labels, None), SPEC, 3, own)
    assert str(caught.value).startswith(f"pipeline.py, line 2: make gives {said}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (LABELS + 1, "class 3"),
        (LABELS - 1, "class -1"),
        (np.full((2, 3), 1 / 3), "mixed, not one-hot"),
    ],
)
def test_labels_of_a_later_batch_are_no_others(own, labels, said):
    """Mixed labels of only some batches would be taken for one class each."""
    with pytest.raises(PlanError, match=f"make gives labels that are {said}; the network expects"):
        for_network(Batch(IMAGES, labels, None), 3, own)


def test_augmentation_on_the_device_is_refused(own):
    augment = Augment(horizontal_flip=True, on_device=("horizontal_flip",))
    spec = SPEC.model_copy(update={"augment": augment})
    with pytest.raises(PlanError, match="make augments its images itself, so on_device must be"):
        check_for_network(Batch(IMAGES, LABELS, None), spec, 3, own)


def spread(low, high):
    return np.linspace(low, high, IMAGES.size, dtype="f4").reshape(IMAGES.shape)


@pytest.mark.parametrize(
    ("images", "value_range", "remedy"),
    [
        (spread(0, 255), (0, 1), "0,255"),
        (spread(0, 1), (0, 255), "0,1"),
        (spread(-1, 1), (0, 1), "-1,1"),
        (spread(-2.1, 2.6), (0, 1), "with the LOW,HIGH that it scales to"),
    ],
)
def test_floats_of_another_range_are_named_with_the_option(own, images, value_range, remedy):
    spec = SPEC.model_copy(update={"value_range": value_range})
    note = range_note(Batch(images, LABELS, None), spec, own)
    assert note.startswith(f"pipeline.py, line 2: make gives floats of {images.min():.3g} to ")
    assert note.endswith(f"use --value-range {remedy}")


@pytest.mark.parametrize(
    ("images", "value_range"),
    [
        (IMAGES, (0, 1)),  # bytes, which the device scales
        (spread(0, 0.4), (0, 1)),
        (spread(-0.1, 1.2), (0, 1)),
        (spread(-2.1, 2.6), "imagenet"),
        (spread(3, 250), (0, 255)),
    ],
)
def test_floats_about_the_range_are_nothing_to_note(own, images, value_range):
    spec = SPEC.model_copy(update={"value_range": value_range})
    assert range_note(Batch(images, LABELS, None), spec, own) == ""
