"""What all processes of a trial lost, left out and repeated is in its record."""

from feedbench.bench.record import Block, Coverage, Losses, Own
from feedbench.bench.trials.delivery import delivery_of
from feedbench.bench.trials.timer import Measured

BLOCK = Block(seconds=1.0, images=1, wait_s=[], step_s=[])


def measured(**values):
    return Measured(BLOCK, 0, [], **values)


def test_losses_of_earlier_processes_are_kept(trial):
    before = trial("tf_data_service", [1.0], losses=Losses(asked_again=2, ended_workers=["one"]))
    lost = Losses(asked_again=1, discarded=3, ended_workers=["two"])
    fields = delivery_of(before, before, measured(losses=lost))
    assert fields == {
        "losses": Losses(asked_again=3, discarded=3, ended_workers=["one", "two"]),
    }


def test_a_loader_that_keeps_the_order_has_no_counts(trial):
    one = trial("tf_data", [1.0])
    assert delivery_of(one, one, measured()) == {}


def test_the_counts_are_the_most_of_all_processes(trial):
    before = trial("tf_data_service", [1.0], coverage=Coverage(left_out=5, repeated=0))
    fields = delivery_of(before, before, measured(coverage=(1, 7)))
    assert fields == {"coverage": Coverage(left_out=5, repeated=7)}


def test_what_is_known_of_a_users_function_stays(trial):
    own = Own(file="/f.py", function="f", digest="0")
    before, now = (
        trial("f.py:f", [1.0], own=one) for one in (own, own.model_copy(update={"batch_size": 8}))
    )
    assert delivery_of(before, now, measured(coverage=(1, 2)))["own"] == own.model_copy(
        update={"batch_size": 8, "left_out": 1, "repeated": 2}
    )
