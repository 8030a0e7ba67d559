"""A training under way: images a second, GPU utilization, time left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

from rich.console import Console
from rich.progress import TextColumn

from bench.meters.gpu import GpuMeter, find_gpus
from bench.progress import bar

_WINDOW_S = 2.0  # over which the rate is told


@contextmanager
def train_progress(
    console: Console, images: int, epochs: int
) -> Iterator[tuple[Callable[[Any], None], Callable[[int], None]]]:
    """Gives what to call with each epoch and with the images of each step."""

    def on_epoch(epoch: Any) -> None:
        console.print(
            f"epoch {epoch.epoch}/{epochs}: {epoch.images_per_second:,.0f} images/s, waited "
            f"{epoch.wait_s / epoch.train_s:.0%}, loss {epoch.loss:.3f}, accuracy "
            f"{epoch.accuracy:.1%}, validation {epoch.validation_accuracy:.1%}",
            highlight=False,
        )

    if not console.is_terminal:
        yield on_epoch, lambda count: None
        return
    with GpuMeter(find_gpus()) as meter, bar(console, TextColumn("{task.fields[rate]}")) as shown:
        task = shown.add_task("training", total=images, rate="")
        window = [monotonic(), 0.0]

        def on_step(count: int) -> None:
            window[1] += count
            passed = monotonic() - window[0]
            shown.advance(task, count)
            if passed > _WINDOW_S:
                shown.update(task, rate=f"{window[1] / passed:,.0f} images/s{_gpu(meter)}")
                window[:] = [monotonic(), 0.0]

        yield on_epoch, on_step


def _gpu(meter: GpuMeter) -> str:
    latest = [readings.utilization[-1] for readings in meter.readings if readings.utilization]
    return f", GPU {sum(latest) / len(latest):.0%}" if latest else ", no NVIDIA GPU"
