"""Several callbacks act as one."""

from feedbench.bench.training.callbacks import Callbacks, combine
from feedbench.trainer.checkpoint import Position
from feedbench.trainer.fit import Step
from feedbench.trainer.history import Epoch

EPOCH = Epoch(1, 8, 1.0, 0.1, 0.1, 2.0, 0.5, 2.0, 0.5)


def recording(name: str, calls: list[tuple[str, object]]) -> Callbacks:
    def record(event: object) -> None:
        calls.append((name, event))

    return Callbacks(record, record, record)


def test_combined_callbacks_are_all_called_in_order():
    calls: list[tuple[str, object]] = []
    every = combine(recording("first", calls), Callbacks(), recording("second", calls))
    position, step = Position(), Step(8, 0.01, {})
    every.on_start(position)
    every.on_step(step)
    every.on_epoch(EPOCH)
    events = (position, step, EPOCH)
    assert calls == [(name, event) for event in events for name in ("first", "second")]


def test_one_of_the_combined_callbacks_is_enough_to_stop():
    stopping = Callbacks(should_stop=lambda: True)
    assert combine(Callbacks(), stopping).should_stop()
    assert not combine(Callbacks(), Callbacks()).should_stop()
