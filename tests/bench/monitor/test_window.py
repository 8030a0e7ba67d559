"""Which executions count, and what of a wait the device is known to have been idle for."""

import pytest

from feedbench.bench.monitor.fetches import Fetch
from feedbench.bench.monitor.window import Epoch, Window, first_waits, timed_blocks


def fetched(count, wait_s, step_s, begin=0.0):
    """Batches of 4 images: each is asked for when the step before has ended."""
    period = wait_s + step_s
    return [Fetch(begin + k * period, begin + k * period + wait_s, 4) for k in range(count)]


def ended(fetches, step_s, per_execution=1):
    lasts = fetches[per_execution - 1 :: per_execution]
    return {number: fetch.arrived + step_s for number, fetch in enumerate(lasts)}


def window(**options):
    values = {"warm_up": 2, "steps": 10, "steps_per_execution": 1, "is_synchronous": True}
    return Window(**values | options)


def test_waits_and_steps_fill_each_block():
    fetches = fetched(20, wait_s=3.0, step_s=1.0)
    (blocks,) = timed_blocks(fetches, [Epoch(0, ended(fetches, 1.0))], window())
    assert [len(block.wait_s) for block in blocks] == [3, 3, 4]
    assert [block.seconds for block in blocks] == pytest.approx([12.0, 12.0, 16.0])
    assert sum(block.images for block in blocks) == 40
    for block in blocks:
        assert block.wait_s == block.idle_s == pytest.approx([3.0] * len(block.wait_s))
        assert block.step_s == pytest.approx([1.0] * len(block.wait_s))


def test_the_warm_up_is_not_counted():
    fetches = fetched(20, 3.0, 1.0)
    (blocks,) = timed_blocks(fetches, [Epoch(0, ended(fetches, 1.0))], window(warm_up=5))
    assert blocks[0].began == fetches[4].arrived + 1.0


def test_the_first_batch_of_a_later_epoch_is_reported_and_not_counted():
    first, second = fetched(5, 3.0, 1.0), fetched(5, 3.0, 1.0, begin=100.0)
    epochs = [Epoch(0, ended(first, 1.0)), Epoch(5, ended(second, 1.0))]
    blocks = timed_blocks([*first, *second], epochs, window())
    assert [sum(len(block.wait_s) for block in one) for one in blocks] == [3, 4]
    assert blocks[1][0].began == second[0].arrived + 1.0
    assert first_waits([*first, *second], epochs) == [3.0, 3.0]


def test_a_device_that_still_works_is_not_idle():
    fetches = fetched(8, wait_s=3.0, step_s=1.0)
    late = {number: end + 2.0 for number, end in ended(fetches, 1.0).items()}
    (blocks,) = timed_blocks(fetches, [Epoch(0, late)], window(is_synchronous=False))
    assert blocks[0].idle_s == pytest.approx([1.0] * len(blocks[0].wait_s))
    assert blocks[0].wait_s[1:] == pytest.approx([3.0] * (len(blocks[0].wait_s) - 1))


def test_an_end_that_was_seen_late_is_that_of_a_later_one():
    fetches = fetched(8, wait_s=3.0, step_s=1.0)
    ends = ended(fetches, 1.0)
    ends[2] = ends[5] + 0.5
    (blocks,) = timed_blocks(fetches, [Epoch(0, ends)], window(is_synchronous=False))
    for block in blocks:
        pairs = zip(block.idle_s, block.wait_s, strict=True)
        assert all(idle <= wait for idle, wait in pairs)
        assert block.seconds > 0


def test_within_an_execution_nothing_is_known_of_a_device_that_runs_ahead():
    fetches = fetched(12, wait_s=3.0, step_s=1.0)
    epochs = [Epoch(0, ended(fetches, 1.0, per_execution=2))]
    options = {"steps": 8, "steps_per_execution": 2}
    (blocks,) = timed_blocks(fetches, epochs, window(**options, is_synchronous=False))
    assert blocks[0].idle_s[:4] == pytest.approx([3.0, 0.0, 3.0, 0.0])
    (blocks,) = timed_blocks(fetches, epochs, window(**options))
    assert blocks[0].idle_s[:4] == pytest.approx([3.0] * 4)


def test_a_last_execution_may_be_shorter():
    fetches = fetched(9, wait_s=3.0, step_s=1.0)
    ends = ended(fetches, 1.0, per_execution=2) | {4: fetches[8].arrived + 1.0}
    (blocks,) = timed_blocks(fetches, [Epoch(0, ends)], window(steps_per_execution=2))
    assert sum(len(block.wait_s) for block in blocks) == 7


def test_executions_whose_end_is_unknown_are_left_out():
    fetches = fetched(10, wait_s=3.0, step_s=1.0)
    known = {k: end for k, end in ended(fetches, 1.0).items() if k < 6}
    (blocks,) = timed_blocks(fetches, [Epoch(0, known)], window())
    assert sum(len(block.wait_s) for block in blocks) == 4


def test_counting_agrees_with_the_blocks():
    fetches = fetched(10, 3.0, 1.0)
    epochs = [Epoch(0, ended(fetches, 1.0))]
    assert window(steps=100).counted(epochs) == 8
    (blocks,) = timed_blocks(fetches, epochs, window(steps=100))
    assert sum(len(block.wait_s) for block in blocks) == 8
