"""Streams as a tf.data.Dataset, as the data of `model.fit`, and as Torch tensors."""

import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from feedbench.loaders import (
    Augment,
    Batch,
    BatchSpec,
    LoaderError,
    SpecError,
    Stream,
    open_loader,
    scan,
)

SPEC = BatchSpec(batch_size=10, image_size=32, seed=3)
CHOICES = [
    ("tf_data", {}),
    ("tf_data", {"output": "float32", "cache": "decoded"}),
    ("turbo", {}),
    ("keras_directory", {}),
    ("keras_pil", {}),
]


@pytest.fixture(scope="module")
def manifest(splits_folder):
    return scan(splits_folder).only("train")


def batches_of(name, settings, manifest, spec, epochs):
    with open_loader(name, manifest, spec, settings, epochs=epochs) as stream:
        return [(np.asarray(batch.images), batch.labels) for batch in stream]


def assert_same(ours, theirs):
    assert len(ours) == len(theirs)
    for (images, labels), (other_images, other_labels) in zip(ours, theirs, strict=True):
        assert images.dtype == other_images.dtype
        assert np.array_equal(images, other_images)
        assert labels.tolist() == other_labels.tolist()


@pytest.mark.parametrize(("name", "settings"), CHOICES, ids=str)
def test_a_dataset_has_the_batches_of_the_stream(manifest, name, settings):
    with open_loader(name, manifest, SPEC, settings, epochs=2) as stream:
        dataset = stream.as_dataset()
        ours = [(images.numpy(), labels.numpy()) for images, labels in dataset]
    assert int(dataset.cardinality()) == len(ours)
    assert dataset.element_spec[0].shape.as_list() == [None, 32, 32, 3]
    assert_same(ours, batches_of(name, settings, manifest, SPEC, 2))


def test_a_dataset_without_end_continues_where_it_was_left(manifest):
    with open_loader("turbo", manifest, SPEC) as stream:
        labels = [one.numpy() for _, one in stream.as_dataset().take(9)]
    expected = batches_of("turbo", {}, manifest, SPEC, 2)[:9]
    assert np.array_equal(np.concatenate(labels), np.concatenate([one for _, one in expected]))


def test_a_dataset_of_an_unknown_stream_ends_with_it(manifest):
    with open_loader("turbo", manifest, SPEC, epochs=1) as inner:
        stream = Stream(iter(list(inner)))
    assert len(list(stream.as_dataset())) == 5
    with pytest.raises(LoaderError, match="how many batches"):
        Stream(iter(list(stream))).as_keras()


def test_memory_that_a_stream_uses_again_is_copied():
    memory = np.zeros(2 * 4 * 4 * 3 + 64, np.uint8)
    begin = -memory.ctypes.data % 64  # aligned memory is what TensorFlow does not copy
    images = memory[begin : begin + 2 * 4 * 4 * 3].reshape(2, 4, 4, 3)

    def batches():
        for number in range(6):
            images[...] = number
            yield Batch(images, np.zeros(2, np.int32), None)

    dataset = Stream(batches(), reuses_memory=True).as_dataset()
    assert [int(given.numpy().max()) for given, _ in list(dataset)] == list(range(6))


def test_a_finite_stream_gives_every_pass_from_its_start(manifest):
    evaluation = SPEC.for_evaluation()
    expected = batches_of("tf_data", {}, manifest, evaluation, 1)
    with open_loader("tf_data", manifest, evaluation, epochs=1) as stream:
        dataset = stream.as_keras()
        for _ in range(3):
            assert_same([(x.numpy(), y.numpy()) for x, y in dataset], expected)
        again = stream._again
    with pytest.raises(LoaderError, match="closed"):
        next(again)


def test_a_finite_stream_may_be_adapted_again_for_each_use(manifest):
    """As in `fit(validation_data=stream.as_keras())`, then `evaluate(stream.as_keras())`."""
    with open_loader("turbo", manifest, SPEC.for_evaluation(), epochs=1) as stream:
        first, second = ([labels.numpy() for _, labels in stream.as_keras()] for _ in range(2))
    assert np.concatenate(first).tolist() == np.concatenate(second).tolist()


@pytest.mark.parametrize("epochs", [None, 1], ids=["endless", "finite"])
def test_a_new_pass_ends_the_one_before_and_takes_no_batch_of_it(manifest, epochs):
    evaluation = SPEC.for_evaluation()
    expected = batches_of("turbo", {}, manifest, evaluation, 1)
    with open_loader("turbo", manifest, evaluation, epochs=epochs) as stream:
        dataset = stream.as_keras()
        earlier = iter(dataset)
        next(earlier)
        later = [labels.numpy() for _, labels in dataset]
        with pytest.raises(tf.errors.OpError, match="another iteration over this stream has begun"):
            list(earlier)
    assert len(later) == len(expected)
    if epochs:
        assert np.concatenate(later).tolist() == [
            label for _, labels in expected for label in labels
        ]


def test_an_endless_stream_gives_keras_new_epochs(manifest):
    with open_loader("tf_data", manifest, SPEC) as stream:
        dataset = stream.as_keras()
        epochs = [[labels.numpy() for _, labels in dataset] for _ in range(2)]
    assert [len(epoch) for epoch in epochs] == [5, 5]
    expected = batches_of("tf_data", {}, manifest, SPEC, 3)[:10]
    labels = np.concatenate([*epochs[0], *epochs[1]])
    assert np.array_equal(labels, np.concatenate([one for _, one in expected]))


def test_what_would_go_wrong_without_a_word_is_refused(manifest):
    with (
        open_loader("turbo", manifest, SPEC, epochs=1) as stream,
        pytest.raises(SpecError, match="repeat one random order"),
    ):
        stream.as_keras()
    augment = Augment(rotation=10, on_device=("rotation",))
    spec = SPEC.model_copy(update={"augment": augment})
    with (
        open_loader("turbo", manifest, spec) as stream,
        pytest.raises(SpecError, match="on_device"),
    ):
        stream.as_dataset()


FIT = """
import sys, numpy as np, keras
from feedbench.loaders import BatchSpec, open_loader, scan

manifest = scan(sys.argv[1])
spec = BatchSpec(batch_size=10, image_size=16, seed=1)
train, held_out = manifest.only("train"), manifest.only("validation")


class Weighted(keras.losses.Loss):  # counts what Keras passes as sample weights
    weights = []

    def __call__(self, y_true, y_pred, sample_weight=None):
        Weighted.weights.append(sample_weight)
        return super().__call__(y_true, y_pred, sample_weight)

    def call(self, y_true, y_pred):
        return keras.ops.cast(y_true, "float32") * 0 + keras.ops.mean(y_pred)


steps, seen = [], []
class Count(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None): steps.append(0)
    def on_train_batch_end(self, batch, logs=None): steps[-1] += 1
    def on_test_batch_end(self, batch, logs=None): seen.append(batch)


model = keras.Sequential([keras.layers.Input((16, 16, 3)), keras.layers.Rescaling(1 / 255),
                          keras.layers.Flatten(), keras.layers.Dense(3, activation="softmax")])
model.compile("sgd", Weighted())
with (
    open_loader("turbo", train, spec) as stream,
    open_loader("turbo", held_out, spec.for_evaluation(), epochs=1) as validation,
):
    model.fit(stream.as_keras(), validation_data=validation.as_keras(), epochs=3, verbose=0,
              callbacks=[Count()])
    assert steps == [5, 5, 5], steps
    assert seen == [0, 0, 0], seen
    assert all(one is None for one in Weighted.weights), Weighted.weights
    for data in (stream, (batch for batch in stream)):
        try:
            model.fit(data, verbose=0)
        except ValueError as error:
            assert "model.fit takes stream.as_keras()" in str(error), error
        else:
            raise AssertionError(f"{data} was taken")
print(keras.backend.backend(), "fine")
"""


def fitted(backend, folder):
    environment = {**os.environ, "KERAS_BACKEND": backend}
    done = subprocess.run(
        [sys.executable, "-c", FIT, folder], capture_output=True, text=True, env=environment
    )
    assert done.stdout.strip() == f"{backend} fine", done.stdout + done.stderr


def test_fit_takes_its_steps_and_no_rows_for_sample_weights(splits_folder):
    fitted("tensorflow", splits_folder)


@pytest.mark.parametrize(
    "backend", [pytest.param(name, marks=pytest.mark.guests(name)) for name in ("jax", "torch")]
)
def test_fit_does_so_under_other_backends(splits_folder, backend):
    fitted(backend, splits_folder)


@pytest.mark.guests("torch")
@pytest.mark.parametrize(("name", "settings"), CHOICES[:3], ids=str)
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_torch_tensors_share_the_memory_of_the_batches(manifest, name, settings, layout):
    import torch

    evaluation = SPEC.for_evaluation()
    expected = batches_of(name, settings, manifest, evaluation, 1)
    with open_loader(name, manifest, evaluation, settings, epochs=1) as stream:
        batches = stream.as_torch(layout)
        first = np.asarray(batches._passes.first.images)
        for _ in range(2):
            ours = list(batches)
            assert len(ours) == len(batches) == len(expected)
            for (images, labels), (other, other_labels) in zip(ours, expected, strict=True):
                assert images.shape[1:] == ((3, 32, 32) if layout == "NCHW" else (32, 32, 3))
                assert images.is_contiguous(
                    memory_format=torch.channels_last
                    if layout == "NCHW"
                    else torch.contiguous_format
                )
                pixels = images.permute(0, 2, 3, 1) if layout == "NCHW" else images
                assert np.array_equal(pixels.numpy(), other)
                assert labels.dtype == torch.int64
                assert labels.tolist() == other_labels.tolist()
            if batches._passes._current is stream:
                assert ours[0][0].data_ptr() == first.ctypes.data


def test_torch_that_is_not_installed_is_one_line(manifest, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with (
        open_loader("turbo", manifest, SPEC) as stream,
        pytest.raises(LoaderError, match="as_torch needs torch, which is not installed"),
    ):
        stream.as_torch()
