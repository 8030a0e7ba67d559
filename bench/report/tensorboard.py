"""The blocks of a run as logs for TensorBoard: scalars over rounds, and settings against rate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from time import perf_counter, time

from feedbench.bench.analysis.predicted import without_confirmation
from feedbench.bench.analysis.stats import median_interval
from feedbench.bench.files import replacing
from feedbench.bench.record import Block, Trial
from feedbench.bench.report.event_file import (
    Scalar,
    Value,
    experiment_events,
    scalar_events,
    session_events,
)
from feedbench.bench.report.table import trial_name

LOGS = "tensorboard"  # the folder, as that of a training
_MEDIAN = "rate/median"
_METRICS = {_MEDIAN: "images/s", "rate/low": "95 % low", "rate/high": "95 % high"}
_WAIT, _CORES = "block/wait_share", "block/cores"
_LONGEST_NAME = 100  # characters; some file systems allow 143 bytes


@dataclass(frozen=True)
class LoggedRun:
    """A line of TensorBoard's charts, and a row of its HParams table.

    Attributes:
        name: of its folder.
        hparams: what distinguishes it.
        blocks: in the order of their rounds.
    """

    name: str
    hparams: Mapping[str, Value]
    blocks: Sequence[Block]


def write_logs(folder: Path, runs: Sequence[LoggedRun]) -> None:
    """Write the logs of runs that have a block below a result folder.

    Raises:
        RecordError: a file cannot be written.
    """
    runs = [run for run in runs if run.blocks]
    metrics = {**_METRICS, _WAIT: "wait", _CORES: "cores"}
    names = dict.fromkeys(name for run in runs for name in run.hparams)
    values = {name: [run.hparams[name] for run in runs if name in run.hparams] for name in names}
    _write(folder / LOGS, experiment_events(values, metrics))
    for number, run in enumerate(runs, 1):
        _write(folder / LOGS / _folder_name(number, run.name), _events(run))


def trial_runs(trials: Sequence[Trial]) -> list[LoggedRun]:
    """Return the trials of a bench, with the settings that were chosen.

    As in its table, the blocks of the winner alone are left out.
    """
    return [
        LoggedRun(
            trial_name(trial),
            {"loader": trial.loader, **_as_values(trial)},
            without_confirmation(trial).blocks,
        )
        for trial in trials
    ]


def _as_values(trial: Trial) -> dict[str, Value]:
    settings = {**trial.settings, **({} if trial.augment is None else {"augment": trial.augment})}
    return {
        name: value if isinstance(value, str | bool | int | float) else str(value)
        for name, value in settings.items()
    }


def _events(run: LoggedRun) -> bytes:
    scalars = [*_scalars(run.blocks)]
    begin, end = scalars[0].at, scalars[-1].at
    return scalar_events(scalars) + session_events(run.hparams, begin, end)


def _scalars(blocks: Sequence[Block]) -> Iterator[Scalar]:
    """Yield the figures of each block, and what all until then come to."""
    so_far = accumulate([block.images_per_second] for block in blocks)
    for block, rates in zip(blocks, so_far, strict=True):
        rate = median_interval(rates)
        figures = {
            "block/images_per_second": block.images_per_second,
            _WAIT: sum(block.wait_s) / block.seconds,
            _CORES: block.cpu_s / block.seconds,
            _MEDIAN: rate.value,
            "rate/low": rate.low,
            "rate/high": rate.high,
        }
        for tag, value in figures.items():
            if value is not None:
                yield Scalar(tag, block.round, value, _ended_at(block))


def _ended_at(block: Block) -> float:
    """Return when a block ended, in seconds since 1970."""
    if block.began is None:
        return time()
    return time() - perf_counter() + block.began + block.seconds


def _folder_name(number: int, name: str) -> str:
    safe = "".join(char if char.isprintable() and char not in "/\\:" else "_" for char in name)
    return f"{number:02} {safe[:_LONGEST_NAME]}"


def _write(folder: Path, events: bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / f"events.out.tfevents.{time():.0f}.feedbench") as temporary:
        temporary.write_bytes(events)
