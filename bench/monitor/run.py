"""One monitored `fit`, from its first batch to its record."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

from feedbench.bench.consumers.device import CPU, training_device
from feedbench.bench.environment import environment, machine
from feedbench.bench.meters.block import Meters
from feedbench.bench.meters.gpu import training_gpus
from feedbench.bench.meters.process import tree_peak_memory
from feedbench.bench.monitor.ceiling import ceiling_blocks, step_on, wait_until_quiet
from feedbench.bench.monitor.fetches import Fetches, PythonFetches
from feedbench.bench.monitor.graph_fetches import GraphFetches
from feedbench.bench.monitor.hook import Fit
from feedbench.bench.monitor.record import FitFigures, FitRecord, figures, record_folder, write_fit
from feedbench.bench.monitor.state import preserved
from feedbench.bench.monitor.usage import Used, used_now, with_usage
from feedbench.bench.monitor.window import (
    BLOCKS,
    Epoch,
    Window,
    first_waits,
    timed_blocks,
)
from feedbench.bench.record import Block, TimedBlock, Trial, WarmUp
from feedbench.loaders import BASELINE, printable

_MORE_BATCHES = "train on more batches, or lower FitMonitor(warm_up=...)"
_HOST_PERIOD_S = 1.0  # the meters take Python's lock from the training


class Measured(NamedTuple):
    """What was found in one `fit`.

    Attributes:
        figures: None if no block could be timed; the record's notes say why.
        folder: of the record; None if it could not be written.
    """

    figures: FitFigures | None
    record: FitRecord
    folder: Path | None


class Run:
    """Observes one `fit`. Its methods are called by a callback, in the order of their names here.

    Attributes:
        is_over: whether everything was measured, or nothing can be.
        notes: what could not be measured, and why.
    """

    def __init__(self, fit: Fit, *, steps: int, warm_up: int, ceiling: bool) -> None:
        """Observe a `fit` from now on."""
        capacity = warm_up + 2 * steps + 4 * fit.steps_per_execution
        fetches = GraphFetches if fit.backend == "tensorflow" else PythonFetches
        self.is_over = False
        self._fit = fit
        self.notes: list[str] = []
        self._fetches: Fetches = fetches(capacity, 0 if ceiling else None)
        self._ceiling = ceiling
        self._device = training_device(fit.backend)
        self._window = Window(warm_up, steps, fit.steps_per_execution, is_synchronous=True)
        self._epochs: list[Epoch] = []
        self._used: dict[int, list[Used]] = {}
        self._is_between = True  # epochs
        self._open = ExitStack()
        self._meters: Meters | None = None
        self._thread = threading.get_ident()
        self._reads_on_threads = False
        fit.observe(self._observed)
        fit.on_end(self._open.close)

    def _observed(self, batches: Any) -> Any:
        if self.is_over:
            return batches
        try:
            return self._fetches.wrap(batches)
        except Exception as error:  # of any kind: it must not end the training
            self.notes.append(f"the batches cannot be observed: {error}")
            self.close()
            return batches

    def epoch_begins(self) -> None:
        """Begin an epoch."""
        self._is_between = False
        self._epochs.append(Epoch(self._fetches.count()))

    def step_begins(self) -> bool:
        """Begin an execution; return whether there is nothing more to measure."""
        if self.is_over or self._has_enough():
            return True
        self._meter()
        return False

    def _has_enough(self) -> bool:
        per_execution = self._window.steps_per_execution
        seen = sum(len(epoch.ended) for epoch in self._epochs) * per_execution
        is_full = seen + per_execution > self._fetches.capacity
        return is_full or self._window.counted(self._epochs) >= self._window.steps

    def step_ended(self, batch: int) -> None:
        """Note that the device has finished an execution, whose last batch has this index."""
        now = perf_counter()
        if self._is_between:  # a thread reports late
            return
        self._epochs[-1].ended[batch // self._window.steps_per_execution] = now
        if threading.get_ident() != self._thread:
            self._reads_on_threads = True

    def epoch_ended(self) -> None:
        """End an epoch, or what is counted of it: a validation is not."""
        self._is_between = True
        used = self._used.get(len(self._epochs) - 1, [])
        if len(used) == 1:
            used.append(used_now())

    def _meter(self) -> None:
        """Start the meters before the last execution that does not count: that takes a while."""
        number = len(self._epochs) - 1
        if number in self._used:
            return
        if len(self._epochs[-1].ended) + 1 < self._window.skipped(number):
            return
        if self._meters is None:
            meters = Meters(training_gpus(), _HOST_PERIOD_S, self._fit.is_running)
            self._meters = self._open.enter_context(meters)
        self._used[number] = [used_now()]

    def finish(self, out: Path | None) -> Measured:
        """Stop observing, measure the ceiling if wanted, and write the record.

        Args:
            out: see `record_folder`.
        """
        self.epoch_ended()
        self._stop()
        blocks = self._blocks()
        ceiling, is_quiet = self._measure_ceiling() if blocks and self._ceiling else ([], None)
        record = self._record(blocks, is_quiet)
        facts = environment()
        trials = self._trials(blocks, ceiling, facts)
        folder = self._written(out, record, trials, facts)
        return Measured(figures(trials), record.model_copy(update={"notes": self.notes}), folder)

    def close(self) -> None:
        """Stop observing; nothing is measured any more."""
        self._stop()

    def _stop(self) -> None:
        self.is_over = True
        self._fit.release()
        self._open.close()

    def _blocks(self) -> list[Block]:
        self._window = Window(
            self._window.warm_up,
            self._window.steps,
            self._window.steps_per_execution,
            is_synchronous=self._is_synchronous(),
        )
        blocks: list[Block] = []
        epochs = timed_blocks(self._fetches.read(), self._epochs, self._window)
        for number, timed in enumerate(epochs):
            blocks += [
                _complete(one, self._meters, len(blocks) + index)
                for index, one in enumerate(with_usage(timed, self._used.get(number, [])))
            ]
        return blocks

    def _is_synchronous(self) -> bool:
        """Whether the device is idle whenever `fit` asks for a batch.

        It is if the logs of each step are read before that, or if the CPU computes: only JAX
        computes there while Python goes on.
        """
        if self._device == CPU and self._fit.backend != "jax":
            return True
        return not self._reads_on_threads and self._window.steps_per_execution == 1

    def _measure_ceiling(self) -> tuple[list[Block], bool | None]:
        """Time the step on the kept batch; none if that is not possible."""
        try:
            if self._fetches.keeps or self._fetches.batch is None:
                raise ValueError(self._fetches.keeps or "no batch was kept")
            return self._ceiling_blocks()
        except Exception as error:  # such as too little memory; the state is restored
            self.notes.append(
                f"the step on a repeated batch could not be timed: {_first_line(error)}"
            )
            return [], None

    def _ceiling_blocks(self) -> tuple[list[Block], bool]:
        model, per_execution = self._fit.model, self._window.steps_per_execution
        if self._fit.backend == "jax":
            model.jax_state_sync()
        is_quiet = wait_until_quiet()
        meters = Meters(training_gpus(), _HOST_PERIOD_S)
        with preserved(model, draws=is_quiet), _training(model, self._fit.backend), meters:
            before = used_now()
            timed = ceiling_blocks(
                step_on(model, self._fetches, self._fit.backend),
                images=self._fetches.read()[0].images * per_execution,
                executions=max(3, -(-self._window.steps // (BLOCKS * per_execution))),
                on_threads=self._reads_on_threads,
            )
            used = [before, used_now()]
        blocks = with_usage(timed, used)
        return [_complete(one, meters, index) for index, one in enumerate(blocks)], is_quiet

    def _record(self, blocks: list[Block], is_quiet: bool | None) -> FitRecord:
        import keras

        if not blocks:
            self.notes.append(self._why_no_block())
        return FitRecord(
            backend=self._fit.backend,
            keras=keras.__version__,
            model=printable(str(self._fit.model.name)),
            data=self._fit.data,
            device=self._device,
            steps_per_execution=self._fit.steps_per_execution,
            warm_up=self._window.warm_up,
            is_synchronous=self._window.is_synchronous,
            first_waits_s=first_waits(self._fetches.read(), self._epochs),
            is_quiet=is_quiet,
            notes=self.notes,
        )

    def _why_no_block(self) -> str:
        seen, warm_up = self._fetches.count(), self._window.warm_up
        has_only_first = len(self._epochs) > 1 and all(len(one.ended) < 2 for one in self._epochs)
        remedy = "give fit epochs of more steps" if has_only_first else _MORE_BATCHES
        return (
            f"only {seen:,} batches were seen, and the first {warm_up:,} as well as the first of "
            f"each epoch are not counted: {remedy}"
        )

    def _trials(
        self, blocks: list[Block], ceiling: list[Block], facts: dict[str, Any]
    ) -> list[Trial]:
        fetches = self._fetches.read()
        one = Trial(
            loader=self._fit.data,
            settings={},
            all_settings={},
            consumer="fit",
            device=self._device,
            spec={"batch_size": fetches[0].images if fetches else 0},
            recipe={"network": printable(str(self._fit.model.name)), "backend": self._fit.backend},
            images=self._fit.images,
            machine=machine(facts),
            versions={"python": facts["python"], **facts["packages"]},
            warm_ups=self._warm_ups(blocks),
            blocks=blocks,
            peak_memory_bytes=tree_peak_memory(),
        )
        if not ceiling:
            return [one]
        fields = {"loader": BASELINE, "settings": {"like": self._fit.data}, "warm_ups": []}
        return [one, one.model_copy(update={**fields, "blocks": ceiling})]

    def _warm_ups(self, blocks: list[Block]) -> list[WarmUp]:
        fetches = self._fetches.read()
        if not blocks or blocks[0].began is None:
            return []
        before = [fetch for fetch in fetches if fetch.arrived < blocks[0].began]
        return [
            WarmUp(
                start_s=0.0,
                first_batch_s=fetches[0].arrived - fetches[0].asked,
                seconds=blocks[0].began - fetches[0].arrived,
                images=sum(fetch.images for fetch in before),
            )
        ]

    def _written(
        self, out: Path | None, record: FitRecord, trials: list[Trial], facts: dict[str, Any]
    ) -> Path | None:
        try:
            folder = record_folder(out)
            write_fit(folder, record, trials, facts)
        except Exception as error:
            self.notes.append(f"the record could not be written: {_first_line(error)}")
            return None
        return folder


def _training(model: Any, backend: str) -> ExitStack:
    """Have a Torch model in training mode until the stack is closed, as during an epoch."""
    stack = ExitStack()
    if backend == "torch":
        stack.callback(model.train, model.training)
        model.train()
    return stack


def _complete(block: TimedBlock, meters: Meters | None, index: int) -> Block:
    return meters.complete(block, index) if meters else Block(**dict(block), round=index)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
