"""Batches divided among workers: together they are the whole batches, for any number of workers."""

import itertools

import numpy as np
import pytest

from feedbench.loaders import Augment, BatchSpec, Order, SpecError, open_loader, scan
from feedbench.loaders.augment.draws import FLIP
from feedbench.loaders.sampling import Sampling


@pytest.fixture(scope="module")
def manifest(splits_folder):
    return scan(splits_folder).only("train")


CASES = [(10, 4, 2), (10, 4, 3), (101, 8, 3), (7, 5, 5), (64, 16, 4), (13, 13, 4)]


def _batches(order, steps):
    size = order.batch_size
    begin = order.begin
    return [order.rows(begin + step * size, begin + (step + 1) * size) for step in range(steps)]


@pytest.mark.parametrize(("images", "batch_size", "workers"), CASES)
def test_the_parts_of_all_workers_are_the_whole_batches(images, batch_size, workers):
    whole = Order(images, batch_size, seed=3)
    parts = [_batches(whole.share(worker, workers), 12) for worker in range(workers)]
    together = [np.concatenate(batch).tolist() for batch in zip(*parts, strict=True)]
    assert together == [batch.tolist() for batch in _batches(whole, 12)]


@pytest.mark.parametrize(("images", "batch_size", "workers"), CASES)
def test_the_workers_together_give_each_row_once_per_epoch(images, batch_size, workers):
    for epochs in (1, 3):
        order = Order(images, batch_size, seed=1, epochs=epochs)
        parts = [order.share(worker, workers) for worker in range(workers)]
        rows = np.concatenate([part.rows(part.begin, part.end) for part in parts])
        assert np.bincount(rows, minlength=images).tolist() == [epochs] * images
        assert sum(part.end for part in parts) == epochs * images


def test_parts_differ_by_at_most_one_row():
    sizes = [Order(100, 10).share(worker, 4).batch_size for worker in range(4)]
    assert sum(sizes) == 10
    assert max(sizes) - min(sizes) == 1


def test_another_number_of_workers_continues_at_the_same_row():
    before = [Order(23, 6, seed=2).share(worker, 2) for worker in range(2)]
    done = np.concatenate([part.rows(0, 2 * part.batch_size) for part in before])
    for workers in (1, 3, 4):
        rest = Order(23, 6, seed=2, epochs=1, start_step=2)
        parts = [rest.share(worker, workers) for worker in range(workers)]
        rows = np.concatenate([done, *(part.rows(part.begin, part.end) for part in parts)])
        assert sorted(rows.tolist()) == list(range(23))


def test_any_piece_of_a_part_has_its_rows_and_draws():
    order = Order(50, 8, seed=4, augment=Augment(horizontal_flip=True)).share(1, 3)
    rows, draws = order.rows(0, 90), order.draws(0, 90)
    for begin, end in ((0, 1), (2, 3), (5, 47), (88, 90), (7, 7)):
        assert order.rows(begin, end).tolist() == rows[begin:end].tolist()
        assert order.draws(begin, end)[:, FLIP].tolist() == draws[begin:end, FLIP].tolist()


def test_draws_are_those_of_the_whole_order():
    whole = Order(20, 4, seed=5, augment=Augment(horizontal_flip=True))
    parts = [whole.share(worker, 2) for worker in range(2)]
    flips = np.stack([part.draws(0, 40)[:, FLIP].reshape(20, 2) for part in parts], 1)
    assert flips.reshape(-1).tolist() == whole.draws(0, 80)[:, FLIP].tolist()


def test_an_unreadable_row_is_replaced_as_in_the_whole_order():
    whole = Order(20, 4, seed=6).without([3, 11])
    parts = [whole.share(worker, 2) for worker in range(2)]
    rows = np.stack([part.rows(0, 20).reshape(10, 2) for part in parts], 1).reshape(-1)
    assert rows.tolist() == whole.rows(0, 40).tolist()


def test_balanced_epochs_are_divided_too():
    sampling = Sampling.of(np.array([0, 0, 0, 0, 0, 1], np.int32), 2, 1.0)
    whole = Order(6, 4, seed=1, epochs=2, sampling=sampling)
    parts = [whole.share(worker, 3) for worker in range(3)]
    rows = np.concatenate([part.rows(part.begin, part.end) for part in parts])
    assert sorted(rows.tolist()) == sorted(whole.rows(0, 20).tolist())


def test_one_worker_has_the_whole_order():
    assert Order(10, 4).share(0, 1) == Order(10, 4)


def test_a_batch_smaller_than_the_number_of_workers_is_refused():
    with pytest.raises(SpecError, match="batch_size 2 cannot be divided among 3 workers"):
        Order(10, 2).share(0, 3)


@pytest.mark.parametrize("loader", ["turbo", "tf_data", "keras_pil"])
def test_loaders_give_each_worker_its_part(loader, manifest):
    spec = BatchSpec(batch_size=5, image_size=16)
    with open_loader(loader, manifest, spec, epochs=1) as stream:
        whole = [batch.rows.tolist() for batch in stream]
    parts = []
    for worker in range(2):
        with open_loader(loader, manifest, spec, epochs=1, share=(worker, 2)) as stream:
            parts.append([batch.rows.tolist() for batch in stream])
    assert sorted(len(batch) for batch in parts[0] + parts[1])[-1] == 3
    together = sorted(itertools.chain(*parts[0], *parts[1]))
    assert together == sorted(itertools.chain(*whole))
    assert parts[0][0] + parts[1][0] == whole[0]


def test_loaders_that_shuffle_themselves_are_refused(manifest):
    spec = BatchSpec(batch_size=4, image_size=16)
    with pytest.raises(SpecError, match="keras_directory decides itself"):
        open_loader("keras_directory", manifest, spec, share=(0, 2))


def test_a_cache_that_needs_every_image_is_refused(manifest):
    spec = BatchSpec(batch_size=4, image_size=16)
    with pytest.raises(SpecError, match="use turbo"):
        open_loader("tf_data", manifest, spec, {"cache": "decoded"}, share=(0, 2))
