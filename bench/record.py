"""What was measured, raw: one trial a line in trials.jsonl. Nothing derived is kept here."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from feedbench.bench.errors import RecordError
from feedbench.bench.signals import interrupts_held
from feedbench.loaders.explain import explain

SCHEMA_NUMBER = 4
TRIALS = "trials.jsonl"


def _consumer(value: str) -> str:
    if value in ("train", "drain") or value.removeprefix("emulated:") not in ("", value):
        return value
    raise ValueError("must be train, drain or emulated:NAME")


Consumer = Annotated[str, AfterValidator(_consumer)]
CacheState = Literal["warm", "cold"]


class Record(BaseModel):
    """A part of the record; unknown fields are a newer version's and refused."""

    model_config = ConfigDict(extra="forbid")


Samples = list[float | None]  # None where a reading failed that once; empty where it always did
Counts = list[int | None]


class Gpu(Record):
    """NVML's samples of one GPU during one block."""

    index: int
    at_s: list[float] = Field([], description="of each sample, after the block began")
    utilization: Samples = Field([], description="share of NVML's period with a kernel running")
    memory_bytes: Counts = Field([], description="in use on the whole GPU")
    multiprocessors: Samples = Field([], description="share in use since the last sample, by GPM")
    power_w: Samples = []
    pcie_rx_bytes_per_s: Counts = Field([], description="from the host to the GPU")
    pcie_tx_bytes_per_s: Counts = Field([], description="from the GPU to the host")
    sm_clock_mhz: Counts = []
    memory_clock_mhz: Counts = []
    clock_reasons: Counts = Field([], description="why clocks are not highest: NVML's bits")


class Host(Record):
    """Samples of the whole machine during one block, each of the time since the one before."""

    at_s: list[float] = Field(description="of each sample, after the block began")
    cores: dict[int, Samples] = Field({}, description="share of each core that was in use")
    disk_read_bytes_per_s: Counts = Field([], description="of all disks together")
    disk_write_bytes_per_s: Counts = []
    disk_queue: Samples = Field([], description="requests in flight, mean")
    minor_faults_per_s: Counts = Field([], description="page faults that waited for no disk")
    major_faults_per_s: Counts = []


class Block(Record):
    """One uninterrupted timed window."""

    round: int = 0
    began: float | None = Field(None, description="seconds of the machine's monotonic clock")
    seconds: float = Field(description="from the device idle to the device idle")
    images: int
    wait_s: list[float] = Field(description="per step: from asking for a batch to having it")
    step_s: list[float] = Field(description="per step: from having it to being ready to ask again")
    cpu_s: float = Field(0.0, description="processor seconds of the trial's process tree")
    disk_read_bytes: int | None = Field(0, description="from the disk itself; none if unknown")
    consumed_bytes: int | None = Field(None, description="of its images' files, if asked for")
    gpus: list[Gpu] = []
    host: Host | None = Field(None, description="the whole machine, where the system tells")

    @property
    def images_per_second(self) -> float:
        """Rate of this block."""
        return self.images / self.seconds


def told(samples: Sequence[float | None]) -> list[float]:
    """Those that did not fail."""
    return [sample for sample in samples if sample is not None]


class WarmUp(Record):
    """What went before the first block; kept out of every rate."""

    start_s: float = Field(description="from the start of the process to an open loader")
    first_batch_s: float = Field(description="from opening the loader to its first batch")
    seconds: float = Field(description="from the first batch to the end of the warm-up")
    images: int


class Dropped(Record):
    """An image that failed while the trial ran, and in whose place another was given."""

    path: str
    row: int
    reason: str


class SamePixels(Record):
    """What the check before the timing found of a trial's pixels, in levels of 0 to 255."""

    reference: str
    tolerance: float
    worst_mean: float
    within: bool
    allowed: bool = Field(description="ranked even if they are beyond the tolerance")


class Trial(Record):
    """All blocks of one loader with one setting feeding one consumer."""

    schema_number: int = SCHEMA_NUMBER
    loader: str
    settings: dict[str, Any] = Field(description="those that were given")
    all_settings: dict[str, Any] = Field(description="with the defaults of the time")
    consumer: Consumer
    spec: dict[str, Any]
    augment: dict[str, Any] | None = Field(None, description="its own, in the spec too, if any")
    recipe: dict[str, Any]
    accelerator: dict[str, Any] | None = Field(None, description="what was emulated")
    images: int = Field(description="rows in the manifest that was fed")
    cache_state: CacheState | None = Field(None, description="of the page cache, if asked for")
    warm_ups: list[WarmUp] = []
    blocks: list[Block] = []
    peak_memory_bytes: int = 0
    left_out: dict[str, int] = Field({}, description="rows not fed to any loader, by reason")
    dropped: list[Dropped] = []
    pixels: SamePixels | None = None
    error: str | None = None


def write_trials(folder: Path, trials: list[Trial]) -> None:
    """Replace the folder's trials.jsonl by these."""
    # Where Ctrl-C came within pydantic's JSON, it would be told as an error of the record's.
    with interrupts_held():
        write_text(folder / TRIALS, "".join(trial.model_dump_json() + "\n" for trial in trials))


def read_trials(folder: Path) -> list[Trial]:
    """The trials of a result folder.

    Raises:
        RecordError: no such file, or a line that is not a trial; the text names it.
    """
    path = folder / TRIALS
    try:
        lines = path.read_text().splitlines()
    except OSError as error:
        raise RecordError(
            f"{path}: {error.strerror}; give the folder that a bench wrote"
        ) from error
    return [_trial(path, number, line) for number, line in enumerate(lines, 1)]


def _trial(path: Path, number: int, line: str) -> Trial:
    try:
        values = json.loads(line)
        if values.get("schema_number", 0) > SCHEMA_NUMBER:
            raise RecordError(
                f"{path}: line {number}: schema {values['schema_number']} is newer "
                f"than {SCHEMA_NUMBER}; upgrade feedbench"
            )
        if isinstance(values.get("left_out"), list):  # schema 1: of this loader alone
            values["left_out"] = {"its loader cannot see it": len(values["left_out"])}
        return Trial.model_validate(values)
    except ValidationError as error:
        raise RecordError(f"{path}: line {number}: {explain(error)}") from error
    except (ValueError, AttributeError) as error:
        raise RecordError(f"{path}: line {number} is not a trial: {error}") from error


def write_text(path: Path, text: str) -> None:
    """Write beside the place and rename, so that a killed run leaves no half file.

    Raises:
        RecordError: the file cannot be written.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_text(text)
        beside.replace(path)
    except OSError as error:
        raise RecordError(f"{path}: {error.strerror}; name another folder") from error
    finally:
        beside.unlink(missing_ok=True)


def write_model(path: Path, model: BaseModel) -> None:
    """Write a model as readable JSON; Ctrl-C waits."""
    with interrupts_held():
        write_text(path, model.model_dump_json(indent=1) + "\n")


def write_json(path: Path, value: Any) -> None:
    """Write plain values as readable JSON."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def new_folder(path: Path) -> Path:
    """Make a result folder.

    Raises:
        RecordError: it cannot be made, or already holds something.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        if any(path.iterdir()):
            raise RecordError(f"{path}: not empty; name a new folder by --out or remove it")
    except OSError as error:
        raise RecordError(f"{path}: {error.strerror}; name another folder by --out") from error
    return path
