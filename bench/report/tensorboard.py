"""The blocks of a run as logs for TensorBoard: scalars over rounds, and settings against rate.

Each block is written as soon as it is timed, so that TensorBoard shows a run that is not finished.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, time

from feedbench.bench.analysis.predicted import without_confirmation
from feedbench.bench.analysis.stats import median_interval
from feedbench.bench.errors import RecordError
from feedbench.bench.record import Block, Trial
from feedbench.bench.report.event_file import (
    Scalar,
    Value,
    experiment_events,
    file_start,
    scalar_events,
    session_end_events,
    session_start_events,
)
from feedbench.bench.report.table import trial_name
from feedbench.bench.signals import interrupts_deferred

LOGS = "tensorboard"  # the folder, as that of a training
_MEDIAN = "rate/median"
_METRICS = {_MEDIAN: "images/s", "rate/low": "95 % low", "rate/high": "95 % high"}
_WAIT, _CORES = "block/wait_share", "block/cores"
_LONGEST_NAME = 100  # characters; some file systems allow 143 bytes


@dataclass(frozen=True)
class LoggedRun:
    """A line of TensorBoard's charts, and a row of its HParams table.

    Attributes:
        number: of its folder, from 1; no other run of the same logs has it.
        name: of its folder.
        hparams: what distinguishes it.
        blocks: in the order of their rounds.
    """

    number: int
    name: str
    hparams: Mapping[str, Value]
    blocks: Sequence[Block]


class Logs:
    """The logs below a result folder, which grow while a run is measured."""

    def __init__(self, folder: Path) -> None:
        """Begin; nothing is written before the first block.

        Args:
            folder: of the result.
        """
        self._folder = folder / LOGS
        self._name = f"events.out.tfevents.{time():.0f}.feedbench"
        self._runs: dict[int, LoggedRun] = {}  # by their number, as they are in the files

    def add(self, run: LoggedRun) -> None:
        """Append the blocks of a run that its file does not have yet.

        Raises:
            RecordError: the file cannot be written.
        """
        logged = self._runs.get(run.number)
        done = len(logged.blocks) if logged else 0
        events = scalar_events([*_scalars(run.blocks, done)])
        if not events:
            return
        if logged is None:
            start = session_start_events(run.hparams, _ended_at(run.blocks[0]))
            events = file_start() + start + events
        with interrupts_deferred():  # or the same blocks would be appended again
            self._append(self._folder / _folder_name(run), events)
            self._runs[run.number] = run

    def finish(self, runs: Sequence[LoggedRun]) -> None:
        """Append what is missing, and give the HParams table its columns.

        Args:
            runs: all of them; those without a block have no logs.

        Raises:
            RecordError: a file cannot be written.
        """
        for run in runs:
            self.add(run)
        logged = self._runs.values()
        for run in logged:
            end = session_end_events(_ended_at(run.blocks[-1]))
            self._append(self._folder / _folder_name(run), end)
        if logged:
            self._append(self._folder, file_start() + _columns([*logged]))

    def _append(self, folder: Path, events: bytes) -> None:
        """Append whole events: TensorBoard reads a file again from where it has stopped."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with (folder / self._name).open("ab") as file:
                file.write(events)
        except OSError as error:
            raise RecordError(f"{folder}: {error.strerror}; --no-tensorboard omits it") from error


def _columns(runs: Sequence[LoggedRun]) -> bytes:
    names = dict.fromkeys(name for run in runs for name in run.hparams)
    values = {name: [run.hparams[name] for run in runs if name in run.hparams] for name in names}
    return experiment_events(values, {**_METRICS, _WAIT: "wait", _CORES: "cores"})


def trial_run(number: int, trial: Trial) -> LoggedRun:
    """Return a trial of a bench, with the settings that were chosen.

    As in its table, the blocks of the winner alone are left out.

    Args:
        number: line of the trial in trials.jsonl, from 1.
    """
    return LoggedRun(
        number,
        trial_name(trial),
        {"loader": trial.loader, **_as_values(trial)},
        without_confirmation(trial).blocks,
    )


def _as_values(trial: Trial) -> dict[str, Value]:
    settings = {**trial.settings, **({} if trial.augment is None else {"augment": trial.augment})}
    return {
        name: value if isinstance(value, str | bool | int | float) else str(value)
        for name, value in settings.items()
    }


def _scalars(blocks: Sequence[Block], done: int) -> Iterator[Scalar]:
    """Yield the figures of each block from index `done`, and what all until then come to."""
    for count, block in enumerate(blocks[done:], done + 1):
        rate = median_interval([one.images_per_second for one in blocks[:count]])
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


def _folder_name(run: LoggedRun) -> str:
    name = run.name
    safe = "".join(char if char.isprintable() and char not in "/\\:" else "_" for char in name)
    return f"{run.number:02} {safe[:_LONGEST_NAME]}"
