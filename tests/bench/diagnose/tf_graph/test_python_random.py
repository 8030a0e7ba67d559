"""Random numbers are seen in a function's code, wherever they come from; others are not."""

import random
from functools import wraps

import numpy as np
import pytest

from feedbench.bench.diagnose.tf_graph.python_random import draws

RNG = np.random.default_rng(0)


def by_numpy(x):
    return x * np.random.rand()


def by_global(x):
    return x * RNG.random()


def by_module(x):
    return x * random.random()


def by_call(x):
    return by_numpy(x) + 1


def by_inner(x):
    def noise():
        return np.random.default_rng().normal()

    return x * noise()


def by_closure():
    rng = np.random.RandomState(0)
    return lambda x: x * rng.rand()


@wraps(by_numpy)
def wrapped(x):
    return by_numpy(x)


class Loader:
    def load(self, x):
        return np.random.permutation(x)


RANDOM = [by_numpy, by_global, by_module, by_call, by_inner, by_closure(), wrapped, Loader().load]


@pytest.mark.parametrize("function", RANDOM)
def test_random_numbers_are_seen(function):
    assert draws(function)


def plain(x):
    return np.flip(x)


def of_another_library(x, tf=None):
    return tf.random.uniform(()) * x


def again(x):
    return again(x - 1) if x else plain(x)


@pytest.mark.parametrize("function", [plain, of_another_library, again, np.flip, None, "text"])
def test_nothing_else_is_taken_for_them(function):
    assert not draws(function)
