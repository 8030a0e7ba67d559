"""What was measured, raw: one trial a line in trials.jsonl. Nothing derived is kept here."""

# The format of a trial, by `schema_number`. Every older one is still read.
# 1  Blocks with waits, steps, processor time, disk reads, and NVML's utilization and memory.
#    `left_out` lists the paths that this loader cannot see.
# 2  `left_out` counts the rows fed to no loader, by reason; `dropped` names files that failed
#    during the trial. Later without a new number: `pixels`, `augment`.
# 3  `consumer` may be emulated:NAME; `accelerator` says what was emulated. Later without a new
#    number: `cache_state`, and `consumed_bytes` of a block, which prove it.
# 4  Meters have times: `at_s` of each GPU sample, `began` and `host` of a block. A sample is null
#    where its reading failed; a column is empty where it always did. `gpus` also hold power, PCIe,
#    clocks and multiprocessors.
# 5  `rows`, `machine` and `versions`: each trial says which photographs it was fed, and on what.

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from feedbench.bench.errors import RecordError
from feedbench.bench.files import check_schema, write_text
from feedbench.bench.signals import interrupts_deferred
from feedbench.loaders import Stream, printable
from feedbench.loaders.explain import explain

SCHEMA_NUMBER = 5
TRIALS = "trials.jsonl"


def _consumer(value: str) -> str:
    if value in ("train", "drain") or value.removeprefix("emulated:") not in ("", value):
        return value
    raise ValueError("must be train, drain or emulated:NAME")


ConsumerName = Annotated[str, AfterValidator(_consumer)]
CacheState = Literal["warm", "cold"]


class Record(BaseModel):
    """A part of the record, never changed; unknown fields are a newer version's and refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


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


class TimedBlock(Record):
    """One uninterrupted timed window, as the process that is timed knows it."""

    began: float | None = Field(None, description="seconds of the machine's monotonic clock")
    seconds: float = Field(description="from the device idle to the device idle")
    images: int
    wait_s: list[float] = Field(description="per step: from asking for a batch to having it")
    step_s: list[float] = Field(description="per step: from having it to being ready to ask again")
    cpu_s: float = Field(0.0, description="processor seconds of the trial's process tree")
    disk_read_bytes: int | None = Field(0, description="from the disk itself; none if unknown")
    consumed_bytes: int | None = Field(None, description="of its images' files, if asked for")

    @property
    def images_per_second(self) -> float:
        """Rate of this block."""
        return self.images / self.seconds


class Block(TimedBlock):
    """The same with its round, and with what meters read beside it."""

    round: int = 0
    gpus: list[Gpu] = []
    host: Host | None = Field(None, description="the whole machine, where the system tells")


def present(samples: Sequence[float | None]) -> list[float]:
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


def dropped_by(stream: Stream) -> list[Dropped]:
    """The images that a stream has dropped so far."""
    return [
        Dropped(
            path=printable(fault.path), row=fault.row, reason=f"{fault.decoder}: {fault.reason}"
        )
        for fault in stream.dropped
    ]


class SamePixels(Record):
    """What the check before the timing found of a trial's pixels, in levels of 0 to 255."""

    reference: str
    tolerance: float
    worst_mean: float
    within: bool
    allowed: bool = Field(description="ranked even if they are beyond the tolerance")


class Conditions(Record):
    """What must be the same where blocks of two runs are pooled; None in older records."""

    rows: str | None = Field(None, description="fingerprint: paths, labels and sizes of all rows")
    machine: dict[str, Any] | None = Field(None, description="processor, cores and GPUs")
    versions: dict[str, str | None] | None = Field(None, description="of Python and libraries")


def differences(then: Conditions, now: Conditions) -> str:
    """What differs, such as `cores 4 against 2`; empty if nothing. Only what both say counts."""
    before, after = _flat(then), _flat(now)
    return ", ".join(
        f"{name} {value} against {after[name]}"
        for name, value in before.items()
        if name in after and after[name] != value
    )


def _flat(conditions: Conditions) -> dict[str, str]:
    rows = {} if conditions.rows is None else {"photographs": conditions.rows[:12]}
    facts = {**rows, **(conditions.machine or {}), **(conditions.versions or {})}
    return {name: _as_text(value) for name, value in facts.items()}


def _as_text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(value) or "none"
    return "not installed" if value is None else str(value)


class Trial(Conditions):
    """All blocks of one loader with one setting feeding one consumer."""

    schema_number: int = SCHEMA_NUMBER
    loader: str
    settings: dict[str, Any] = Field(description="those that were given")
    all_settings: dict[str, Any] = Field(description="with the defaults of the time")
    consumer: ConsumerName
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

    @property
    def rates(self) -> dict[int, float]:
        """Images per second of each block, by round."""
        return {block.round: block.images_per_second for block in self.blocks}


def write_trials(folder: Path, trials: list[Trial]) -> None:
    """Replace the folder's trials.jsonl by these."""
    # Where Ctrl-C came within pydantic's JSON, it would be told as an error of the record's.
    with interrupts_deferred():
        write_text(folder / TRIALS, "".join(trial.model_dump_json() + "\n" for trial in trials))


def read_trials(folder: Path) -> list[Trial]:
    """The trials of a result folder.

    Raises:
        RecordError: no such file, a line that is not a trial, or one that was measured under other
            conditions than the first; the text names it.
    """
    path = folder / TRIALS
    try:
        lines = path.read_text().splitlines()
    except OSError as error:
        raise RecordError(
            f"{path}: {error.strerror}; give the folder that a bench wrote"
        ) from error
    trials = [_trial(path, number, line) for number, line in enumerate(lines, 1)]
    for number, trial in enumerate(trials, 1):
        if apart := differences(trials[0], trial):
            raise RecordError(
                f"{path}: line {number} was not measured under the conditions of line 1: {apart}; "
                "give the record of one run"
            )
    return trials


def _trial(path: Path, number: int, line: str) -> Trial:
    try:
        values = json.loads(line)
        check_schema(values, SCHEMA_NUMBER, f"{path}: line {number}")
        if isinstance(values.get("left_out"), list):  # schema 1: of this loader alone
            values["left_out"] = {"its loader cannot see it": len(values["left_out"])}
        return Trial.model_validate(values)
    except ValidationError as error:
        raise RecordError(f"{path}: line {number}: {explain(error)}") from error
    except (ValueError, AttributeError, TypeError) as error:
        raise RecordError(f"{path}: line {number} is not a trial: {error}") from error
