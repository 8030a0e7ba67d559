"""How often rows come if classes are balanced."""

import numpy as np
import pytest

from feedbench.loaders import (
    BatchSpec,
    Order,
    Sampling,
    SpecError,
    images_per_epoch,
    keras_pil,
    open_loader,
    scan,
)
from feedbench.loaders.sampling import rows_by_class

LABELS = np.repeat([0, 1, 2], [60, 13, 5]).astype(np.int32)


def order(balance, **options):
    return Order(len(LABELS), 8, seed=2, sampling=Sampling.of(LABELS, 4, balance), **options)


def test_rarer_classes_grow_to_the_size_of_the_largest():
    assert Sampling.of(LABELS, 4, 0.0) is None
    assert Sampling.of(LABELS, 4, 1.0).images.tolist() == [60, 60, 60, 0]
    halfway = np.rint([60, 60 * np.sqrt(13 / 60), 60 * np.sqrt(5 / 60), 0]).tolist()
    assert Sampling.of(LABELS, 4, 0.5).images.tolist() == halfway


@pytest.mark.parametrize("balance", [0.3, 1.0])
def test_rows_of_a_class_repeat_equally_often_up_to_one(balance):
    endless = order(balance)
    size = endless.epoch_size
    epochs = [endless.rows(begin, begin + size) for begin in (0, size)]
    for rows in epochs:
        times = np.bincount(rows, minlength=len(LABELS))
        assert times.min() >= 1
        for label in range(3):
            of_class = times[label == LABELS]
            assert of_class.max() - of_class.min() <= 1
            assert of_class.sum() == endless.sampling.images[label]
    assert sorted(epochs[0].tolist()) != sorted(epochs[1].tolist())
    assert np.array_equal(endless.rows(size - 9, size + 9)[:9], epochs[0][-9:])


def test_repetitions_of_a_row_are_augmented_differently():
    augment = BatchSpec(augment={"rotation": 30}).augment
    balanced = order(1.0, augment=augment)
    rows, draws = balanced.rows(0, 180), balanced.draws(0, 180)
    repetitions = draws[rows == 75]
    assert len(repetitions) == 12
    assert len(np.unique(repetitions[:, 1])) == 12
    assert np.array_equal(balanced.draws(50, 99), draws[50:99])


def test_loaders_balance_classes_in_training_only(splits_folder):
    manifest = scan(splits_folder).only("train")
    few = manifest.where((manifest.labels > 0) | (np.arange(len(manifest)) < 2))
    spec = BatchSpec(batch_size=4, image_size=16, seed=3, balance=1.0)
    counts = images_per_epoch(few, spec)
    assert counts.min() == counts.max() == np.bincount(few.labels).max()
    for name, settings in [("keras_pil", {}), ("tf_data", {"cache": "decoded"}), ("tf_data", {})]:
        with open_loader(name, few, spec, settings, epochs=2) as stream:
            rows = np.concatenate([rows for _, _, rows in stream])
        assert np.bincount(few.labels[rows]).tolist() == (2 * counts).tolist()
    with open_loader("tf_data", few, spec.for_evaluation(), epochs=1) as stream:
        assert np.concatenate([rows for _, _, rows in stream]).tolist() == list(range(len(few)))
    with pytest.raises(SpecError, match="keras_directory cannot balance"):
        open_loader("keras_directory", few, spec)


def test_an_image_that_comes_twice_in_a_batch_is_decoded_twice(class_folder, tmp_path, monkeypatch):
    """In every loader: one that decoded it once would be measured with less work."""
    for name in ("ant/00.jpg", "ant/01.jpg", "ant/02.jpg", "ant/03.jpg", "bee/00.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).symlink_to(class_folder / name)
    paths, decode = [], keras_pil.load
    monkeypatch.setattr(
        keras_pil, "load", lambda path, *args: (paths.append(path), decode(path, *args))[1]
    )
    manifest = scan(tmp_path, validation=0, test=0)
    with open_loader("keras_pil", manifest, BatchSpec(batch_size=8, balance=1), epochs=1) as stream:
        rows = next(stream).rows
    assert len(set(rows.tolist())) == 5
    assert sorted(paths) == sorted(manifest.paths(rows))


def test_rows_by_class_are_those_of_each_class_in_order():
    labels = np.array([2, 0, 2, 0, 4, 2], np.int32)
    found = [rows.tolist() for rows in rows_by_class(labels, 6)]
    assert found == [[1, 3], [], [0, 2, 5], [], [4], []]


class Watched(np.ndarray):
    """Labels that may not be searched for one class after the other; they count their sorts."""

    sorts = 0

    def __eq__(self, other):
        raise AssertionError("a pass over all rows per class takes a minute on ImageNet-21k")

    def argsort(self, *args, **options):
        Watched.sorts += 1
        return np.asarray(self).argsort(*args, **options)


def test_an_epoch_sorts_the_rows_once_however_many_classes_there_are():
    labels = np.arange(600, dtype=np.int32) % 200
    plain = Sampling.of(labels, 200, balance=1.0)
    watched = Sampling.of(labels.view(Watched), 200, balance=1.0)
    for number in (0, 1):
        for one, other in zip(plain.epoch(number, 3), watched.epoch(number, 3), strict=True):
            assert np.array_equal(one, other)
    assert Watched.sorts == 1
