"""The callback that a user passes to `fit`."""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Any

import keras

from feedbench.bench.monitor.hook import Unsupported, running_fit
from feedbench.bench.monitor.run import Measured, Run
from feedbench.bench.monitor.text import ended, fit_lines

Logs = Mapping[str, Any] | None
Method = Callable[..., None]


def _harmless(method: Method) -> Method:
    """Have an error of the monitor end the monitor, not the training."""

    @wraps(method)
    def guarded(self: FitMonitor, *arguments: Any, **named: Any) -> None:
        try:
            method(self, *arguments, **named)
        except Exception as error:
            self.give_up(f"{type(error).__name__}: {error}")

    return guarded


class FitMonitor(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Reports the share of time in which the device waits for data in `model.fit`.

    After `warm_up` batches it measures the next `steps`, while the training continues as it would
    without it. Then it prints one sentence on standard error and writes a record for
    `feedbench show`. Each `fit` that it is passed to is measured.

    Attributes:
        results: the measurements, one per `fit`, the most recent last.
    """

    # Keras calls `on_train_batch_end` once the logs of a step were read: the device has finished
    # it then. With `async_safe` this does not change when they are read.
    async_safe = True

    def __init__(
        self,
        steps: int = 200,
        warm_up: int = 20,
        out: str | Path | None = None,
        ceiling: bool = False,
        verbose: int = 1,
    ) -> None:
        """Choose what to measure.

        Args:
            steps: number of batches to measure.
            warm_up: number of batches before that, while functions are compiled and buffers fill.
            out: folder for the record; by default results/fit-DATE-TIME. If it holds files, such as
                those of an earlier `fit`, the record goes to OUT-2, OUT-3 and so on.
            ceiling: also train on one repeated batch, to measure the rate without input data.
                It pauses the training for about as long as `steps` take; weights, optimizer,
                metrics and seeds are restored bit by bit.
            verbose: 0 prints nothing.

        Raises:
            ValueError: steps is no whole number of at least 1, or warm_up none of at least 0.
        """
        super().__init__()
        self.results: list[Measured] = []
        self._options: dict[str, Any] = {
            "steps": _whole("steps", steps, 1),
            "warm_up": _whole("warm_up", warm_up, 0),
            "ceiling": ceiling,
        }
        self._out = None if out is None else Path(out)
        self._verbose = verbose
        self._run: Run | None = None

    @_harmless
    def on_train_begin(self, logs: Logs = None) -> None:
        """Begin to observe."""
        self._close()
        try:
            self._run = Run(running_fit(self.model), **self._options)
        except Unsupported as error:
            self._say([f"FitMonitor measures nothing: {error}."])

    @_harmless
    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Begin an epoch."""
        if self._run:
            self._run.epoch_begins()

    @_harmless
    def on_train_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Report once enough was measured."""
        if self._run and self._run.step_begins():
            self._report()

    @_harmless
    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Note the end of a step."""
        if run := self._run:
            run.step_ended(batch)

    @_harmless
    def on_test_begin(self, logs: Logs = None) -> None:
        """End what is counted of an epoch: a validation follows."""
        if self._run:
            self._run.epoch_ended()

    @_harmless
    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """End an epoch."""
        if self._run:
            self._run.epoch_ended()

    @_harmless
    def on_train_end(self, logs: Logs = None) -> None:
        """Report what was measured, if that was not done yet."""
        if self._run:
            self._report()

    def give_up(self, reason: str) -> None:
        """Say that nothing can be measured in this `fit`, and let the training go on."""
        self._close()
        self._say([f"FitMonitor stopped: {ended(reason)} The training continues without it."])

    def _report(self) -> None:
        run, self._run = self._run, None
        assert run is not None
        if run.is_over:
            self._say([f"FitMonitor measures nothing: {ended('; '.join(run.notes))}"])
            return
        self.results.append(run.finish(self._out))
        self._say(_lines(self.results[-1]))

    def _close(self) -> None:
        run, self._run = self._run, None
        if run:
            run.close()

    def _say(self, lines: list[str]) -> None:
        if not self._verbose:
            return
        text = "\n".join(lines)
        if keras.config.is_interactive_logging_enabled():
            sys.stderr.write(f"\n{text}\n")  # a progress bar may stand in this line
            sys.stderr.flush()
        else:
            from absl import logging

            logging.info(text)


def _whole(name: str, value: Any, least: int) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if number < least:
        raise ValueError(
            f"{name} must be a whole number of at least {least}; received: {name}={value!r}"
        )
    return number


def _lines(measured: Measured) -> list[str]:
    first, *others = fit_lines(measured.figures, measured.record)
    lines = [f"FitMonitor: {first}", *others]
    if measured.folder is not None:
        lines.append(f"Record: feedbench show {measured.folder}")
    return lines
