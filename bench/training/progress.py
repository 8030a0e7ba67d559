"""A training under way: loss, accuracy, images a second, waiting, GPU utilization, time left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

from rich.console import Console
from rich.progress import Progress, TaskID, TextColumn

from feedbench.bench.meters.gpu import GpuMeter, find_gpus
from feedbench.bench.report.progress import progress_bar
from feedbench.bench.training.train import Watch

_WINDOW_S = 2.0  # over which rate and waiting are told


@contextmanager
def train_progress(
    console: Console, images: int, epochs: int, stop: Callable[[], bool]
) -> Iterator[Watch]:
    """Gives what the training tells its course to."""

    def on_epoch(epoch: Any) -> None:
        console.print(
            f"epoch {epoch.epoch}/{epochs}: {epoch.images_per_second:,.0f} images/s, waited "
            f"{epoch.wait_s / epoch.train_s:.0%}, loss {epoch.loss:.3f}, accuracy "
            f"{epoch.accuracy:.1%}, validation {epoch.validation_accuracy:.1%}",
            highlight=False,
        )

    if not console.is_terminal:
        yield Watch(lambda at: None, on_epoch, lambda step: None, stop)
        return
    with (
        GpuMeter(find_gpus()) as meter,
        progress_bar(console, TextColumn("{task.fields[told]}")) as shown,
    ):
        task = shown.add_task("training", total=images, told="")
        window = _Window(shown, task, meter)
        yield Watch(lambda at: shown.update(task, completed=at.images), on_epoch, window.add, stop)


class _Window:
    """Sums steps up and tells them every few seconds: a display of each would take its time."""

    def __init__(self, shown: Progress, task: TaskID, meter: GpuMeter) -> None:
        self._shown = shown
        self._task = task
        self._meter = meter
        self._begin, self._images, self._wait_s = monotonic(), 0, 0.0

    def add(self, step: Any) -> None:
        """One step more."""
        self._shown.advance(self._task, step.images)
        self._images += step.images
        self._wait_s += step.wait_s
        passed = monotonic() - self._begin
        if passed > _WINDOW_S:
            self._shown.update(self._task, told=self._told(step.logs, passed))
            self._begin, self._images, self._wait_s = monotonic(), 0, 0.0

    def _told(self, logs: dict[str, float], passed: float) -> str:
        figures = [f"loss {logs['loss']:.3f}, accuracy {logs['accuracy']:.1%}"] if logs else []
        figures.append(f"{self._images / passed:,.0f} images/s")
        figures.append(f"waited {self._wait_s / passed:.0%}")
        return ", ".join(figures) + _gpu(self._meter)


def _gpu(meter: GpuMeter) -> str:
    latest = meter.latest("utilization")
    return f", GPU {sum(latest) / len(latest):.0%}" if latest else ", no NVIDIA GPU"
