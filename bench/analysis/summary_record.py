"""The summary of a bench as it is stored: the figures of each trial, and the winner."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, model_validator

from feedbench.bench.analysis.device_figures import DeviceFigures
from feedbench.bench.analysis.estimate import Estimate, Positive
from feedbench.bench.record import Stopped
from feedbench.bench.trials.internal_loaders import is_choice


def _from_number(value: Any) -> Any:
    """Read the accelerator utilization of an old summary, which had no interval."""
    return {"value": value} if isinstance(value, int | float) else value


class TrialSummary(BaseModel):
    """The derived figures of one trial; a figure that could not be measured is None.

    Attributes:
        augment: augmentation of this trial alone, instead of that of the batch spec.
        alone: whether one device trained alone, with its part of a batch.
        images_per_second: median over the blocks.
        ratio_to_best: rate ÷ rate of the fastest ranked trial, over paired blocks.
        accelerator_utilization: rate ÷ rate with `synthetic`, over paired blocks.
        scaling_efficiency: rate ÷ (devices × rate of one alone with synthetic batches of its part),
            over paired blocks; None with one device.
        devices: what each of several devices did; empty with one.
        wait_share: fraction of the timed seconds in which the consumer had no batch; None if it
            does nothing but wait.
        gpu_utilization: mean over all blocks and GPUs, 0 to 1, by NVML; None without a GPU.
        gpu_memory_bytes: maximum over all GPUs.
        gpu_multiprocessors: mean fraction in use, by GPM; None if it cannot be read.
        gpu_power_w: mean power of one GPU in watts.
        gpu_throttled: fraction of samples with reduced clocks, by reason.
        cpu_cores: CPU seconds of the trial's process tree per timed second.
        peak_memory_bytes: of the trial's process tree.
        disk_read_bytes: sum over the blocks; 0 if the page cache was warm.
        start_s: seconds from the start of the process to an open loader.
        first_batch_s: seconds from opening the loader to its first batch.
        started_beside: other processes that started at the same time, which lengthens these two.
        blocks: number of counted blocks.
        spread: (fastest − slowest block) ÷ median rate.
        left_out: number of rows of the source that were given to no loader.
        dropped: number of images that failed during the trial.
        other_pixels: mean difference of the worst image, in levels of 0 to 255, if it exceeds the
            tolerance.
        pixels_unknown: whether the pixels could not be compared; always so for an own loader whose
            batches have no rows.
        own_faults: what makes its batches unlike those of other loaders, one sentence each.
        received_bytes_per_image: that came over the network; None if that is not used or unknown.
        sent_bytes_per_image: that went over the network.
        traceback: of the user's own code, if it failed.
        ranked: whether the trial can win: it reads images, its pixels are accepted, and it uses
            the augmentation of the batch spec.
        tied_with_best: whether it is the fastest ranked trial, or may be within 3 % of it.
        undecided: whether it may be slower than that, but has too few rounds in common with the
            fastest, or not enough for so many comparisons.
        stopped: why it was not timed in all rounds; None if it was.
        unproven: reasons for not counting blocks that were not in the requested cache state.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    loader: str
    settings: dict[str, Any]
    augment: dict[str, Any] | None = None
    alone: bool = False
    images_per_second: Positive | None = None
    ratio_to_best: Positive | None = None
    accelerator_utilization: Annotated[Estimate | None, BeforeValidator(_from_number)] = None
    scaling_efficiency: Positive | None = None
    devices: list[DeviceFigures] = []
    wait_share: float | None = None
    gpu_utilization: float | None = None
    gpu_memory_bytes: int | None = None
    gpu_multiprocessors: float | None = None
    gpu_power_w: float | None = None
    gpu_throttled: dict[str, float] = {}
    cpu_cores: float | None = None
    peak_memory_bytes: int | None = None
    disk_read_bytes: int | None = None
    received_bytes_per_image: float | None = None
    sent_bytes_per_image: float | None = None
    start_s: float | None = None
    first_batch_s: float | None = None
    started_beside: int = 0
    blocks: int = 0
    spread: float | None = None
    left_out: int = 0
    dropped: int = 0
    other_pixels: float | None = None
    pixels_unknown: bool = False
    ranked: bool = True
    tied_with_best: bool = False
    undecided: bool = False
    stopped: Stopped | None = None
    unproven: list[str] = []
    error: str | None = None
    own_faults: list[str] = []
    traceback: str | None = None

    @property
    def is_out(self) -> bool:
        """Whether it was stopped because it is certainly slower than another trial."""
        return self.stopped is not None and self.stopped.slower_than is not None


class Summary(BaseModel):
    """All trials in the order of the plan.

    Attributes:
        trials: the figures of each trial.
        winner: index of the trial to use; None if no ranked trial was timed.
        judged_after: numbers of rounds after which the bench could have ended; empty if never.
        predicted: the rate to expect of the winner, from blocks that did not choose it; None if
            there are none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    trials: list[TrialSummary]
    winner: int | None
    judged_after: list[int] = []
    predicted: Positive | None = None

    @model_validator(mode="after")
    def _has_the_winner(self) -> Self:
        if self.winner is not None and not 0 <= self.winner < len(self.trials):
            raise ValueError(f"winner: must be 0 to {len(self.trials) - 1}, got {self.winner}")
        return self

    @property
    def is_alone(self) -> bool:
        """Whether the winner had nothing to be compared with: no other trial reads images."""
        return sum(is_choice(trial.loader) for trial in self.trials) == 1
