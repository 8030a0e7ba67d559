"""Raw measurements of a trial, and nothing that was derived from them."""

# Format history of a trial, by `schema_number`. All older formats can be read.
# 1  Blocks with waits, steps, CPU time, disk reads, and NVML's utilization and memory.
#    `left_out` lists the paths that this loader cannot read.
# 2  `left_out` counts the rows given to no loader, by reason; `dropped` lists files that failed
#    during the trial. Added later without a new number: `pixels`, `augment`.
# 3  `consumer` may be emulated:NAME, and `accelerator` is its profile. Added later without a new
#    number: `cache_state`, and `consumed_bytes` of a block, by which the state is proven.
# 4  Meter samples have times: `at_s` of each GPU sample, `began` and `host` of a block. A sample
#    is null if its reading failed; a column is empty if all failed. `gpus` also hold power, PCIe
#    traffic, clocks and multiprocessors in use.
# 5  `rows`, `machine` and `versions` identify the images, the machine and the libraries. `device`
#    is what the trainer used. Only the GPU that trials use is metered, and is among `gpus`.
#    `chosen_before` marks the blocks of the winner that were timed after it had won. `within` of
#    `pixels` is null if the pixels could not be compared. `own` is the user's function that was the
#    loader; `traceback` that of their code, if it failed. `model` is the file of their own model.
#    `requested_s` of a warm-up is the minimum that was requested, `beside` counts processes that
#    started meanwhile. The consumer `fit` is a user's own training, `idle_s` of a block what its
#    device is known to have waited. `judged_after` and `stopped`: when and why a trial ended early.
#    `rounds`: how many were asked for.
#    `devices` trained together; `alone` marks the trial of one of them.
#    `fetched_bytes` of a block: what came from object storage; `received_bytes` and `sent_bytes`:
#    what came from and went to a tf.data service; `losses`: what that lost. `why_not_once` and
#    `coverage`: of loaders and settings with which a row may not come once per epoch.

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from feedbench.bench.differences import as_text, differing

SCHEMA_NUMBER = 5


def _consumer(value: str) -> str:
    if value in ("train", "drain") or value.removeprefix("emulated:") not in ("", value):
        return value
    raise ValueError("must be train, drain or emulated:NAME")


ConsumerName = Annotated[str, AfterValidator(_consumer)]
CacheState = Literal["warm", "cold"]


class Record(BaseModel):
    """Base class of the immutable parts of a record; unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


Samples = list[float | None]  # None where one reading failed; empty if all failed
Counts = list[int | None]


class Gpu(Record):
    """Samples of one GPU during one block, read through NVML."""

    index: int = Field(description="number of the GPU, as NVML counts")
    at_s: list[float] = Field([], description="time of each sample, seconds since the block began")
    utilization: Samples = Field(
        [], description="fraction of NVML's sampling period with a kernel running"
    )
    memory_bytes: Counts = Field([], description="in use on the whole GPU")
    multiprocessors: Samples = Field(
        [], description="fraction in use since the last sample, read through GPM"
    )
    power_w: Samples = Field([], description="watts drawn by the whole GPU")
    pcie_rx_bytes_per_s: Counts = Field([], description="from the host to the GPU")
    pcie_tx_bytes_per_s: Counts = Field([], description="from the GPU to the host")
    sm_clock_mhz: Counts = Field([], description="clock of the multiprocessors")
    memory_clock_mhz: Counts = Field([], description="clock of the memory")
    clock_reasons: Counts = Field([], description="NVML's bits of why clocks are reduced")


class Host(Record):
    """Samples of the whole machine during one block; each covers the time since the previous."""

    at_s: list[float] = Field(description="time of each sample, seconds since the block began")
    cores: dict[int, Samples] = Field(
        {}, description="fraction of time each core that the run may use was in use"
    )
    disk_read_bytes_per_s: Counts = Field([], description="sum over all disks")
    disk_write_bytes_per_s: Counts = Field([], description="sum over all disks")
    disk_queue: Samples = Field([], description="mean number of requests in flight")
    minor_faults_per_s: Counts = Field([], description="page faults served without the disk")
    major_faults_per_s: Counts = Field([], description="page faults that read from the disk")

    @model_validator(mode="after")
    def _has_samples_of_all_cores_at_once(self) -> Self:
        counts = {len(samples) for samples in self.cores.values()}
        if len(counts) > 1:
            ends = f"{min(counts)} to {max(counts)}"
            raise ValueError(f"cores: must have as many samples each, got {ends}")
        return self


class TimedBlock(Record):
    """One uninterrupted timed window, as measured inside the timed process."""

    began: float | None = Field(None, description="seconds of the machine's monotonic clock")
    seconds: float = Field(
        ge=1e-9, le=1e9, description="from one moment with an idle device to the next"
    )
    images: int = Field(gt=0, le=10**12, description="images that the consumer took")
    wait_s: list[float] = Field(description="per step: from requesting a batch to receiving it")
    step_s: list[float] = Field(description="per step: from a batch to the next request")
    idle_s: list[float] | None = Field(
        None,
        description="per step: part of the wait in which the device is known to have had no work; "
        "None if it was not observed",
    )
    cpu_s: float = Field(0.0, description="CPU seconds of the trial's process tree")
    disk_read_bytes: int | None = Field(0, description="read from the disk; None if unknown")
    received_bytes: int | None = Field(
        None, description="bytes received over the network; None without a tf.data service"
    )
    sent_bytes: int | None = Field(
        None, description="bytes sent over the network; None without a tf.data service"
    )
    fetched_bytes: int | None = Field(
        None,
        description="read from object storage, over the network; None if the images are files",
    )
    consumed_bytes: int | None = Field(
        None, description="size of its images' files, if a cache state was requested"
    )

    @property
    def images_per_second(self) -> float:
        """Images per second of this block."""
        return self.images / self.seconds


class Block(TimedBlock):
    """A timed block with the index of its round and the meter readings taken meanwhile."""

    round: int = Field(0, description="index of its round, from 0")
    gpus: list[Gpu] = Field([], description="readings of each GPU; empty without one")
    host: Host | None = Field(None, description="None if the system has no /proc")


def present(samples: Sequence[float | None]) -> list[float]:
    """Return the samples whose reading did not fail."""
    return [sample for sample in samples if sample is not None]


class WarmUp(Record):
    """Times of a trial before its first block; they count in no rate."""

    requested_s: float | None = Field(
        None, description="minimum of `seconds` that was requested; None in older records"
    )
    start_s: float = Field(description="from the start of the process to an open loader")
    first_batch_s: float = Field(description="from opening the loader to its first batch")
    beside: int = Field(0, description="other processes that started meanwhile")
    seconds: float = Field(description="from the first batch to the end of the warm-up")
    images: int = Field(description="images that the consumer took meanwhile")


class Dropped(Record):
    """An image that failed during the trial and was replaced by another."""

    path: str = Field(description="file, or member of a shard")
    row: int = Field(description="its row in the manifest")
    reason: str = Field(description="decoder and message")


class SamePixels(Record):
    """Result of the pixel check of a trial before it was timed, in levels of 0 to 255."""

    reference: str = Field(description="loader that it was compared with")
    tolerance: float = Field(description="largest mean difference allowed per image")
    worst_mean: float = Field(description="mean difference of the image that differs most")
    within: bool | None = Field(description="None if the pixels could not be compared")
    allowed: bool = Field(description="whether the trial is ranked even beyond the tolerance")

    @property
    def accepted(self) -> bool:
        """Whether the trial may be ranked."""
        return bool(self.within) or self.allowed


class Own(Record):
    """A user's function that was measured as a loader."""

    file: str = Field(description="absolute path")
    function: str = Field(description="its name in the file")
    digest: str = Field(description="SHA-256 of the file")
    rows: bool | None = Field(
        None, description="whether its batches say which images they hold; None if unknown"
    )
    batch_size: int | None = Field(None, description="images of its first batch")
    image_size: tuple[int, int] | None = Field(
        None, description="height and width of these; None if the batch is no array of images"
    )
    value_range: tuple[float, float] | None = Field(
        None, description="least and greatest value of its first batch, if these are floats"
    )
    left_out: int = Field(0, description="images that did not come in two epochs")
    repeated: int = Field(0, description="images that came more often than once per epoch")


class Conditions(Record):
    """What must be equal for two trials to be comparable; fields are None in older records."""

    rows: str | None = Field(
        None, description="fingerprint of the paths, labels and sizes of all rows"
    )
    machine: dict[str, Any] | None = Field(None, description="processor, cores and GPUs")
    versions: dict[str, str | None] | None = Field(
        None, description="versions of Python and of libraries"
    )


def differences(expected: Conditions, actual: Conditions) -> str:
    """Return the conditions that differ, such as `cores 4 against 2`; "" if none do.

    Conditions that are unknown on one side are not compared.
    """
    return differing(_flat(expected), _flat(actual))


def _flat(conditions: Conditions) -> dict[str, str]:
    rows = {} if conditions.rows is None else {"photographs": conditions.rows[:12]}
    facts = {**rows, **(conditions.machine or {}), **(conditions.versions or {})}
    return {name: as_text(value) for name, value in facts.items()}


class Coverage(Record):
    """How often the rows of a trial came, where a loader does not keep the order by itself."""

    left_out: int = Field(0, description="images that did not come in two epochs")
    repeated: int = Field(0, description="images that came more often than once per epoch")


class Losses(Record):
    """The batches that workers of a tf.data service lost, and the loader replaced."""

    asked_again: int = Field(0, description="batches that were lost, and requested again")
    discarded: int = Field(0, description="batches that came twice, and were used once")
    ended_workers: list[str] = Field(
        [], description="how the loader's own worker processes ended, if any did"
    )
    decoded_here: int = Field(
        0, description="images that this machine decoded, because the workers could not read them"
    )

    def sentences(self) -> list[str]:
        """Return what happened, one sentence each; empty if nothing did."""
        texts = {
            f"batches that were lost and requested again: {self.asked_again:,}": self.asked_again,
            f"batches that came twice and were used once: {self.discarded:,}": self.discarded,
            "images that the workers could not read, and that were decoded on "
            f"this machine: {self.decoded_here:,}": self.decoded_here,
        }
        return [*(text for text, count in texts.items() if count), *self.ended_workers]


class Stopped(Record):
    """Why a trial was not timed in all rounds."""

    rounds: int = Field(description="number of rounds in which it was timed")
    slower_than: str | None = Field(None, description="None if nothing was left to decide")

    @property
    def why(self) -> str:
        """The reason in words."""
        if self.slower_than is None:
            return "nothing was left to decide"
        return f"certainly slower than {self.slower_than}"


class Trial(Conditions):
    """All blocks of one loader with one setting feeding one consumer."""

    schema_number: int = SCHEMA_NUMBER
    loader: str
    own: Own | None = Field(None, description="the user's function, if that was the loader")
    settings: dict[str, Any] = Field(description="the settings that the user chose")
    all_settings: dict[str, Any] = Field(description="all settings, defaults included")
    consumer: Literal["fit"] | ConsumerName = Field(
        description="fit: a user's own training, recorded by FitMonitor"
    )
    device: str | None = Field(
        None, description="name of the GPU that the trainer used, or CPU; None without a trainer"
    )
    devices: list[str] = Field(
        [], description="TensorFlow's names of all devices of the trainer; empty without one"
    )
    spec: dict[str, Any]
    augment: dict[str, Any] | None = Field(
        None, description="augmentation of this trial alone, if any; also in its spec"
    )
    alone: bool = Field(
        False, description="whether one device trained alone, with its part of a batch"
    )
    recipe: dict[str, Any]
    model: dict[str, Any] | None = Field(
        None, description="file and digest of the user's own model; None without one"
    )
    accelerator: dict[str, Any] | None = Field(None, description="profile that was emulated")
    images: int = Field(description="rows of the manifest")
    cache_state: CacheState | None = Field(
        None, description="state of the page cache, if one was requested"
    )
    warm_ups: list[WarmUp] = Field([], description="one for each process that was started")
    blocks: list[Block] = Field([], description="in the order in which they were timed")
    peak_memory_bytes: int = Field(
        0, description="most memory that the trial's processes held together"
    )
    left_out: dict[str, int] = Field({}, description="rows given to no loader, by reason")
    dropped: list[Dropped] = Field([], description="images that failed and were replaced")
    rounds: int | None = Field(
        None, description="number of rounds that were asked for; None if that was left open"
    )
    judged_after: list[int] = Field(
        [], description="numbers of rounds after which it could be stopped; empty if never"
    )
    stopped: Stopped | None = Field(None, description="None if it was timed in all rounds")
    chosen_before: int | None = Field(
        None, description="the round from which this trial alone was timed, because it had won"
    )
    pixels: SamePixels | None = Field(
        None, description="result of the pixel check; None if there was none"
    )
    why_not_once: str | None = Field(
        None, description="why rows do not come once per epoch with these settings; None if they do"
    )
    coverage: Coverage | None = Field(
        None, description="how often rows came; None for a loader that keeps the order"
    )
    losses: Losses | None = Field(
        None, description="what a tf.data service lost, all processes together; None without one"
    )
    error: str | None = None
    traceback: str | None = Field(None, description="of the user's own code, if that failed")

    @property
    def rates(self) -> dict[int, float]:
        """Images per second of each block, by the index of its round."""
        return {block.round: block.images_per_second for block in self.blocks}
