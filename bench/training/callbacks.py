"""Functions that a training calls as it proceeds: progress displays, TensorBoard, messages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from feedbench.trainer import Epoch, Position, Step


def _ignore(event: object) -> None:
    pass


def _never() -> bool:
    return False


@dataclass(frozen=True)
class Callbacks:
    """Functions that a training calls in its own thread; each has a default that does nothing.

    Attributes:
        on_start: called once with the position at which the training starts or resumes.
        on_epoch: called after each epoch, when its validation is done.
        on_step: called after each step.
        on_note: called with a line that the user should read.
        should_stop: called after each step and before each held-out batch; the training writes
            a checkpoint and stops if it returns True.
    """

    on_start: Callable[[Position], None] = _ignore
    on_epoch: Callable[[Epoch], None] = _ignore
    on_step: Callable[[Step], None] = _ignore
    should_stop: Callable[[], bool] = _never
    on_note: Callable[[str], None] = _ignore


def combine(*callbacks: Callbacks) -> Callbacks:
    """Return callbacks that call all of these, in order; one `should_stop` is enough to stop."""

    def on_start(position: Position) -> None:
        for each in callbacks:
            each.on_start(position)

    def on_epoch(epoch: Epoch) -> None:
        for each in callbacks:
            each.on_epoch(epoch)

    def on_step(step: Step) -> None:
        for each in callbacks:
            each.on_step(step)

    def should_stop() -> bool:
        return any(each.should_stop() for each in callbacks)

    def on_note(text: str) -> None:
        for each in callbacks:
            each.on_note(text)

    return Callbacks(on_start, on_epoch, on_step, should_stop, on_note)
