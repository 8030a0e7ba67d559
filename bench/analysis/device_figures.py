"""What each of several devices did that trained together."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from feedbench.bench.analysis.estimate import Positive
from feedbench.bench.analysis.utilization import gpu_mean
from feedbench.bench.record import Block, Trial, present


class DeviceFigures(BaseModel):
    """What one of several devices did; a figure that could not be read is None.

    Attributes:
        name: TensorFlow's, such as `GPU:0`.
        gpu: its number, as NVML counts; None if it is no GPU.
        images_per_second: its part of the rate of the trial.
        gpu_utilization: mean fraction of the time with a kernel running, by NVML.
        gpu_multiprocessors: mean fraction in use, by GPM.
        gpu_power_w: mean power in watts.
        gpu_memory_bytes: most that was in use.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    gpu: int | None = None
    images_per_second: float
    gpu_utilization: float | None = None
    gpu_multiprocessors: float | None = None
    gpu_power_w: float | None = None
    gpu_memory_bytes: int | None = None


def device_figures(trial: Trial, rate: Positive | None) -> list[DeviceFigures]:
    """Return the figures of each device of a trial; empty if it has only one, or no block.

    Args:
        rate: of all devices together.
    """
    count = len(trial.devices)
    if count < 2 or rate is None:
        return []
    return [
        _figures(name, rate.value / count, _alone(trial.blocks, place, count))
        for place, name in enumerate(trial.devices)
    ]


def _figures(name: str, images_per_second: float, blocks: list[Block]) -> DeviceFigures:
    gpus = [gpu for block in blocks for gpu in block.gpus]
    sizes = [size for gpu in gpus for size in present(gpu.memory_bytes)]
    return DeviceFigures(
        name=name,
        gpu=gpus[0].index if gpus else None,
        images_per_second=images_per_second,
        gpu_utilization=gpu_mean(blocks, "utilization"),
        gpu_multiprocessors=gpu_mean(blocks, "multiprocessors"),
        gpu_power_w=gpu_mean(blocks, "power_w"),
        gpu_memory_bytes=int(max(sizes)) if sizes else None,
    )


def _alone(blocks: list[Block], place: int, count: int) -> list[Block]:
    """Return the blocks with the readings of one GPU; CUDA and NVML count in the same order."""
    return [
        block.model_copy(update={"gpus": block.gpus[place : place + 1]})
        for block in blocks
        if len(block.gpus) == count
    ]
