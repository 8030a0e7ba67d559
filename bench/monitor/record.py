"""The record of a monitored `fit`: its facts beside trials.jsonl, and the figures from both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

from feedbench.bench.analysis.estimate import Estimate
from feedbench.bench.analysis.stats import independent_ratio, median_interval
from feedbench.bench.errors import RecordError
from feedbench.bench.files import dated_name, free_folder, read_model, write_json, write_model
from feedbench.bench.record import Record, Trial
from feedbench.bench.trials_file import write_trials

SCHEMA_NUMBER = 1
FIT_RECORD = "fit.json"


class FitRecord(Record):
    """What a FitMonitor records about a `fit`; its blocks are in trials.jsonl."""

    schema_number: int = SCHEMA_NUMBER
    backend: str = Field(description="tensorflow, jax or torch")
    keras: str = Field(description="version of Keras")
    model: str = Field(description="name of the user's model")
    data: str = Field(description="kind of the data that was given to fit")
    device: str = Field(description="name of the GPU, or CPU")
    steps_per_execution: int = Field(description="of the compiled model: batches per call")
    warm_up: int = Field(description="batches before the first block")
    is_synchronous: bool = Field(description="whether the device is idle at each request")
    first_waits_s: list[float] = Field(description="wait for the first batch of each epoch")
    is_quiet: bool | None = Field(
        None, description="whether the pipeline was at rest during the ceiling; None without one"
    )
    notes: list[str] = Field([], description="what could not be measured, and why")


class FitFigures(Record):
    """What follows from a record.

    Attributes:
        images_per_second: of the `fit`.
        ceiling: images per second on a repeated batch; None if not measured.
        stall: 1 − rate ÷ ceiling; None without a ceiling.
        wait_share: fraction of the time in which `fit` waited for a batch.
        idle_share: fraction in which the device is known to have had no work meanwhile.
        batches, images: that were counted.
    """

    images_per_second: Estimate
    ceiling: Estimate | None
    stall: Estimate | None
    wait_share: float
    idle_share: float
    batches: int
    images: int


def figures(trials: list[Trial]) -> FitFigures | None:
    """Return the figures of the trials of a `fit`; None if no block was timed."""
    if not trials or not trials[0].blocks:
        return None
    blocks = trials[0].blocks
    seconds = sum(block.seconds for block in blocks)
    rate = median_interval(list(trials[0].rates.values()))
    ceiling = median_interval(list(trials[1].rates.values())) if len(trials) > 1 else None
    return FitFigures(
        images_per_second=rate,
        ceiling=ceiling,
        stall=None if ceiling is None else _stall(rate, ceiling),
        wait_share=sum(sum(block.wait_s) for block in blocks) / seconds,
        idle_share=sum(sum(block.idle_s or ()) for block in blocks) / seconds,
        batches=sum(len(block.wait_s) for block in blocks),
        images=sum(block.images for block in blocks),
    )


def _stall(rate: Estimate, ceiling: Estimate) -> Estimate:
    ratio = independent_ratio(rate, ceiling)
    if ratio.low is None or ratio.high is None:
        return Estimate(value=1 - ratio.value)
    return Estimate(value=1 - ratio.value, low=1 - ratio.high, high=1 - ratio.low)


def record_folder(out: Path | None) -> Path:
    """Create the folder of a record: `out` or, where that holds files, `out-2` and so on.

    Args:
        out: by default results/fit-DATE-TIME.

    Raises:
        RecordError: it cannot be created.
    """
    path = out or Path("results") / dated_name("fit")
    try:
        is_empty = path.is_dir() and not any(path.iterdir())
        return path if out and is_empty else free_folder(path)
    except OSError as error:
        raise RecordError(
            f"{path}: {error.strerror}; name another folder by FitMonitor(out=...)"
        ) from error


def write_fit(
    folder: Path, record: FitRecord, trials: list[Trial], environment: dict[str, Any]
) -> None:
    """Write the record, its trials, and what `environment` says.

    Raises:
        RecordError: a file cannot be written.
    """
    write_json(folder / "environment.json", environment)
    write_trials(folder, trials)
    write_model(folder / FIT_RECORD, record)


def read_fit(path: Path) -> FitRecord:
    """Read the fit.json of a folder.

    Raises:
        RecordError: the file is missing, invalid, or written by a newer version of feedbench.
    """
    return read_model(path, FitRecord, "fit", SCHEMA_NUMBER)
