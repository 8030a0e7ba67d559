"""The raw record of a loader on a number of cores: its rate, and samples of its threads."""

from __future__ import annotations

from pydantic import (
    BaseModel,
    ConfigDict,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
)

CONSUMER = "consumer"  # kind of the thread that takes the batches


class ThreadSamples(BaseModel):
    """Samples of the threads of one kind, evenly spread over their CPU time.

    Attributes:
        kind: what their names have in common; `consumer` is the thread that takes the batches.
        at_once: the most of them that were alive at the same time.
        free: samples in which the thread held no lock that is known.
        python: held Python's lock, the GIL.
        locked: held another lock, made by Python code.
        both: held Python's and another.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    at_once: PositiveInt
    free: NonNegativeInt
    python: NonNegativeInt
    locked: NonNegativeInt
    both: NonNegativeInt

    @property
    def samples(self) -> int:
        """All samples of these threads."""
        return self.free + self.python + self.locked + self.both


class CoreBlock(BaseModel):
    """A timed block.

    Attributes:
        seconds: wall time.
        images: delivered.
        cpu_s: CPU time of the loader's process, without those that it started.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    seconds: PositiveFloat
    images: PositiveInt
    cpu_s: NonNegativeFloat

    @property
    def images_per_second(self) -> float:
        """The rate of the block."""
        return self.images / self.seconds


class OnCores(BaseModel):
    """A loader on some cores of the machine; nothing takes its batches.

    Attributes:
        cores: that its process could use.
        others_cpu_s: CPU time, in all blocks, of the processes that the loader started.
        threads: samples over all blocks, by kind of thread.
        locks: samples under a lock, by the place in the code that made it; of several locks that
            one place made, those of the lock with the most.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cores: PositiveInt
    blocks: list[CoreBlock] = []
    others_cpu_s: NonNegativeFloat = 0.0
    threads: list[ThreadSamples] = []
    locks: dict[str, NonNegativeInt] = {}
    error: str | None = None

    @property
    def own_share(self) -> float:
        """Share of the CPU time that the loader's process itself used."""
        own_s = sum(block.cpu_s for block in self.blocks)
        return own_s / (own_s + self.others_cpu_s) if own_s else 1.0

    @property
    def cpu_s_per_image(self) -> list[float]:
        """CPU seconds per image of each block, those of other processes included."""
        others_s = self.others_cpu_s / sum(block.images for block in self.blocks)
        return [block.cpu_s / block.images + others_s for block in self.blocks]
