"""The rate of the same step on one batch, over and over, so that it never waits for data."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import repeat
from time import perf_counter, sleep
from typing import Any

from feedbench.bench.meters.process import tree_usage
from feedbench.bench.monitor.fetches import Fetches
from feedbench.bench.monitor.window import BLOCKS
from feedbench.bench.record import TimedBlock
from feedbench.trainer import RUN_AHEAD

_WARM_UP = 3  # executions
_MIN_EXECUTIONS = 3
_LONG_S = 2.0  # a block that lasts so long needs no more executions
_QUIET_CORES = 0.1  # CPU use of a pipeline that has filled its buffers
_QUIET_S = 0.2
_QUIET_LIMIT_S = 10.0

Step = Callable[[], Any]


def wait_until_quiet() -> bool:
    """Wait until the pipeline has filled its buffers; return whether it came to rest."""
    end = perf_counter() + _QUIET_LIMIT_S
    before = tree_usage()
    while perf_counter() < end:
        sleep(_QUIET_S)
        after = tree_usage()
        if after.since(before).cpu_s < _QUIET_CORES * _QUIET_S:
            return True
        before = after
    return False


def step_on(model: Any, fetches: Fetches, backend: str) -> Step:
    """Return a function that trains on the kept batch and returns the logs, which may be pending.

    Its state must be `preserved`.
    """
    if backend == "tensorflow":
        iterator = fetches.repeated()  # type: ignore[attr-defined]
        return lambda: model.train_function(iterator)
    if backend == "torch":
        return lambda: model.train_function([fetches.batch])
    return _jax_step(model, repeat(fetches.batch))


def _jax_step(model: Any, batches: Iterator[Any]) -> Step:
    """Return a step that passes its state to the next one, as `fit` does under JAX."""
    values = _Separate()
    state = tuple(
        [values.of(variable) for variable in variables]
        for variables in (
            model.trainable_variables,
            model.non_trainable_variables,
            model.optimizer.variables,
            model.metrics_variables,
        )
    )

    def step() -> Any:
        nonlocal state
        logs, state = model.train_function(state, batches)
        return logs

    return step


class _Separate:
    """Gives values that share no memory: JAX takes the memory of each for the results of a step.

    At the end of `fit`, an optimizer with `use_ema` has the weights share that of their averages.
    """

    def __init__(self) -> None:
        self._taken: set[int] = set()

    def of(self, variable: Any) -> Any:
        """Return the value of a variable, or a copy of one that was returned before."""
        import keras

        value = variable.value
        if id(value) in self._taken:
            return keras.ops.copy(value)
        self._taken.add(id(value))
        return value


@contextmanager
def reading_logs(*, on_threads: bool) -> Iterator[Callable[[Any], None]]:
    """Yield a function that reads the logs of a step as `fit` does: at once, or on a thread.

    On leaving, all steps have ended.
    """
    if not on_threads:
        yield _read
        return
    pending: deque[Future[None]] = deque()

    def read_later(logs: Any) -> None:
        pending.append(threads.submit(_read, logs))
        if len(pending) > RUN_AHEAD:
            pending.popleft().result()

    with ThreadPoolExecutor(RUN_AHEAD + 1, "feedbench-logs") as threads:
        yield read_later
        while pending:
            pending.popleft().result()


def _read(logs: Any) -> None:
    import keras

    for value in keras.tree.flatten(logs):
        if keras.ops.is_tensor(value):
            keras.ops.convert_to_numpy(value)


def ceiling_blocks(
    step: Step, images: int, executions: int, *, on_threads: bool
) -> list[TimedBlock]:
    """Time blocks of a step.

    Args:
        step: as from `step_on`.
        images: that one call of it takes.
        executions: calls per block, but no more than needed in a block that lasts long.
        on_threads: whether `fit` reads the logs on a thread.
    """
    _block(step, images, _WARM_UP, on_threads=on_threads)
    return [_block(step, images, executions, on_threads=on_threads) for _ in range(BLOCKS)]


def _block(step: Step, images: int, executions: int, *, on_threads: bool) -> TimedBlock:
    steps: list[float] = []
    began = ready = perf_counter()
    with reading_logs(on_threads=on_threads) as read:
        while len(steps) < executions and not _is_long(len(steps), ready - began):
            read(step())
            steps.append(perf_counter() - ready)
            ready = perf_counter()
    return TimedBlock(
        began=round(began, 6),
        seconds=perf_counter() - began,
        images=images * len(steps),
        wait_s=[0.0] * len(steps),
        step_s=[round(seconds, 6) for seconds in steps],
    )


def _is_long(executions: int, seconds: float) -> bool:
    return executions >= _MIN_EXECUTIONS and seconds >= _LONG_S
