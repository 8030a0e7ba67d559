"""Shows a training in progress: epoch, loss, rate against the predicted one, waits, time left."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

from rich.console import Console

from feedbench.bench.analysis.estimate import Estimate
from feedbench.bench.meters.gpu import GpuMeter, training_gpus
from feedbench.bench.meters.host import rates, read_counters
from feedbench.bench.quantities import quantity
from feedbench.bench.report.live import Line, LiveArea, is_live
from feedbench.bench.report.live_text import duration, percents, shortened, sparkline
from feedbench.bench.training.callbacks import Callbacks
from feedbench.trainer import accuracy_of

if TYPE_CHECKING:
    from feedbench.trainer import Epoch, Position, Step

_WINDOW_S = 2.0  # seconds over which the rate, the waits and the cores are averaged
_WINDOWS = 30  # whose waits are shown
_ROOMY = 14  # lines of a terminal from which it is shown what comes next
_CTRL_C = "Ctrl-C ends the training; it can be resumed from the last checkpoint"


@contextmanager
def train_progress(
    console: Console,
    images: int,
    epochs: int,
    should_stop: Callable[[], bool],
    predicted_at: Callable[[Position], Estimate | None],
) -> Iterator[Callbacks]:
    """Yield callbacks that print a line per epoch and, on a terminal, show what happens below it.

    Args:
        images: images of an epoch.
        should_stop: passed on as `Callbacks.should_stop`.
        predicted_at: returns the rate with which the training will be compared, in images per
            second, by the position at which it starts; None if it will not be.
    """
    display = TrainDisplay(images, epochs, predicted_at)
    if not is_live(console):
        yield _callbacks(display, partial(console.print, soft_wrap=True), should_stop)
        return
    with (
        GpuMeter(training_gpus()) as meter,
        LiveArea(console, lambda columns, height: display.lines(columns, height, meter)) as area,
    ):
        yield _callbacks(display, area.print, should_stop)


def _callbacks(
    display: TrainDisplay, print_line: Callable[[str], None], should_stop: Callable[[], bool]
) -> Callbacks:
    return Callbacks(
        on_start=display.start,
        on_epoch=lambda epoch: print_line(display.epoch_line(epoch)),
        on_step=display.add,
        on_note=lambda text: print_line(f"Note: {text}"),
        should_stop=should_stop,
    )


def scores(loss: float, accuracy: float) -> str:
    """Return loss and accuracy as text; without an accuracy, the loss alone."""
    return f"loss {loss:.3f}" + ("" if math.isnan(accuracy) else f", accuracy {accuracy:.1%}")


def score(epoch: Epoch) -> str:
    """Return by what the best model is chosen: the validation accuracy, or else the loss."""
    if math.isnan(epoch.validation_accuracy):
        return f"loss {epoch.validation_loss:.3f}"
    return f"accuracy {epoch.validation_accuracy:.1%}"


class TrainDisplay:
    """Counts steps; returns what is known as a frame, which is drawn on another thread."""

    def __init__(
        self, images: int, epochs: int, predicted_at: Callable[[Position], Estimate | None]
    ) -> None:
        """Prepare the display; arguments as for `train_progress`."""
        self._images, self._epochs, self._predicted_at = images, epochs, predicted_at
        self._predicted: Estimate | None = None
        self._begin, self._first, self._done, self._validated = monotonic(), 0, 0, 0
        self._scores = "building the network; the first step takes longest"
        self._rate = math.nan
        self._waits: deque[float] = deque(maxlen=_WINDOWS)
        self._window, self._window_images, self._window_wait_s = self._begin, 0, 0.0
        self._counters = read_counters()
        self._machine = ""

    def start(self, position: Position) -> None:
        """Take in the position at which training starts."""
        self._begin = self._window = monotonic()
        self._predicted = self._predicted_at(position)
        self._first = self._done = position.images
        self._validated = position.images // self._images

    def add(self, step: Step) -> None:
        """Count one step."""
        self._done += step.images
        self._window_images += step.images
        self._window_wait_s += step.wait_s
        now = monotonic()
        if now - self._window > _WINDOW_S:
            if step.logs:
                self._scores = scores(step.logs.get("loss", math.nan), accuracy_of(step.logs))
            self._rate = self._window_images / (now - self._window)
            self._waits.append(self._window_wait_s / (now - self._window))
            self._window, self._window_images, self._window_wait_s = now, 0, 0.0

    def epoch_line(self, epoch: Epoch) -> str:
        """Take in a complete epoch and return it as a line."""
        self._validated = epoch.epoch
        self._window, self._window_images, self._window_wait_s = monotonic(), 0, 0.0
        predicted = "" if self._predicted is None else f" (predicted {self._predicted.value:,.0f})"
        left_s = self._left_s()
        left = f", about {duration(left_s)} left" if left_s and epoch.epoch < self._epochs else ""
        validated = not math.isnan(epoch.validation_loss)  # which of several workers the chief does
        validation = f"validation {score(epoch)}, " if validated else ""
        return (
            f"Epoch {epoch.epoch}/{self._epochs}: {scores(epoch.loss, epoch.accuracy)}, "
            f"{validation}{epoch.images_per_second:,.0f} images/s{predicted}, "
            f"{epoch.wait_s / epoch.train_s:.0%} of the time without a batch{left}"
        )

    def lines(self, columns: int, height: int, meter: GpuMeter) -> list[Line]:
        """Return the frame for a terminal of this size."""
        self._read_machine(meter)
        rate = "" if math.isnan(self._rate) else f"{self._rate:,.0f} images/s"
        expected = "" if self._predicted is None else f"predicted {self._predicted:,.0f}"
        share = f"{self._waits[-1]:.0%} " if self._waits else ""
        rows = [
            Line(self._stage(), "bold"),
            Line(f"now   {self._activity()}"),
            *([Line(f"next  {self._next()}", "dim")] if height >= _ROOMY else []),
            Line(f"rate  {', '.join(filter(None, [rate, expected]))}"),
            Line(f"wait  {share}{sparkline(self._waits)}"),
            Line(f"use   {self._machine}"),
            Line(_CTRL_C, "dim"),
        ]
        return [Line(shortened(line.text, columns), line.style) for line in rows[:height]]

    def _stage(self) -> str:
        epoch = min(self._epochs, self._validated + 1)
        of_epoch = min(self._images, max(0, self._done - self._images * (epoch - 1)))
        texts = [f"Epoch {epoch} of {self._epochs}", f"{of_epoch:,} of {self._images:,} images"]
        texts.append(f"{duration(monotonic() - self._begin)} so far")
        if left_s := self._left_s():
            texts.append(f"about {duration(left_s)} left")
        return " · ".join(texts)

    def _activity(self) -> str:
        if self._validated >= self._epochs:
            return f"testing and saving the model; {self._scores}"
        if self._is_validating():
            return f"validating; {self._scores}"
        return self._scores

    def _next(self) -> str:
        """Return what follows the images of this epoch, or its validation."""
        epoch = min(self._epochs, self._validated + 1)
        later = f"epoch {epoch + 1}" if epoch < self._epochs else "the results"
        is_trained = self._is_validating() or self._validated >= self._epochs
        return later if is_trained else f"validation, then {later}"

    def _is_validating(self) -> bool:
        return self._done >= self._images * (self._validated + 1)

    def _left_s(self) -> float:
        """Return an estimate of the seconds left, validations included; 0 before the first step."""
        done = self._done - self._first
        spent_s = monotonic() - self._begin
        return spent_s / done * (self._images * self._epochs - self._done) if done else 0.0

    def _read_machine(self, meter: GpuMeter) -> None:
        """Read what is in use, once per window."""
        latest = read_counters() if monotonic() - self._counters.at > _WINDOW_S else None
        if latest is None:
            return
        readings = rates(self._counters, latest)
        self._counters = latest
        cores = [value for name, value in readings.items() if isinstance(name, int)]
        gpu = meter.latest("utilization")
        texts = [
            f"{sum(cores):.1f} of {quantity(len(cores), 'core')}" if cores else "",
            f"disk {readings.get('disk_read_bytes_per_s', 0) / 1e6:,.0f} MB/s",
            f"GPU {percents(gpu)}" if gpu else "no NVIDIA GPU",
        ]
        self._machine = " · ".join(filter(None, texts))
