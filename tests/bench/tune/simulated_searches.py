"""Searches over made-up rates, with noise, drift and blocks that something else slows down."""

import zlib
from contextlib import contextmanager
from dataclasses import replace
from unittest.mock import patch

import numpy as np

from feedbench.bench.plan.plan import Choice
from feedbench.bench.tune.rounds import Rounds
from feedbench.bench.tune.search import Search
from feedbench.loaders import LOADERS

TURBO = Choice(loader="turbo")
SLOWER = 0.7  # rate of a block that something else on the machine slows down
DEFAULTS = [Choice(loader="keras_pil"), Choice(loader="tf_data"), TURBO]


class OutOfBudget(Exception):
    pass


class FakeBench:
    """Rates by a rule, with the drift of a shared machine that affects a whole round equally.

    Attributes:
        rounds: the results of each round.
        ended: the configurations whose process was ended.
        age: number of blocks of each running process.
    """

    def __init__(self, rule, noise=0.02, *, slow=0.0, most_blocks=10_000, seed=0, earlier=None):
        self.rule, self.noise, self.slow, self.seed = rule, noise, slow, seed
        self.most_blocks, self.earlier = most_blocks, earlier or {}
        self.rounds, self.ended, self.age, self.standings = {}, [], {}, []

    @property
    def timed(self):
        return [name for results in self.rounds.values() for name in results]

    def time_block(self, choice, index):
        name = str(choice)
        if len(self.timed) >= self.most_blocks:
            raise OutOfBudget
        rate = self.rule(choice)
        if not isinstance(rate, str):
            random = np.random.default_rng([self.seed, index, zlib.crc32(name.encode())])
            rate *= (1 + 0.3 * np.sin(index)) * random.normal(1, self.noise)
            rate *= SLOWER if random.random() < self.slow else 1
        self.rounds.setdefault(index, {})[name] = rate
        self.age[name] = 0 if isinstance(rate, str) else self.age.get(name, 0) + 1
        return rate

    def prepare(self, choices):
        assert choices, "a round has at least one"

    def end(self, choice):
        self.ended.append(str(choice))
        self.age.pop(str(choice), None)

    def search(self, refusal=lambda choice: ""):
        rounds = Rounds(self.time_block, self.earlier, seed=self.seed, prepare=self.prepare)
        return Search(rounds, self.end, refusal, lambda finding: None, self.standings.append)

    def searched(self, defaults=DEFAULTS, refusal=lambda choice: ""):
        search = self.search(refusal)
        search.run(defaults)
        return search


@contextmanager
def values_of_one_setting(count):
    """Give turbo a single setting, with its default and that many other values."""
    space = {"num_threads": (None, *range(1, count + 1))}
    with patch.dict(LOADERS, turbo=replace(LOADERS["turbo"], space=space)):
        yield


def outcomes(search):
    return {str(finding.choice): finding.outcome for finding in search.findings}
