"""When an emulated device works, by the batches that it is given."""

import numpy as np
import pytest

from feedbench.bench.analysis.device import busy_periods
from feedbench.bench.record import Block


def one_by_one(block: Block, step_s: float) -> list[list[float]]:
    """The same, step after step."""
    found: list[list[float]] = []
    at = end = 0.0
    for wait_s, host_s in zip(block.wait_s, block.step_s, strict=True):
        at += wait_s
        if at > end or not found:
            found.append([at, at])
            end = at
        end += step_s
        found[-1][1] = end
        at += host_s
    return [[min(begin, block.seconds), min(end, block.seconds)] for begin, end in found]


@pytest.mark.parametrize("step_s", [0.001, 0.02, 0.1])
def test_a_step_begins_when_its_batch_is_there_and_the_step_before_has_ended(step_s):
    random = np.random.default_rng(0)
    wait_s, host_s = random.exponential(0.02, 500), random.exponential(0.005, 500)
    seconds = float(wait_s.sum() + host_s.sum())
    block = Block(seconds=seconds, images=500, wait_s=wait_s.tolist(), step_s=host_s.tolist())
    expected = one_by_one(block, step_s)
    assert busy_periods(block, step_s) == pytest.approx(np.array(expected))


def test_works_on_while_the_host_waits_for_less_than_a_step():
    block = Block(seconds=0.5, images=4, wait_s=[0.1, 0.02, 0.0, 0.25], step_s=[0.0] * 4)
    assert busy_periods(block, 0.05).tolist() == [
        pytest.approx([0.1, 0.25]),
        pytest.approx([0.37, 0.42]),
    ]


def test_no_batch_is_no_work():
    assert busy_periods(Block(seconds=1.0, images=1, wait_s=[], step_s=[]), 0.1).size == 0
