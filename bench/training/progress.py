"""Shows a training in progress: loss, accuracy, images per second, waits, GPU, time left."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import Progress, TaskID, TextColumn

from feedbench.bench.meters.gpu import GpuMeter, training_gpus
from feedbench.bench.report.progress import progress_bar
from feedbench.bench.training.callbacks import Callbacks
from feedbench.trainer import accuracy_of

if TYPE_CHECKING:
    from feedbench.trainer import Epoch, Position, Step

_WINDOW_S = 2.0  # seconds over which the rate and the waits are averaged


@contextmanager
def train_progress(
    console: Console, images: int, epochs: int, should_stop: Callable[[], bool]
) -> Iterator[Callbacks]:
    """Yield callbacks that print a line per epoch and, on a terminal, show a progress bar.

    Args:
        images: images of all epochs together.
        should_stop: passed on as `Callbacks.should_stop`.
    """

    def print_epoch(epoch: Epoch) -> None:
        console.print(
            f"Epoch {epoch.epoch}/{epochs}: {scores(epoch.loss, epoch.accuracy)}, "
            f"validation {score(epoch)}, "
            f"{epoch.images_per_second:,.0f} images/s, {epoch.wait_s / epoch.train_s:.0%} of the "
            "time without a batch",
            highlight=False,
        )

    if not console.is_terminal:
        yield Callbacks(on_epoch=print_epoch, should_stop=should_stop)
        return
    with (
        GpuMeter(training_gpus()) as meter,
        progress_bar(console, TextColumn("{task.fields[status]}")) as progress,
    ):
        display = _Display(progress, progress.add_task("training", total=images, status=""), meter)
        yield Callbacks(display.start, print_epoch, display.add, should_stop)


def scores(loss: float, accuracy: float) -> str:
    """Return loss and accuracy as text; without an accuracy, the loss alone."""
    return f"loss {loss:.3f}" + ("" if math.isnan(accuracy) else f", accuracy {accuracy:.1%}")


def score(epoch: Epoch) -> str:
    """Return by what the best model is chosen: the validation accuracy, or else the loss."""
    if math.isnan(epoch.validation_accuracy):
        return f"loss {epoch.validation_loss:.3f}"
    return f"accuracy {epoch.validation_accuracy:.1%}"


class _Display:
    """A progress bar whose status is updated every few seconds, so that steps are not delayed."""

    def __init__(self, progress: Progress, task: TaskID, meter: GpuMeter) -> None:
        self._progress = progress
        self._task = task
        self._meter = meter
        self._begin, self._images, self._wait_s = monotonic(), 0, 0.0

    def start(self, position: Position) -> None:
        """Move the bar to the position at which training starts."""
        self._progress.update(self._task, completed=position.images)

    def add(self, step: Step) -> None:
        """Count one step."""
        self._progress.advance(self._task, step.images)
        self._images += step.images
        self._wait_s += step.wait_s
        elapsed_s = monotonic() - self._begin
        if elapsed_s > _WINDOW_S:
            self._progress.update(self._task, status=self._status(step.logs, elapsed_s))
            self._begin, self._images, self._wait_s = monotonic(), 0, 0.0

    def _status(self, logs: dict[str, float], elapsed_s: float) -> str:
        parts = [scores(logs.get("loss", math.nan), accuracy_of(logs))] if logs else []
        parts.append(f"{self._images / elapsed_s:,.0f} images/s")
        parts.append(f"wait {self._wait_s / elapsed_s:.0%}")
        parts.append(_gpu_status(self._meter))
        return ", ".join(parts)


def _gpu_status(meter: GpuMeter) -> str:
    latest = meter.latest("utilization")
    return f"GPU {sum(latest) / len(latest):.0%}" if latest else "no NVIDIA GPU"
